"""Runs that nobody has in hand: whose they are, who takes them, and that it is one."""

import os
import time

import pytest
from harness import from_now, unique, wait_until
from test_recovery import owners

SHORT_S = 10  # the shortest time for an answer
ROUNDS = int(os.environ.get("TAKE_OVER_ROUNDS", 5))


def claim(api, db, run_id, name):
    """A worker that dies right after its claim."""
    verdict = api.set_state(run_id, "PENDING", force=False, message=f"claimed by worker '{name}'")
    assert verdict["status"] == "ACCEPT", verdict


@pytest.mark.versions
@pytest.mark.parametrize("who", ["restarted", "unknown to the server", "offline"])
def test_claimed_and_never_marked(api, db, idle, old, worker, who):
    """Pending says by its message whose it is: nobody has to wait until that is old news."""
    one = worker(idle.pool)
    wait_until(lambda: api.post(f"/work_pools/{idle.pool}/workers/filter"), 10, "a worker")
    one.kill()
    run_id = idle.trigger(old(1)[0])
    claim(api, db, run_id, unique("nobody") if who == "unknown to the server" else one.name)
    worker(idle.pool, **({"name": one.name} if who == "restarted" else {}))
    api.wait_question(run_id, timeout=30)
    assert db.state_names(run_id) == ["Scheduled", "Pending", "Running", "Paused"]


def test_cancelled_between_claim_and_mark(api, db, idle, old, worker):
    """Its worker died in between: what was Pending by somebody's claim is Cancelling by nobody's."""
    state, ids = old(2)
    run_id = idle.trigger(state)
    claim(api, db, run_id, unique("nobody"))
    api.cancel(run_id)
    long_ago = from_now(minutes=-2).replace(tzinfo=None).isoformat(" ")  # the minute in which its worker may still come
    db.write("UPDATE flow_run_state SET timestamp = ? WHERE id = (SELECT state_id FROM flow_run WHERE id = ?)", long_ago, run_id)
    worker(idle.pool)
    assert api.wait_state(run_id, "Cancelled", timeout=30)["state"]["message"] == "cancelled: nothing was deleted"
    assert db.existing(ids) == set(ids)


def test_claimed_by_a_worker_that_is_there(api, db, idle, old, worker):
    """What it has claimed is its own business."""
    other = worker(idle.pool)
    other.wait_output("started")
    run_id = idle.trigger(old(1)[0], more={"state": {"type": "SCHEDULED", "state_details": {
        "scheduled_time": str(from_now(hours=1))}}})
    api.set_state(run_id, "PENDING", message=f"claimed by worker '{other.name}'")
    one = worker(idle.pool)
    one.wait_output("started")
    idle.result(idle.trigger(unique("None")))
    assert db.state_names(run_id) == ["Scheduled", "Pending"]


def test_claimed_again_after_an_earlier_attempt(api, db, idle, old, worker):
    """The labels and the latest taking are of a worker that is there; the claim is of one that is not."""
    there = worker(idle.pool)
    run_id = idle.ask(old(1)[0])
    idle.answer(run_id, False)
    idle.result(run_id)
    api.set_state(run_id, "SCHEDULED", "AwaitingRetry", state_details={"scheduled_time": str(from_now(hours=1))})
    api.set_state(run_id, "PENDING", message=f"claimed by worker '{unique('nobody')}'")
    api.wait_question(run_id, timeout=30)
    assert there.process.poll() is None


@pytest.mark.versions
def test_cancelled_while_scheduled_anew(api, db, idle, old, worker):
    """The server leaves such a run Cancelling, since it had a process once; no worker has it in hand."""
    worker(idle.pool)
    state, ids = old(2)
    run_id = idle.ask(state)
    idle.answer(run_id, False)
    idle.result(run_id)
    api.set_state(run_id, "SCHEDULED", "AwaitingRetry", state_details={"scheduled_time": str(from_now(hours=1))})
    api.cancel(run_id)
    assert api.wait_state(run_id, "Cancelled", timeout=30)["state"]["message"] == "cancelled: nothing was deleted"
    assert db.existing(ids) == set(ids)


def test_cancelled_before_anybody_had_it(api, db, idle, old, worker):
    """The server ends such a run by itself, and the worker never starts it."""
    run_id = idle.trigger(old(1)[0])
    api.cancel(run_id)
    assert db.state(run_id)[0] == "CANCELLED"
    worker(idle.pool)
    idle.result(idle.trigger(unique("None")))
    assert "Running" not in db.state_names(run_id)


def test_set_to_running_by_somebody(api, db, idle, old, worker):
    """Nobody had it in hand any more: the body looks, and asks anew."""
    worker(idle.pool)
    state, ids = old(2)
    run_id = idle.ask(state)
    idle.answer(run_id, False)
    idle.result(run_id)
    api.set_state(run_id, "RUNNING")
    api.wait_question(run_id, timeout=30)
    assert idle.approve(run_id)["deleted"] == 2


@pytest.mark.parametrize("who", ["restarted", "another"])
def test_expired_while_no_worker_was_there(api, db, idle, old, worker, who):
    """The server fails the run; whoever comes next says in its log what that means, once."""
    one = worker(idle.pool)
    state, ids = old(2)
    run_id = idle.ask(state, job_variables={"approval_timeout": SHORT_S})
    one.kill()
    api.wait_state(run_id, "Failed", timeout=SHORT_S + 20)
    two = worker(idle.pool, **({"name": one.name} if who == "restarted" else {}))
    idle.wait_log(run_id, "the time to answer is over, nobody approved: nothing was deleted", timeout=90)
    two.stop()
    worker(idle.pool, name=two.name).wait_output("started")
    time.sleep(1.5)  # longer than lines wait for their batch
    assert sum("nobody approved" in line for line in api.logs(run_id)) == 1
    assert db.existing(ids) == set(ids) and db.state_names(run_id)[-1] == "Failed"


def test_answered_at_the_last_moment(api, db, idle, old, worker):
    """Either the server takes the answer, then it counts; or it does not, then nothing is deleted."""
    worker(idle.pool)
    asked = [(idle.trigger(state, job_variables={"approval_timeout": SHORT_S}), ids) for state, ids in
             (old(2) for _ in range(6))]
    verdicts = {}
    for run_id, _ in asked:
        api.wait_question(run_id)
    for number, (run_id, _) in enumerate(asked):
        paused = next(state for state in db.states(run_id) if state["name"] == "Paused")
        until = paused["timestamp"].timestamp() + SHORT_S
        wait_until(lambda: time.time() > until - 0.15 + number * 0.1, SHORT_S + 5, "the last moment")
        verdicts[run_id] = api.resume(run_id, {"approve": True, "notes": ""})["status"]
    for run_id, ids in asked:
        api.wait_state(run_id, "Completed", "Failed")
        answered = db.inputs(run_id).get("paused-1-response") is not None
        gone = db.existing(ids) == set()
        assert gone == (verdicts[run_id] == "ACCEPT"), (run_id, verdicts)
        assert answered or not gone
        if not gone:
            assert db.existing(ids) == set(ids)
            idle.wait_log(run_id, "nobody approved: nothing was deleted")


def test_two_start_at_the_same_moment(api, db, idle, old, worker):
    """Again and again (TAKE_OVER_ROUNDS): a run of a worker that is gone, two that find it at once, one owner."""
    for number in range(ROUNDS):
        state, ids = old(3)
        gone = worker(idle.pool)
        run_id = idle.ask(state)
        gone.kill()
        api.delete(f"/work_pools/{idle.pool}/workers/{gone.name}")
        yes = number % 2 == 0
        idle.answer(run_id, yes)
        pair = [worker(idle.pool), worker(idle.pool)]
        assert idle.result(run_id)["status"] == ("completed" if yes else "rejected")
        assert db.existing(ids) == (set() if yes else set(ids))
        assert db.state_names(run_id) == ["Scheduled", "Pending", "Running", "Paused", "Running", "Completed"]
        assert owners(db, run_id) == ["janitor-owner-1", "janitor-owner-2"]
        for one in pair:
            one.kill()
            api.request("DELETE", f"/work_pools/{idle.pool}/workers/{one.name}")
