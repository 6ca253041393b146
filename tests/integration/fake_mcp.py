"""An MCP server that does wrong, for what the real one does not do on demand: fake_mcp.py FAULT [FILE], over stdin and stdout.

With FakeMcp(fault) it listens instead. Apart from its fault it behaves as Prefect's does, with two tools.
"""

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LONG = 10 * 1024 * 1024 + 1
NOTIFICATION = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "working"}}


def tool(name, read_only=True):
    return {"name": name, "description": f"What {name} does", "inputSchema": {"type": "object", "properties": {}},
            "annotations": {"readOnlyHint": read_only}}


def result(content, is_error=False):
    return {"content": [{"type": "text", "text": json.dumps(content)}], "structuredContent": content, "isError": is_error}


def identity(fault, api_url):
    if fault == "down":
        return result({"success": False, "identity": None, "error": "All connection attempts failed"})
    if fault == "nobody":
        return result({"success": True, "identity": {}})
    return result({"success": True, "identity": {"api_url": "http://192.0.2.1/api/" if fault == "wrong" else f"{api_url}/"}})


def answer(fault, request, api_url):
    """The result of a request, an error as {"error": ...}."""
    method = request["method"]
    if method == "initialize":
        version = "1999-01-01" if fault == "version" else request["params"]["protocolVersion"]
        return {"protocolVersion": version, "capabilities": {}, "serverInfo": {"name": "fake", "version": "1"}}
    if method == "tools/list":
        names = ["something_else"] if fault == "other tools" else ["get_identity", "get_flows", "get_dashboard"]
        return {"tools": [tool(name, fault != "none is read-only" and name != "get_dashboard") for name in names]}
    name = request["params"]["name"]
    if name == "get_identity":
        return identity(fault, api_url)
    return result({"success": True, "tool": name, "flows": []})


# --- over stdin and stdout -------------------------------------------------------------------------


def say(message):
    sys.stdout.write((message if isinstance(message, str) else json.dumps(message)) + "\n")
    sys.stdout.flush()


def hang():
    while True:
        time.sleep(60)


muted = []  # requests that were not answered


def begin(fault, starts=None):
    """What is wrong before the first request. Each start leaves a line in the file."""
    if starts:
        with open(starts, "a") as file:
            file.write("started\n")
    if fault == "exits":
        print("no module named prefect_mcp", file=sys.stderr)
        sys.exit(3)
    if fault == "silent":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            hang()
        hang()
    if fault == "slow":
        time.sleep(2)
    if fault == "garbage":
        say("Welcome!\n{not json\n[]\n\n5\n" + "x" * 5000)
    if fault == "endless garbage":
        while True:
            say("garbage")
    if fault == "long":
        say("x" * LONG)
        hang()


def reply(fault, request, given):
    name = request.get("params", {}).get("name")
    message = {"jsonrpc": "2.0", "id": request["id"], "result": given}
    if fault == "noisy":  # notifications, answers to nobody, and one to a request before this
        say(NOTIFICATION)
        say({"jsonrpc": "2.0", "id": request["id"] - 1, "result": result({"success": False, "late": True})})
        say({"jsonrpc": "2.0", "id": "another", "result": {}})
        say(NOTIFICATION)
    if fault == "half" and name == "get_flows":
        sys.stdout.write(json.dumps(message)[:40])
        sys.stdout.flush()
        os.close(1)
        hang()
    if fault == "dies" and name == "get_flows":
        os._exit(4)
    if fault == "mute" and name == "get_flows" and not muted:
        muted.append(request["id"])
        return
    if fault == "long answer" and name == "get_flows":
        message["result"]["content"][0]["text"] = "x" * LONG
    say(message)


def main(fault, *starts):
    begin(fault, *starts)
    for line in sys.stdin:
        request = json.loads(line)
        if "id" in request:
            reply(fault, request, answer(fault, request, os.environ["PREFECT_API_URL"]))


# --- over HTTP -------------------------------------------------------------------------------------


class FakeMcp:
    """with FakeMcp("lost", api_url) as server: server.url"""

    def __init__(self, fault, api_url):
        self.fault, self.api_url = fault, api_url
        self.sessions, self.forgotten = 0, False
        self.methods = []
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Handler,), {"fake": self}))
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/mcp"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()


class Handler(BaseHTTPRequestHandler):
    fake = None
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_DELETE(self):
        self.send(200, b"")

    def do_POST(self):
        fake, request = self.fake, json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        name = request.get("params", {}).get("name")
        fake.methods.append(name or request["method"])
        if fake.fault == "moved":
            return self.send(307, b"", {"Location": fake.url.replace("/mcp", "/elsewhere")})
        if fake.fault == "password":
            return self.send(401, b"who are you?")
        if request["method"] == "initialize":
            fake.sessions += 1
        elif self.headers["mcp-session-id"] != f"session-{fake.sessions}":
            return self.send(404, b"Session not found")
        if fake.fault == "lost" and name == "get_flows" and not fake.forgotten:
            fake.forgotten = True
            fake.sessions += 1  # the old one is not known any more
            return self.send(404, b"Session not found")
        if "id" not in request:
            return self.send(202, b"")
        message = {"jsonrpc": "2.0", "id": request["id"], "result": answer(fake.fault, request, fake.api_url)}
        return self.send_answer(message)

    def send_answer(self, message):
        session = {"mcp-session-id": f"session-{self.fake.sessions}"}
        if self.fake.fault == "events":
            events = [NOTIFICATION, {"jsonrpc": "2.0", "id": 999, "result": {}}, message]
            body = ": hello\r\n\r\n" + "".join(f"event: message\r\ndata: {json.dumps(one)}\r\n\r\n" for one in events)
            return self.send(200, body.encode(), session | {"Content-Type": "text/event-stream"})
        return self.send(200, json.dumps(message).encode(), session)

    def send(self, code, body, headers=None):
        self.send_response(code)
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    main(*sys.argv[1:])
