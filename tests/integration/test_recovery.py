"""A worker that is killed, and another one that goes on: nothing is lost, and nothing is done by two."""

import json
import re
import signal
import uuid

import proxy as act
import pytest
from harness import wait_until
from test_restart import begin_deletion

pytestmark = pytest.mark.databases
OFFLINE_SECONDS = 30  # three missing heartbeats and a sync, at the tests' pace


def owners(db, run_id):
    """The takings, without the notes that begin like them."""
    return sorted(key for key in db.inputs(run_id) if re.fullmatch(r"janitor-owner-\d+", key))


@pytest.mark.parametrize("same_name", [True, False], ids=["restarted", "taken-over"])
def test_killed_while_paused(api, db, idle, old, worker, same_name):
    state, ids = old()
    one = worker(idle.pool)
    run_id = idle.ask(state)
    one.kill()
    idle.answer(run_id, True)
    worker(idle.pool, **({"name": one.name} if same_name else {}))
    assert idle.result(run_id, timeout=OFFLINE_SECONDS)["deleted"] == 5
    assert db.existing(ids) == set()
    assert db.state_names(run_id) == ["Scheduled", "Pending", "Running", "Paused", "Running", "Completed"]


@pytest.mark.parametrize("same_name", [True, False], ids=["restarted", "taken-over"])
def test_killed_while_deleting(api, db, idle, old, worker, same_name):
    """What the killed worker deleted is counted."""
    state, ids = old(35)
    one = worker(idle.pool)
    run_id = begin_deletion(idle, ids, state)
    one.kill()
    worker(idle.pool, **({"name": one.name} if same_name else {}))
    result = idle.result(run_id, timeout=OFFLINE_SECONDS)
    assert (result["deleted"], result["matched"], result["remaining"], result["gone"]) == (35, 35, 0, 0)
    assert db.existing(ids) == set()


def test_two_take_over_at_once(api, db, idle, old, worker):
    """Many runs of a killed worker, two workers that find them at the same time: each run has one new owner."""
    state, ids = old()
    one = worker(idle.pool)
    runs = [idle.ask(state) for _ in range(5)]
    one.kill()
    for run_id in runs:
        idle.answer(run_id, False, "no")
    for _ in range(2):
        worker(idle.pool, PREFECT_WORKER_HEARTBEAT_SECONDS=8)  # on a busy machine they do not count as away themselves
    for run_id in runs:
        assert idle.result(run_id, timeout=OFFLINE_SECONDS) == {"status": "rejected", "reason": "no"}
        assert owners(db, run_id) == ["janitor-owner-1", "janitor-owner-2"]
        assert db.state_names(run_id) == ["Scheduled", "Pending", "Running", "Paused", "Running", "Completed"]
    assert db.existing(ids) == set(ids)


def test_taken_but_not_marked(api, db, idle, old, worker, proxy):
    """The record of the taking is made, the marks on the run are refused: at the next try it is not taken once more."""
    state, ids = old()
    one = worker(idle.pool)
    run_id = idle.ask(state)
    one.kill()
    idle.answer(run_id, False, "no")
    refused = proxy.add(act.status(400), "PATCH", "/labels$")
    worker(idle.pool, name=one.name, PREFECT_API_URL=proxy.url + "/api")
    assert idle.result(run_id)["status"] == "rejected"
    assert len(refused.hits) == 1 and owners(db, run_id) == ["janitor-owner-1", "janitor-owner-2"]


def test_former_owner_lets_go(api, db, idle, old, worker):
    """A worker that was away for long (stopped by a signal here) finds its run taken, and deletes nothing more."""
    state, ids = old(35)
    one = worker(idle.pool)
    idle.set_job_variables(batch_pause_ms=20_000)
    run_id = idle.ask(state, batch_size=10)
    idle.answer(run_id, True)
    idle.wait_left(ids, 25)
    one.process.send_signal(signal.SIGSTOP)
    idle.set_job_variables(batch_pause_ms=600_000)
    two = worker(idle.pool)
    idle.wait_left(ids, 15)
    one.process.send_signal(signal.SIGCONT)
    wait_until(lambda: "another worker has taken the run" in one.output(), 40, "the former owner lets go")
    assert len(db.existing(ids)) == 15
    idle.set_job_variables(batch_pause_ms=0)
    two.stop()
    worker(idle.pool, name=two.name)
    assert idle.result(run_id)["deleted"] == 35


def test_given_up_after_three_restarts(api, db, idle, old, worker):
    """Three workers in a row died at the very same place: the run is set to Crashed.

    A kill that hits the same place three times cannot be had on demand, so their takings are written down for them."""
    state, ids = old(35)
    one = worker(idle.pool)
    run_id = begin_deletion(idle, ids, state)
    one.kill()
    run = api.run(run_id)
    progress = f"RUNNING since {run['state']['timestamp']} at {run['labels'].get('janitor.progress', 0)}"
    for number in (2, 3, 4):
        value = json.dumps({"worker": one.name, "instance": str(uuid.uuid4()), "progress": progress})
        for key in (f"janitor-owner-{number}", f"janitor-owner-{number}-begun"):
            api.post(f"/flow_runs/{run_id}/input", {"key": key, "value": value})
    worker(idle.pool, name=one.name)
    message = api.wait_state(run_id, "Crashed")["state"]["message"]
    assert message.startswith("3 workers ended without a word")
    assert len(db.existing(ids)) == 25


def test_cancelled_in_a_deletion_while_it_was_away(api, db, idle, old, worker):
    """The final state says how many the killed worker had deleted."""
    state, ids = old(35)
    one = worker(idle.pool)
    run_id = begin_deletion(idle, ids, state)
    one.kill()
    api.cancel(run_id)
    worker(idle.pool, name=one.name)
    assert api.wait_state(run_id, "Cancelled")["state"]["message"] == "cancelled: deleted 10 of 35 flow runs"
    assert len(db.existing(ids)) == 25
