// Command server is the application of these tests: it answers with its version,
// fails as often as it is told to, and tells Prometheus. What begins with /fault/
// makes its pod go wrong.
package main

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// drain is how long it still answers after SIGTERM: until whoever balances has heard of it.
const drain = 8 * time.Second

var (
	requests        = promauto.NewCounterVec(prometheus.CounterOpts{Name: "http_requests_total"}, []string{"status"})
	durations       = promauto.NewHistogram(histogram())
	unready, ending atomic.Bool
	hoard           [][]byte
)

func histogram() prometheus.HistogramOpts {
	options := prometheus.HistogramOpts{Name: "http_request_duration_seconds"}
	if os.Getenv("NATIVE") != "" {
		options.NativeHistogramBucketFactor = 1.1
	} else {
		options.Buckets = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1}
	}
	return options
}

func number(name string) float64 {
	value, _ := strconv.ParseFloat(os.Getenv(name), 64) // 0 where nothing is asked for
	return value
}

func main() {
	if code := int(number("EXIT")); code != 0 {
		fmt.Fprintln(os.Stderr, "ending at once, as I was told to")
		os.Exit(code)
	}
	version, fail, delay := os.Getenv("VERSION"), number("FAIL"), number("DELAY")
	http.Handle("/metrics", promhttp.Handler())
	http.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		if unready.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/fault/exit", func(http.ResponseWriter, *http.Request) {
		fmt.Fprintln(os.Stderr, "ending, as I was told to; token=geheim")
		os.Exit(3)
	})
	http.HandleFunc("/fault/unready", func(http.ResponseWriter, *http.Request) { unready.Store(true) })
	http.HandleFunc("/fault/nan", func(http.ResponseWriter, *http.Request) { requests.WithLabelValues("200").Add(math.NaN()) })
	http.HandleFunc("/fault/memory", func(http.ResponseWriter, *http.Request) {
		for {
			page := make([]byte, 8<<20)
			for i := 0; i < len(page); i += 4096 {
				page[i] = 1
			}
			hoard = append(hoard, page)
		}
	})
	http.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		begin := time.Now()
		if delay > 0 {
			time.Sleep(time.Duration(rand.ExpFloat64() * delay * float64(time.Second)))
		}
		status := http.StatusOK
		if rand.Float64() < fail {
			status = http.StatusInternalServerError
		}
		requests.WithLabelValues(strconv.Itoa(status)).Inc()
		durations.Observe(time.Since(begin).Seconds())
		if ending.Load() {
			w.Header().Set("Connection", "close")
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(version))
	})
	server := &http.Server{Addr: ":8000", ReadHeaderTimeout: time.Minute}
	told, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ended := make(chan error, 1)
	context.AfterFunc(told, func() {
		ending.Store(true)
		time.AfterFunc(drain, func() { ended <- server.Shutdown(context.Background()) })
	})
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
	if err := <-ended; err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
	}
}
