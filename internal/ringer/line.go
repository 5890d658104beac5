package ringer

// A line is a first-in, first-out list of different IDs.
type line struct {
	ids   []string
	head  int // ids[:head] have left
	waits map[string]struct{}
}

func (l *line) len() int { return len(l.ids) - l.head }

// push adds id at the end unless it waits already.
func (l *line) push(id string) {
	if _, ok := l.waits[id]; ok {
		return
	}
	l.waits[id] = struct{}{}
	if l.head > 0 && len(l.ids) == cap(l.ids) && l.head >= len(l.ids)/2 {
		// More than half of the slice has left: move up instead of growing.
		n := copy(l.ids, l.ids[l.head:])
		clear(l.ids[n:])
		l.ids, l.head = l.ids[:n], 0
	}
	l.ids = append(l.ids, id)
}

// pushFront puts an ID back that was popped just before.
func (l *line) pushFront(id string) {
	if _, ok := l.waits[id]; ok {
		return
	}
	l.waits[id] = struct{}{}
	if l.head > 0 {
		l.head--
		l.ids[l.head] = id
		return
	}
	l.ids = append([]string{id}, l.ids...)
}

// pop removes the first ID of a line that is not empty.
func (l *line) pop() string {
	id := l.ids[l.head]
	l.ids[l.head] = ""
	l.head++
	delete(l.waits, id)
	if l.head == len(l.ids) {
		l.reset()
	}
	return id
}

// reset makes an empty line small again after a rush.
func (l *line) reset() {
	const keep = 4096
	if cap(l.ids) > keep {
		l.ids, l.head, l.waits = nil, 0, map[string]struct{}{}
		return
	}
	l.ids, l.head = l.ids[:0], 0
}
