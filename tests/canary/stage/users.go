package stage

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Users ask as long as they are not stopped, ten minutes at most.
type Users struct {
	Stable, Canary, Other, Broken atomic.Int64
	FirstCanary, LastCanary       atomic.Int64 // when they were asked, in Unix nanoseconds; 0 for never
	First                         atomic.Value // the first request that got no answer of the application
	over                          time.Time
	stop                          chan struct{}
	group                         sync.WaitGroup
}

// Start has so many of them ask by the URL, with the Host where it is not empty,
// each on a connection that it keeps or on a new one every time. They POST, so
// that no client asks again by itself when its connection breaks.
func Start(url, host string, clients int, keepAlive bool) *Users {
	u := &Users{stop: make(chan struct{}), over: time.Now().Add(10 * time.Minute)}
	for range clients {
		u.group.Go(func() {
			transport := &http.Transport{DisableKeepAlives: !keepAlive}
			defer transport.CloseIdleConnections()
			client := &http.Client{Timeout: 20 * time.Second, Transport: transport}
			for time.Now().Before(u.over) {
				select {
				case <-u.stop:
					return
				default:
					u.ask(client, url, host)
				}
			}
		})
	}
	return u
}

func (u *Users) ask(client *http.Client, url, host string) {
	request, err := http.NewRequest(http.MethodPost, url, nil)
	if err != nil {
		panic(err)
	}
	request.Host = host
	at := time.Now().UnixNano()
	response, err := client.Do(request)
	var body []byte
	if err == nil {
		body, err = io.ReadAll(response.Body)
		_ = response.Body.Close()
	}
	switch {
	case err != nil:
	case string(body) == "stable":
		u.Stable.Add(1)
	case string(body) == "canary":
		u.FirstCanary.CompareAndSwap(0, at)
		u.LastCanary.Store(max(at, u.LastCanary.Load()))
		u.Canary.Add(1)
	case string(body) == "other":
		u.Other.Add(1)
	default:
		err = fmt.Errorf("%s: %.100s", response.Status, body)
	}
	if err != nil {
		u.Broken.Add(1)
		u.First.CompareAndSwap(nil, fmt.Sprint(err))
	}
}

// All are the requests that have ended.
func (u *Users) All() int64 {
	return u.Stable.Load() + u.Canary.Load() + u.Other.Load() + u.Broken.Load()
}

// Until waits until so many requests have ended.
func (u *Users) Until(requests int64) {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for u.All() < requests && time.Now().Before(u.over) {
		<-ticker.C
	}
}

// End stops them, and waits for their last answers.
func (u *Users) End() {
	close(u.stop)
	u.group.Wait()
}
