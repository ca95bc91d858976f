package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
)

// counter is a front that only counts.
type counter struct {
	host     string
	requests atomic.Int64
	server   *httptest.Server
}

func startCounter(registry *url.URL) *counter {
	c := &counter{}
	proxy := httputil.NewSingleHostReverseProxy(registry)
	proxy.ErrorLog = log.New(io.Discard, "", 0)
	c.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		c.requests.Add(1)
		proxy.ServeHTTP(w, request)
	}))
	c.host = strings.TrimPrefix(c.server.URL, "http://")
	return c
}
