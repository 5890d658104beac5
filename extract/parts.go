package extract

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"unicode/utf8"

	"golang.org/x/text/transform"
)

// Splits reports whether answers of this format are lines or rows, so that [Parts] can cut them.
func (m Mapping) Splits() bool {
	switch m.Format {
	case FormatNDJSON, FormatCSV, FormatTSV, FormatText:
		return true
	}
	return false
}

// Parts cuts a long answer of lines into parts, so that memory never holds the whole. Each is an answer of its own, in UTF-8,
// with the header of the table where there is one: the records of the parts are those of the answer, in order. A part that cannot
// be read is of an answer that cannot be read, but for [ErrNotFound] with [FormatText]: there may be parts in which no line matches.
//
// It is for one goroutine.
type Parts struct {
	cutter    cutter
	skipLines int
	size      int

	text   io.Reader // in UTF-8, without a mark
	ended  error     // what text ended with
	buffer []byte    // read, and not given out
	begun  bool

	preface, header []byte // of every part, and of every part but the first
	end             int64
	hash            hash.Hash
}

// A Part is a stretch of an answer, made an answer.
type Part struct {
	Body []byte // its own
	// End is where the part ends in the text of the answer, in bytes of UTF-8 after the lines that [CSV].SkipLines passes over.
	// Hash is that of all the text up to there.
	End  int64
	Hash string
	Last bool // nothing follows
}

// maxLine bounds a line or row, which no part can do without.
const maxLine = 16 << 20

// utf8Mark says of each part that it is UTF-8, whatever the answer's content type.
const utf8Mark = "\uFEFF"

// NewParts cuts what body gives, an answer of this content type, into parts of about size bytes: less, unless a
// line is longer, which is a part of its own. It is an error if m does not split, or the charset is not known.
func NewParts(m Mapping, body io.Reader, contentType string, size int) (*Parts, error) {
	if !m.Splits() {
		return nil, fmt.Errorf("an answer in %s cannot be cut into parts", cmp.Or(m.Format, FormatJSON))
	}
	buffered := bufio.NewReader(body)
	head, _ := buffered.Peek(len(utf8Mark))
	text, err := textOf(head, contentType)
	if err != nil {
		return nil, &Error{Record: -1, Err: err}
	}
	if _, err := buffered.Discard(text.mark); err != nil {
		return nil, &Error{Record: -1, Err: err}
	}
	p := &Parts{cutter: lineCutter{}, size: max(size, 1), text: buffered, preface: []byte(utf8Mark), hash: sha256.New()}
	if text.charset != nil {
		p.text = transform.NewReader(buffered, text.charset.NewDecoder())
	}
	if m.Format == FormatCSV || m.Format == FormatTSV {
		p.cutter, p.skipLines = &rowCutter{delimiter: delimiterOf(m), headless: m.CSV.Columns != nil}, m.CSV.SkipLines
	}
	return p, nil
}

// Next returns the next part. Of an answer, or a rest of one, that is empty there is one part with nothing in it; after the last
// it returns [io.EOF]. Its errors are those of reading and of ctx, and an [*Error] for a line that is too long.
func (p *Parts) Next(ctx context.Context) (Part, error) {
	if err := p.begin(ctx); err != nil {
		return Part{}, err
	}
	if p.hash == nil {
		return Part{}, io.EOF
	}
	end, size := 0, p.size
	if p.end == 0 {
		size = max(size, len(p.header)) // which stays in one piece
	}
	for want := size; ; want *= 2 {
		if err := p.fill(ctx, want); err != nil {
			return Part{}, err
		}
		text := p.buffer[:min(want, len(p.buffer))]
		whole := p.ended != nil && len(text) == len(p.buffer)
		if end = p.cutter.cut(text, whole, want > size); end > 0 || whole {
			break
		}
		if err := p.tooLong(); err != nil {
			return Part{}, err
		}
	}
	body := append([]byte(nil), p.preface...)
	if p.end > 0 {
		body = append(body, p.header...)
	}
	part := Part{Body: append(body, p.buffer[:end]...)}
	p.pass(end)
	if len(p.buffer) == 0 {
		if err := p.fill(ctx, 1); err != nil {
			return Part{}, err
		}
	}
	part.End, part.Hash, part.Last = p.end, p.sum(), len(p.buffer) == 0
	if part.Last {
		p.hash = nil
	}
	return part, nil
}

// Resume goes on after the part of another reading that ended at end with this hash, and reports whether this is the same answer
// up to there. If it is not, or there is an error, nothing more can be read.
func (p *Parts) Resume(ctx context.Context, end int64, hash string) (same bool, err error) {
	if err := p.begin(ctx); err != nil {
		return false, err
	}
	for p.end < end {
		if err := p.fill(ctx, p.size); err != nil {
			return false, err
		}
		if len(p.buffer) == 0 {
			return false, nil
		}
		p.pass(int(min(int64(len(p.buffer)), end-p.end)))
	}
	return p.sum() == hash, nil
}

// begin reads what stands before the records.
func (p *Parts) begin(ctx context.Context) error {
	if p.begun {
		return nil
	}
	for want := p.size; ; want *= 2 {
		if err := p.fill(ctx, want); err != nil {
			return err
		}
		skipped, header, whole := p.cutter.head(p.buffer, p.skipLines, p.ended != nil)
		if !whole && p.ended == nil {
			if err := p.tooLong(); err != nil {
				return err
			}
			continue
		}
		// The lines that are passed over may tell the time: the answer is the same without them.
		p.preface = append(p.preface, bytes.Repeat([]byte("\n"), p.skipLines)...)
		p.header = bytes.Clone(p.buffer[skipped:header])
		p.buffer = append(p.buffer[:0], p.buffer[skipped:]...)
		p.begun = true
		return nil
	}
}

// tooLong is the error of a line that does not end.
func (p *Parts) tooLong() error {
	if len(p.buffer) < maxLine {
		return nil
	}
	return &Error{Record: -1, Sample: shorten(appendString(nil, shorten(p.buffer))), Err: fmt.Errorf("a line of more than %d bytes: %w", maxLine, ErrBudget)}
}

// fill reads until there are n bytes, or no more.
func (p *Parts) fill(ctx context.Context, n int) error {
	for p.ended == nil && len(p.buffer) < n {
		if err := ctx.Err(); err != nil {
			return err
		}
		if n > cap(p.buffer) {
			p.buffer = append(make([]byte, 0, n), p.buffer...)
		}
		var read int
		read, p.ended = p.text.Read(p.buffer[len(p.buffer):n])
		p.buffer = p.buffer[:len(p.buffer)+read]
	}
	if p.ended != nil && p.ended != io.EOF {
		return p.ended
	}
	return nil
}

// pass leaves n bytes behind.
func (p *Parts) pass(n int) {
	_, _ = p.hash.Write(p.buffer[:n])
	p.end += int64(n)
	p.buffer = append(p.buffer[:0], p.buffer[n:]...)
}

func (p *Parts) sum() string { return base64.RawURLEncoding.EncodeToString(p.hash.Sum(nil)) }

// A cutter finds where a text may be cut. ended says that nothing follows the text.
type cutter interface {
	// head returns the end of the lines that are passed over, and that of the header after them, and whether they are whole.
	head(text []byte, skipLines int, ended bool) (skipped, header int, whole bool)
	// cut returns the end of the last line or row that is whole, or of the first; 0 if there is none. It is all of the text where
	// nothing follows and none is whole, and where none can be.
	cut(text []byte, ended, first bool) int
}

// lineCutter cuts after line ends.
type lineCutter struct{}

func (lineCutter) head([]byte, int, bool) (int, int, bool) { return 0, 0, true }

func (lineCutter) cut(text []byte, ended, first bool) int {
	end := bytes.LastIndexByte(text, '\n') + 1
	switch {
	case first && end > 0:
		return bytes.IndexByte(text, '\n') + 1
	case ended:
		return len(text)
	}
	return end
}

// rowCutter cuts after rows, which quotes may spread over lines.
type rowCutter struct {
	delimiter []byte
	headless  bool
	row       row
}

func (c *rowCutter) head(text []byte, skipLines int, ended bool) (skipped, header int, whole bool) {
	t := &table{text: text, delimiter: c.delimiter}
	for range skipLines {
		t.skipLine()
		if !t.between(ended) {
			return 0, 0, false
		}
	}
	skipped = t.pos
	if c.headless {
		return skipped, skipped, true
	}
	c.row.reset()
	found, err := t.row(&c.row)
	switch {
	case err != nil && (ended || t.isWrong()):
		return skipped, len(text), true // in the first part, the reader says so
	case err != nil || !t.between(ended) || !found && !ended:
		return skipped, skipped, false
	}
	return skipped, t.pos, true
}

func (c *rowCutter) cut(text []byte, ended, first bool) int {
	t := &table{text: text, delimiter: c.delimiter}
	end := 0
	for {
		c.row.reset()
		more, err := t.row(&c.row)
		switch {
		case err != nil && end == 0 && (ended || t.isWrong()):
			return len(text)
		case err != nil:
			return end
		case t.between(ended):
			end = t.pos
		}
		if !more || first && end > 0 {
			return end
		}
	}
}

// between reports whether the table stands between two rows whatever follows the text: a carriage return, or a quote, at
// its very end may be half of something.
func (t *table) between(ended bool) bool {
	return ended || t.pos < len(t.text) || t.pos > 0 && t.text[t.pos-1] == '\n'
}

// isWrong reports whether the row that could not be read would be wrong, and told by the same words, whatever followed the text.
func (t *table) isWrong() bool {
	return !t.open && t.pos+max(len(t.delimiter), utf8.UTFMax) <= len(t.text)
}
