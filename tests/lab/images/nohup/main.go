// Command nohup runs a command that ignores SIGHUP, as nohup of the field's images does: Debian's busybox has none,
// and Jenkins' durable-task starts each sh by it.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "nohup: missing operand")
		os.Exit(125)
	}
	program, err := exec.LookPath(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "nohup:", err)
		os.Exit(127)
	}
	signal.Ignore(syscall.SIGHUP)
	fmt.Fprintln(os.Stderr, "nohup:", syscall.Exec(program, os.Args[1:], os.Environ()))
	os.Exit(126)
}
