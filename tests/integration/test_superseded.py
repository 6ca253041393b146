"""One open question for each deployment: the newest run asks, older ones end as Cancelled, and no approval is lost."""

import pytest
from harness import from_now, wait_until


def message(db, run_id):
    return db.states(run_id)[-1]["message"]


@pytest.mark.versions
@pytest.mark.parametrize("count", [1, 2])
def test_worker_was_down_for_a_week(api, db, idle, old, worker, count):
    """So many workers start at the same time."""
    state, ids = old(2)
    config = {"config": {"states_to_clean": [state]}}
    late = [api.trigger(idle.deployment_id, config, enforce=False, scheduled_time=str(from_now(days=-days))) for days in range(7, 0, -1)]
    for _ in range(count):
        worker(idle.pool)
    newest = api.wait_question(late[-1])
    for run_id in late[:-1]:
        assert api.wait_state(run_id, "Cancelled")["state"]["message"] == f"superseded by {newest['name']}"
        assert set(db.state_names(run_id)) <= {"Scheduled", "Late", "Cancelled"}
        assert not db.inputs(run_id)
    assert db.state(late[-1]) == ("PAUSED", "Paused")
    assert idle.approve(late[-1])["deleted"] == len(ids)


@pytest.mark.versions
def test_a_newer_question_takes_the_place_of_an_older_one(api, db, idle, old, worker):
    state, ids = old(3)
    worker(idle.pool)
    older = idle.ask(state)
    newer = idle.ask(state, deployment=idle.deployment_id)
    ended = api.wait_state(older, "Cancelled")
    assert ended["state"]["message"] == f"superseded by {api.run(newer)['name']}"
    verdict = api.resume(older, {"approve": True, "notes": ""})
    assert verdict["status"] == "ABORT"
    assert db.existing(ids) == set(ids)
    idle.wait_log(older, "a newer run of the same deployment: nothing was deleted")
    reports = wait_until(lambda: db.query("SELECT data FROM artifact WHERE key = 'cleanup-report' AND flow_run_id = ?", older), 60,
                         "the report of the run that was superseded")
    assert f"superseded by {api.run(newer)['name']}" in reports[0]["data"]
    assert idle.approve(newer)["deleted"] == len(ids)
    assert db.state(older)[0] == "CANCELLED"


def test_of_a_worker_that_was_killed(api, db, idle, old, worker):
    state, ids = old(2)
    one = worker(idle.pool)
    older = idle.ask(state)
    one.kill()
    worker(idle.pool)
    newer = idle.ask(state, deployment=idle.deployment_id)
    assert api.wait_state(older, "Cancelled")["state"]["message"] == f"superseded by {api.run(newer)['name']}"
    assert db.existing(ids) == set(ids)


def test_left_by_a_worker_that_was_killed_on_the_way(api, db, idle, old, worker):
    """The form of the older one is gone and both are Paused: what is left to do is seen in the list of live runs."""
    state, _ = old(2)
    one = worker(idle.pool)
    older = idle.ask(state)
    other = idle.ask(state)  # of another deployment
    one.kill()
    api.delete(f"/flow_runs/{older}/input/{idle.keyset(older)['schema']}")
    db.write("UPDATE flow_run SET deployment_id = ? WHERE id = ?", idle.deployment_id, other)
    worker(idle.pool)
    assert api.wait_state(older, "Cancelled")["state"]["message"] == f"superseded by {api.run(other)['name']}"
    assert db.state(other) == ("PAUSED", "Paused")


def test_what_was_approved_goes_on(api, db, idle, old, worker):
    """The older one deletes while the newer one asks; both are of one deployment."""
    state, ids = old(30)
    idle.set_job_variables(batch_pause_ms=1500)
    worker(idle.pool)
    older = idle.ask(state, batch_size=10)
    idle.answer(older, True)
    idle.wait_left(ids, 29)
    newer = idle.trigger(state, deployment=idle.deployment_id)
    assert idle.result(older)["deleted"] == len(ids)
    api.wait_state(newer, "Paused", "NothingToClean", "Completed")
    assert "Cancelled" not in db.state_names(older)


def test_a_retry_is_the_same_run(api, db, idle, old, worker):
    state, ids = old(2)
    worker(idle.pool)
    run_id = idle.ask(state)
    api.cancel(run_id)
    api.wait_state(run_id, "Cancelled")
    api.retry(run_id)
    api.wait_question(run_id)
    assert idle.approve(run_id)["deleted"] == len(ids)
