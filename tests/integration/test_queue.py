"""One deletion at a time, the deployment's lease, and the limits of pools and queues."""

import proxy as act
import pytest
from harness import from_now, unique, wait_until
from janitor import Janitor

SLOW_MS = 600_000  # the pause after the first batch of 10: longer than any test


@pytest.fixture
def at_work(idle, old, worker):
    """A deletion that rests after its first batch: (run, its old runs, its worker)."""
    one = worker(idle.pool)
    state, ids = old(30)
    run_id = idle.ask(state, batch_size=10, job_variables={"batch_pause_ms": SLOW_MS})
    idle.answer(run_id, True)
    idle.wait_left(ids, 20)
    return run_id, ids, one


def end(api, run_id):
    api.cancel(run_id)
    api.wait_state(run_id, "Cancelled")


def wait_queued(api, idle, run_id, first):
    """Returns the state's message of a run that waits for another one."""
    name = api.run(first)["name"]
    idle.wait_log(run_id, f"'{name}' ({first}) was approved earlier", timeout=30)  # whoever deletes looks after its pause
    return wait_until(lambda: f"'{name}'" in (api.run(run_id)["state"]["message"] or "") and api.run(run_id)["state"]["message"],
                      40, "the state says for whom it waits")


@pytest.mark.versions
def test_the_second_waits_and_goes_on(api, db, idle, old, worker, at_work):
    first, first_ids, _ = at_work
    state, ids = old(5)
    second = idle.ask(state)
    idle.answer(second, True, "go")
    message = wait_queued(api, idle, second, first)
    assert message.startswith("approved, waiting for its turn")
    assert api.run(second)["state_type"] == "RUNNING" and db.existing(ids) == set(ids)

    end(api, first)
    result = idle.result(second)
    assert (result["deleted"], result["notes"]) == (5, "go")
    assert db.existing(ids) == set() and len(db.existing(first_ids)) == 20
    idle.wait_log(second, "and its turn has come")


def test_in_the_order_of_their_approvals(api, db, idle, old, worker, at_work):
    """Three wait, and costs no slot of the worker: a fourth run is planned meanwhile, although the limit is lower."""
    first, _, one = at_work
    asked = [(idle.ask(state), ids) for state, ids in (old(3) for _ in range(3))]
    for run_id, _ in reversed(asked):
        idle.answer(run_id, True)
        wait_queued(api, idle, run_id, first)
    idle.ask(old(2)[0])
    end(api, first)
    for run_id, ids in asked:
        assert idle.result(run_id)["deleted"] == 3
    ends = [db.states(run_id)[-1]["timestamp"] for run_id, _ in reversed(asked)]
    assert ends == sorted(ends)


@pytest.mark.threads
def test_waiting_takes_no_slot(api, db, idle, old, worker):
    state, ids = old(20)
    one = worker(idle.pool, "--limit", 2)
    first = idle.ask(state, batch_size=10, job_variables={"batch_pause_ms": SLOW_MS})
    idle.answer(first, True)
    idle.wait_left(ids, 10)
    waiting = [idle.ask(old(2)[0]) for _ in range(3)]
    for run_id in waiting:
        idle.answer(run_id, True)
        wait_queued(api, idle, run_id, first)
    idle.ask(old(2)[0])  # one slot deletes, the other one is free all the same
    end(api, first)
    for run_id in waiting:
        assert idle.result(run_id)["deleted"] == 2
    assert one.process.poll() is None


@pytest.mark.parametrize("how", ["cancelled", "ended", "deleted"])
def test_ended_while_it_waits(api, db, idle, old, worker, at_work, how):
    first, _, one = at_work
    state, ids = old(5)
    second = idle.ask(state)
    idle.answer(second, True)
    wait_queued(api, idle, second, first)
    if how == "cancelled":
        api.cancel(second)
        assert api.wait_state(second, "Cancelled")["state"]["message"] == "cancelled: nothing was deleted"
    elif how == "ended":
        api.set_state(second, "FAILED", message="by somebody")
        idle.wait_log(second, "the run was set to a final state from outside")
    else:
        api.delete(f"/flow_runs/{second}")
        one.wait_output(f"{second}: it was deleted")
    third = idle.ask(old(1)[0])
    idle.answer(third, True)
    wait_queued(api, idle, third, first)
    end(api, first)
    assert idle.result(third)["deleted"] == 1
    assert db.existing(ids) == set(ids)


def test_a_dead_worker_blocks_nobody(api, db, idle, old, worker, at_work):
    """Its run keeps its place, but does not count until it is taken over."""
    first, first_ids, one = at_work
    other = Janitor(api, db, idle.cli)  # of another pool: nobody takes the first run over
    two = worker(other.pool)
    state, ids = old(5)
    second = other.ask(state)
    other.answer(second, True)
    wait_queued(api, other, second, first)
    one.kill()
    assert other.result(second, timeout=40)["deleted"] == 5
    assert db.existing(ids) == set() and len(db.existing(first_ids)) == 20
    assert api.run(first)["state_type"] == "RUNNING"


def test_an_older_approval_comes_back(api, db, idle, old, worker, at_work, proxy):
    """Approved first, its worker away meanwhile: whoever deletes makes room for it when it looks, after its pause."""
    first, first_ids, one = at_work
    one.kill()
    other = Janitor(api, db, idle.cli)
    worker(other.pool, PREFECT_API_URL=proxy.url + "/api")
    state, ids = old(20)
    second = other.ask(state, batch_size=10, job_variables={"batch_pause_ms": 11_000})
    deleted = proxy.add(act.nothing(), "POST", "/bulk_delete$", side="after")
    looks = proxy.add(act.hold(), "POST", "/flow_runs/filter$", '"flows".*"RUNNING"|"RUNNING".*"flows"', since=deleted)
    other.answer(second, True)
    other.wait_left(ids, 10)
    before = len(one.output())
    worker(idle.pool, name=one.name)
    wait_until(lambda: f"({first}): taking it up again" in one.output()[before:], 30, "the first one has its worker again")
    looks.wait()
    looks.release()
    wait_queued(api, other, second, first)
    assert len(db.existing(ids)) == 10
    end(api, first)
    assert other.result(second)["deleted"] == 20


def test_rejected_and_dry_runs_do_not_queue(api, idle, old, worker, at_work):
    first, _, _ = at_work
    rejected, dry = idle.ask(old(1)[0]), idle.ask(old(1)[0], dry_run=True)
    idle.answer(rejected, False, "no")
    assert idle.result(rejected)["status"] == "rejected"
    assert idle.approve(dry)["status"] == "dry_run"
    assert api.run(first)["state_type"] == "RUNNING"
    end(api, first)


# --- leases and limits --------------------------------------------------------------------------------


def lease_of(api, run_id):
    return api.run(run_id)["state"]["state_details"]["deployment_concurrency_lease_id"]


def slots(api, deployment_id):
    [limit] = [one for one in api.post("/v2/concurrency_limits/filter") if one["name"] == f"deployment:{deployment_id}"]
    return limit["active_slots"]


def renew(api, lease):
    return api.request("POST", f"/v2/concurrency_limits/leases/{lease}/renew", {"lease_duration": 60}).status_code


def test_a_slot_is_held_and_given_back(api, db, cli, old, worker):
    """While the run waits for its answer the server takes the slot back: the next run asks meanwhile, and takes its place."""
    limited = Janitor(api, db, cli, "--concurrency-limit", 1)
    worker(limited.pool)
    first = limited.ask(old(2)[0])
    second = api.trigger(limited.deployment_id, {"config": {"states_to_clean": [old(2)[0]]}}, enforce=False)
    api.wait_question(second)
    runs = [first, second]
    for run_id in runs:
        running = next(state for state in db.states(run_id) if state["type"] == "RUNNING")
        assert running["state_details"]["deployment_concurrency_lease_id"]
    assert slots(api, limited.deployment_id) == 0
    assert "superseded by" in api.wait_state(first, "Cancelled")["state"]["message"]
    assert limited.approve(second)["deleted"] == 2
    assert not any("the slot of" in line for run_id in runs for line in api.logs(run_id))


@pytest.mark.versions
def test_the_lease_is_renewed_and_its_loss_is_said(api, db, cli, old, worker):
    """A run that goes on after a pause from the UI has a lease of its own, which is revoked here."""
    limited = Janitor(api, db, cli, "--concurrency-limit", 1)
    one = worker(limited.pool)
    state, ids = old(30)
    run_id = limited.ask(state, batch_size=10, job_variables={"batch_pause_ms": 30_000})
    limited.answer(run_id, True)
    limited.wait_left(ids, 20)
    api.suspend(run_id)
    limited.wait_log(run_id, "paused from outside")
    before = len(one.output())
    assert api.resume(run_id)["status"] == "ACCEPT"
    limited.wait_left(ids, 10)
    lease = lease_of(api, run_id)
    assert slots(api, limited.deployment_id) == 1 and renew(api, lease) == 204
    wait_until(lambda: f"{run_id}: holds a slot" in one.output()[before:], 20, "renewed once: its loss is news from now on")
    assert not any("the slot of" in line for line in api.logs(run_id))  # two pauses gave theirs back, and lost none
    api.post("/v2/concurrency_limits/decrement-with-lease", {"lease_id": lease})
    assert renew(api, lease) in (404, 410)  # 3.4 says 404
    limited.wait_log(run_id, "the slot of the deployment's concurrency limit is lost", timeout=20)
    assert limited.result(run_id)["deleted"] == 30
    assert sum("the slot of" in line for line in api.logs(run_id)) == 1


@pytest.mark.parametrize("what", ["pool", "queue"])
def test_concurrency_limits(api, db, idle, old, worker, what):
    """Of a work pool and of a work queue: the server hands out what fits, and nothing starts beside it."""
    path = f"/work_pools/{idle.pool}" + ("/queues/default" if what == "queue" else "")
    api.patch(path, {"concurrency_limit": 1})
    state, ids = old(20)
    first = idle.trigger(state, batch_size=10, job_variables={"batch_pause_ms": SLOW_MS})
    worker(idle.pool)
    api.wait_question(first)
    idle.answer(first, True)
    idle.wait_left(ids, 10)
    second = idle.trigger(unique("None"))
    heartbeat = api.post(f"/work_pools/{idle.pool}/workers/filter")[0]["last_heartbeat_time"]
    wait_until(lambda: api.post(f"/work_pools/{idle.pool}/workers/filter")[0]["last_heartbeat_time"] > heartbeat, 10,
               "another heartbeat")  # some polls later
    assert api.run(second)["state_type"] == "SCHEDULED"
    end(api, first)
    idle.result(second)


@pytest.mark.parametrize("what", ["pool", "queue"])
def test_paused_after_the_run_was_fetched(api, db, idle, worker, what):
    path = f"/work_pools/{idle.pool}" + ("/queues/default" if what == "queue" else "")
    one = worker(idle.pool)
    run_id = api.trigger(idle.deployment_id, {"config": {"states_to_clean": [unique("None")]}}, enforce=False,
                         scheduled_time=str(from_now(seconds=4)))
    one.wait_output(f"({run_id}): fetched")
    api.patch(path, {"is_paused": True})
    one.wait_output(f"({run_id}): its work pool or work queue is paused")
    assert [name for name in db.state_names(run_id) if name != "Late"] == ["Scheduled"]
    api.patch(path, {"is_paused": False})
    idle.result(run_id)


def test_global_limit_of_the_deployment(api, db, cli, worker):
    """Somebody else holds the slot: the run waits for it, Scheduled, and starts when it is free."""
    limited = Janitor(api, db, cli, "--concurrency-limit", 1)
    name = f"deployment:{limited.deployment_id}"
    api.post("/v2/concurrency_limits/increment", {"names": [name], "slots": 1, "mode": "concurrency"})
    worker(limited.pool)
    run_id = limited.trigger(unique("None"))
    wait_until(lambda: "AwaitingConcurrencySlot" in db.state_names(run_id), 20, "it waits for a slot")
    assert "Running" not in db.state_names(run_id)
    api.post("/v2/concurrency_limits/decrement", {"names": [name], "slots": 1, "occupancy_seconds": 1})
    limited.result(run_id)
