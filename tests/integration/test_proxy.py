"""The fault proxy itself: every fault is what its name says, seen by another client than ours."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import proxy as faults
import pytest
from proxy import Proxy

pytestmark = pytest.mark.tools

ANSWER = b'{"answer": "%s"}' % (b"x" * 1000)


@pytest.fixture(scope="module")
def upstream():
    """A server that counts: what has it carried out?"""
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.server.done.append((self.command, self.path, body))
            self.send_response(503 if b"busy" in body else 200)
            self.send_header("Content-Length", str(len(ANSWER)))
            self.end_headers()
            self.wfile.write(ANSWER)

        do_GET = do_POST

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield server
        server.shutdown()


@pytest.fixture
def proxy(upstream):
    upstream.done = []
    with Proxy(upstream.url + "/api") as proxy:
        yield proxy


@pytest.fixture
def client(proxy):
    with httpx.Client(base_url=proxy.url, timeout=5, trust_env=False) as client:
        yield client


def test_passes_everything_on(proxy, client, upstream):
    for number in range(3):
        answer = client.post(f"/api/flow_runs/{number}?a=b", content=b"hello")
        assert (answer.status_code, answer.content) == (200, ANSWER)
    assert upstream.done == [("POST", f"/api/flow_runs/{number}?a=b", b"hello") for number in range(3)]
    assert [(one.method, one.path, one.body, one.status) for one in proxy.seen] == \
        [("POST", f"/api/flow_runs/{number}?a=b", "hello", 200) for number in range(3)]
    assert len(proxy.connections) == 1  # kept alive


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("action, error", [
    (faults.close(), httpx.RemoteProtocolError), (faults.half(), httpx.RemoteProtocolError),
    (faults.garbage(), httpx.RemoteProtocolError), (faults.hang(), httpx.ReadTimeout),
], ids=["close", "half", "garbage", "hang"])
def test_no_answer(proxy, client, upstream, action, side, error):
    rule = proxy.add(action, side=side)
    with pytest.raises(error):
        client.post("/api/x", timeout=0.5)
    assert len(upstream.done) == (side == "after")
    assert rule.wait() is proxy.seen[0] and proxy.seen[0].status is None
    assert client.get("/api/x").status_code == 200  # once only


@pytest.mark.parametrize("action, code, text", [
    (faults.status(429, retry_after=3), 429, "fault proxy"), (faults.html(), 200, "<html>"),
    (faults.shape(), 200, "unexpected"), (faults.status(502, "<html>Bad Gateway</html>", "text/html"), 502, "Bad Gateway"),
    (faults.retry_after_date(5), 429, ""),
], ids=["429", "html", "shape", "502", "date"])
@pytest.mark.parametrize("side", ["before", "after"])
def test_another_answer(proxy, client, upstream, action, code, text, side):
    proxy.add(action, side=side)
    answer = client.get("/api/x")
    assert answer.status_code == code and text in answer.text
    assert ("Retry-After" in answer.headers) == (code == 429)
    assert len(upstream.done) == (side == "after")


def test_rules_match(proxy, client):
    rule = proxy.add(faults.status(500), method="POST", path="/x$", body='"b"', nth=2, count=2)
    for method, path, body, code in [("GET", "/api/x", '"b"', 200), ("POST", "/api/xy", '"b"', 200),
                                     ("POST", "/api/x?q", '"a"', 200), ("POST", "/api/x?q", '"b"', 200),
                                     ("POST", "/api/x", '"b"', 500), ("POST", "/api/x", '"b"', 500),
                                     ("POST", "/api/x", '"b"', 200)]:
        assert client.request(method, path, content=body).status_code == code, (method, path, body)
    assert len(rule.hits) == 2
    with proxy.add(faults.status(503), count=None):
        assert {client.get("/api/x").status_code for _ in range(5)} == {503}
    assert client.get("/api/x").status_code == 200


def test_after_means_that_the_server_did_it(proxy, client):
    rule = proxy.add(faults.status(500), side="after")
    assert client.post("/api/x", content=b"busy").status_code == 503
    assert client.post("/api/x").status_code == 500
    assert [request.body for request in rule.hits] == [""]


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("leaves", [True, False], ids=["client goes", "client stays"])
def test_hold(proxy, client, upstream, side, leaves):
    rule = proxy.add(faults.hold(), side=side)
    got = []
    asking = threading.Thread(target=lambda: got.append(client.get("/api/x").status_code))
    if leaves:
        with socket.create_connection(("127.0.0.1", httpx.URL(proxy.url).port)) as plain:
            plain.sendall(b"GET /api/x HTTP/1.1\r\nHost: x\r\n\r\n")
            rule.wait(5)
    else:
        asking.start()
        rule.wait(5)
    assert len(upstream.done) == (side == "after")
    rule.release()
    if not leaves:
        asking.join()
        assert got == [200]
    proxy.close()
    assert len(upstream.done) == (side == "after" or not leaves)


def test_delay_and_drip(proxy, client):
    for action, least in [(faults.delay(0.3), 0.3), (faults.drip(2000), 0.4)]:
        proxy.add(action, side="after")
        start = time.monotonic()
        assert client.get("/api/x").content == ANSWER
        assert time.monotonic() - start >= least


def test_down_and_up(proxy, client):
    assert client.get("/api/x").status_code == 200
    for _ in range(3):
        proxy.down()
        for _ in range(3):
            with pytest.raises(httpx.ConnectError):
                client.get("/api/x")
        proxy.up()
        assert client.get("/api/x").status_code == 200
    proxy.add(faults.refuse(0.3))
    with pytest.raises(httpx.TransportError):
        client.get("/api/x")
    with pytest.raises(httpx.ConnectError):
        client.get("/api/x")
    time.sleep(0.5)
    assert client.get("/api/x").status_code == 200


def test_prefix(upstream):
    upstream.done = []
    with Proxy(upstream.url, prefix="/prefect") as proxy:
        assert httpx.get(proxy.url + "/api/x").status_code == 200
        assert httpx.get(proxy.url.removesuffix("/prefect") + "/api/x").status_code == 404
    assert [path for _, path, _ in upstream.done] == ["/api/x"]


def test_forward_proxy(upstream, proxy):
    """Absolute-form for http; CONNECT carries TLS, here to another proxy that is plain."""
    with httpx.Client(proxy=proxy.url) as client:
        assert client.get(upstream.url + "/api/x").status_code == 200
    assert proxy.seen[0].path == upstream.url + "/api/x"
    address = upstream.url.removeprefix("http://")
    with socket.create_connection(("127.0.0.1", httpx.URL(proxy.url).port)) as plain:
        plain.sendall(f"CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
        assert plain.recv(1000).startswith(b"HTTP/1.1 200")
        plain.sendall(b"GET /api/y HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b"200 OK" in plain.recv(1000)
    assert (proxy.seen[1].method, proxy.seen[1].path) == ("CONNECT", address)
    with pytest.raises(httpx.ProxyError), httpx.Client(proxy=proxy.url) as client:
        proxy.add(faults.status(407), method="CONNECT")
        client.get("https://example.invalid/")
