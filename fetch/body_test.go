package fetch_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet/fetch"
)

func TestBody_ContentTypeSaysWhatItIs(t *testing.T) {
	for name, tc := range map[string]struct {
		request fetch.Request
		want    string
		body    string
	}{
		"no body":                        {fetch.Request{}, "", ""},
		"JSON":                           {fetch.Request{Body: ` {"a":1}`}, "application/json", ` {"a":1}`},
		"nearly JSON":                    {fetch.Request{Body: `{"a":1`}, "", `{"a":1`},
		"JSON of a type that was given":  {fetch.Request{Body: `{}`, Headers: map[string]string{"content-type": "application/ld+json"}}, "application/ld+json", `{}`},
		"a form":                         {fetch.Request{Form: map[string]string{"b": "ü &", "a": ""}}, "application/x-www-form-urlencoded", "a=&b=%C3%BC+%26"},
		"a form whose type was given":    {fetch.Request{Form: map[string]string{"a": "1"}, Headers: map[string]string{"content-TYPE": "text/plain"}}, "application/x-www-form-urlencoded", "a=1"},
		"a form that is sent with a GET": {fetch.Request{Method: "GET", Form: map[string]string{"a": "1"}}, "application/x-www-form-urlencoded", "a=1"},
	} {
		t.Run(name, func(t *testing.T) {
			var got *http.Request
			var body []byte
			server := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r; body, _ = io.ReadAll(r.Body) })
			tc.request.BaseURL = server.URL
			if tc.request.Method == "" {
				tc.request.Method = "POST"
			}
			_, err := newClient(t).Do(t.Context(), tc.request)
			require.NoError(t, err)
			assert.Equal(t, tc.want, strings.Join(got.Header.Values("Content-Type"), " and "))
			assert.Equal(t, tc.body, string(body))
			assert.EqualValues(t, len(tc.body), got.ContentLength)
		})
	}
}

func TestBody_MultipartIsReadAsItWasWritten(t *testing.T) {
	parts := []fetch.Part{
		{Name: "note", Value: "--\r\nline\n☃"},
		{Name: `a "quoted" \ name`, Value: ""},
		{Name: "note", ContentType: "application/json", Value: "{}"},
		{Name: "file", Filename: `ü "1".csv`, ContentType: "text/csv; charset=utf-8", Value: "a,b\n"},
		{Name: "file", Filename: "raw", Value: "\x00\xff"},
	}
	var got []fetch.Part
	var bodies []string
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		var copied strings.Builder
		r.Body = io.NopCloser(io.TeeReader(r.Body, &copied))
		reader, err := r.MultipartReader()
		if !assert.NoError(t, err) {
			return
		}
		for got = nil; ; {
			part, err := reader.NextPart()
			if err != nil {
				assert.Equal(t, io.EOF, err)
				break
			}
			value, _ := io.ReadAll(part)
			got = append(got, fetch.Part{Name: part.FormName(), Filename: part.FileName(), ContentType: part.Header.Get("Content-Type"), Value: string(value)})
		}
		bodies = append(bodies, copied.String())
	})
	for range 2 {
		_, err := newClient(t).Do(t.Context(), fetch.Request{Method: "POST", BaseURL: server.URL, Multipart: parts})
		require.NoError(t, err)
	}
	parts[4].ContentType = "application/octet-stream"
	assert.Equal(t, parts, got)
	assert.Equal(t, bodies[0], bodies[1], "an attempt that is made again sends the same bytes")
}

func TestBody_FollowsARedirectWithinTheOriginOnly(t *testing.T) {
	away := newWitness(t, nil)
	home := newWitness(t, map[string]string{"/near": "307 /end", "/far": "307 " + away.URL + "/end"})
	for _, request := range []fetch.Request{
		{Form: map[string]string{"a": "1"}},
		{Multipart: []fetch.Part{{Name: "a", Value: "1"}}},
	} {
		request.Method, request.BaseURL, request.Path = "POST", home.URL, "near"
		_, err := newClient(t).Do(t.Context(), request)
		require.NoError(t, err)
		got, body := home.last()
		assert.NotEmpty(t, got.Header.Get("Content-Type"))
		assert.NotEmpty(t, body)
		request.Path = "far"
		_, err = newClient(t).Do(t.Context(), request)
		requireKind(t, err, fetch.KindRedirect)
	}
}

func TestBody_Faults(t *testing.T) {
	for name, tc := range map[string]struct {
		request fetch.Request
		fields  []string
	}{
		"a body and a form":        {fetch.Request{Body: "x", Form: map[string]string{"a": "1"}}, []string{"body"}},
		"a form and parts":         {fetch.Request{Form: map[string]string{"a": "1"}, Multipart: []fetch.Part{{Name: "a"}}}, []string{"body"}},
		"a part without a name":    {fetch.Request{Multipart: []fetch.Part{{Value: "x"}}}, []string{"multipart[0].name"}},
		"parts that split headers": {fetch.Request{Multipart: []fetch.Part{{Name: "a"}, {Name: "a\r\nb", Filename: "c\nd", ContentType: "text/plain\r\nX: y"}}}, []string{"multipart[1].name", "multipart[1].filename", "multipart[1].content_type"}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.request.BaseURL = "http://api.example"
			var fields []string
			for _, fault := range faultsOf(tc.request.Validate()) {
				fields = append(fields, fault.Field)
			}
			assert.Equal(t, tc.fields, fields)
		})
	}
}

func TestBody_ValuesOfFormsAndPartsAreNotRepeated(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseMultipartForm(1 << 20)
		http.Error(w, "no form-data with the name "+r.FormValue("k"), http.StatusBadRequest)
	})
	for _, request := range []fetch.Request{
		{Form: map[string]string{"k": canary + " &"}},
		{Multipart: []fetch.Part{{Name: "k", Value: canary + " &"}}},
	} {
		request.Method, request.BaseURL = "POST", server.URL
		_, err := newClient(t).Do(t.Context(), request)
		assert.Equal(t, "no form-data with the name redacted", requireKind(t, err, fetch.KindStatus).Snippet)
	}
}

func FuzzMultipart(f *testing.F) {
	f.Add("a", "b.txt", "text/plain", "value")
	f.Add(`"`, `\`, "", "--\r\n")
	f.Fuzz(func(t *testing.T, name, filename, kind, value string) {
		wire := &recorder{}
		_, err := fetch.New(wire).Do(t.Context(), fetch.Request{Method: "POST", BaseURL: "http://api.example",
			Multipart: []fetch.Part{{name, filename, kind, value}, {Name: "last"}}})
		if err != nil {
			return
		}
		r, _ := http.NewRequest("POST", "/", strings.NewReader(wire.bodies[0]))
		r.Header = wire.sent[0].Header
		reader, err := r.MultipartReader()
		require.NoError(t, err)
		first, err := reader.NextPart()
		require.NoError(t, err)
		got, err := io.ReadAll(first)
		require.NoError(t, err)
		assert.Equal(t, value, string(got))
		assert.Len(t, first.Header, len(wantHeaders(filename, kind)), "a part has no header but its own")
		last, err := reader.NextPart()
		require.NoError(t, err)
		assert.Equal(t, "last", last.FormName())
	})
}

func wantHeaders(filename, kind string) []string {
	if filename == "" && kind == "" {
		return []string{"Content-Disposition"}
	}
	return []string{"Content-Disposition", "Content-Type"}
}
