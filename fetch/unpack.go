package fetch

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// acceptEncoding is what is asked for, and what unpack can take off.
const acceptEncoding = "gzip, deflate, br, zstd"

const (
	// A body may be this many times as long as what came over the wire. Text is seldom packed to a
	// fiftieth; what exceeds this is made to exhaust whoever unpacks it.
	maxRatio = 200
	// So much of a body comes free of that: short repetitive ones are no harm.
	ratioFree = 1 << 20
	// maxWindow is what RFC 9659 allows a zstd answer to ask of its reader.
	maxWindow = 8 << 20
)

type ratioError struct{}

func (ratioError) Error() string {
	return fmt.Sprintf("the body is more than %d times as long as what was sent of it", maxRatio)
}

// unpack takes the coding off answer's body, of which it reads nothing yet: the body of an error may stall. Reading
// it gives an error unless it is unpacked whole and nothing follows; limit bounds what is read of it packed, as
// there are codings of nothing that have no end.
func unpack(answer *http.Response, limit int64) error {
	coding := strings.ToLower(contentCoding(answer))
	if coding == "" || answer.ContentLength == 0 || answer.Request.Method == http.MethodHead {
		return nil
	}
	if answer.Request.Header.Get("Accept-Encoding") != acceptEncoding {
		return fmt.Errorf("the body is encoded as %q, which was not asked for", clip(coding))
	}
	decoder := decoders[coding]
	if decoder == nil {
		return fmt.Errorf("the body is encoded as %q, which was not asked for", clip(coding))
	}
	wire := &wire{body: answer.Body, limit: limit}
	answer.Body = &unpacked{decoder: decoder, packed: bufio.NewReader(wire), wire: wire}
	answer.Header.Del("Content-Encoding")
	answer.Header.Del("Content-Length")
	answer.ContentLength, answer.Uncompressed = -1, true
	return nil
}

// decoders begin to read what is packed, by the name of its coding.
var decoders = map[string]func(packed *bufio.Reader) (io.Reader, error){
	"gzip":    unzip,
	"x-gzip":  unzip,
	"deflate": inflate,
	"br":      func(packed *bufio.Reader) (io.Reader, error) { return brotli.NewReader(packed), nil },
	"zstd":    unzstd,
}

func unzip(packed *bufio.Reader) (io.Reader, error) { return gzip.NewReader(packed) }

// inflate reads zlib, which RFC 9110 means, or what zlib wraps, which many servers send.
func inflate(packed *bufio.Reader) (io.Reader, error) {
	head, err := packed.Peek(2)
	if err == nil && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
		return zlib.NewReader(packed)
	}
	return flate.NewReader(packed), nil
}

// unzstd uses one goroutine, the caller's: nothing is left behind when the answer is.
func unzstd(packed *bufio.Reader) (io.Reader, error) {
	decoder, err := zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	if err != nil {
		return nil, err
	}
	return decoder.IOReadCloser(), nil
}

// wire counts what comes of a packed body.
type wire struct {
	body  io.ReadCloser
	limit int64
	count int64
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.body.Read(p)
	w.count += int64(n)
	// A body that cannot be packed is a little longer when it is; and a part of it was read ahead.
	if w.count-w.limit > 64<<10+w.limit/16 {
		return 0, &tooLargeError{w.limit}
	}
	return n, err
}

// unpacked is a body without its coding.
type unpacked struct {
	decoder func(packed *bufio.Reader) (io.Reader, error)
	plain   io.Reader // nil until something is read
	packed  *bufio.Reader
	wire    *wire
	count   int64
}

func (u *unpacked) Read(p []byte) (int, error) {
	if u.plain == nil {
		if _, err := u.packed.Peek(1); err != nil {
			return 0, err // an EOF here is a coding of nothing, which many servers declare
		}
		plain, err := u.decoder(u.packed)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, err
		}
		u.plain = plain
	}
	n, err := u.plain.Read(p)
	u.count += int64(n)
	if u.count > ratioFree && u.count/maxRatio > u.wire.count {
		return 0, ratioError{}
	}
	if err == io.EOF {
		err = u.end()
	}
	return n, err
}

// end says whether the wire ends where the coding does: what follows was cut off, or is not of the body.
func (u *unpacked) end() error {
	_, err := u.packed.ReadByte()
	if err == nil {
		return errors.New("something follows the end of the encoded body")
	}
	return err
}

func (u *unpacked) Close() error {
	if decoder, ok := u.plain.(io.Closer); ok {
		_ = decoder.Close()
	}
	return u.wire.body.Close()
}
