package extract

import (
	"encoding/binary"
	"math/bits"
)

// skip checks a value without decoding it.
func (s *scanner) skip() bool {
	switch c := s.begin(); {
	case c == '"':
		return s.skipString()
	case c == '{':
		return s.skipObject()
	case c == '[':
		return s.skipArray()
	case c == '-' || '0' <= c && c <= '9':
		end := skipNumber(s.data, s.pos)
		if end >= 0 {
			s.pos = end
		}
		return end >= 0
	case c == 't':
		return s.literal("true") == nil
	case c == 'f':
		return s.literal("false") == nil
	case c == 'n':
		return s.literal("null") == nil
	default:
		return false
	}
}

func (s *scanner) skipObject() bool {
	if s.enter() != nil {
		return false
	}
	defer s.leave()
	if s.space(); s.at('}') {
		s.pos++
		return true
	}
	for {
		if s.space(); !s.at('"') || !s.skipString() {
			return false
		}
		if s.space(); !s.at(':') {
			return false
		}
		s.pos++
		if !s.skip() {
			return false
		}
		if more, ok := s.next('}'); !ok || !more {
			return ok
		}
	}
}

func (s *scanner) skipArray() bool {
	if s.enter() != nil {
		return false
	}
	defer s.leave()
	if s.space(); s.at(']') {
		s.pos++
		return true
	}
	for {
		if !s.skip() {
			return false
		}
		if more, ok := s.next(']'); !ok || !more {
			return ok
		}
	}
}

// skipString goes eight bytes at a time to the next quote, backslash or control character.
func (s *scanner) skipString() bool {
	s.pos++
	for s.pos < len(s.data) {
		for s.pos+8 <= len(s.data) {
			special := specials(binary.LittleEndian.Uint64(s.data[s.pos:]))
			if special != 0 {
				s.pos += bits.TrailingZeros64(special) / 8
				break
			}
			s.pos += 8
		}
		if s.pos >= len(s.data) {
			return false
		}
		switch c := s.data[s.pos]; {
		case c == '"':
			s.pos++
			return true
		case c < ' ':
			return false
		case c == '\\':
			if _, err := s.escape(); err != nil {
				return false
			}
		default:
			s.pos++
		}
	}
	return false
}

// specials has the high bit of each byte that is a quote, a backslash or less than a blank. What it says
// beyond the first of them may be wrong.
func specials(eight uint64) uint64 {
	const each, high = 0x0101010101010101, 0x8080808080808080
	quote := eight ^ (each * '"')
	backslash := eight ^ (each * '\\')
	return ((quote-each)&^quote | (backslash-each)&^backslash | (eight-each*' ')&^eight) & high
}

// skipNumber returns the end of the number that starts at pos, or -1.
func skipNumber(data []byte, pos int) int {
	if data[pos] == '-' {
		pos++
	}
	start := pos
	for pos < len(data) && data[pos]-'0' <= 9 {
		pos++
	}
	if pos == start || data[start] == '0' && pos > start+1 {
		return -1
	}
	if pos < len(data) && (data[pos] == '.' || data[pos]|0x20 == 'e') {
		if end := scanNumber(data, start); end > 0 {
			return end
		}
		return -1
	}
	return pos
}
