"""What the integration tests need: a Prefect server, its API and database, a history in it, and our program."""

import contextlib
import fcntl
import itertools
import json
import os
import queue
import select
import signal
import subprocess
import threading
import time
import uuid
from datetime import datetime, timedelta, timezone
from pathlib import Path

import database
import httpx

PROJECT = Path(__file__).resolve().parents[2]
SERVER_COMMAND = PROJECT / "scripts/server"
PROGRAM = PROJECT / os.environ.get("PREFECT_JANITOR_BIN", "build/prefect-janitor")
DATABASE = os.environ.get("PREFECT_DATABASE", "sqlite")
POLL_SECONDS = 0.02
EXIT_SECONDS = 60
SERVER_SETTINGS = (
    # What the server does every 5 to 30 s, and what tests would wait for.
    "PREFECT_DEPLOYMENT_CONCURRENCY_SLOT_WAIT_SECONDS=1",
    "PREFECT_SERVER_SERVICES_FOREMAN_LOOP_SECONDS=1",
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS=1",
    "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_INTERVAL_SECONDS=1",
)
SANITIZER_REPORTS = (
    "ERROR: AddressSanitizer",
    "ERROR: LeakSanitizer",
    "WARNING: ThreadSanitizer",
    "FATAL: ThreadSanitizer",
    "runtime error:",
)


def wait_until(predicate, timeout, what):
    """The predicate's first true value. An error it raises counts as "not yet" and is told at the end."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            seen = predicate()
            if seen:
                return seen
        except AssertionError as error:
            seen = error
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}; last seen: {seen!r}"
        time.sleep(POLL_SECONDS)


def unique(prefix):
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def from_now(**span):
    """A time that lies so far ahead, or, by negative values, so far back."""
    return datetime.now(timezone.utc) + timedelta(**span)


def parse_time(text):
    """As the API and the database write it; the latter leaves UTC unsaid."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


def assert_no_sanitizer_report(stderr):
    found = [report for report in SANITIZER_REPORTS if report in stderr]
    assert not found, f"a sanitizer reported {found}:\n{stderr[-8000:]}"


def environment(**settings):
    """Ours only: a setting of the user's shell, or of a profile, must not change what a test does. None: not set."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("PREFECT_", "SSL_CERT_"))}
    clean["PREFECT_PROFILES_PATH"] = os.devnull
    return clean | {key: str(value) for key, value in settings.items() if value is not None}


@contextlib.contextmanager
def own_name(prefix):
    """Runs side by side get servers of their own; what a killed run left behind is taken over and cleared."""
    homes = PROJECT / ".prefect"
    homes.mkdir(exist_ok=True)
    for number in itertools.count(1):
        with open(homes / f"{prefix}-{number}.lock", "w") as guard:
            try:
                fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield f"{prefix}-{number}"
            return


class Server:
    """An embedded Prefect server of this test run."""

    def __init__(self, name, version=None, settings=(), defaults=False):
        """@defaults: as a user starts it, without what is made quicker for the tests."""
        self.name = name
        self.home = PROJECT / ".prefect" / name
        self.options = ["--version", version] if version else []
        self.options += ["--database", DATABASE]
        self.options += [part for setting in (*(() if defaults else SERVER_SETTINGS), *settings) for part in ("--env", setting)]
        self.url = None

    def start(self, *options):
        self.url = self._command("start", *self.options, *options).strip()

    def _command(self, command, *arguments):
        run = subprocess.run([SERVER_COMMAND, command, "--name", self.name, *arguments],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        assert run.returncode == 0, f"scripts/server {command} failed"
        return run.stdout

    def stop(self):
        self._command("stop")

    def kill(self):
        """SIGKILL: nothing is put in order. Its database goes on."""
        ended = os.pidfd_open(pid := json.loads((self.home / "server.json").read_text())["pid"])
        os.killpg(pid, signal.SIGKILL)
        select.select([ended], [], [])
        os.close(ended)

    def python(self, *arguments):
        """Runs a script with this server's own Prefect and settings; returns what it prints."""
        return self._command("python", *arguments)

    def __enter__(self):
        try:
            self.start("--fresh")
        except BaseException:  # an interrupted start leaves a server too
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()


class Api:
    """Prefect's REST API. A locked SQLite database answers 503: that is normal life and tried again."""

    def __init__(self, url, db, auth=None):
        self.url, self.db = url, db
        self.http = httpx.Client(base_url=url, timeout=60, auth=auth)

    def request(self, method, path, body=None):
        deadline = time.monotonic() + 60
        while True:
            answer = self.http.request(method, path, json=body)
            if answer.status_code != 503 or time.monotonic() > deadline:
                return answer
            time.sleep(0.2)

    def _ok(self, method, path, body=None):
        answer = self.request(method, path, body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def get(self, path):
        return self._ok("GET", path)

    def post(self, path, body=None):
        return self._ok("POST", path, body or {})

    def patch(self, path, body):
        return self._ok("PATCH", path, body)

    def delete(self, path):
        return self._ok("DELETE", path)

    def deployment(self, name, flow="database-cleanup"):
        return self.get(f"/deployments/name/{flow}/{name}")

    def trigger(self, deployment_id, parameters=None, enforce=True, scheduled_time=None, **more):
        """Returns the new flow run's id."""
        body = {
            "parameters": parameters or {},
            "enforce_parameter_schema": enforce,
            "idempotency_key": str(uuid.uuid4()),  # a retried 503 must not make two
            "state": {"type": "SCHEDULED", "state_details": {"scheduled_time": scheduled_time}},
        }
        return self.post(f"/deployments/{deployment_id}/create_flow_run", body | more)["id"]

    def run(self, run_id):
        return self.get(f"/flow_runs/{run_id}")

    def set_state(self, run_id, state_type, name=None, force=True, **state):
        state |= {"type": state_type, "name": name or state_type.title()}
        return self.post(f"/flow_runs/{run_id}/set_state", {"state": state, "force": force})

    def resume(self, run_id, run_input=None):
        """Returns the server's verdict: its status is ACCEPT or REJECT."""
        return self.post(f"/flow_runs/{run_id}/resume", {"run_input": run_input})

    # What the buttons of the UI send.
    def cancel(self, run_id):
        return self.set_state(run_id, "CANCELLING", "Cancelling")

    def suspend(self, run_id):
        """The UI's "Pause"."""
        details = {"pause_timeout": str(from_now(minutes=5)), "pause_reschedule": True}
        return self.set_state(run_id, "PAUSED", "Suspended", state_details=details)

    def retry(self, run_id):
        return self.set_state(run_id, "SCHEDULED", "AwaitingRetry", message="Retry from the Prefect UI")

    def log_rows(self, run_id):
        body = {"logs": {"flow_run_id": {"any_": [run_id]}}, "sort": "TIMESTAMP_ASC", "limit": 200}
        return self.post("/logs/filter", body)

    def logs(self, run_id):
        """The run's log messages, in order."""
        return [log["message"] for log in self.log_rows(run_id)]

    def input(self, run_id, key):
        """What is stored under the key, decoded; None where nothing is."""
        answer = self.request("GET", f"/flow_runs/{run_id}/input/{key}")
        assert answer.status_code in (200, 404), f"input {key}: {answer.status_code} {answer.text}"
        return answer.json() if answer.status_code == 200 else None

    def wait_state(self, run_id, *names, timeout=90):
        """Waits for a state of one of these names and returns the run. Any other final state ends the wait."""
        def over():  # looks into the database, so as to leave the server's time to the worker
            state_type, state_name = self.db.state(run_id)
            return state_name in names or state_type in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

        try:
            wait_until(over, timeout, f"flow run {run_id} {' or '.join(names)}")
            name = self.db.state(run_id)[1]
            assert name in names, f"flow run {run_id} is {name}, not {' or '.join(names)}"
        except AssertionError as error:
            logs = "\n".join(self.logs(run_id))
            raise AssertionError(f"{error}\nits state: {self.run(run_id)['state']}\nits logs:\n{logs}") from None
        return self.run(run_id)

    def wait_question(self, run_id, **more):
        """Waits until the run is Paused and has its form, which it gets a moment later, the schema last. Returns the run."""
        run = self.wait_state(run_id, "Paused", **more)
        key = run["state"]["state_details"]["run_input_keyset"]["schema"]
        wait_until(lambda: key in self.db.inputs(run_id), 30, f"the form of flow run {run_id}")
        return run


class Db:
    """The server's own tables: what is really there. Nothing is written but by write()."""

    def __init__(self, home):
        self.database = database.connect(json.loads((Path(home) / "server.json").read_text())["database"])

    def query(self, sql, *values):
        return [dict(row) for row in self.database.query(sql, *values)]

    def write(self, sql, *values):
        """Past the server, for what its API does not do."""
        self.database.write(sql, *values)

    def existing(self, ids):
        """Which of these flow runs are still there."""
        rows = self.query("SELECT id FROM flow_run WHERE id IN (SELECT value FROM json_each(?))", json.dumps(list(ids)))
        return {row["id"] for row in rows}

    def state(self, run_id):
        """Type and name of the run's state."""
        [row] = self.query("SELECT state_type, state_name FROM flow_run WHERE id = ?", run_id)
        return row["state_type"], row["state_name"]

    def states(self, run_id):
        """Every state the run was in, the first one first; data and details decoded."""
        rows = self.query("SELECT state.type, name, message, timestamp, result.data, state_details"
                          " FROM flow_run_state AS state LEFT JOIN artifact AS result ON result.id = result_artifact_id"
                          " WHERE state.flow_run_id = ? ORDER BY timestamp", run_id)
        for row in rows:
            row["timestamp"] = parse_time(row["timestamp"])
            row["data"] = json.loads(row["data"]) if row["data"] else None
            row["state_details"] = json.loads(row["state_details"])
        return rows

    def state_names(self, run_id):
        return [state["name"] for state in self.states(run_id)]

    def logs(self, run_id):
        rows = self.query("SELECT message FROM log WHERE flow_run_id = ? ORDER BY timestamp", run_id)
        return [row["message"] for row in rows]

    def inputs(self, run_id):
        """Key to value, as stored."""
        rows = self.query("SELECT key, value FROM flow_run_input WHERE flow_run_id = ?", run_id)
        return {row["key"]: row["value"] for row in rows}


class History:
    """scripts/history.py, kept running: importing the server's models takes seconds."""

    ANSWER_SECONDS = 300

    def __init__(self, server):
        self.process = subprocess.Popen(
            [SERVER_COMMAND, "python", "--name", server.name, PROJECT / "scripts/history.py", "--spec", "-"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answers = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.answers.put(json.loads(line))
        self.answers.put(None)

    def __call__(self, *groups):
        """Writes the groups (see Group in history.py); one list of new flow run ids for each."""
        self.process.stdin.write(json.dumps(groups, default=str) + "\n")
        self.process.stdin.flush()
        ids = self.answers.get(timeout=self.ANSWER_SECONDS)
        assert ids is not None, "scripts/history.py failed; its error is above"
        return ids

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=EXIT_SECONDS)


def run_cli(url, *arguments, timeout=60, **settings):
    """Runs the program to its end. Every run of it must be free of sanitizer reports."""
    run = subprocess.run([PROGRAM, *map(str, arguments)], env=environment(**({"PREFECT_API_URL": url} | settings)),
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
    assert_no_sanitizer_report(run.stderr)
    return run


class Worker:
    """`prefect-janitor start` in the background, at a test's pace."""

    def __init__(self, url, folder, pool, *arguments, name=None, **settings):
        """Without a pool it comes from elsewhere than the command line."""
        self.name = name or unique("worker")
        self.log = Path(folder) / f"{self.name}.log"
        defaults = {
            "PREFECT_API_URL": url,
            "PREFECT_WORKER_QUERY_SECONDS": 0.3,
            "PREFECT_WORKER_HEARTBEAT_SECONDS": 2,
            "PREFECT_JANITOR_WATCH_SECONDS": 0.2,
            "PREFECT_LOGGING_LEVEL": "DEBUG",
        }
        with open(self.log, "a") as log:  # a worker that is started again goes on with its log
            self.process = subprocess.Popen(
                [PROGRAM, "start", *(["--pool", pool] if pool else []), "--name", self.name, *map(str, arguments)],
                env=environment(**(defaults | settings)), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def output(self):
        return self.log.read_text(errors="replace")

    def wait_output(self, text, timeout=EXIT_SECONDS):
        wait_until(lambda: text in self.output(), timeout, f"'{text}' in the log of worker {self.name}")

    def wait(self, expect=0, timeout=EXIT_SECONDS):
        """For a worker that ends by itself, as with --run-once."""
        try:
            code = self.process.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"worker {self.name} did not end within {timeout} s:\n{self.output()}") from None
        assert_no_sanitizer_report(self.output())
        assert code == expect, f"worker {self.name} ended with {code}, not {expect}:\n{self.output()}"

    def stop(self, expect=0, timeout=EXIT_SECONDS):
        self.process.send_signal(signal.SIGTERM)
        self.wait(expect, timeout)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        """At a test's end: whatever became of it, it must have been clean."""
        if self.process.poll() is None:
            # One that has not even begun has no handler yet, and nothing to leave in order.
            begun = self.output() != ""
            self.process.send_signal(signal.SIGTERM)
            self.wait(0 if begun or self.process.wait(timeout=EXIT_SECONDS) == 0 else -signal.SIGTERM)
        assert_no_sanitizer_report(self.output())
