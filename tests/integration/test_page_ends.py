"""The report of a run that ended in an unusual way: there is one, and it is true."""

import time

import proxy as act
from harness import from_now, wait_until
from test_page import page


def end_by_hand(api, db, run_id, state="FAILED"):
    """Long enough ago for a worker to see that nobody else draws it."""
    api.set_state(run_id, state, message="by hand")
    db.write("UPDATE flow_run SET end_time = ? WHERE id = ?", from_now(minutes=-1).strftime("%Y-%m-%d %H:%M:%S.%f"), run_id)


def test_notes_in_any_language(api, janitor, old, page):
    state, _ = old(2)
    run_id = janitor.ask(state)
    janitor.answer(run_id, False, "a" + "ä" * 300)
    api.wait_state(run_id, "Completed")
    report, text = page.report(run_id)
    assert report["decision"]["notes"] == "a" + "ä" * 300 and report["message"].endswith("ä" * 199) and "ääää" in text
    assert api.get(f"/flow_runs/{run_id}")["state"]["message"].endswith("ä" * 199)


def test_a_short_outage_of_artifacts(api, idle, old, worker, page, proxy):
    """The run waits for its report."""
    state, _ = old(3)
    worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    run_id = idle.ask(state, batch_size=10)
    rule = proxy.add(act.status(503), "POST", "/artifacts/$", "cleanup-report", count=None)
    idle.answer(run_id, True)
    rule.wait()
    time.sleep(12)  # the outage itself; longer than a picture may take
    rule.remove()
    assert idle.result(run_id)["deleted"] == 3
    assert page.report(run_id)[0]["deletion"]["deleted"] == 3
    assert page.steps(run_id)["report"] == "COMPLETED"


def test_nobody_could_be_asked(api, db, idle, old, worker, page, proxy):
    state, ids = old(2)
    worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    proxy.add(act.status(400), "POST", "/input$", '"paused-1-description"', count=None)
    run_id = idle.trigger(state)
    api.wait_state(run_id, "Failed")
    report, _ = page.report(run_id)
    assert report["outcome"] == "failed" and report["deletion"] is None and report["plan"]["total"] == 2
    assert db.existing(ids) == set(ids)


def test_ended_by_hand_in_the_deletion(api, db, idle, old, worker, page):
    """The artifacts of what was deleted go all the same, and the report knows who approved it."""
    state, ids = old(30)
    page.give_artifacts(ids, 1)
    one = worker(idle.pool)
    run_id = idle.ask(state, batch_size=10, job_variables={"batch_pause_ms": 700})
    idle.answer(run_id, True, "go")
    idle.wait_left(ids, 20)
    one.kill()
    end_by_hand(api, db, run_id)
    worker(idle.pool, name=one.name)
    report, _ = page.report(run_id)
    assert report["decision"]["approved"] and report["decision"]["notes"] == "go"
    left = db.existing(ids)
    assert report["outcome"] == "ended" and report["deletion"]["deleted"] == 30 - len(left) > 0
    assert page.artifacts_of(set(ids) - left) == 0 and page.artifacts_of(left) == len(left)
    wait_until(lambda: "RUNNING" not in page.steps(run_id).values(), 30, "every step over")
