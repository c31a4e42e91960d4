"""A real HTTP server on this machine that serves files from memory and misbehaves on request."""

import hashlib
import ssl
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def write_registry(path, files):
    """Write pooch's registry of `files` ({name: bytes})."""
    path.write_text("".join(f"{name} sha256:{hashlib.sha256(data).hexdigest()}\n" for name, data in files.items()))


class LocalServer(ThreadingHTTPServer):
    """Serves `files` ({name: bytes}) at `url` from a thread of its own; with `certificate`, a .pem file, over TLS.

    Attributes:
        failures: {name: [what to do at each request in turn, then serve]}, of "corrupt" (one byte wrong), "cut" (half
            the body, then close), "stall" (half the body, then nothing), "mute" (no answer), or an HTTP status.
            The name "" is for requests of the header only.
        hits: how often each name was asked for.
        stalled: set once a request has been left hanging.
        meeting: a barrier that every request waits at, or None.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, files, certificate=None):
        super().__init__(("127.0.0.1", 0), _Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.files, self.failures, self.hits, self.meeting = dict(files), {}, Counter(), None
        self.stalled, self.closing = threading.Event(), threading.Event()
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self.server_port}/some/where/"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, *_):
        """Say nothing of clients that hang up: stderr is what some tests look at."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        server = self.server
        name = self.path.removeprefix("/some/where/")
        server.hits[name] += 1
        if server.meeting:
            server.meeting.wait(timeout=20)
        failure = server.failures.get(name) and server.failures[name].pop(0)
        body = server.files.get(name)
        if failure == "mute":
            self.hang()
        elif isinstance(failure, int) or body is None:
            self.answer(failure or 404, b"no")
        elif failure == "corrupt":
            self.answer(200, bytes([body[0] ^ 1]) + body[1:])
        elif failure in ("cut", "stall"):
            self.answer(200, body, send=len(body) // 2)
            self.close_connection = True
            if failure == "stall":
                self.hang()
        else:
            self.answer(200, body)

    def do_HEAD(self):
        if self.server.failures.get(""):
            self.hang()
        else:
            self.answer(200, b"")

    def answer(self, status, body, send=None):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:send])

    def hang(self):
        self.close_connection = True
        self.server.stalled.set()
        self.server.closing.wait(timeout=30)

    def log_message(self, *_):
        pass
