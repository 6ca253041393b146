"""A randomized run of everything at once on a real server: make torture [MINUTES=5] [SEED=...].

Three workers of one pool, each behind a fault proxy of its own, and a person who answers, cancels, pauses, retries and
deletes cleanup runs, while workers and server are killed, stopped and cut off. After that everything is left to settle,
and the auditor compares every decision with every deletion.
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import threading
import time
import uuid
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))
import httpx  # noqa: E402
import proxy as faults  # noqa: E402
from auditor import Auditor  # noqa: E402
from harness import (Api, Db, History, Server, Worker, assert_no_sanitizer_report, from_now,  # noqa: E402
                     own_name, run_cli, unique)
from schedule import WORKERS, Schedule  # noqa: E402

TICK_SECONDS = 0.05
SETTLE_SECONDS = 240
SLOW_SECONDS = 3
QUIET_SECONDS = 5  # after the last run ended: nothing may vanish any more
APPROVAL_SECONDS = 45  # a busy server takes its time for a yes
TERM_SECONDS = 10
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
REQUEST_FAULTS = {
    "close": faults.close, "half": faults.half, "garbage": faults.garbage, "html": faults.html, "shape": faults.shape,
    "429": lambda: faults.status(429, retry_after=2), "delay": lambda: faults.delay(4),
} | {str(code): lambda code=code: faults.status(code) for code in (500, 502, 503, 504)}


def now():
    return datetime.now(timezone.utc)


class Away(Exception):
    """The server gave no answer, so that nobody knows whether it did what it was asked."""


class Person(Api):
    """Somebody at the UI: one try, and no patience."""

    def __init__(self, url, db):
        super().__init__(url, db)
        self.http = httpx.Client(base_url=url, timeout=10)

    def request(self, method, path, body=None):
        try:
            answer = self.http.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise Away(repr(error)) from None
        if answer.status_code >= 500:
            raise Away(f"{answer.status_code} {answer.text[:80]}")
        return answer


class Cleanup:
    """One cleanup run, what was done to it and when."""

    def __init__(self, script, person, deployment_id):
        self.script, self.person, self.deployment_id = script, person, deployment_id
        self.id, self.key = None, str(uuid.uuid4())
        self.deeds = []  # (when, what, what the server said)
        self.acts, self.retries = list(script.acts), list(script.retries)
        self.questions = 0  # answered
        self.seen = (None, 0)  # the state and since when
        self.resume_at = self.created = None
        self.deleted = False
        self.idle_until = 0

    def do(self, what, action):
        """Returns the server's answer; None for a refusal. Away is for the caller: it is to be tried again, or not."""
        started = now()
        try:
            answer = action()
        except Away as error:
            self.deeds.append((started, what, f"no answer: {error}"))
            self.idle_until = time.monotonic() + 0.5
            raise
        except AssertionError as error:
            self.deeds.append((started, what, f"refused: {error}"))
            return None
        told = answer.get("status", "done") if isinstance(answer, dict) else "done"
        self.deeds.append((started, what, told))
        return answer or {}

    def step(self, state, at, interfere):
        """@state: type and name as the database has them, None where the run is not there. True when nothing is left to do."""
        if time.monotonic() < self.idle_until:
            return False
        try:
            return self._step(state, at, interfere)
        except Away:
            return False

    def _step(self, state, at, interfere):
        if self.id is None:
            if at >= self.script.at:
                self.trigger(at)
            return False
        if state is None:
            return self.deleted
        if state != self.seen[0]:
            self.seen = (state, at)
        if interfere and self.acts and at - self.created >= self.acts[0][0]:
            self.act(state, at, *self.acts.pop(0)[1:])
            return False
        if state[1] == "Paused":
            self.answer(at)
        elif state[1] == "Suspended":
            if self.resume_at is None or at >= self.resume_at:
                self.do("resume", lambda: self.person.resume(self.id))
        elif state[0] in FINAL:
            return self.retry(at, interfere)
        return False

    def trigger(self, at):
        config = {"states_to_clean": [self.script.group.state], "batch_size": self.script.batch_size,
                  "dry_run": self.script.dry_run}
        variables = {"batch_pause_ms": self.script.pause_ms, "approval_timeout": APPROVAL_SECONDS}
        self.do("trigger", lambda: setattr(self, "id", self.person.trigger(
            self.deployment_id, {"config": config}, enforce=False, job_variables=variables, idempotency_key=self.key)))
        self.created = at

    def act(self, state, at, what, how):
        if state[0] in FINAL and what != "delete" or what == "suspend" and state[0] != "RUNNING":
            return
        if what == "suspend":
            self.resume_at = at + how
        actions = {"cancel": lambda: self.person.cancel(self.id),
                   "suspend": lambda: self.person.suspend(self.id),
                   "delete": lambda: self.person.delete(f"/flow_runs/{self.id}"),
                   "end": lambda: self.person.set_state(self.id, how, message="set by torture")}
        self.deleted |= what == "delete"
        self.do(f"{what} {how}" if what == "end" else what, actions[what])

    def answer(self, at):
        kind, delay = self.script.answers[min(self.questions, len(self.script.answers) - 1)]
        if kind == "never" or at - self.seen[1] < delay:
            return
        answers = {"yes": lambda: self.person.resume(self.id, {"approve": True, "notes": f"yes {self.script.number}"}),
                   "no": lambda: self.person.resume(self.id, {"approve": False, "notes": "no"}),
                   "nothing": lambda: self.person.set_state(self.id, "RUNNING", message="set by torture"),
                   "cancel": lambda: self.person.cancel(self.id)}
        self.do(kind, answers[kind])

    def retry(self, at, interfere):
        """Of a finished run; True where it is left finished."""
        if not self.retries or not interfere:
            return True
        if at - self.seen[1] >= self.retries[0]:
            self.retries.pop(0)
            self.questions += 1
            self.do("retry", lambda: self.person.retry(self.id))
        return False


class Hand:
    """One worker, the proxy before it, and what was done to it."""

    def __init__(self, torture, number):
        self.torture, self.number = torture, number
        self.name = unique(f"torture-{number}")
        self.proxy = faults.Proxy(torture.server.url)
        self.deeds = []
        self.stopped_until = self.start_at = self.ending = None
        self.worker = None
        self.start()

    def note(self, what):
        self.deeds.append((now(), what))
        self.torture.say(f"worker {self.number}: {what}")

    def start(self):
        self.start_at = None
        self.worker = Worker(self.proxy.url + "/api", self.torture.folder, self.torture.pool, name=self.name,
                             PREFECT_API_REQUEST_TIMEOUT=5, PREFECT_WORKER_QUERY_SECONDS=1, PREFECT_JANITOR_WATCH_SECONDS=1)
        self.note("started")

    def end(self, how, seconds, at):
        """SIGKILL or SIGTERM; it is started again so many seconds after its end."""
        self.let_go()
        self.note(how.name)
        self.worker.process.send_signal(how)
        self.ending = (how, at, seconds)

    def await_end(self, at):
        how, since, seconds = self.ending
        code = self.worker.process.poll()
        if code is None and at - since < TERM_SECONDS:
            return
        if code is None:
            self.torture.complain(f"worker {self.number} did not end within {TERM_SECONDS} s after {how.name}:\n"
                                  + self.worker.output()[-3000:])
            self.worker.kill()
        elif how == signal.SIGTERM and code != 0:
            self.torture.complain(f"worker {self.number} ended with {code} after SIGTERM")
        self.ending, self.start_at = None, at + seconds

    def hold(self, seconds, at):
        self.note(f"SIGSTOP for {seconds:.1f} s")
        self.worker.process.send_signal(signal.SIGSTOP)
        self.stopped_until = at + seconds

    def let_go(self):
        if self.stopped_until is not None:
            self.stopped_until = None
            self.worker.process.send_signal(signal.SIGCONT)

    def tick(self, at):
        if self.stopped_until is not None and at >= self.stopped_until:
            self.let_go()
        if self.ending:
            self.await_end(at)
        elif self.start_at is not None:
            if at >= self.start_at:
                self.start()
        elif self.worker.process.poll() is not None:
            self.torture.complain(f"worker {self.number} ended by itself with {self.worker.process.returncode}:\n"
                                  + self.worker.output()[-3000:])
            self.start()

    def is_up(self):
        return self.start_at is None and self.ending is None

    def calm(self):
        self.let_go()
        self.proxy.clear()
        self.proxy.up()

    def close(self):
        if self.worker.process.poll() is None:
            self.let_go()
            self.worker.kill()
        self.proxy.close()


class Torture:
    def __init__(self, server, schedule, folder):
        self.server, self.schedule, self.folder = server, schedule, folder
        self.started = time.monotonic()
        self.complaints = []
        self.db = Db(server.home)
        self.person = Person(server.url, self.db)
        self.pool = unique("torture")
        self.old, self.bystanders = self.write_history()
        self.db.database.record_deletions("torture_gone")
        self.hands, self.server_thread = [], None
        self.cleanups = [Cleanup(script, self.person, self.deploy()) for script in schedule.scripts]

    def deploy(self):
        """A deployment for each cleanup: of one deployment's runs only the newest asks. Returns its id."""
        name = unique("torture")
        done = run_cli(self.server.url, "deploy", "--pool", self.pool, "--name", name, "--concurrency-limit", 0)
        assert done.returncode == 0, done.stderr
        return self.person.deployment(name)["id"]

    def write_history(self):
        """Old runs by group, and runs that nobody may touch: younger ones of the same state, and old ones of another."""
        def runs(state, count, days):
            end = from_now(days=-days)
            return {"flow": "torture", "count": count, "state_name": state, "start_time": end, "end_time": end}

        groups = self.schedule.groups
        history = History(self.server)
        ids = history(*(runs(group.state, group.count, 40) for group in groups),
                      *(runs(group.state, 2, 20) for group in groups), runs("Bystander", 50, 40))
        history.stop()
        return ids[:len(groups)], {one for some in ids[len(groups):] for one in some}

    def say(self, text):
        print(f"{time.monotonic() - self.started:7.1f} {text}", flush=True)

    def complain(self, text):
        self.complaints.append(text)
        self.say(f"VIOLATION {text}")

    # --- faults ---------------------------------------------------------------------------------------

    def strike(self, fault, at):
        hand = self.hands[fault.worker]
        if fault.kind in ("server killed", "server restarted"):
            self.restart_server(fault.kind)
        elif fault.kind == "outage":
            hand.note(f"cut off for {fault.seconds:.1f} s")
            hand.proxy.down()
            hand.proxy.later(fault.seconds, hand.proxy.up)
        elif fault.kind == "requests":
            for kind, path, side, nth, count in fault.requests:
                hand.note(f"fault {kind} {side} {path or 'any'} from the {nth}. on, {count} times")
                hand.proxy.add(REQUEST_FAULTS[kind](), path=path, side=side, nth=nth, count=count)
        elif fault.kind == "stop" and hand.is_up() and hand.stopped_until is None:
            hand.hold(2 * fault.seconds, at)
        elif fault.kind in ("kill", "terminate") and hand.is_up():
            hand.end(signal.SIGKILL if fault.kind == "kill" else signal.SIGTERM, fault.seconds, at)

    def restart_server(self, how):
        if self.server_thread and self.server_thread.is_alive():
            return
        self.say(how)
        self.server_thread = threading.Thread(target=self._restart_server, args=(how,), daemon=True)
        self.server_thread.start()

    def _restart_server(self, how):
        if how == "server killed":
            self.server.kill()
        else:
            self.server.stop()
        self.server.start()
        self.say("server started")

    # --- the run --------------------------------------------------------------------------------------

    def states(self):
        rows = self.db.query("SELECT id, state_type, state_name FROM flow_run WHERE deployment_id IN (SELECT value FROM"
                             " json_each(?))", json.dumps([cleanup.deployment_id for cleanup in self.cleanups]))
        return {row["id"]: (row["state_type"], row["state_name"]) for row in rows}

    def tick(self, interfere):
        """True when every cleanup run is at its end."""
        at = time.monotonic() - self.started
        for hand in self.hands:
            hand.tick(at)
        states = self.states()
        return all([cleanup.step(states.get(cleanup.id), at, interfere) for cleanup in self.cleanups])

    def run(self):
        self.hands = [Hand(self, number) for number in range(WORKERS)]
        waiting = list(self.schedule.faults)
        self.started = time.monotonic()
        while (at := time.monotonic() - self.started) < self.schedule.seconds:
            while waiting and waiting[0].at <= at:
                self.strike(waiting.pop(0), at)
            self.tick(interfere=True)
            if (took := time.monotonic() - self.started - at) > SLOW_SECONDS:
                self.say(f"that round took {took:.1f} s")
            time.sleep(TICK_SECONDS)
        self.settle()

    def settle(self):
        self.say("no more faults")
        if self.server_thread:
            self.server_thread.join()
        for hand in self.hands:
            hand.calm()
        deadline = time.monotonic() + SETTLE_SECONDS
        while not self.tick(interfere=False) and time.monotonic() < deadline:
            time.sleep(TICK_SECONDS)
        time.sleep(QUIET_SECONDS)
        for hand in self.hands:
            hand.end(signal.SIGTERM, float("inf"), time.monotonic() - self.started)
        while any(hand.ending for hand in self.hands):
            self.tick(interfere=False)
            time.sleep(TICK_SECONDS)
        for hand in self.hands:
            assert_no_sanitizer_report(hand.worker.output())

    def close(self):
        for hand in self.hands:
            hand.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=5, help="how long faults go on (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="default: a new one")
    parser.add_argument("--rate", type=float, default=25, help="cleanup runs a minute (default: %(default)s)")
    args = parser.parse_args()
    print(f"torture: SEED={args.seed} MINUTES={args.minutes:g} RATE={args.rate:g}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    schedule = Schedule(args.seed, args.minutes * 60, args.rate)
    with own_name("torture") as name, Server(name) as server:
        torture = Torture(server, schedule, tempfile.mkdtemp(prefix="torture-"))
        try:
            torture.run()
            violations = Auditor(torture).audit()
        finally:
            torture.close()
    print(f"torture: {not violations:d} passed, {len(violations)} failed", flush=True)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
