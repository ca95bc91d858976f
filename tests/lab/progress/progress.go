// Package progress says that something is still at work.
package progress

import (
	"fmt"
	"io"
	"time"
)

// Report writes to log how long something has taken so far: after five seconds, and then every half minute, until done.
func Report(log io.Writer, what string) (done func()) {
	return report(log, what, 5*time.Second, 30*time.Second)
}

func report(log io.Writer, what string, first, every time.Duration) func() {
	stop, stopped, begin := make(chan struct{}), make(chan struct{}), time.Now()
	go func() {
		defer close(stopped)
		for timer := time.NewTimer(first); ; timer.Reset(every) {
			select {
			case <-timer.C:
				fmt.Fprintf(log, "%s: at work for %s\n", what, time.Since(begin).Round(time.Second))
			case <-stop:
				timer.Stop()
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}
