package site

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"sync"
	"time"
)

// Traffic is what users do meanwhile: a constant rate of requests, each on a
// connection of its own, counted by the version that answered.
type Traffic struct {
	lock     sync.Mutex
	versions map[string]int
	failed   int
	why      string
	cancel   context.CancelFunc
	done     sync.WaitGroup
}

// Counts are the answers since the traffic began, or since the last Reset.
type Counts struct {
	Versions map[string]int
	Failed   int
	Why      string // how the last one failed
}

// Total is how many requests were sent.
func (c Counts) Total() int {
	sum := c.Failed
	for _, count := range c.Versions {
		sum += count
	}
	return sum
}

// StartTraffic sends rate requests a second to a path of the service at host,
// whose name is looked up once, until it is stopped.
func StartTraffic(ctx context.Context, host, path string, rate int) (*Traffic, error) {
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("looking up where the traffic goes: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	t := &Traffic{versions: map[string]int{}, cancel: cancel}
	var dialer net.Dialer
	client := &http.Client{Timeout: 10 * time.Second,
		Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, net.JoinHostPort(addresses[0], "80"))
		}}}
	url := "http://" + host + path
	t.done.Go(func() {
		ticker := time.NewTicker(time.Second / time.Duration(rate))
		defer ticker.Stop()
		slots := make(chan struct{}, 4*rate) // never more at once than four seconds' worth
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				slots <- struct{}{}
				t.done.Go(func() {
					defer func() { <-slots }()
					t.one(ctx, client, url)
				})
			}
		}
	})
	return t, nil
}

func (t *Traffic) one(ctx context.Context, client *http.Client, url string) {
	// A request that is under way when the traffic stops still counts as it ends.
	request, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodGet, url, nil)
	if err != nil {
		return
	}
	response, err := client.Do(request)
	version := ""
	if err == nil {
		version = response.Header.Get("X-Version")
		if _, err = io.Copy(io.Discard, response.Body); err == nil && response.StatusCode >= 500 {
			err = fmt.Errorf("%s of %s", response.Status, version)
		}
		response.Body.Close()
	}
	t.lock.Lock()
	defer t.lock.Unlock()
	if err == nil {
		t.versions[version]++
	} else {
		t.failed, t.why = t.failed+1, time.Now().Format("15:04:05.000 ")+err.Error()
	}
}

// Counts gives them as they are now.
func (t *Traffic) Counts() Counts {
	t.lock.Lock()
	defer t.lock.Unlock()
	return Counts{Versions: maps.Clone(t.versions), Failed: t.failed, Why: t.why}
}

// Reset gives the counts and begins anew.
func (t *Traffic) Reset() Counts {
	t.lock.Lock()
	defer t.lock.Unlock()
	counts := Counts{Versions: t.versions, Failed: t.failed, Why: t.why}
	t.versions, t.failed, t.why = map[string]int{}, 0, ""
	return counts
}

// Stop ends the traffic.
func (t *Traffic) Stop() {
	t.cancel()
	t.done.Wait()
}
