"""A fault proxy between our program and a Prefect server: what it passes on, loses, delays and corrupts is up to the test.

    with Proxy(server.url) as proxy:
        cut = proxy.add(close(), method="POST", path="/bulk_delete$", side="after", nth=2)
        worker(pool, PREFECT_API_URL=proxy.url + "/api")
        cut.wait()

Every request is forwarded on a connection of its own, so that a fault on one side never shows up on another request.
With tls= it terminates TLS, with prefix= the server lies below a path, and requests in absolute form and CONNECT make
it a forward proxy. All of it is counted in `seen`.
"""

import contextlib
import http.client
import json
import random
import re
import select
import socket
import ssl
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "proxy-authorization", "transfer-encoding",
              "content-length", "upgrade", "te", "trailer"}
UPSTREAM_SECONDS = 120
MOMENT_SECONDS = 60


class Cut(Exception):
    """The connection ends here, whatever was sent until now."""


@dataclass
class Request:
    """One request as the proxy saw it. The status is the one that the client was given, None for no answer."""

    method: str
    path: str  # without the prefix; the whole URL where we are a forward proxy
    headers: dict  # names in lower case
    body: str
    at: float = field(default_factory=time.monotonic)
    status: int | None = None
    forwarded: bool = False  # has the server carried it out?

    def __str__(self):
        return f"{self.method} {self.path} -> {self.status}"


@dataclass
class Answer:
    status: int
    headers: list  # pairs, without those of one connection
    body: bytes

    def encode(self):
        reason = HTTPStatus(self.status).phrase if self.status in HTTPStatus._value2member_map_ else "Unknown"
        lines = [f"HTTP/1.1 {self.status} {reason}", *(f"{name}: {value}" for name, value in self.headers)]
        if self.status != 204:
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


class Rule:
    """When to do what. Made by Proxy.add()."""

    def __init__(self, proxy, action, method, path, body, side, nth, count, since):
        assert side in ("before", "after"), side
        self.proxy, self.action, self.side, self.nth, self.count, self.since = proxy, action, side, nth, count, since
        self.method, self.path, self.body = method, re.compile(path), re.compile(body, re.DOTALL)
        self.matched = 0
        self.hits = []  # the requests it was applied to
        self.reached, self.released = threading.Event(), threading.Event()

    def takes(self, request):
        """Counts the request; is this one to be hit? Under the proxy's lock."""
        if self.since and not self.since.reached.is_set():
            return False
        if self.method not in (None, request.method) or not self.path.search(request.path.partition("?")[0]):
            return False
        if not self.body.search(request.body):
            return False
        self.matched += 1
        if self.matched < self.nth or (self.count is not None and len(self.hits) >= self.count):
            return False
        self.hits.append(request)
        return True

    def wait(self, timeout=MOMENT_SECONDS):
        """Until the moment has come: a request is hit, and was carried out where side is "after"."""
        assert self.reached.wait(timeout), f"not within {timeout} s: {self.method} {self.path.pattern} #{self.nth}"
        return self.hits[0]

    def release(self):
        """Ends what hangs or is held, now and later."""
        self.released.set()

    def remove(self):
        """Hits nothing from now on, and holds nothing any more."""
        self.proxy.forget(self)
        self.release()

    def give_back(self, request):
        """The server was busy and did nothing: the next one is hit instead. Under the proxy's lock."""
        self.hits.remove(request)
        self.matched -= 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()


# --- actions: called with an Exchange; they change its answer, wait, or cut -------------------------


def nothing():
    """Passes it on: the rule only tells when the moment has come."""
    return lambda _: None


def close():
    def act(_):
        raise Cut
    return act


def refuse(seconds):
    """Connections are refused for so long, and the present ones are gone."""
    def act(exchange):
        exchange.proxy.down()
        exchange.proxy.later(seconds, exchange.proxy.up)
        raise Cut
    return act


def hang():
    """No answer until it is released, and none then."""
    def act(exchange):
        exchange.rule.released.wait()
        raise Cut
    return act


def hold():
    """Waits until it is released, and then goes on; but a client that has gone in between asks for nothing any more."""
    def act(exchange):
        exchange.rule.released.wait()
        if exchange.is_client_gone():
            raise Cut
    return act


def delay(seconds):
    return lambda exchange: exchange.proxy.closing.wait(seconds)


def status(code, body=None, content_type="application/json", **headers):
    """Headers by name, with _ for -: retry_after=2."""
    data = body if body is not None else json.dumps({"detail": f"{code} by the fault proxy"})
    pairs = [("Content-Type", content_type), *((name.replace("_", "-").title(), str(value)) for name, value in headers.items())]

    def act(exchange):
        exchange.answer = Answer(code, pairs, data.encode())
    return act


def html(code=200):
    return status(code, "<!DOCTYPE html>\n<html><body><h1>Please sign in</h1></body></html>", "text/html")


def shape():
    """JSON that no endpoint answers."""
    return status(200, '{"unexpected": [1, {"shape": null}], "id": 7, "status": [], "state": "?"}')


def retry_after_date(seconds):
    """429 with the time at which to come again, as HTTP writes it."""
    return lambda exchange: status(429, retry_after=formatdate(time.time() + seconds, usegmt=True))(exchange)


def half():
    def act(exchange):
        answer = exchange.answer or Answer(200, [("Content-Type", "application/json")], b'[{"id": "0000"}]' * 20)
        data = answer.encode()
        exchange.send(data[:len(data) - (len(answer.body) + 1) // 2 - (0 if answer.body else 2)])
        raise Cut
    return act


def garbage():
    def act(exchange):
        exchange.send(random.Random(4).randbytes(300) + b"\r\n\r\n")
        raise Cut
    return act


def drip(bytes_per_second):
    def act(exchange):
        exchange.bytes_per_second = bytes_per_second
    return act


# --- the proxy --------------------------------------------------------------------------------------


class Exchange:
    """One request and its answer."""

    def __init__(self, proxy, connection, request):
        self.proxy, self.connection, self.request = proxy, connection, request
        self.answer = self.rule = self.bytes_per_second = None

    def apply(self, rules, side):
        for rule in rules:
            if rule.side == side:
                self.rule = rule
                rule.reached.set()
                rule.action(self)

    def is_client_gone(self):
        readable, _, _ = select.select([self.connection], [], [], 0)
        with contextlib.suppress(OSError, ssl.SSLWantReadError):
            return bool(readable) and self.connection.recv(1, 0 if self.proxy.tls else socket.MSG_PEEK) == b""
        return True

    def send(self, data):
        step = self.bytes_per_second and max(1, self.bytes_per_second // 10)
        for start in range(0, len(data), step or len(data)):
            self.connection.sendall(data[start:start + (step or len(data))])
            if step:
                self.proxy.closing.wait(0.1)


class Proxy:
    def __init__(self, upstream, prefix="", tls=None, host="127.0.0.1"):
        """@tls is a pair of files, certificate and key; @host the name in `url`, which must mean 127.0.0.1."""
        self.upstream = urlsplit(upstream.removesuffix("/api"))
        self.prefix = prefix
        self.tls = tls and ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        if tls:
            self.tls.load_cert_chain(*tls)
        self.lock = threading.Lock()  # guards what follows
        self.rules, self.seen, self.connections, self.threads, self.timers = [], [], set(), [], []
        self.closing = threading.Event()
        self.listener, port = self._bind()
        self.url = f"{'https' if tls else 'http'}://{host}:{port}{prefix}"
        self.listening = False
        self.up()

    @staticmethod
    def _bind():
        """Below the ephemeral range: while the proxy is down, no outgoing connection can take the port."""
        first_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        while True:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            port = random.randrange(first_ephemeral // 2, first_ephemeral)
            try:
                listener.bind(("127.0.0.1", port))
                return listener, port
            except OSError:
                listener.close()

    # What a test does.

    def add(self, action, method=None, path="", body="", side="before", nth=1, count=1, since=None):
        """Regular expressions for path (without the query) and body; from the nth match on, count times or None for ever;
        since another rule's moment has come."""
        rule = Rule(self, action, method, path, body, side, nth, count, since)
        with self.lock:
            self.rules.append(rule)
        return rule

    def forget(self, rule):
        with self.lock:
            self.rules = [one for one in self.rules if one is not rule]

    def clear(self):
        for rule in list(self.rules):
            rule.remove()

    def requests(self, method=None, path="", body=""):
        """Those seen until now, in order."""
        pattern = Rule(self, None, method, path, body, "before", 1, None, None)
        with self.lock:
            return [request for request in self.seen if pattern.takes(request)]

    def down(self):
        """Connections are refused, and the present ones are cut. The port stays ours: the socket remains bound."""
        with self.lock:
            if self.listening:
                self.listening = False
                self.listener.shutdown(socket.SHUT_RDWR)
            for connection in self.connections:
                self._shut(connection)

    def up(self):
        with self.lock:
            if self.listening or self.closing.is_set():
                return
            self.listening = True
            self.listener.listen(100)
        self._thread(self._accept)

    def later(self, seconds, function):
        timer = threading.Timer(seconds, function)
        timer.daemon = True
        with self.lock:
            self.timers.append(timer)
        timer.start()

    def close(self):
        self.closing.set()
        for timer in self.timers:
            timer.cancel()
        self.clear()
        self.down()
        for thread in list(self.threads):
            thread.join(UPSTREAM_SECONDS)
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # How it is done.

    @staticmethod
    def _shut(connection):
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)

    def _thread(self, function, *arguments):
        thread = threading.Thread(target=function, args=arguments, daemon=True)
        with self.lock:
            self.threads = [one for one in self.threads if one.is_alive() or one.ident is None] + [thread]
        thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                if not self.listening:
                    return
                continue
            with self.lock:
                self.connections.add(connection)
                if not self.listening:
                    self._shut(connection)
            self._thread(self._serve, connection)

    def _serve(self, plain):
        connection = plain
        try:
            if self.tls:
                connection = self.tls.wrap_socket(plain, server_side=True)
                with self.lock:
                    self.connections = self.connections - {plain} | {connection}
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection.makefile("rb") as stream:
                while request := self._read(stream):
                    self._answer(connection, request)
        except (Cut, OSError, http.client.HTTPException):
            pass
        finally:
            with self.lock:
                self.connections.discard(connection)
            self._shut(connection)
            connection.close()

    def _read(self, stream):
        """The next request, None at the connection's end."""
        line = stream.readline().decode("latin-1").split()
        if len(line) != 3:
            return None
        headers = {name.lower(): value for name, value in http.client.parse_headers(stream).items()}
        body = stream.read(int(headers.get("content-length", 0)))
        path = line[1]
        if path.startswith(self.prefix + "/"):
            path = path.removeprefix(self.prefix)
        elif line[0] != "CONNECT" and not path.startswith("http://"):
            path = "outside the prefix: " + path
        return Request(line[0], path, headers, body.decode(errors="replace"))

    def _answer(self, connection, request):
        with self.lock:
            self.seen.append(request)
            rules = [rule for rule in self.rules if rule.takes(request)]
        exchange = Exchange(self, connection, request)
        exchange.apply(rules, "before")
        if exchange.answer is None and request.method == "CONNECT":
            self._tunnel(connection, request)
            raise Cut
        if exchange.answer is None:
            exchange.answer = self._forward(request)
            if exchange.answer.status == 503:  # a locked database: "after" means that the server did it
                with self.lock:
                    for rule in rules:
                        if rule.side == "after":
                            rule.give_back(request)
                rules = []
        exchange.apply(rules, "after")
        request.status = exchange.answer.status
        exchange.send(exchange.answer.encode())

    def _forward(self, request):
        target = urlsplit(request.path)
        if request.path.startswith("outside"):
            return Answer(404, [("Content-Type", "text/html")], b"<html><body>Not Found</body></html>")
        upstream = http.client.HTTPConnection(target.netloc or self.upstream.netloc, timeout=UPSTREAM_SECONDS)
        path = target.path + (f"?{target.query}" if target.query else "")
        headers = {name: value for name, value in request.headers.items() if name not in HOP_BY_HOP}
        with contextlib.closing(upstream):
            try:
                upstream.request(request.method, path, request.body.encode() or None, headers | {"Connection": "close"})
                answer = upstream.getresponse()
                body = answer.read()
            except OSError as error:
                return Answer(502, [("Content-Type", "text/plain")], f"no server: {error}".encode())
        request.forwarded = True
        return Answer(answer.status, [pair for pair in answer.getheaders() if pair[0].lower() not in HOP_BY_HOP], body)

    def _tunnel(self, connection, request):
        """CONNECT: bytes as they are, both ways, until one side ends."""
        name, _, port = request.path.rpartition(":")
        with socket.create_connection((name, int(port)), timeout=UPSTREAM_SECONDS) as upstream:
            request.status, request.forwarded = 200, True
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            other = {connection: upstream, upstream: connection}
            while not self.closing.is_set():
                for source in select.select([connection, upstream], [], [], 0.5)[0]:
                    data = source.recv(65536)
                    if not data:
                        return
                    other[source].sendall(data)
