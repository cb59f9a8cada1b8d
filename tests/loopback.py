"""A server on the loopback address that answers as a test wants: well, badly, or not at all."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer:
    """One answer: `length` is announced, `body` is sent; with `stall` the rest never comes."""

    def __init__(self, body=b"", status=200, length=None, stall=False, headers=None):
        self.body, self.status, self.stall = body, status, stall
        self.headers = {"Content-Length": str(len(body) if length is None else length)}
        if length == "none":
            self.headers = {}
        self.headers |= headers or {}


class Server:
    """Gives its answers in turn, the last one again and again; `requests` are the paths asked."""

    def __init__(self, answers):
        self.answers, self.requests, self.closing = list(answers), [], threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append(self.path)
                answers = outer.answers
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)
                self.wfile.flush()
                if answer.stall:
                    outer.closing.wait(20)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def url(self, name):
        return f"http://127.0.0.1:{self.http.server_port}/{name}"


@contextmanager
def serving(*answers):
    """A `Server` that runs for the length of the block."""
    server = Server(answers)
    thread = threading.Thread(target=server.http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.http.shutdown()
        thread.join()
        server.http.server_close()
