"""start --with-healthcheck and Type=notify: what probes, Prometheus and systemd are told, and when."""

import contextlib
import ctypes
import os
import re
import select
import signal
import socket
import threading
from pathlib import Path

import httpx
import pytest
from harness import run_cli, unique, wait_until

PREFIX = "prefect_janitor_"
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:[a-zA-Z_]\w*=\"(?:[^\"\\\n]|\\[\\\"n])*\",?)*)\}})? ([0-9.]+|\+Inf|-Inf|NaN)")
OK = {"message": "OK"}
UNRESPONSIVE = {"message": "Worker may be unresponsive at this time"}


def parse(text):
    """Prometheus' text format 0.0.4, strictly: {name: type} and {name with its labels: value}."""
    types, helps, samples = {}, set(), {}
    assert text.endswith("\n") and "\n\n" not in text
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, words = line[7:].split(" ", 1)
            assert name not in helps and words, line
            helps.add(name)
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name in helps and name not in types and kind in ("counter", "gauge", "histogram"), line
            types[name] = kind
        else:
            found = SAMPLE.fullmatch(line)
            assert found, line
            name, labels, value = found.groups()
            family = re.sub("_(bucket|sum|count)$", "", name)
            family = family if types.get(family) == "histogram" else name
            assert family == list(types)[-1], f"{line} is not next to its TYPE"
            key = name + (f"{{{labels}}}" if labels else "")
            assert key not in samples, line
            samples[key] = float(value)
    assert helps == set(types)
    for name, kind in types.items():
        assert name.startswith(PREFIX)
        assert (kind == "counter") == name.endswith("_total"), name
        if kind == "histogram":
            buckets = [value for key, value in samples.items() if key.startswith(name + "_bucket")]
            assert buckets == sorted(buckets) and buckets[-1] == samples[name + "_count"]
            assert samples[name + '_bucket{le="+Inf"}'] == buckets[-1]
    return types, {key.removeprefix(PREFIX): value for key, value in samples.items()}


class Probe:
    """What a worker's health server answers."""

    def __init__(self, worker):
        worker.wait_output("health and metrics at ")
        self.url = re.findall(r"health and metrics at (\S+)", worker.output())[-1]
        self.address = ("127.0.0.1", int(self.url.rpartition(":")[2]))

    def get(self, path):
        return httpx.get(self.url + path, timeout=30, trust_env=False)

    def well(self):
        """What /livez, /health and /readyz say."""
        answers = [self.get(path).status_code for path in ("/livez", "/health", "/readyz")]
        assert set(answers) <= {200, 503}
        return [answer == 200 for answer in answers]

    def metrics(self):
        return parse(self.get("/metrics").text)[1]

    def wait_ready(self):
        wait_until(lambda: self.well() == [True] * 3, 30, "the worker is ready")


class Link:
    """A way to the server that can be broken: "up", "down" (refused), "hung" (nothing comes through)."""

    def __init__(self, url):
        target = httpx.URL(url)
        self.target, self.state, self.swallowed = (target.host, target.port), "up", 0
        self.gate = socket.create_server(("127.0.0.1", 0))
        self.address = self.gate.getsockname()
        self.url = f"http://127.0.0.1:{self.address[1]}{target.path}"
        self.pairs, self.ended = {}, False
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.ended:
            if self.state == "down" and self.gate:
                self.gate.close()
                self.gate = None
                self._drop(*self.pairs)
            elif self.state != "down" and not self.gate:
                self.gate = socket.create_server(self.address)
            for one in select.select([*self.pairs, *([self.gate] if self.gate else [])], [], [], 0.02)[0]:
                if one is self.gate:
                    near, far = one.accept()[0], socket.create_connection(self.target)
                    self.pairs |= {near: far, far: near}
                elif one in self.pairs:
                    self._pass_on(one)

    def _pass_on(self, one):
        try:
            data = one.recv(65536)
            if self.state == "hung":
                self.swallowed += len(data)
            elif data:
                self.pairs[one].sendall(data)
        except OSError:
            data = b""
        if not data:
            self._drop(one, self.pairs[one])

    def _drop(self, *sockets):
        for one in sockets:
            self.pairs.pop(one, None)
            one.close()

    def mend(self):
        """What was swallowed is lost, so its connections have to go."""
        self.state = "down"
        wait_until(lambda: not self.pairs, 10, "the connections are gone")
        self.state = "up"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended = True
        self.thread.join()
        self._drop(*self.pairs, *([self.gate] if self.gate else []))


@pytest.fixture
def healthy(worker):
    """healthy(pool, ...) starts a worker with a health server: (it, its Probe)."""
    def start(pool, *arguments, **settings):
        one = worker(pool, "--with-healthcheck", *arguments, **{"PREFECT_WORKER_WEBSERVER_PORT": 0} | settings)
        return one, Probe(one)

    return start


@pytest.fixture
def link(server):
    with Link(server.url) as link:
        yield link


def listening(pid):
    """Local addresses at which this process listens, as (hexadecimal address, port)."""
    links = (os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir())
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    rows = [row.split() for table in ("tcp", "tcp6") for row in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]]
    return {(row[1].split(":")[0], int(row[1].split(":")[1], 16)) for row in rows if row[3] == "0A" and row[9] in inodes}


@pytest.mark.threads
@pytest.mark.versions
def test_a_worker_that_is_well(idle, healthy):
    _, probe = healthy(idle.pool)
    probe.wait_ready()
    for path in ("/health", "/livez", "/readyz"):
        answer = probe.get(path)
        assert (answer.status_code, answer.json()) == (200, OK)
        assert answer.headers["content-type"] == "application/json"
    answer = probe.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    types, samples = parse(answer.text)
    assert samples["ready"] == 1 and samples['polls_total{result="success"}'] > 0
    assert samples["last_poll_success_timestamp_seconds"] > 1.7e9
    assert types[PREFIX + "request_duration_seconds"] == "histogram"


@pytest.mark.parametrize("outage", ["down", "hung"])
def test_an_outage_shows_within_one_interval(idle, healthy, link, outage):
    """Told by the polls themselves: it is false at the first one that fails, or before it where it just hangs."""
    _, probe = healthy(idle.pool, PREFECT_API_URL=link.url, PREFECT_WORKER_QUERY_SECONDS=2)
    probe.wait_ready()
    success, failure = ('polls_total{result="success"}', 'polls_total{result="failure"}')
    for _ in range(2):
        before = probe.metrics()
        link.state = outage
        broken = wait_until(lambda: not (seen := probe.metrics())["ready"] and seen, 60, "not ready")
        assert broken[failure] - before[failure] == (outage == "down")
        assert probe.well() == [True, False, False]
        answer = probe.get("/health")
        assert (answer.status_code, answer.json()) == (503, UNRESPONSIVE)
        link.mend()
        mended = wait_until(lambda: (seen := probe.metrics())["ready"] and seen, 60, "ready again")
        assert mended[success] - broken[success] == 1
        assert probe.well() == [True] * 3


def test_a_server_that_is_away_at_the_start(idle, healthy, link):
    link.state = "down"
    one, probe = healthy(idle.pool, PREFECT_API_URL=link.url)
    one.wait_output("waiting for the server")
    assert probe.well() == [True, False, False]
    assert probe.metrics()["last_poll_success_timestamp_seconds"] == 0
    link.state = "up"
    wait_until(lambda: probe.well() == [True] * 3, 90, "ready")


@pytest.mark.versions
def test_metrics_of_real_runs(db, idle, old, healthy):
    _, probe = healthy(idle.pool)
    (state, ids), (kept, kept_ids) = old(35), old(4)
    asked = {what: idle.ask(kept, **more) for what, more in
             {"rejected": {}, "dry_run": {"dry_run": True}, "cancelled": {}, "parked": {}}.items()}
    asked["completed"] = idle.ask(state, batch_size=10)
    samples = probe.metrics()
    assert samples["parked_runs"] == samples['runs_total{outcome="parked"}'] == 5
    assert samples["deleted_flow_runs_total"] == samples["last_cleanup_success_timestamp_seconds"] == 0

    idle.answer(asked["rejected"], False)
    idle.approve(asked["dry_run"])
    idle.api.cancel(asked["cancelled"])
    idle.approve(asked["completed"])
    idle.result(idle.trigger(unique("None")))
    idle.failure(idle.trigger(batch_size=1))
    expired = idle.ask(kept, job_variables={"approval_timeout": 10})
    idle.result(asked["rejected"])
    idle.failure(expired)
    idle.api.wait_state(asked["cancelled"], "Cancelled")
    outcomes = {"completed": 1, "no_action": 1, "rejected": 1, "dry_run": 1, "failed": 1, "cancelled": 1, "crashed": 0,
                "expired": 1, "parked": 6, "left": 0}
    wait_until(lambda: (seen := probe.metrics())["running_runs"] == 0 and seen["parked_runs"] == 1, 30, "all is told")
    samples = probe.metrics()
    assert {key: value for key, value in samples.items() if key.startswith("runs_total")} == {
        f'runs_total{{outcome="{name}"}}': count for name, count in outcomes.items()}
    assert samples["deleted_flow_runs_total"] == len(ids) - len(db.existing(ids)) == 35
    assert db.existing(kept_ids) == set(kept_ids) and samples["delete_failures_total"] == 0
    assert samples["parked_runs"] == 1 and samples["waiting_runs"] == samples["backlog_age_seconds"] == 0
    end = db.states(asked["completed"])[-1]["timestamp"].timestamp()
    assert samples["last_cleanup_success_timestamp_seconds"] >= end - 60

    samples = probe.metrics()
    tries = sum(value for key, value in samples.items() if key.startswith("requests_total"))
    assert tries - samples["request_duration_seconds_count"] in (0, 1)  # between counting the one and the other
    assert samples["request_duration_seconds_sum"] > 0.001 * samples['requests_total{code="2xx"}'] > 0


def test_the_backlog(idle, old, healthy):
    """One run has the only slot, the other waits for it."""
    state, ids = old(20)
    _, probe = healthy(idle.pool, "--limit", 1)
    slow = idle.ask(state, batch_size=10, job_variables={"batch_pause_ms": 600_000})
    idle.answer(slow, True)
    idle.wait_left(ids, 10)
    assert probe.metrics()["waiting_runs"] == probe.metrics()["backlog_age_seconds"] == 0
    idle.trigger(unique("None"))
    first = wait_until(lambda: (seen := probe.metrics())["waiting_runs"] == 1 and seen, 30, "a run waits")
    assert first["running_runs"] == 1
    wait_until(lambda: probe.metrics()["backlog_age_seconds"] > first["backlog_age_seconds"] + 0.1, 10, "it gets older")
    assert first["backlog_age_seconds"] < 60  # since its time, not since 1970


def test_retries_and_failures_are_counted(idle, healthy, link):
    _, probe = healthy(idle.pool, PREFECT_API_URL=link.url)
    probe.wait_ready()
    before = probe.metrics()
    link.state = "down"
    wait_until(lambda: (seen := probe.metrics())["request_retries_total"] > before["request_retries_total"] and
               seen['requests_total{code="none"}'] > before['requests_total{code="none"}'], 30, "retries")


def request(probe, text):
    """Sends the bytes, and returns the answer up to its end."""
    with socket.create_connection(probe.address, timeout=30) as client:
        with contextlib.suppress(ConnectionError):  # it need not read all of a body
            client.sendall(text)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while data := client.recv(65536):
                answer += data
    return answer


@pytest.mark.parametrize("line, status", [
    ("GET /health", 200), ("GET /health?verbose=1", 200), ("GET /", 404), ("GET /healthz", 404), ("GET /health/", 404),
    ("GET /../../etc/passwd", 404), ("POST /nothing", 404), ("POST /health", 405), ("HEAD /livez", 405), ("PUT /readyz", 405),
    ("DELETE /metrics", 405), ("OPTIONS /metrics", 405), ("BREW /livez", 405),
])
def test_paths_and_methods(server_probe, line, status):
    answer = request(server_probe, f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer
    assert (b"\r\nAllow: GET\r\n" in answer) == (status == 405)


@pytest.mark.parametrize("head, body", [
    ("Content-Length: 5", b"hello"), ("Content-Length: 999999999999", b"x" * 100_000), ("Content-Length: 5", b""),
    ("Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n"), ("Transfer-Encoding: chunked", b"zzz"),
], ids=["short", "endless", "missing", "chunked", "broken"])
def test_bodies_are_ignored(server_probe, head, body):
    answer = request(server_probe, f"GET /livez HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\n".encode() + body)
    assert answer.startswith(b"HTTP/1.1 200 "), answer


@pytest.mark.parametrize("text", [b"\x00\x01\x02\r\n\r\n", b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
                                  b"GET /livez HTTP/1.1\r\nA: " + b"x" * 100_000 + b"\r\n\r\n", b"GET\r\n\r\n"],
                         ids=["no HTTP", "long path", "long header", "no path"])
def test_nonsense_does_no_harm(server_probe, text):
    assert not request(server_probe, text).startswith(b"HTTP/1.1 200 ")
    assert server_probe.get("/livez").status_code == 200


def test_idle_connections_are_ended(server_probe):
    """More of them than there are places: the next one gets its answer all the same."""
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            client = stack.enter_context(socket.create_connection(server_probe.address, timeout=30))
            client.sendall(b"GET /livez HTTP/1.1\r\n")
        wait_until(lambda: server_probe.get("/livez").status_code == 200, 60, "an answer")


@pytest.fixture(scope="module")
def server_probe(server, db, api, cli):
    """One worker for all tests that only look at how it answers."""
    from conftest import workers
    with workers(server) as start:
        probe = Probe(start(unique("pool"), "--with-healthcheck", PREFECT_WORKER_WEBSERVER_PORT=0))
        probe.wait_ready()
        yield probe


@pytest.mark.parametrize("settings, address", [
    ({}, "0100007F"), ({"PREFECT_WORKER_WEBSERVER_HOST": "localhost"}, "0100007F"),
    ({"PREFECT_WORKER_WEBSERVER_HOST": "0.0.0.0"}, "00000000"),
], ids=["default", "by name", "everywhere"])
def test_where_it_listens(idle, healthy, settings, address):
    one, probe = healthy(idle.pool, **settings)
    assert listening(one.process.pid) in ({(address, probe.address[1])},
                                          {("00000000000000000000000001000000", probe.address[1])})  # localhost as ::1


def test_no_port_unasked(idle, worker):
    one = worker(idle.pool, PREFECT_WORKER_WEBSERVER_PORT=0)
    one.wait_output("started: work pool")
    assert listening(one.process.pid) == set() and "health and metrics" not in one.output()


@pytest.mark.parametrize("settings, text", [
    ({}, "PREFECT_WORKER_WEBSERVER_PORT"),
    ({"PREFECT_WORKER_WEBSERVER_HOST": "192.0.2.1"}, "PREFECT_WORKER_WEBSERVER_HOST"),
    ({"PREFECT_WORKER_WEBSERVER_HOST": "no.such.host.invalid"}, "PREFECT_WORKER_WEBSERVER_HOST"),
], ids=["taken", "not of this machine", "no address"])
def test_an_address_that_cannot_be_had(server, settings, text):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run_cli(server.url, "start", "--pool", unique("pool"), "--with-healthcheck",
                       **{"PREFECT_WORKER_WEBSERVER_PORT": taken.getsockname()[1]} | settings)
    assert done.returncode == 1 and text in done.stderr, done


def test_no_secrets(idle, healthy):
    _, probe = healthy(idle.pool, PREFECT_API_KEY="hush-key", PREFECT_CLIENT_CUSTOM_HEADERS='{"X-Token": "hush-token"}')
    probe.wait_ready()
    for path in ("/health", "/livez", "/readyz", "/metrics", "/nothing"):
        answer = probe.get(path)
        assert "hush" not in answer.text + str(answer.headers)


@pytest.mark.threads
def test_it_is_not_ready_while_it_drains(idle, healthy, link):
    """A request under way holds the end up for a few seconds."""
    one, probe = healthy(idle.pool, PREFECT_API_URL=link.url, PREFECT_WORKER_QUERY_SECONDS=300,
                         PREFECT_WORKER_HEARTBEAT_SECONDS=1)
    probe.wait_ready()
    link.state = "hung"
    wait_until(lambda: link.swallowed > 0, 30, "a heartbeat is under way")
    assert probe.well() == [True] * 3
    one.process.send_signal(signal.SIGTERM)
    one.wait_output("stopping: ")
    assert probe.well() == [True, True, False]
    one.wait()


# --- a service that is held --------------------------------------------------------------------------

PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT, WAIT_ALL = 17, 0x4206, 0x4207, 0x40000000


@contextlib.contextmanager
def held(pid, name):
    """Stops one thread of the process, as a debugger does, and nothing else of it."""
    [thread] = [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir() if (task / "comm").read_text().strip() == name]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
        assert libc.ptrace(request, thread, None, None) == 0, os.strerror(ctypes.get_errno())
    os.waitpid(thread, WAIT_ALL)
    try:
        yield
    finally:
        libc.ptrace(PTRACE_DETACH, thread, None, None)


class Systemd:
    """The socket that NOTIFY_SOCKET names, and what came to it."""

    def __init__(self):
        self.name = f"@{unique('janitor-notify')}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.name[1:])
        self.socket.setblocking(False)
        self.messages = []

    def read(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                self.messages.append(self.socket.recv(4096).decode())
        return self.messages

    def wait(self, message, count=1, timeout=60):
        wait_until(lambda: sum(one.startswith(message) for one in self.read()) >= count, timeout, f"{count} times {message}")


@pytest.fixture
def systemd():
    systemd = Systemd()
    yield systemd
    systemd.socket.close()


def test_a_held_service_is_not_live(idle, healthy, systemd):
    """The one that is given the least time."""
    one, probe = healthy(idle.pool, PREFECT_API_REQUEST_TIMEOUT=1, NOTIFY_SOCKET=systemd.name, WATCHDOG_USEC=400_000)
    probe.wait_ready()
    with held(one.process.pid, "logs"):
        systemd.wait("STATUS=a service makes no progress")
        assert probe.well() == [False, False, False]
        count = systemd.messages.count("WATCHDOG=1")
        polls = probe.metrics()['polls_total{result="success"}']
        wait_until(lambda: probe.metrics()['polls_total{result="success"}'] > polls + 3, 30, "the others go on")
        assert systemd.read().count("WATCHDOG=1") - count <= 1
    wait_until(lambda: probe.well() == [True] * 3, 30, "live again")
    systemd.wait("WATCHDOG=1", count + 3)


def test_systemd_is_told_in_order(idle, worker, link, systemd):
    link.state = "down"
    one = worker(idle.pool, PREFECT_API_URL=link.url, NOTIFY_SOCKET=systemd.name, WATCHDOG_USEC=500_000)
    systemd.wait("WATCHDOG=1", 3)  # it is alive while it waits for its server
    assert set(systemd.read()) == {"WATCHDOG=1", "STATUS=waiting for the server; flow runs: 0 running, 0 waiting, 0 paused"}
    link.state = "up"
    systemd.wait("READY=1")
    systemd.wait("STATUS=looking for flow runs")
    systemd.wait("WATCHDOG=1", systemd.read().count("WATCHDOG=1") + 2)
    one.stop()
    told = [message for message in systemd.read() if message != "WATCHDOG=1"]
    steps = [re.match("READY=1|STOPPING=1|STATUS=[a-z]+", message)[0] for message in told]
    assert [step for step in steps if step != "STATUS=stopping"] in (
        ["STATUS=waiting", "READY=1", "STATUS=looking", "STOPPING=1"],
        ["STATUS=waiting", "READY=1", "STATUS=the", "STATUS=looking", "STOPPING=1"])  # joined, and not polled yet
    assert systemd.messages.index("STOPPING=1") > systemd.messages.index("READY=1")


def test_systemd_is_told_of_an_end_by_itself(idle, worker, systemd):
    worker(idle.pool, "--run-once", NOTIFY_SOCKET=systemd.name).wait()
    told = [message for message in systemd.read() if not message.startswith("STATUS=")]
    assert told == ["READY=1", "STOPPING=1"]
