"""The artifacts of deleted runs when something comes between: other hands, a kill, a refusal, a person who cancels."""

import json
import urllib.request

import proxy as act
import pytest
from test_page import Page


@pytest.fixture
def page(api, db):
    return Page(api, db)


def test_what_came_after_the_approval_stays(api, db, idle, old, worker, page, proxy):
    """Killed with a window stored; one of its runs leaves the plan, gets another artifact, and is deleted by a person."""
    state, ids = old(10)
    page.give_artifacts(ids, 1)
    one = worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    run_id = idle.ask(state, batch_size=10)
    rule = proxy.add(act.hold(), "POST", "/input$", '"cleanup-artifacts', side="after")
    idle.answer(run_id, True)
    rule.wait()
    one.kill()
    rule.release()
    api.set_state(ids[0], "RUNNING")
    api.set_state(ids[0], "COMPLETED")
    api.post("/artifacts/", {"type": "markdown", "key": "new", "data": "x", "flow_run_id": ids[0]})
    urllib.request.urlopen(urllib.request.Request(f"{api.url}/flow_runs/{ids[0]}", method="DELETE"))
    worker(idle.pool, name=one.name)
    result = idle.result(run_id)
    assert (result["remaining"], result["deleted"]) == (0, 9)
    left = db.query("SELECT key FROM artifact WHERE flow_run_id IN (SELECT value FROM json_each(?)) ORDER BY key", json.dumps(ids))
    assert [row["key"] for row in left] == ["kept-0", "new"]
    report, text = page.report(run_id)
    assert (report["deletion"]["deleted"], report["deletion"]["gone"], report["deletion"]["artifacts_left"]) == (9, 1, -1)
    assert "whether some are left cannot be told" in text and "the run was interrupted" in text
    assert page.steps(run_id)["verify"] == "FAILED"


def test_killed_before_the_answer_is_written_down(api, db, idle, old, worker, page, proxy):
    """All of a call is gone: it was ours, and so are the artifacts."""
    state, ids = old(30)
    page.give_artifacts(ids, 1)
    one = worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    run_id = idle.ask(state, batch_size=10)
    rule = proxy.add(act.hold(), "POST", "/bulk_delete$", side="after", nth=2)
    idle.answer(run_id, True)
    rule.wait()
    one.kill()
    rule.release()
    worker(idle.pool, name=one.name)
    assert idle.result(run_id)["deleted"] == 30
    assert page.artifacts_of(ids) == 0
    deletion = page.report(run_id)[0]["deletion"]
    assert deletion["artifacts_deleted"] == 30 and deletion["artifacts_left"] == 0 and deletion["gone"] == 0


@pytest.mark.parametrize("side", ["before", "after"])
def test_refused_and_killed(api, db, idle, old, worker, page, proxy, side):
    """A window that could not be cleared is not forgotten for the next one, nor by the next worker; nor is it lost where the worker
    is killed while the next one takes its place."""
    state, ids = old(90)
    page.give_artifacts(ids, 1)
    one = worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    run_id = idle.ask(state, batch_size=20)
    proxy.add(act.status(400), "DELETE", "/artifacts/", count=1)
    # A window is stored before its runs are deleted, and after that: this is the second window.
    rule = proxy.add(act.hold(), "POST", "/input$", '"cleanup-artifacts', side=side, nth=3)
    idle.answer(run_id, True)
    rule.wait()
    one.kill()
    rule.release()
    worker(idle.pool, name=one.name)
    assert idle.result(run_id)["deleted"] == 90
    assert page.artifacts_of(ids) == 0
    assert page.report(run_id)[0]["deletion"]["artifacts_deleted"] == 90


def test_killed_before_its_final_state(api, db, idle, old, worker, page, proxy):
    """The report that is written again says the same."""
    state, ids = old(20, logs=1)
    page.give_artifacts(ids, 1)
    one = worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    run_id = idle.ask(state, batch_size=10)
    rule = proxy.add(act.hold(), "POST", "/flow_runs/[^/]*/set_state$", '"COMPLETED"')
    idle.answer(run_id, True)
    rule.wait()
    before = page.report(run_id)[0]["deletion"]
    one.kill()
    rule.release()
    worker(idle.pool, name=one.name)
    idle.result(run_id)
    after = page.report(run_id)[0]["deletion"]
    same = ("deleted", "artifacts_deleted", "artifacts_left", "logs_checked", "logs_left")
    assert {key: after[key] for key in same} == {key: before[key] for key in same}
    assert abs(after["took_ms"] - before["took_ms"]) < 2000


def test_killed_one_by_one(idle, old, worker, page, proxy):
    """Without bulk_delete, killed between two runs of a window: what the first process deleted counts, and its artifacts go."""
    state, ids = old(20)
    page.give_artifacts(ids, 1)
    one = worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    run_id = idle.ask(state, batch_size=10)
    proxy.add(act.status(404, '{"detail":"Not Found"}'), path="/bulk_delete$", count=None)
    rule = proxy.add(act.hold(), "DELETE", "/flow_runs/[^/]*$", side="after", nth=4)
    idle.answer(run_id, True)
    rule.wait()
    one.kill()
    rule.release()
    worker(idle.pool, name=one.name)
    result = idle.result(run_id)
    assert (result["deleted"], result["gone"], page.artifacts_of(ids)) == (20, 0, 0)


def test_cancelled_between_artifacts(api, db, idle, old, worker, page, proxy):
    state, ids = old(3)
    for _ in range(150):
        api.post("/artifacts/", {"type": "markdown", "key": "many", "data": "x", "flow_run_id": ids[0]})
    worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    run_id = idle.ask(state, batch_size=10)
    rule = proxy.add(act.delay(0.1), "DELETE", "/artifacts/", count=None)
    idle.answer(run_id, True)
    rule.wait()
    api.cancel(run_id)
    api.wait_state(run_id, "Cancelled")
    assert db.query("SELECT count(*) AS n FROM artifact WHERE key = 'many'")[0]["n"] > 0  # it did not go on to the end


def test_reports_stay(api, old, janitor, page):
    state, ids = old(3)
    page.give_artifacts(ids, 1)
    api.post("/artifacts/", {"type": "markdown", "key": "cleanup-report", "data": "# Cleanup report", "flow_run_id": ids[1]})
    run_id = janitor.ask(state)
    assert "3 artifacts" in janitor.preview(run_id)
    janitor.approve(run_id)
    assert [row["key"] for one in ids for row in page.artifacts(one, "cleanup-report")] == ["cleanup-report"]
    assert page.artifacts_of(ids) == 1 and page.report(run_id)[0]["deletion"]["artifacts_left"] == 0
