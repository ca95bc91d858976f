"""Answers with its version, fails as often as FAIL says, and tells Prometheus."""

import os
import random
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION, FAIL, DELAY = os.environ["VERSION"], float(os.environ["FAIL"]), float(os.environ["DELAY"])
BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0]
counts: dict[str, int] = {}
buckets = [0] * (len(BUCKETS) + 1)
total, lock, ending = 0.0, threading.Lock(), threading.Event()


def metrics() -> str:
    """Gives what Prometheus scrapes."""
    with lock:
        lines = [f'http_requests_total{{status="{status}"}} {count}' for status, count in counts.items()]
        for limit, count in zip([*map(str, BUCKETS), "+Inf"], buckets, strict=True):
            lines.append(f'http_request_duration_seconds_bucket{{le="{limit}"}} {count}')
        lines += [f"http_request_duration_seconds_sum {total}", f"http_request_duration_seconds_count {buckets[-1]}"]
    return "\n".join(lines) + "\n"


class Handler(BaseHTTPRequestHandler):
    """One connection, which is told to end when the pod does."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # noqa: N802
        global total
        if self.path == "/metrics":
            self.answer(200, metrics())
            return
        begin = time.monotonic()
        time.sleep(random.expovariate(1 / DELAY))
        status = 500 if random.random() < FAIL else 200
        with lock:
            counts[str(status)] = counts.get(str(status), 0) + 1
            duration = time.monotonic() - begin
            total += duration
            for i, limit in enumerate([*BUCKETS, float("inf")]):
                buckets[i] += duration <= limit
        self.answer(status, VERSION)

    def answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        if ending.is_set():
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


class Server(ThreadingHTTPServer):
    """Takes many connections at once."""

    request_queue_size = 256


def stop(*_: object) -> None:
    ending.set()
    threading.Timer(4, lambda: os._exit(0)).start()


signal.signal(signal.SIGTERM, stop)
Server(("", 8000), Handler).serve_forever()
