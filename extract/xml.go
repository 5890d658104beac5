package extract

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/antchfx/xpath"
)

// xmlReader finds records in XML, by an XPath.
type xmlReader struct {
	records string
	path    *xpathExpression
	around  *xpathExpression // what must be there when there are no records; nil: nothing
	html    bool             // the path asks for HTML
}

var namesHTML = regexp.MustCompile(`(?i)\bhtml\b`)

func newXMLReader(records string) (r xmlReader, err error) {
	r = xmlReader{records: records, html: namesHTML.MatchString(records)}
	if r.path, err = newXPath(records, true); err != nil {
		return r, err
	}
	if around := namesAround(records); around != "" {
		r.around, err = newXPath(around, true)
	}
	return r, err
}

// read implements reader.
func (r xmlReader) read(e *evaluation, yield func(any, error) error) error {
	root, err := parseXML(e)
	if err != nil {
		return &Error{Record: -1, Sample: near(e.answer.Body, err), Err: err}
	}
	nodes, err := r.nodes(e, root)
	if err != nil {
		return &Error{Record: -1, Path: r.records, Sample: sample(root), Err: err}
	}
	for _, node := range nodes {
		if err := yield(node, nil); err != nil {
			return err
		}
	}
	return nil
}

// nodes gives the records. In XML an empty list and one that is not there look the same; so what the list
// stands in must be there, and an answer in HTML, as of a login, is none in XML.
func (r xmlReader) nodes(e *evaluation, root *xmlNode) ([]any, error) {
	if name := root.first.name; !r.html && strings.EqualFold(name, "html") {
		return nil, fmt.Errorf("%w: the root is <%s>", ErrNotFound, name)
	}
	nodes, err := r.path.all(e, root)
	if err != nil || len(nodes) > 0 || r.around == nil {
		return nodes, err
	}
	around, err := r.around.evaluate(e, root, 1)
	if err == nil && len(around) == 0 {
		err = fmt.Errorf("%w: no %s", ErrNotFound, shorten(r.around.expr))
	}
	return nil, err
}

var xpathNames = regexp.MustCompile(`^(?:\s*/\s*[\pL_][\pL\pN_.-]*(?::[\pL_][\pL\pN_.-]*)?)+`)

// namesAround is the part of an absolute path that must be there also when there are no records: its plain
// names before the last step, and that of the root. It is empty where the path does not say so much.
func namesAround(records string) string {
	names := xpathNames.FindString(records)
	rest := strings.TrimSpace(records[len(names):])
	root, last := strings.IndexByte(names, '/'), strings.LastIndexByte(names, '/')
	switch {
	case names == "" || strings.Contains(rest, "|"):
		return ""
	case strings.HasPrefix(rest, "/"):
		return strings.TrimSpace(names)
	case root < last: // without the last step, or what looked like its name and is that of an axis or a function
		return strings.TrimSpace(names[:last])
	case rest == "" || strings.HasPrefix(rest, "["):
		return strings.TrimSpace(names)
	default:
		return ""
	}
}

// xmlNode is an element, a text, or the document around them all.
type xmlNode struct {
	kind   xpath.NodeType
	prefix string // as the document writes it
	name   string
	text   string
	attrs  []xml.Attr

	parent, first, last, before, after *xmlNode
}

func (n *xmlNode) add(child *xmlNode) *xmlNode {
	child.parent, child.before = n, n.last
	if n.last == nil {
		n.first = child
	} else {
		n.last.after = child
	}
	n.last = child
	return child
}

// next is the node after n in document order, below top, nil at the end.
func (n *xmlNode) next(top *xmlNode) *xmlNode {
	if n.first != nil {
		return n.first
	}
	for n != top && n.after == nil {
		n = n.parent
	}
	if n == top {
		return nil
	}
	return n.after
}

// content is the text in the node: at most as much as is asked for, and the rest of the last piece.
// cost is what making it counts for.
func (n *xmlNode) content(most int) (text string, cost int) {
	const bytesPerVisit, nodesPerVisit = 256, 8
	if n.kind == xpath.TextNode {
		return n.text, 1
	}
	if only := n.first; only != nil && only.after == nil && only.kind == xpath.TextNode {
		return only.text, 1
	}
	var all strings.Builder
	nodes := 0
	for at := n.next(n); at != nil && all.Len() < most; at = at.next(n) {
		all.WriteString(at.text)
		nodes++
	}
	return all.String(), 1 + all.Len()/bytesPerVisit + nodes/nodesPerVisit
}

// parseXML builds the tree of an answer.
//
// Entities are those of HTML, which feeds use, and no others: what a DTD defines is not read, so that no
// entity can grow. Names keep the prefix that they are written with; tags must match.
func parseXML(e *evaluation) (*xmlNode, error) {
	d, err := newXMLDecoder(e.answer)
	if err != nil {
		return nil, err
	}
	root := &xmlNode{kind: xpath.RootNode}
	b := xmlBuilder{e: e, at: root}
	for count := 0; err == nil; count++ {
		if count%checkEvery == 0 && e.ctx.Err() != nil {
			return nil, e.ctx.Err()
		}
		var token xml.Token
		if token, err = d.RawToken(); err != nil {
			break
		}
		switch token := token.(type) {
		case xml.StartElement:
			err = b.open(token)
		case xml.EndElement:
			err = b.close(token)
		case xml.CharData:
			b.text = append(b.text, token...)
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
		if b.at != root || root.first == nil || root.first.after != nil {
			err = errors.New("expected the end of one root element")
		}
	}
	return root, xmlError(d, err)
}

// xmlBuilder puts the pieces of a text in their places.
type xmlBuilder struct {
	e     *evaluation
	at    *xmlNode
	depth int
	text  []byte // since the last tag: comments and CDATA cut it in pieces
}

func (b *xmlBuilder) open(tag xml.StartElement) error {
	if err := b.endText(); err != nil {
		return err
	}
	if b.depth++; b.depth > maxDepth {
		return fmt.Errorf("nested deeper than %d", maxDepth)
	}
	b.at = b.at.add(&xmlNode{kind: xpath.ElementNode, prefix: tag.Name.Space, name: tag.Name.Local, attrs: tag.Attr})
	return b.e.grow(1 + len(tag.Attr))
}

func (b *xmlBuilder) close(tag xml.EndElement) error {
	if err := b.endText(); err != nil {
		return err
	}
	if b.depth == 0 || b.at.name != tag.Name.Local || b.at.prefix != tag.Name.Space {
		return fmt.Errorf("</%s> closes nothing that is open", shorten(tag.Name.Local))
	}
	b.depth--
	b.at = b.at.parent
	return nil
}

// endText makes a node of the text so far, but for that around the root element.
func (b *xmlBuilder) endText() error {
	text := b.text
	b.text = b.text[:0]
	if len(text) == 0 || b.depth == 0 {
		return nil
	}
	b.at.add(&xmlNode{kind: xpath.TextNode, text: string(text)})
	return b.e.grow(1)
}

// xmlError says where in the answer an error is.
func xmlError(d *xml.Decoder, err error) error {
	if err == nil || errors.Is(err, ErrBudget) {
		return err
	}
	rule := err.Error()
	if syntax, ok := errors.AsType[*xml.SyntaxError](err); ok {
		rule = syntax.Msg
	}
	return &SyntaxError{int(d.InputOffset()), rule}
}

// newXMLDecoder reads an answer in the charset of its byte order mark, else of its content type, else of
// its XML declaration.
func newXMLDecoder(answer Answer) (*xml.Decoder, error) {
	text, known, err := decodeText(answer)
	if err != nil {
		return nil, err
	}
	var reader io.Reader = bytes.NewReader(text)
	if order, found := guessUTF16(text); !known && found {
		reader, known = transform.NewReader(reader, unicode.UTF16(order, unicode.IgnoreBOM).NewDecoder()), true
	}
	d := xml.NewDecoder(reader)
	d.Entity = xml.HTMLEntity
	d.CharsetReader = func(label string, input io.Reader) (io.Reader, error) {
		if known {
			return input, nil
		}
		charset, err := findCharset(label)
		if err != nil {
			return nil, err
		}
		return charset.NewDecoder().Reader(input), nil
	}
	return d, nil
}

// guessUTF16 knows XML in UTF-16 by its first character, which is always <.
func guessUTF16(text []byte) (unicode.Endianness, bool) {
	switch {
	case bytes.HasPrefix(text, []byte("<\x00")):
		return unicode.LittleEndian, true
	case bytes.HasPrefix(text, []byte("\x00<")):
		return unicode.BigEndian, true
	}
	return unicode.BigEndian, false
}

// appendXMLSample is the beginning of a node, for errors.
func appendXMLSample(dst []byte, n *xmlNode) []byte {
	if n.kind == xpath.RootNode {
		for n = n.first; n != nil && n.kind != xpath.ElementNode; {
			n = n.after
		}
	}
	if n == nil {
		return dst
	}
	dst = append(append(append(dst, '<'), shorten(n.name)...), '>')
	text, _ := n.content(sampleSize)
	return append(dst, shorten(strings.TrimSpace(text))...)
}
