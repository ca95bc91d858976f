package check

import (
	"net"
	"time"

	"github.com/urfave/cli/v2"

	slipway "slipway.dev/slipway/helpers/internal/cli"
)

// listen accepts connections until it is stopped.
func listen(c *cli.Context) error {
	listener, err := net.Listen("tcp", ":"+c.String("listen"))
	if err != nil {
		return slipway.Errorf(slipway.Unknown, "listening failed").Because(err)
	}
	go func() {
		<-c.Context.Done()
		_ = listener.Close()
	}()
	for {
		connection, err := listener.Accept()
		if err != nil {
			return nil // stopped
		}
		_ = connection.Close()
	}
}

// dial ends with 0 where it was connected, and with 1 where nothing came of it within its time.
func dial(c *cli.Context) error {
	connection, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(c.Context, "tcp", c.String("dial"))
	if err != nil {
		return slipway.Errorf(slipway.No, "not connected").Because(err)
	}
	return connection.Close()
}
