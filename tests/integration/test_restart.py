"""A worker that is stopped and started again under its name goes on with its runs."""

import pytest
from harness import wait_until

pytestmark = pytest.mark.databases
LONG_MS = 600_000  # longer than any test: the worker is stopped in this pause


def begin_deletion(idle, ids, state):
    """Asks and approves; returns when one batch of 10 is deleted and the long pause before the next one begins."""
    idle.set_job_variables(batch_pause_ms=LONG_MS)
    run_id = idle.ask(state, batch_size=10)
    idle.answer(run_id, True, "go")
    assert len(idle.wait_left(ids, len(ids) - 10)) == len(ids) - 10
    idle.set_job_variables(batch_pause_ms=0)
    return run_id


@pytest.mark.parametrize("when", ["before", "after"])
def test_stopped_while_paused(api, db, idle, old, worker, when):
    """Resumed before or after the worker is there again."""
    state, ids = old()
    one = worker(idle.pool)
    run_id = idle.ask(state)
    one.stop()
    assert api.run(run_id)["state_name"] == "Paused"
    if when == "before":
        idle.answer(run_id, True)
    two = worker(idle.pool, name=one.name)
    if when == "after":
        two.wait_output(f"({run_id}): taking it up again")
        idle.answer(run_id, True)
    assert idle.result(run_id)["deleted"] == 5
    assert db.existing(ids) == set()
    assert db.state_names(run_id) == ["Scheduled", "Pending", "Running", "Paused", "Running", "Completed"]


def test_cancelled_while_it_was_away(api, db, idle, old, worker):
    state, ids = old()
    one = worker(idle.pool)
    run_id = idle.ask(state)
    one.stop()
    api.cancel(run_id)
    worker(idle.pool, name=one.name)
    api.wait_state(run_id, "Cancelled")
    assert db.existing(ids) == set(ids)


@pytest.mark.threads
def test_stopped_while_deleting(api, db, idle, old, worker):
    state, ids = old(35)
    one = worker(idle.pool)
    run_id = begin_deletion(idle, ids, state)
    one.stop()
    assert api.run(run_id)["state_name"] == "Running" and len(db.existing(ids)) == 25
    idle.wait_log(run_id, "deleted 10 of 35")

    worker(idle.pool, name=one.name)
    result = idle.result(run_id)
    idle.wait_log(run_id, f"taken up again by worker '{one.name}', after worker '{one.name}' stopped")
    assert (result["deleted"], result["matched"], result["remaining"], result["gone"]) == (35, 35, 0, 0)
    assert result["notes"] == "go"
    assert api.run(run_id)["state"]["message"] == "deleted 35 of 35 flow runs"
    assert db.existing(ids) == set()
    assert db.state_names(run_id) == ["Scheduled", "Pending", "Running", "Paused", "Running", "Completed"]


def test_stopped_twice_while_deleting(api, db, idle, old, worker):
    state, ids = old(35)
    one = worker(idle.pool)
    run_id = begin_deletion(idle, ids, state)
    one.stop()
    idle.set_job_variables(batch_pause_ms=LONG_MS)
    two = worker(idle.pool, name=one.name)
    assert len(idle.wait_left(ids, 15)) == 15
    two.stop()
    idle.set_job_variables(batch_pause_ms=0)
    worker(idle.pool, name=one.name)
    assert idle.result(run_id)["deleted"] == 35
    assert db.existing(ids) == set()


def test_cancelled_between_two_workers(api, db, idle, old, worker):
    """Cancelled when nobody had it: what was deleted before is told."""
    state, ids = old(35)
    one = worker(idle.pool)
    run_id = begin_deletion(idle, ids, state)
    one.stop()
    api.cancel(run_id)
    worker(idle.pool, name=one.name)
    run = api.wait_state(run_id, "Cancelled")
    assert "deleted 10 of 35" in run["state"]["message"]
    assert len(db.existing(ids)) == 25


def test_another_worker_goes_on(db, idle, old, worker):
    """The runs of a worker that was stopped do not wait for its return."""
    state, ids = old()
    one = worker(idle.pool)
    run_id = idle.ask(state)
    one.stop()
    two = worker(idle.pool)
    idle.answer(run_id, True)
    assert idle.result(run_id)["deleted"] == 5
    assert db.existing(ids) == set()
    assert idle.api.run(run_id)["labels"]["prefect.worker.name"] == two.name


def test_several_waiting_runs_are_taken_up(db, idle, old, worker):
    one = worker(idle.pool)
    asked = [(idle.trigger(state), ids) for state, ids in (old(3) for _ in range(5))]
    for run_id, _ in asked:
        idle.api.wait_question(run_id)
    one.stop()
    for number, (run_id, _) in enumerate(asked):
        idle.answer(run_id, number % 2 == 0)
    two = worker(idle.pool, name=one.name)
    for number, (run_id, ids) in enumerate(asked):
        idle.result(run_id)
        assert len(db.existing(ids)) == (0 if number % 2 == 0 else 3)
    wait_until(lambda: two.output().count("taking it up again") == 5, 5, "five runs taken up")
