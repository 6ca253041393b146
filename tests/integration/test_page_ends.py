"""The report of a run that ended in an unusual way: there is one, and it is true."""

import time

import proxy as act
from harness import from_now, wait_until
from test_page import page


def past(**span):
    return from_now(**{unit: -number for unit, number in span.items()}).strftime("%Y-%m-%d %H:%M:%S.%f")


def end_earlier(db, run_id):
    """Long enough ago for a worker to see that nobody else draws it."""
    db.write("UPDATE flow_run SET end_time = ? WHERE id = ?", past(minutes=1), run_id)


def end_by_hand(api, db, run_id, state="FAILED"):
    api.set_state(run_id, state, message="by hand")
    end_earlier(db, run_id)


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


def test_a_report_that_is_written_later(api, db, idle, old, worker, page, proxy):
    """The run ends without it; the next worker finds its step open."""
    state, ids = old(3)
    one = worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    run_id = idle.ask(state, batch_size=10)
    rule = proxy.add(act.status(503), "POST", "/artifacts/$", "cleanup-report", count=None)
    idle.answer(run_id, True, "go")
    rule.wait()
    api.cancel(run_id)
    api.wait_state(run_id, "Cancelled")
    one.stop()
    assert page.steps(run_id)["report"] == "RUNNING" and page.steps(run_id)["delete"] == "COMPLETED"
    assert not page.artifacts(run_id, "cleanup-report")
    rule.remove()
    end_earlier(db, run_id)
    worker(idle.pool, name=one.name)
    report, _ = page.report(run_id)
    assert report["outcome"] == "cancelled" and report["message"] == "cancelled: deleted 3 of 3 flow runs"
    assert report["deletion"] == {"deleted": 3} and report["decision"]["notes"] == "go"
    wait_until(lambda: page.steps(run_id)["report"] == "COMPLETED", 30, "its step is over")


def test_a_report_that_was_written_before(api, db, idle, old, worker, page, proxy):
    """Killed after it, and ended by hand: the report keeps what it knew."""
    state, ids = old(3)
    page.give_artifacts(ids, 1)
    one = worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    run_id = idle.ask(state, batch_size=10)
    rule = proxy.add(act.hold(), "POST", "/artifacts/$", "cleanup-report", side="after")
    idle.answer(run_id, True)
    rule.wait()
    one.kill()
    rule.release()
    before, _ = page.report(run_id)
    end_by_hand(api, db, run_id)
    worker(idle.pool, name=one.name)
    wait_until(lambda: page.steps(run_id)["report"] == "COMPLETED", 60, "its step is over")
    report, _ = page.report(run_id)
    assert report["message"] == "by hand" and before["deletion"]["artifacts_deleted"] == 3
    assert report["deletion"] == before["deletion"] and report["limits"] == before["limits"]


def test_one_worker_draws(api, db, idle, old, worker, page):
    """The worker that had the run is gone for good: one of the others writes one report."""
    state, _ = old(2)
    one = worker(idle.pool)
    run_id = idle.ask(state)
    wait_until(lambda: "approval" in page.steps(run_id), 20, "the step is drawn")
    one.kill()
    api.set_state(run_id, "CANCELLED", message="by hand")
    end_earlier(db, run_id)
    db.write("UPDATE worker SET last_heartbeat_time = ?, status = 'OFFLINE' WHERE name = ?", past(minutes=10), one.name)
    others = [worker(idle.pool) for _ in range(2)]
    wait_until(lambda: page.steps(run_id)["approval"] == "CANCELLED", 60, "the approval is over")
    for other in others:
        other.stop()
    assert page.report(run_id)[0]["outcome"] == "cancelled"


def test_nobody_could_be_asked(api, db, idle, old, worker, page, proxy):
    state, ids = old(2)
    worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    proxy.add(act.status(400), "POST", "/input$", '"cleanup-form"', count=None)
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
