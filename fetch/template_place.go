package fetch

import (
	"slices"
	"strings"
	"text/template/parse"
)

// A Place is where the text of a template goes, and with it how values are escaped there.
type Place string

const (
	// PlacePath: segments of a path; behind its first ? parameters of a query. A value is a part of one segment
	// or of one parameter, and must not be empty in a segment.
	PlacePath Place = "path"
	// PlaceQuery: a value of [Request.Query], which is escaped when it is sent.
	PlaceQuery Place = "query"
	// PlaceHeader: a value of [Request.Headers]. Values with control characters are refused.
	PlaceHeader Place = "header"
	// PlaceJSON: a body of JSON. Within quotes a value is a part of the string, elsewhere a whole value of
	// JSON: a text has its quotes put around it.
	PlaceJSON Place = "json"
	// PlaceForm: a form-urlencoded body. A value is a part of one parameter.
	PlaceForm Place = "form"
	// PlaceXML: a body of XML. A value is a text, or a part of an attribute within quotes.
	PlaceXML Place = "xml"
	// PlaceText: any other body. Values are as they are.
	PlaceText Place = "text"
)

// Places lists all there are.
func Places() []Place {
	return []Place{PlacePath, PlaceQuery, PlaceHeader, PlaceJSON, PlaceForm, PlaceXML, PlaceText}
}

func (p Place) known() bool { return slices.Contains(Places(), p) }

// BodyPlace returns what a body is: what its Content-Type says, or else what the text of the template, its actions
// left out, begins with: { and [ are JSON, < is XML. contentType may be empty.
func BodyPlace(contentType, text string) Place {
	kind, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	switch {
	case strings.Contains(kind, "json"):
		return PlaceJSON
	case strings.Contains(kind, "form-urlencoded"):
		return PlaceForm
	case strings.Contains(kind, "xml"):
		return PlaceXML
	case strings.TrimSpace(kind) == "text/plain":
		return PlaceText
	}
	switch beginning(text) {
	case '{', '[':
		return PlaceJSON
	case '<':
		return PlaceXML
	}
	return PlaceText
}

// beginning is the first character of a template's own text that is no space; 0 if there is none.
func beginning(text string) byte {
	if !IsTemplate(text) {
		if text = strings.TrimSpace(text); text != "" {
			return text[0]
		}
		return 0
	}
	if len(text) > MaxTemplateBytes {
		return 0 // it is refused anyway
	}
	tree, err := parseTemplate(text)
	if err != nil {
		return 0
	}
	return firstOf(tree.Root)
}

func firstOf(node parse.Node) byte {
	var branch *parse.BranchNode
	switch n := node.(type) {
	case *parse.TextNode:
		return beginning(string(n.Text))
	case *parse.IfNode:
		branch = &n.BranchNode
	case *parse.RangeNode:
		branch = &n.BranchNode
	case *parse.WithNode:
		branch = &n.BranchNode
	case *parse.ListNode:
		if n == nil {
			return 0
		}
		for _, inner := range n.Nodes {
			if first := firstOf(inner); first != 0 {
				return first
			}
		}
	}
	if branch == nil {
		return 0
	}
	if first := firstOf(branch.List); first != 0 {
		return first
	}
	return firstOf(branch.ElseList)
}

// A spot is what stands around an action.
type spot int

const (
	spotText spot = iota
	spotHeader
	spotSegment
	spotParameter
	spotValue  // JSON, between values
	spotString // JSON, within quotes
	spotHex1   // JSON, before the last digit of \uXXXX
	spotHex2
	spotHex3
	spotHex4
	spotBackslash // JSON, after one
	spotElement   // XML, between tags
	spotTag       // XML, in a tag
	spotDouble    // XML, in an attribute with these quotes
	spotSingle
	spotComment
	spotCDATA
	spotInstruction
	spotEither  // path, after branches of which some have a query
	spotUnclear // after branches that end in different spots
)

func (p Place) start() spot {
	switch p {
	case PlacePath:
		return spotSegment
	case PlaceHeader:
		return spotHeader
	case PlaceJSON:
		return spotValue
	case PlaceForm:
		return spotParameter
	case PlaceXML:
		return spotElement
	}
	return spotText
}

// refused says why no value can stand at a spot, or "".
func (s spot) refused() string {
	switch s {
	case spotHex1, spotHex2, spotHex3, spotHex4, spotBackslash:
		return "a value cannot be a part of an escape of JSON"
	case spotTag:
		return "a value cannot stand in a tag of XML but within the quotes of an attribute"
	case spotComment, spotCDATA, spotInstruction:
		return "a value cannot stand in a comment, a CDATA section or an instruction of XML"
	case spotEither, spotUnclear:
		return "it is not clear what a value is a part of here: the branches before it end differently"
	}
	return ""
}

// escaper is the function that escapes a value for a spot.
func (s spot) escaper() string {
	switch s {
	case spotHeader:
		return "_header"
	case spotSegment:
		return "_segment"
	case spotParameter:
		return "_parameter"
	case spotValue:
		return "_value"
	case spotString:
		return "_string"
	case spotElement, spotDouble, spotSingle:
		return "_xml"
	}
	return "_text"
}

// after is the spot after a text that begins at s.
func (s spot) after(text string) spot {
	for i := 0; i < len(text); {
		next, length := s.step(text[i:])
		s, i = next, i+length
	}
	return s
}

// step reads the beginning of text, at least a byte.
func (s spot) step(text string) (next spot, length int) {
	c := text[0]
	switch s {
	case spotSegment, spotEither:
		if c == '?' {
			return spotParameter, 1
		}
	case spotValue:
		if c == '"' {
			return spotString, 1
		}
	case spotString:
		switch c {
		case '"':
			return spotValue, 1
		case '\\':
			return spotBackslash, 1
		}
	case spotBackslash:
		if c == 'u' {
			return spotHex4, 1
		}
		return spotString, 1
	case spotHex1, spotHex2, spotHex3, spotHex4:
		if c == '"' { // no JSON, and the string is over
			return spotValue, 1
		}
		if s == spotHex1 {
			return spotString, 1
		}
		return s - 1, 1
	case spotElement:
		return stepElement(text)
	case spotTag:
		switch c {
		case '>':
			return spotElement, 1
		case '"':
			return spotDouble, 1
		case '\'':
			return spotSingle, 1
		}
	case spotDouble:
		return until(text, `"`, spotTag, s)
	case spotSingle:
		return until(text, `'`, spotTag, s)
	case spotComment:
		return until(text, "-->", spotElement, s)
	case spotCDATA:
		return until(text, "]]>", spotElement, s)
	case spotInstruction:
		return until(text, "?>", spotElement, s)
	}
	return s, 1
}

func stepElement(text string) (spot, int) {
	for _, begin := range [...]struct {
		text string
		spot spot
	}{{"<!--", spotComment}, {"<![CDATA[", spotCDATA}, {"<?", spotInstruction}, {"<", spotTag}} {
		if strings.HasPrefix(text, begin.text) {
			return begin.spot, len(begin.text)
		}
	}
	return spotElement, 1
}

// until is at then after end, and still at s if there is none.
func until(text, end string, then, s spot) (spot, int) {
	if i := strings.Index(text, end); i >= 0 {
		return then, i + len(end)
	}
	return s, len(text)
}

// joined is the spot after two branches.
func joined(a, b spot) spot {
	ofPath := func(s spot) bool { return s == spotSegment || s == spotParameter || s == spotEither }
	switch {
	case a == b:
		return a
	case ofPath(a) && ofPath(b):
		return spotEither
	}
	return spotUnclear
}
