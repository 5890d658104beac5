package callsheet

// WithWholeBytes sets above how many bytes answers are delivered in parts of about a quarter of that, so that a
// test needs none of megabytes.
func WithWholeBytes(n int) Option {
	return func(s *settings) error {
		s.wholeBytes = n
		return nil
	}
}
