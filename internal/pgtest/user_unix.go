//go:build unix

package pgtest

import (
	"errors"
	"os"
	osexec "os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// apart makes a command one that a Ctrl-C for the test does not reach, so that the guard can do its
// work, and that root runs as another user, which PostgreSQL insists on.
func apart(command *osexec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if other, err := otherUser(); err == nil && other != nil {
		command.SysProcAttr.Credential = other
	}
}

// giveAway gives a folder to the user that apart picks.
func giveAway(folder string) error {
	other, err := otherUser()
	if err != nil || other == nil {
		return err
	}
	return os.Chown(folder, int(other.Uid), int(other.Gid))
}

// otherUser returns whom root runs servers as; nil for everybody else.
func otherUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(uidErr, gidErr); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("root cannot run PostgreSQL, and there is neither a user postgres nor nobody")
}
