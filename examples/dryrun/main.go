// Dryrun tries an API from the command line before anything is defined: it makes one call, extracts its records and shows
// all of it, without delivering or storing anything.
//
//	go run ./examples/dryrun -records '$.features[*]' -field id='$.id' -field mag='$.properties.mag:decimal' -- \
//	    curl -H 'Accept: application/json' 'https://earthquake.usgs.gov/earthquakes/feed/v1.0/summary/all_hour.geojson'
//
// Behind "--" stands a curl command, as words, as one text, or as "-" to read it from the standard input. Without one
// the flags -url, -method, -header and -body say what is called. With -answer a file is extracted and nothing is called.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/internal/curl"
	"github.com/callsheet-go/callsheet/store/memory"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run returns 0 if an execution would succeed, 1 if it would fail, 2 if it cannot be tried.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	o, err := parse(args, stdin, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 2
	}
	if err == nil {
		var report callsheet.DryRunReport
		if report, err = o.try(ctx); err == nil {
			show(stdout, report, o.call.Notes)
			if report.Failure != nil {
				return 1
			}
			return 0
		}
	}
	fmt.Fprintln(stderr, "dryrun:", err)
	return 2
}

// options are what the command line says.
type options struct {
	call    curl.Request
	answer  string // of an API, to be extracted; empty: it is called
	extract *callsheet.Extract
	allow   list
	show    int
}

// A list is a flag that may be given several times.
type list []string

func (l *list) String() string { return strings.Join(*l, ", ") }

func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

func parse(args []string, stdin io.Reader, stderr io.Writer) (o options, err error) {
	var headers, fields list
	var x callsheet.Extract
	flags := flag.NewFlagSet("dryrun", flag.ContinueOnError)
	flags.SetOutput(stderr)
	target := flags.String("url", "", "what is called, if there is no curl command")
	method := flags.String("method", "", "of the call; GET, or POST with a body")
	flags.Var(&headers, "header", `"name: value", sent with the call; may be repeated`)
	body := flags.String("body", "", "of the call")
	answer := flags.String("answer", "", "a file that is taken for the answer; nothing is called")
	flags.StringVar(&x.Records, "records", "", "path to the records, such as $.data[*]")
	flags.Var(&fields, "field", "name=path or name=path:type; may be repeated")
	flags.Func("format", "of the answer: json (the default), ndjson, csv, tsv, xml, text", func(s string) error {
		x.Format = extract.Format(s)
		return nil
	})
	flags.Func("language", "of the paths: jsonpath, jq or xpath", func(s string) error {
		x.Language = extract.Language(s)
		return nil
	})
	skip := flags.Bool("skip", false, "set bad records aside instead of failing")
	flags.Var(&o.allow, "allow", "a network or address that is not public and may be called, such as 127.0.0.1; may be repeated")
	flags.IntVar(&o.show, "show", 0, "how many records are shown (default 20)")
	if err := flags.Parse(args); err != nil {
		return o, err
	}

	if o.call, err = callOf(flags.Args(), *target, *method, headers, *body, stdin); err != nil {
		return o, err
	}
	if *answer != "" {
		text, err := os.ReadFile(*answer)
		if err != nil {
			return o, fmt.Errorf("-answer: %w", err)
		}
		if len(text) == 0 {
			return o, fmt.Errorf("-answer: %s is empty", *answer)
		}
		o.answer = string(text)
	} else if o.call.URL == "" {
		return o, errors.New("there is nothing to call: give a curl command behind --, or -url, or -answer")
	}
	if *skip {
		x.BadRecords = extract.SkipRecords
	}
	for _, f := range fields {
		field, err := fieldOf(f)
		if err != nil {
			return o, err
		}
		x.Fields = append(x.Fields, field)
	}
	if len(x.Fields) > 0 || x.Records != "" || x.Format != "" || x.Language != "" || *answer != "" {
		o.extract = &x
	}
	return o, nil
}

// callOf returns what the curl command says, or what the flags do.
func callOf(command []string, target, method string, headers list, body string, stdin io.Reader) (curl.Request, error) {
	given := target + method + body + headers.String()
	switch {
	case len(command) > 0 && given != "":
		return curl.Request{}, errors.New("-url, -method, -header and -body have no place beside a curl command")
	case len(command) == 1 && command[0] == "-":
		text, err := io.ReadAll(io.LimitReader(stdin, 1<<20))
		if err != nil {
			return curl.Request{}, err
		}
		return curl.Parse(string(text))
	case len(command) == 1 && strings.ContainsAny(command[0], " \t\n"):
		return curl.Parse(command[0])
	case len(command) > 0:
		return curl.ParseArgs(command)
	case target == "":
		return curl.Request{}, nil
	}
	words := []string{"curl", "-L", "-g"}
	if method != "" {
		words = append(words, "-X", method)
	}
	for _, h := range headers {
		words = append(words, "-H", h)
	}
	if body != "" {
		words = append(words, "--data-raw", body)
	}
	return curl.ParseArgs(append(words, "--url", target))
}

// fieldOf reads name=path, with the type behind a colon if there is one.
func fieldOf(text string) (callsheet.Field, error) {
	name, path, ok := strings.Cut(text, "=")
	if !ok || name == "" || path == "" {
		return callsheet.Field{}, fmt.Errorf("-field %q: must be name=path or name=path:type, such as id=$.id:integer", text)
	}
	f := callsheet.Field{Name: name, Path: path}
	types := []extract.Type{extract.String, extract.Integer, extract.Decimal, extract.Float, extract.Boolean, extract.Time, extract.JSON}
	if i := strings.LastIndexByte(path, ':'); i >= 0 && slices.Contains(types, extract.Type(path[i+1:])) {
		f.Path, f.Type = path[:i], extract.Type(path[i+1:])
	}
	return f, nil
}

// try makes the dry run. What proves who calls becomes a secret, which the report cannot show.
func (o options) try(ctx context.Context) (callsheet.DryRunReport, error) {
	source, request, secret, err := o.definitions()
	if err != nil {
		return callsheet.DryRunReport{}, err
	}
	secrets := callsheet.SecretsFunc(func(context.Context, string) (string, error) { return secret, nil })
	sched, err := callsheet.New(memory.New(), callsheet.WithSecrets(secrets), callsheet.WithAllowedNetworks(o.allow...))
	if err != nil {
		return callsheet.DryRunReport{}, err
	}
	return sched.DryRun(ctx, callsheet.DryRunRequest{
		Source: &source, Request: &request, Extract: o.extract, AnswerBody: o.answer, MaxRecords: o.show,
	})
}

// literal returns a template that writes text as it is.
func literal(text string) string { return strings.ReplaceAll(text, "{{", `{{"{{"}}`) }

// definitions returns the call as a Source and a Request, and the secret that the Source refers to.
func (o options) definitions() (src callsheet.Source, r callsheet.Request, secret string, err error) {
	if o.call.URL == "" {
		return callsheet.Source{BaseURL: "http://answer.invalid"}, r, "", nil
	}
	u, err := url.Parse(o.call.URL)
	if err != nil {
		return src, r, "", errors.New("the URL cannot be read")
	}
	src = callsheet.Source{BaseURL: u.Scheme + "://" + u.Host}
	r = callsheet.Request{Method: o.call.Method, Path: literal(u.EscapedPath()), Headers: maps.Clone(o.call.Header), Body: literal(o.call.Body), Timeout: o.call.MaxTime}
	for name, value := range r.Headers {
		r.Headers[name] = literal(value)
	}
	if u.RawQuery != "" {
		r.Path += "?" + literal(u.RawQuery)
	}
	const name = "of-the-command-line"
	switch {
	case o.call.User != "":
		src.Auth, secret = callsheet.Auth{Type: callsheet.AuthBasic, Secret: name}, o.call.User
	case o.call.Bearer != "":
		src.Auth, secret = callsheet.Auth{Type: callsheet.AuthBearer, Secret: name}, o.call.Bearer
	case o.call.Authorization != "":
		src.Auth, secret = callsheet.Auth{Type: callsheet.AuthHeader, Name: "Authorization", Secret: name}, o.call.Authorization
	}
	return src, r, secret, nil
}
