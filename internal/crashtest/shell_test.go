//go:build linux

package crashtest_test

import (
	"os/exec"
	"syscall"
)

// shell returns a script that is run apart, so that what ends the test does not end it.
func shell(script string, args ...string) *exec.Cmd {
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, "sh"}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}
