"""The table fault x moment: one cell is a whole cleanup on a real server, with one fault at one request of the worker.

Run as a program (make check-faults) it plays every cell, in two lanes side by side, and writes docs/faults.md.
"""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field

import proxy as act
from harness import PROJECT, from_now, unique

RUNS, BATCH = 25, 10  # three batches
OUTAGE_SECONDS = 2
RETRY_AFTER_SECONDS = 3
BACK_SECONDS = 20  # from the fault's end to the run's: usually one or two, but other tests run on the same machine
GIVE_UP_SECONDS = 100
RESULT = {"status": "completed", "deleted": RUNS, "matched": RUNS, "failed": 0, "remaining": 0, "gone": 0, "notes": "go"}
STATES = ["Scheduled", "Pending", "Running", "Paused", "Running", "Completed"]


@dataclass(frozen=True)
class Moment:
    """A request of the worker. Armed before the run is triggered, when it is Paused, or when it is answered."""

    text: str
    armed: str
    method: str
    path: str
    body: str = ""
    nth: int = 1
    after_batch: int = 0

    def rule(self, proxy, action, side, count):
        since = self.after_batch and proxy.add(act.nothing(), "POST", "/bulk_delete$", side="after", nth=self.after_batch)
        return proxy.add(action, self.method, self.path, self.body, side, self.nth, count, since or None)


ASKING, PAUSED, ANSWERED = "asking", "paused", "answered"
STATE = "/flow_runs/[^/]*/set_state$"  # the steps of the timeline have states too
MOMENTS = {
    "fetch": Moment("scheduled runs are fetched", ASKING, "POST", "/get_scheduled_flow_runs$"),
    "claim": Moment("Pending", ASKING, "POST", STATE, '"PENDING"'),
    "owner": Moment("the owner is noted", ASKING, "POST", "/input$", '"janitor-owner-1"'),
    "labels": Moment("the labels are set", ASKING, "PATCH", "/labels$", "prefect.worker.name"),
    "running": Moment("Running", ASKING, "POST", STATE, '"RUNNING"'),
    "plan": Moment("the plan is made (count)", ASKING, "POST", "/flow_runs/count$", '"end_time"'),
    "stored": Moment("the plan is stored", ASKING, "POST", "/input$", '"cleanup-plan"'),
    "pause": Moment("Paused", ASKING, "POST", STATE, '"PAUSED"'),
    "form": Moment("the form's text is stored", ASKING, "POST", "/input$", '"paused-1-description"'),
    "schema": Moment("the form's schema is stored", ASKING, "POST", "/input$", '"paused-1-schema"'),
    "form-read": Moment("the form is read back", ASKING, "POST", "/input/filter$", '"paused-1-"'),
    "watch": Moment("the paused run is watched", PAUSED, "POST", "/flow_runs/filter$", "not_any_.*PAUSED"),
    "decision": Moment("the decision is read", ANSWERED, "GET", "/input/paused-1-response$"),
    "begun": Moment("the deletion's begin is stored", ANSWERED, "POST", "/input$", '"cleanup-deletion"'),
    "first": Moment("first batch", ANSWERED, "POST", "/bulk_delete$"),
    "look": Moment("look between two batches", ANSWERED, "GET", "/flow_runs/[^/]*$", after_batch=1),
    "middle": Moment("second batch", ANSWERED, "POST", "/bulk_delete$", nth=2),
    "left": Moment("last count", ANSWERED, "POST", "/flow_runs/count$", '"end_time"', after_batch=3),
    "final": Moment("final state", ANSWERED, "POST", STATE, '"COMPLETED"'),
}


@dataclass(frozen=True)
class Fault:
    """What happens to the request, for how long, and whether to every other one meanwhile.
    Side "after": the server has carried it out, and the answer is lost or another one."""

    text: str
    action: object
    side: str = "before"
    seconds: float = OUTAGE_SECONDS  # 0: this once
    all: bool = False
    kill: bool = False
    least: float = 0  # seconds until the next try
    back: float = BACK_SECONDS
    settings: dict = field(default_factory=dict)


def everything(action):
    """From this request on, all of them."""
    def start(exchange):
        exchange.proxy.add(action, count=None)
        action(exchange)
    return start


def go_down(exchange):
    exchange.proxy.down()
    raise act.Cut


def page(code):
    return act.status(code, f"<html><head><title>{code}</title></head><body>nginx</body></html>", "text/html")


FAULTS = {
    "kill-before": Fault("kill -9 before", act.hold(), kill=True, seconds=0),
    "kill-after": Fault("kill -9 after", act.hold(), "after", kill=True, seconds=0),
    "refused": Fault("refused", go_down, all=True),
    "cut-before": Fault("cut before", act.close(), seconds=0),
    "cut-after": Fault("cut after", act.close(), "after", seconds=0),
    "half": Fault("half an answer", act.half(), "after", seconds=0),
    "hang": Fault("hangs", act.hang(), "after", all=True, settings={"PREFECT_API_REQUEST_TIMEOUT": 1}),
    "500": Fault("500", act.status(500)),
    "502": Fault("502", page(502), "after", all=True),
    "503": Fault("503", act.status(503), all=True),
    "504": Fault("504", page(504), "after"),
    "429": Fault("429, seconds", act.status(429, retry_after=RETRY_AFTER_SECONDS), seconds=0, least=RETRY_AFTER_SECONDS - 0.1),
    "429-date": Fault("429, date", act.retry_after_date(RETRY_AFTER_SECONDS), seconds=0, least=RETRY_AFTER_SECONDS - 1.1),
    "401": Fault("401", act.status(401), all=True, back=2 * BACK_SECONDS),  # a wrong password is tried slowly, by design
    "html": Fault("page with 200", act.html()),
    "shape": Fault("unknown JSON with 200", act.shape(), "after"),
    "garbage": Fault("garbage", act.garbage(), "after"),
}

# JSON that is not what the form asks for cannot be told from an answer that is none: unsure means no.
REFUSED = ("decision", "shape")

CELLS = [(moment, fault) for moment in MOMENTS for fault in FAULTS]

# One cell for each class of fault, and a kill -9 at each of the moments that the promises name.
SHORT = [
    ("claim", "kill-after"), ("running", "kill-before"), ("plan", "kill-before"), ("form", "kill-after"),
    ("watch", "kill-before"), ("middle", "kill-after"), ("final", "kill-before"),
    ("look", "refused"), ("middle", "cut-after"), ("first", "hang"), ("final", "502"), ("running", "429"),
    ("decision", "401"), ("middle", "shape"), ("first", "html"), REFUSED,
]


class Cell:
    """One cell, played: every claim is about what the database says."""

    def __init__(self, moment, fault, server, proxy, janitor, old, worker):
        self.refused = (moment, fault) == REFUSED
        self.moment, self.fault = MOMENTS[moment], FAULTS[fault]
        self.server, self.proxy, self.janitor, self.worker = server, proxy, janitor, worker
        self.api, self.db = janitor.api, janitor.db
        self.state, self.ids = old(RUNS)
        _, young = old(3, state_name=self.state, start_time=from_now(days=-10), end_time=from_now(days=-9))
        _, other = old(3, state_name=unique("Other"))
        self.bystanders = [*young, *other]

    def play(self):
        """Returns the seconds from the fault's end to the final state."""
        before = self.rows(self.bystanders)
        if self.moment.armed == ASKING:
            rule = self.arm()
        self.run_id = self.janitor.trigger(self.state, batch_size=BATCH, job_variables={"batch_pause_ms": 50})
        self.start(unique("worker"), self.proxy.url + "/api")
        if self.moment.armed == ASKING:
            self.cause(rule)
        self.api.wait_question(self.run_id, timeout=GIVE_UP_SECONDS)
        assert self.db.existing(self.ids) == set(self.ids), "deleted without an approval"
        if self.moment.armed != ASKING:
            rule = self.arm()
        if self.moment.armed == PAUSED:
            rule.wait()
        self.janitor.answer(self.run_id, True, "go")
        if self.moment.armed != ASKING:
            self.cause(rule)
        self.api.wait_state(self.run_id, "Completed", timeout=GIVE_UP_SECONDS)
        seconds = time.monotonic() - self.ended
        self.judge(rule, before, seconds)
        return seconds

    def story(self, error):
        """The error in a line, and how the run ended."""
        last = self.db.states(self.run_id)[-1]
        said = f"; {last['name']}: {last['message']}" if last["type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else ""
        return re.sub("[0-9a-f]{8}-[0-9a-f-]{27}", "...", str(error).splitlines()[0] + said)

    def rows(self, ids):
        marks = json.dumps(ids)
        return [self.db.query(f"SELECT * FROM {table} WHERE {column} IN (SELECT value FROM json_each(?)) ORDER BY id", marks)
                for table, column in (("flow_run", "id"), ("flow_run_state", "flow_run_id"))]

    def start(self, name, url):
        self.one = self.worker(self.janitor.pool, name=name, PREFECT_API_URL=url, **self.fault.settings)

    def arm(self):
        action = everything(self.fault.action) if self.fault.all else self.fault.action
        count = None if self.fault.seconds and not self.fault.all else 1
        return self.moment.rule(self.proxy, action, self.fault.side, count)

    def cause(self, rule):
        """Lets the fault happen, and ends it."""
        rule.wait()
        if self.fault.kill:
            self.one.kill()
            rule.release()
            # Before: the one that is started again goes past the proxy, so that the server has nothing in common with it.
            self.start(self.one.name, self.server.url if self.fault.side == "before" else self.proxy.url + "/api")
        time.sleep(self.fault.seconds)
        self.proxy.clear()
        self.proxy.up()
        self.ended = time.monotonic() + self.fault.least

    def judge(self, rule, before, seconds):
        assert self.rows(self.bystanders) == before, "other flow runs were touched"
        final = self.db.states(self.run_id)[-1]
        if self.refused:
            assert self.db.existing(self.ids) == set(self.ids) and final["data"]["status"] == "rejected", final
            return
        assert self.db.existing(self.ids) == set(), "not all that was approved is gone"
        wrong = {key: final["data"][key] for key, value in RESULT.items() if final["data"][key] != value}
        assert not wrong, f"the result says {wrong}"
        assert final["message"] == f"deleted {RUNS} of {RUNS} flow runs", final["message"]
        states = [name for name in self.db.state_names(self.run_id) if name != "Late"]
        assert states == STATES, f"it went {', '.join(states)}"
        assert self.one.process.poll() is None, "the worker is down"
        again = [request.at for request in self.proxy.requests(self.moment.method, self.moment.path, self.moment.body)
                 if request.at > rule.hits[0].at]
        wait = min(again) - rule.hits[0].at if again else self.fault.least
        assert wait >= self.fault.least, f"tried again after {wait:.1f} s, not {self.fault.least} s"
        assert seconds <= self.fault.back, f"took {seconds:.0f} s"


# --- the table in the docs ------------------------------------------------------------------------------

TEXT = """# What a fault does to a run

Every cell is a whole cleanup on a real Prefect server, {runs} flow runs in batches of {batch}, through a proxy that causes one
fault at one moment. `make check-faults` plays them all and rewrites this file; `tests/integration/faults.py` is the table as
code. `ok` means, by the server's database afterwards: the {runs} approved runs are gone, not one other run was touched, the
result says {runs} deleted, the run is Completed by way of the states it should have had, asked once, and the worker is
still there. The number is the seconds from the end of the fault to the final state, the answer of the test included.

Moments are requests of the worker. A kill or a cut *before* means that the server never saw the request; *after*, that it
did what was asked and the answer was lost. A killed worker is started again under its name. Faults that last ({outage} s) hit
this request as often as it is sent: *refused*, *hangs*, *502*, *503* and *401* hit every other request as well; with
*hangs*, *502*, *504*, *unknown JSON* and *garbage* the server carries it out. After a *401* the worker waits for half a minute
before it tries again, so as not to be locked out. *429* comes once, with `Retry-After`, and is
`ok` only if the worker stays away for so long. One cell is `ok` when nothing was deleted: a *decision* that is read as JSON of
another shape could be anything, so the run ends as rejected.

"""


def document(results):
    lines = ["| moment | " + " | ".join(fault.text for fault in FAULTS.values()) + " |", "|---" * (len(FAULTS) + 1) + "|"]
    notes = []
    for name, moment in MOMENTS.items():
        cells = []
        for fault in FAULTS:
            result = results.get((name, fault), "not played")
            if not result.startswith("ok"):
                notes.append(f"{len(notes) + 1}. {moment.text}, {FAULTS[fault].text}: {result}")
                result = f"**failed** ({len(notes)})"
            cells.append(result)
        lines.append(f"| {moment.text} | " + " | ".join(cells) + " |")
    text = TEXT.format(runs=RUNS, batch=BATCH, outage=OUTAGE_SECONDS) + "\n".join(lines) + "\n"
    (PROJECT / "docs/faults.md").write_text(text + ("\n" + "\n".join(notes) + "\n" if notes else ""))
    return len(notes)


def main():
    folder = PROJECT / "build/check"
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"faults-{lane}.jsonl" for lane in (1, 2)]
    for file in files:
        file.unlink(missing_ok=True)
    lanes = [subprocess.Popen([sys.executable, "-m", "pytest", "-q", "-m", "", PROJECT / "tests/integration/test_faults.py",
                               "-k", "test_cell", "--lane", f"{number}/{len(files)}"],
                              env=os.environ | {"FAULTS_RESULTS": str(file)}) for number, file in enumerate(files, 1)]
    try:
        codes = [lane.wait() for lane in lanes]
    except KeyboardInterrupt:  # they got it too, and stop their servers
        sys.exit([lane.wait() for lane in lanes] and 1)
    rows = [json.loads(line) for file in files if file.exists() for line in file.read_text().splitlines()]
    failed = document({(row["moment"], row["fault"]): row["result"] for row in rows})
    print(f"faults: {len(CELLS) - failed} passed, {failed} failed; see docs/faults.md")
    sys.exit(1 if failed or any(codes) else 0)


if __name__ == "__main__":
    main()
