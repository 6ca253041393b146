"""What an operator sees on the run's page: the timeline, the artifacts, and what is left of deleted runs: nothing."""

import json
import re

import pytest
from harness import from_now, unique, wait_until

ENDED = ["query", "preview", "approval", "delete", "batches-01", "verify", "report"]


@pytest.fixture
def page(api, db):
    return Page(api, db)


class Page:
    def __init__(self, api, db):
        self.api, self.db = api, db

    def steps(self, run_id):
        """By name: the state's type, in the order in which they began."""
        rows = self.db.query("SELECT name, state_type FROM task_run WHERE flow_run_id = ? ORDER BY start_time, created", run_id)
        return {row["name"]: row["state_type"] for row in rows}

    def rows(self, run_id):
        return [row["name"] for row in self.db.query("SELECT name FROM task_run WHERE flow_run_id = ?", run_id)]

    def artifacts(self, run_id, key):
        return [dict(row) for row in self.db.query("SELECT * FROM artifact WHERE flow_run_id = ? AND key = ?", run_id, key)]

    def report(self, run_id):
        """The block for programs of the one report of the run."""
        wait_until(lambda: self.artifacts(run_id, "cleanup-report"), 60, "a report")
        (report,) = self.artifacts(run_id, "cleanup-report")
        text = json.loads(report["data"])
        (block,) = re.findall(r"^```json\n(.*)\n```$", text, re.M)
        return json.loads(block), text

    def graph(self, run_id):
        """The names of the nodes, and from which other one an arrow leads to each."""
        nodes = {key: node for key, node in self.api.get(f"/flow_runs/{run_id}/graph-v2")["nodes"]}
        names = {node["id"]: node["label"] for node in nodes.values()}
        return {node["label"]: [names[parent["id"]] for parent in node["parents"]] for node in nodes.values()}

    def artifacts_of(self, ids):
        """How many of these runs have artifacts, whether the runs are there or not."""
        rows = self.db.query("SELECT DISTINCT flow_run_id FROM artifact WHERE flow_run_id IN (SELECT value FROM json_each(?))",
                             json.dumps(list(ids)))
        return len(rows)

    def give_artifacts(self, ids, count=2):
        for one in ids:
            for number in range(count):
                self.api.post("/artifacts/", {"type": "markdown", "key": f"kept-{number}", "data": one, "flow_run_id": one})


@pytest.mark.versions
def test_a_whole_run(api, db, janitor, old, page):
    state, ids = old(12, logs=2, task_runs=1)
    run_id = janitor.ask(state, batch_size=10)
    assert page.steps(run_id) == {"query": "COMPLETED", "preview": "COMPLETED", "approval": "RUNNING"}
    (preview,) = page.artifacts(run_id, "cleanup-preview")
    (row,) = [line for line in json.loads(preview["data"]).splitlines() if line.startswith("| old |") and line.count("|") > 6]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[0] == "old" and cells[2:4] == [state, "12"] and cells[6:] == ["12", "24", "0"]
    assert f"(../../artifacts/artifact/{preview['id']})" in janitor.preview(run_id)

    janitor.approve(run_id, "looks fine")
    assert list(page.steps(run_id)) == ENDED and set(page.steps(run_id).values()) == {"COMPLETED"}
    graph = page.graph(run_id)
    assert graph["preview"] == ["query"] and graph["approval"] == ["preview"] and graph["delete"] == ["approval"]
    assert graph["batches-01"] == ["delete"] and graph["verify"] == ["batches-01"] and graph["report"] == ["verify"]
    (progress,) = page.artifacts(run_id, "cleanup-progress")
    assert "**12 / 12**" in progress["description"] and float(progress["data"]) == 100

    report, text = page.report(run_id)
    assert report["outcome"] == "completed" and report["decision"]["approved"] and report["decision"]["by"] == "a person"
    assert report["decision"]["notes"] == "looks fine" and report["decision"]["decided_at"]
    assert report["deletion"]["deleted"] == 12 and report["deletion"]["logs_checked"] == 12
    assert report["deletion"]["logs_left"] == 0 == report["deletion"]["artifacts_left"]
    assert report["flows"] == [{"name": "old", "count": 12, "states": {state: 12}}]
    assert report["plan"]["digest"] in janitor.preview(run_id) and report["worker"] == janitor.worker.name
    assert "looks fine" in text and "deleted 12 of 12" in text


@pytest.mark.parametrize("end", ["rejected", "dry_run", "no_action", "cancelled", "expired", "failed"])
def test_every_end_leaves_a_report(api, db, janitor, old, page, end):
    state, ids = old(3) if end != "no_action" else (unique("None"), [])
    kind, steps = {"rejected": ("Completed", "COMPLETED"), "dry_run": ("Completed", "COMPLETED"), "no_action": ("Completed", None),
                   "cancelled": ("Cancelled", "CANCELLED"), "expired": ("Failed", "FAILED"), "failed": ("Failed", None)}[end]
    config = {"dry_run": end == "dry_run"} | ({"batch_size": 1} if end == "failed" else {})
    more = {"job_variables": {"approval_timeout": 10}} if end == "expired" else {}
    run_id = janitor.trigger(state, **config, **more)
    if steps:
        api.wait_question(run_id)
    if end in ("rejected", "dry_run"):
        janitor.answer(run_id, end == "dry_run", "a *note* | here")
    if end == "cancelled":
        api.cancel(run_id)
    api.wait_state(run_id, kind)
    report, text = page.report(run_id)
    assert report["outcome"] == end and report["deletion"] is None
    if end == "rejected":
        assert report["decision"]["notes"] == "a *note* | here" and "a \\*note\\* \\| here" in text
    wait_until(lambda: page.steps(run_id).get("approval") == steps, 60, f"approval {steps}")
    assert "RUNNING" not in page.steps(run_id).values()
    assert db.existing(ids) == set(ids)


def test_killed_in_the_deletion(api, db, idle, old, worker, page):
    """Started again, it draws no step twice, and writes one report."""
    state, ids = old(60)
    one = worker(idle.pool)
    run_id = idle.ask(state, batch_size=10, job_variables={"batch_pause_ms": 1000})
    idle.answer(run_id, True)
    idle.wait_left(ids, 50)
    wait_until(lambda: any(line.startswith("approved") for line in api.logs(run_id)), 10, "the log, which is a second behind")
    one.kill()
    worker(idle.pool, name=one.name)
    assert idle.result(run_id)["deleted"] == 60
    wait_until(lambda: any(line.startswith("Completed: ") for line in api.logs(run_id)), 10, "the last line")
    lines = api.logs(run_id)
    assert len([line for line in lines if line.startswith("approved")]) == 1
    assert [line for line in lines if "taken up again" in line] == [
        f"taken up again by worker '{one.name}', after worker '{one.name}' ended without a word"]
    rows = page.rows(run_id)
    assert len(rows) == len(set(rows)) and {"query", "preview", "approval", "delete", "verify", "report"} <= set(rows)
    assert set(page.steps(run_id).values()) == {"COMPLETED"}
    parts = sorted(name for name in rows if name.startswith("batches-"))
    assert len(parts) > 1 and parts == [f"batches-{number:02}" for number in range(1, len(parts) + 1)]
    messages = [row["message"] for name in parts for row in db.query(
        "SELECT s.message FROM task_run t JOIN task_run_state s ON s.id = t.state_id WHERE t.flow_run_id = ? AND t.name = ?", run_id, name)]
    assert len([text for text in messages if text.startswith("interrupted; the run went on when")]) == 1
    assert page.report(run_id)[0]["deletion"]["deleted"] == 60


def test_a_run_that_ended_while_nobody_watched(api, db, idle, old, worker, page):
    """Its approval goes on for ever, but for the next worker."""
    state, ids = old(2)
    one = worker(idle.pool)
    run_id = idle.ask(state)
    one.kill()
    api.set_state(run_id, "CANCELLED", message="by hand")
    db.write("UPDATE flow_run SET end_time = ? WHERE id = ?", from_now(minutes=-1).strftime("%Y-%m-%d %H:%M:%S.%f"), run_id)
    worker(idle.pool, name=one.name)
    wait_until(lambda: page.steps(run_id).get("approval") == "CANCELLED", 60, "the approval is over")
    assert page.report(run_id)[0]["outcome"] == "cancelled"
    assert db.existing(ids) == set(ids)


@pytest.mark.versions
def test_artifacts_go_with_their_runs(api, db, janitor, old, page):
    state, ids = old(25, logs=1)
    _, others = old(2)
    page.give_artifacts([*ids[::2], *others])
    run_id = janitor.ask(state, batch_size=10)
    assert "26 artifacts" in janitor.preview(run_id)
    assert janitor.approve(run_id)["deleted"] == 25
    assert page.artifacts_of(ids) == 0 and page.artifacts_of(others) == 2
    report, _ = page.report(run_id)
    assert (report["deletion"]["artifacts_deleted"], report["deletion"]["artifacts_left"]) == (26, 0)
    # The latest version of a key is one that is there.
    latest = api.get("/artifacts/kept-0/latest")
    assert latest["flow_run_id"] in others


@pytest.mark.parametrize("end", ["killed", "cancelled"])
def test_artifacts_when_it_ends_on_the_way(api, db, idle, old, worker, page, end):
    state, ids = old(30)
    page.give_artifacts(ids, 1)
    one = worker(idle.pool)
    run_id = idle.ask(state, batch_size=10, job_variables={"batch_pause_ms": 700})
    idle.answer(run_id, True)
    idle.wait_left(ids, 20)
    if end == "killed":
        one.kill()
        assert page.artifacts_of(set(ids) - db.existing(ids)) >= 10  # that is the point
        worker(idle.pool, name=one.name)
        assert idle.result(run_id)["deleted"] == 30
    else:
        api.cancel(run_id)
        api.wait_state(run_id, "Cancelled")
    left = db.existing(ids)
    assert page.artifacts_of(set(ids) - left) == 0 and page.artifacts_of(left) == len(left)
