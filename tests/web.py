"""A server on this machine, for what is fetched from the web."""

import contextlib
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """Answers each path with (status, body, length that it claims, whether it sends parts), and
    notes what was asked: paths, and which parts of them. pause: seconds before each 4,000 bytes."""

    daemon_threads, pause = True, 0.0

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.asked, self.parts = {}, [], []
        self.closing = threading.Event()

    def url(self, path: str, body: bytes = b"", status: int = 200, length: int | None = None,
            parts: bool = False):
        self.answers[path] = status, body, len(body) if length is None else length, parts
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.parts.append(self.headers["Range"])
        if self.path == "/silent":
            self.server.closing.wait(10)
            return
        status, body, length, parts = self.server.answers[self.path]
        first = int((self.headers["Range"] or "bytes=0-")[6:-1]) if parts else 0
        if first:
            status, body, whole, length = 206, body[first:], length, length - first
            if not body:
                self.send_error(416)
                return
        self.send_response(status)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{whole - 1}/{whole}")
        if length >= 0:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        size = 4000 if self.server.pause else len(body) + 1
        with contextlib.suppress(OSError):  # who asked was killed
            for at in range(0, len(body), size):
                time.sleep(self.server.pause)
                self.wfile.write(body[at : at + size])

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
