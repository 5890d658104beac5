package pgtest

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// CPU returns how much time this process, the client, and the server of a database have computed so far. ok is false where that
// cannot be told: the server is on another machine, or its role may not know the server's process.
func CPU(t testing.TB, db *sql.DB) (client, server time.Duration, ok bool) {
	t.Helper()
	const findPostmaster = `
		SELECT split_part(pg_catalog.pg_read_file('postmaster.pid'), E'\n', 1)::int WHERE pg_catalog.inet_server_addr() IS NULL`
	var postmaster int
	if err := db.QueryRowContext(context.WithoutCancel(t.Context()), findPostmaster).Scan(&postmaster); err != nil {
		return 0, 0, false
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0, 0, false
	}
	server, ok = familyTime(postmaster)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), server, ok
}

// familyTime is the time of a process and its children, also of those that have ended. A server's processes are all
// children of its first.
func familyTime(parent int) (total time.Duration, ok bool) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, false
	}
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended, and its parent has its time
		}
		p, ok := parseStat(string(text))
		switch {
		case !ok:
		case p.pid == parent:
			total += p.own + p.ended
		case p.parent == parent:
			total += p.own
		}
	}
	return total, total > 0
}

// A process is what proc(5) says of one.
type process struct {
	pid, parent int
	own         time.Duration // utime and stime
	ended       time.Duration // cutime and cstime: of its children that have ended
}

// tick is the unit of times in proc(5), on all architectures that Go knows.
const tick = 10 * time.Millisecond

// parseStat reads a line of proc(5). The name, in parentheses, may have any characters.
func parseStat(line string) (p process, ok bool) {
	open, end := strings.Index(line, " ("), strings.LastIndex(line, ") ")
	if open < 0 || end < open {
		return p, false
	}
	fields := strings.Fields(line[end+2:]) // the first is the third of the line
	if len(fields) < 15 {
		return p, false
	}
	var err error
	number := func(text string) int {
		n, e := strconv.Atoi(text)
		if e != nil {
			err = e
		}
		return n
	}
	p.pid, p.parent = number(line[:open]), number(fields[1])
	p.own = time.Duration(number(fields[11])+number(fields[12])) * tick
	p.ended = time.Duration(number(fields[13])+number(fields[14])) * tick
	return p, err == nil
}
