"""What is deleted is bound to what was seen: never more than was approved, never what came later, never a subflow that is needed."""

import hashlib
import json
import uuid

import proxy as act
import pytest
from harness import from_now, unique, wait_until

pytestmark = pytest.mark.databases


def move_in(api, ids, state):
    """Somebody sets old runs to a state that the plan names: their end stays as it was."""
    for run_id in ids:
        api.set_state(run_id, "COMPLETED", state)


def others(history, count):
    """Old runs in a state of their own."""
    start = from_now(days=-40)
    return history({"flow": "other", "count": count, "state_type": "CRASHED", "state_name": unique("Crash"), "start_time": start,
                    "end_time": start})[0]


def slow(idle, state, **more):
    """Asks for a deletion that takes its time."""
    return idle.ask(state, batch_size=10, job_variables={"batch_pause_ms": 1500}, **more)


def assert_within(db, idle, run_id, planned, foreign):
    """The run has failed with the true numbers, and no more were deleted than approved."""
    run = idle.api.wait_state(run_id, "Failed", timeout=60)
    gone = len(planned) - len(db.existing(planned)) + len(foreign) - len(db.existing(foreign))
    result = db.states(run_id)[-1]["data"]
    assert gone <= len(planned) and len(db.existing(foreign)) > 0
    assert result["deleted"] == gone and result["matched"] == len(planned) and result["status"] == "failed"
    assert f"deleted {gone} of {len(planned)} flow runs, then stopped" in run["state"]["message"]
    assert "somebody changed the states of old runs" in run["state"]["message"]
    return gone


def test_runs_that_join_in_the_middle(api, db, idle, old, history, worker):
    state, ids = old(40)
    foreign = others(history, 15)
    worker(idle.pool)
    run_id = slow(idle, state)
    idle.answer(run_id, True)
    idle.wait_left(ids, 30)
    move_in(api, foreign, state)
    assert_within(db, idle, run_id, ids, foreign)


def test_runs_that_join_while_no_worker_is_there(api, db, idle, old, history, worker):
    """The budget counts over all starts: what was deleted before the kill is noted."""
    state, ids = old(40)
    foreign = others(history, 15)
    one = worker(idle.pool)
    run_id = slow(idle, state)
    idle.answer(run_id, True)
    wait_until(lambda: api.run(run_id)["labels"].get("janitor.progress") == 10, 60, "the first batch is noted")
    one.kill()
    left = len(db.existing(ids))
    move_in(api, foreign, state)
    worker(idle.pool, name=one.name)
    assert_within(db, idle, run_id, ids, foreign)
    assert len(db.existing(ids)) == left  # it did not even begin


def test_killed_before_the_answer_and_runs_join(api, db, idle, old, history, worker, proxy):
    """Whether the call came to pass cannot be told by the counts: it says so, and deletes no more."""
    state, ids = old(40)
    foreign = others(history, 15)
    held = proxy.add(act.hold(), "POST", "/bulk_delete$", side="after")
    one = worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    run_id = slow(idle, state)
    idle.answer(run_id, True)
    held.wait()
    one.kill()
    held.remove()
    left = db.existing(ids)
    assert len(left) == 30
    move_in(api, foreign, state)
    worker(idle.pool, name=one.name)
    run = api.wait_state(run_id, "Failed", timeout=60)
    assert "deleted 0 to 10 of 40 flow runs, then stopped" in run["state"]["message"]
    assert db.states(run_id)[-1]["data"]["deleted"] is None
    assert db.existing(ids) == left and db.existing(foreign) == set(foreign)


def test_one_goes_and_one_joins(api, db, idle, old, history, worker):
    """The number that match is the same, so that nobody can tell; what we delete never exceeds it all the same."""
    state, ids = old(20)
    foreign = others(history, 1)
    worker(idle.pool)
    run_id = slow(idle, state)
    idle.answer(run_id, True)
    idle.wait_left(ids, 10)
    first = sorted(db.existing(ids))[0]
    api.delete(f"/flow_runs/{first}")
    move_in(api, foreign, state)
    api.wait_state(run_id, "Failed", "Completed", timeout=60)
    ours = 20 - len(db.existing(ids)) + 1 - len(db.existing(foreign)) - 1
    assert db.states(run_id)[-1]["data"]["deleted"] == ours <= 20


@pytest.mark.parametrize("again", ["retried", "running"])
def test_a_single_delete_looks_before_every_try(api, db, idle, old, worker, proxy, again):
    """A server without bulk_delete that is busy for a while: a run that goes on meanwhile is not deleted by the next try."""
    state, ids = old(3)
    proxy.add(act.status(404, '{"detail": "Not Found"}'), "POST", "/bulk_delete$", count=None)
    refused = proxy.add(act.status(502, "<html>"), "DELETE", "/flow_runs/[^/]*$", count=None)
    worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    run_id = idle.ask(state)
    idle.answer(run_id, True)
    one = refused.wait().path.rpartition("/")[2]
    if again == "retried":
        api.set_state(one, "SCHEDULED", "AwaitingRetry")
    else:
        api.set_state(one, "RUNNING")
    proxy.add(act.nothing(), "POST", "/flow_runs/filter$", one).wait()  # the next look; a DELETE that is under way was refused
    refused.remove()
    result = idle.result(run_id)
    assert (result["deleted"], result["gone"], result["remaining"]) == (2, 1, 0)
    assert db.existing(ids) == {one}


def test_somebody_else_deletes_first(api, db, idle, old, worker, proxy):
    """The first try of a single delete finds nothing: it was not us, and what the run leaves is not ours to delete."""
    state, ids = old(3)
    api.post("/artifacts/", {"type": "markdown", "key": unique("kept"), "data": "x", "flow_run_id": ids[0]})
    proxy.add(act.status(404, '{"detail": "Not Found"}'), "POST", "/bulk_delete$", count=None)
    held = proxy.add(act.hold(), "DELETE", f"/flow_runs/{ids[0]}$")
    worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    run_id = idle.ask(state)
    idle.answer(run_id, True)
    held.wait()
    api.delete(f"/flow_runs/{ids[0]}")
    held.release()
    result = idle.result(run_id)
    assert (result["deleted"], result["gone"]) == (2, 1)
    assert api.post("/artifacts/count", {"artifacts": {"flow_run_id": {"any_": [ids[0]]}}}) == 1


def test_an_approval_whose_labels_are_refused(api, db, idle, old, worker, proxy):
    """Without a note of how far it is, a start after a kill could not keep to the number: nothing is deleted, and it says why."""
    state, ids = old(3)
    worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    run_id = idle.ask(state)
    proxy.add(act.status(422), "PATCH", "/labels$", "janitor.progress", count=None)
    idle.answer(run_id, True)
    assert "deleted 0 of 3 flow runs, then stopped: how far it is cannot be noted: PATCH" in idle.failure(run_id)
    assert db.existing(ids) == set(ids)


# --- subflow runs ----------------------------------------------------------------------------------------


class Family:
    """Flow runs that call each other, as the server knows them: a subflow's run belongs to a task run of its parent."""

    def __init__(self, api, db, state):
        self.api, self.db, self.state = api, db, state
        self.flow_id = api.post("/flows/", {"name": unique("family")})["id"]

    def run(self, parent=None, state_type="COMPLETED", days=40):
        body = {"flow_id": self.flow_id, "state": {"type": state_type, "name": self.state if state_type == "COMPLETED" else None}}
        if parent:
            call = self.api.post("/task_runs/", {"flow_run_id": parent, "task_key": "call", "dynamic_key": str(uuid.uuid4())})
            body["parent_task_run_id"] = call["id"]
        run_id = self.api.post("/flow_runs/", body)["id"]
        past = from_now(days=-days).strftime("%Y-%m-%d %H:%M:%S.%f") if self.db.database.name == "sqlite" else from_now(days=-days)
        end = past if state_type == "COMPLETED" else None
        self.db.write("UPDATE flow_run SET start_time = ?, expected_start_time = ?, end_time = ? WHERE id = ?", past, past, end, run_id)
        return run_id


@pytest.mark.versions
def test_subflow_runs_of_unfinished_parents_stay(api, db, idle, worker):
    """At any height; those of parents that have ended go with them."""
    family = Family(api, db, unique("Done"))
    running = family.run(state_type="RUNNING")
    paused = family.run(state_type="PAUSED")
    child, other = family.run(running), family.run(paused)
    grandchild = family.run(child)
    ended = family.run()
    theirs = [family.run(ended), family.run(ended)]
    alone = family.run()
    worker(idle.pool)
    run_id = idle.ask(family.state)
    assert sum(part["count"] for part in idle.plan(run_id)["slices"]) == 4 and idle.plan(run_id)["spared"] == 3
    result = idle.approve(run_id)
    assert (result["deleted"], result["matched"], result["remaining"]) == (4, 4, 0)
    stay = {running, paused, child, other, grandchild}
    assert db.existing([*stay, ended, *theirs, alone]) == stay


def test_a_parent_that_ends_after_the_plan(api, db, idle, worker):
    """Its subflow runs were not approved."""
    family = Family(api, db, unique("Done"))
    parent = family.run(state_type="RUNNING")
    child, alone = family.run(parent), family.run()
    worker(idle.pool)
    run_id = idle.ask(family.state)
    api.set_state(parent, "COMPLETED")
    assert idle.approve(run_id)["deleted"] == 1
    assert db.existing([child, alone]) == {child}


def test_a_parent_that_goes_on_after_the_approval(api, db, idle, worker):
    """As far as a look before each batch can tell."""
    family = Family(api, db, unique("Done"))
    parent = family.run()
    children = [family.run(parent) for _ in range(15)]
    worker(idle.pool)
    run_id = slow(idle, family.state)
    idle.answer(run_id, True)
    idle.wait_left([parent, *children], 6)
    left = db.existing(children)
    if parent in db.existing([parent]):
        api.set_state(parent, "RUNNING")
        idle.result(run_id)
        assert db.existing(children) == left and left


def test_plans_without_subflow_runs_cost_no_looks(idle, old, worker, proxy):
    state, _ = old(30)
    worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    assert idle.approve(idle.ask(state, batch_size=10))["deleted"] == 30
    assert not [request for request in proxy.seen if "subflow_runs" in request.body]


def test_a_plan_of_version_0_1(api, db, idle, worker, old):
    """A run that waits for its approval while the worker is renewed goes on; also there, subflow runs that are needed stay."""
    family = Family(api, db, unique("Done"))
    parent = family.run(state_type="RUNNING")
    child, alone = family.run(parent), family.run()
    one = worker(idle.pool)
    run_id = idle.ask(family.state)
    one.kill()
    plan = json.loads(db.inputs(run_id)["cleanup-plan"])
    old_plan = {key: value for key, value in plan.items() if key not in ("age_by", "top_level", "subflows", "spared")} | {"version": 1}
    old_plan["slices"][0]["count"] = 2  # it counted all of them
    canonical = json.dumps(old_plan, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    for key, value in (("cleanup-plan", json.dumps(old_plan)), ("paused-1-description", json.dumps(f"Plan `sha256:{digest}`"))):
        api.delete(f"/flow_runs/{run_id}/input/{key}")
        api.post(f"/flow_runs/{run_id}/input", {"key": key, "value": value})
    api.delete(f"/flow_runs/{run_id}/input/cleanup-form")
    worker(idle.pool, name=one.name)
    result = idle.approve(run_id)
    assert (result["deleted"], result["matched"]) == (1, 2)
    assert db.existing([child, alone]) == {child}
    wait_until(lambda: api.run(run_id)["state_type"] == "COMPLETED", 30, "the end")
