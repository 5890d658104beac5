package fetch

// maxQuote bounds a quotation, in bytes.
const maxQuote = 200

// Quote returns a text that the answer has, as an error may show it: one line, at most 200 bytes, with what was
// sent redacted.
func (r *Response) Quote(text string) string { return r.scrub.quote(text) }

// Quote returns a text that the answer has, as an error may show it: one line, at most 200 bytes, with what was
// sent redacted.
func (e *Error) Quote(text string) string { return e.scrub.quote(text) }

// Beginning returns the beginning of the body of KindStatus: as a [Response] has it, and at most 4 KiB of it. It is
// for looking into, not for showing: [Error.Quote] makes a part of it fit for that.
func (e *Error) Beginning() []byte { return e.beginning }

// A scrubber is the scrub of a conversation. It is a function, so that nothing that prints what it is a part of finds
// what was sent; nil where no Client made that.
type scrubber func(text string, cut bool) string

func (s scrubber) quote(text string) string {
	cut := len(text) > snippetRead // looking for secrets in all of it would take its time
	if cut {
		text = text[:snippetRead]
	}
	if s != nil {
		text = s(text, cut)
	}
	return oneLine(text, maxQuote)
}
