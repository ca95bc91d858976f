package main

import (
	"io"
	"net"
	"time"
)

// delayed listens and forwards to a server; every byte arrives half a round trip
// later in each direction, however many are on the way.
func delayed(to string, roundTrip time.Duration) (net.Listener, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			go late(server, client, roundTrip/2)
			go late(client, server, roundTrip/2)
		}
	}()
	return listener, nil
}

type packet struct {
	due  time.Time
	body []byte
}

func late(out io.WriteCloser, in io.Reader, delay time.Duration) {
	packets := make(chan packet, 1024)
	go func() {
		defer out.Close()
		for p := range packets {
			time.Sleep(time.Until(p.due))
			if _, err := out.Write(p.body); err != nil {
				return
			}
		}
	}()
	defer close(packets)
	for {
		buffer := make([]byte, 64<<10)
		n, err := in.Read(buffer)
		if err != nil {
			return
		}
		packets <- packet{time.Now().Add(delay), buffer[:n]}
	}
}
