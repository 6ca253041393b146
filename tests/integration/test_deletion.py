"""The deletion: runs at fault, and everything that stops it half-way."""

import re

import pytest
from harness import parse_time, unique
from proxy import html
from test_page import page

COUNT = 40
# Long enough to act between two batches of 10, short enough to wait for.
STEADY = {"batch_size": 10, "job_variables": {"batch_pause_ms": 1000}}


@pytest.fixture
def at_fault(db):
    """at_fault(ids) makes the server fail to delete these flow runs."""
    name = unique("fault").replace("-", "_")
    yield lambda ids, refused=True: db.database.fail_to_delete(name, ids, refused)
    db.database.delete_again(name)


@pytest.fixture
def deleting(janitor, old):
    """A deletion with one batch behind it: (run, history ids)."""
    state, ids = old(COUNT)
    run_id = janitor.ask(state, **STEADY)
    janitor.answer(run_id, True)
    janitor.wait_left(ids, COUNT - 10)
    return run_id, ids


@pytest.fixture(scope="module", autouse=True)
def deleted_while_paused(api, janitor, old):
    """Deleted first, looked at last: the worker counts its paused runs every half minute."""
    state, ids = old(3)
    run_id = janitor.ask(state)
    api.delete(f"/flow_runs/{run_id}")
    return run_id, ids


@pytest.mark.databases
@pytest.mark.parametrize("refused", [
    pytest.param(True, id="refused"),
    # On PostgreSQL the server answers 503 instead, as to whatever is over soon: minutes of patience for each run.
    pytest.param(False, id="server error", marks=pytest.mark.sqlite),
])
@pytest.mark.parametrize("count, batch_size", [(3, 100), (30, 10), (120, 100)])
def test_runs_at_fault_are_left_out(api, db, janitor, old, at_fault, refused, count, batch_size):
    state, ids = old(count)
    bad = {ids[0], ids[count // 2]}
    at_fault(bad, refused)
    run_id = janitor.ask(state, batch_size=batch_size, job_variables={"batch_pause_ms": 0})
    janitor.answer(run_id, True)
    result = janitor.result(run_id, timeout=90)
    assert db.existing(ids) == bad
    assert (result["deleted"], result["failed"], result["remaining"]) == (count - 2, 2, 2)
    assert set(result["failed_ids"]) == bad
    message = api.run(run_id)["state"]["message"]
    assert f"deleted {count - 2} of {count}" in message and "2 could not be deleted" in message
    for one in bad:
        janitor.wait_log(run_id, f"flow run {one} cannot be deleted")


@pytest.mark.parametrize("count", [1, 12])
def test_all_at_fault(db, janitor, old, at_fault, page, count):
    state, ids = old(count)
    at_fault(ids)
    run_id = janitor.ask(state)
    janitor.answer(run_id, True)
    result = janitor.result(run_id, "Failed")
    assert (result["status"], result["deleted"], result["failed"]) == ("failed", 0, count)
    assert set(result["failed_ids"]) == set(ids) == db.existing(ids)
    steps = page.steps(run_id)
    assert {steps[name] for name in ("delete", "batches-01", "verify")} == {"FAILED"} and steps["report"] == "COMPLETED"


def test_gives_up_when_everything_is_refused(api, db, janitor, old, at_fault):
    state, ids = old(60)
    at_fault(ids)
    run_id = janitor.ask(state)
    janitor.answer(run_id, True)
    result = janitor.result(run_id, "Failed", timeout=60)
    assert result["deleted"] == 0 and 0 < result["failed"] < 60
    assert "given up" in api.run(run_id)["state"]["message"]
    assert db.existing(ids) == set(ids)


@pytest.mark.databases
@pytest.mark.versions
def test_with_and_without_bulk_delete(api, db, janitor, old):
    """The API of 3.4 has none."""
    state, ids = old(25)
    run_id = janitor.ask(state, batch_size=10)
    assert janitor.approve(run_id)["deleted"] == 25
    assert db.existing(ids) == set()
    janitor.wait_log(run_id, "Completed: deleted 25 of 25")
    single = any("no bulk_delete" in line for line in db.logs(run_id))
    assert single is api.get("/admin/version").startswith("3.4.")


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_page_in_place_of_the_first_answer(db, idle, old, worker, proxy, side):
    """Somebody's page with 200, whether the server has deleted or not: all is counted, and bulk_delete is not given up."""
    state, ids = old(25)
    with proxy.add(html(), path="/bulk_delete$", side=side) as page:
        worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
        run_id = idle.ask(state)
        result = idle.approve(run_id)
        page.wait()
    assert (result["deleted"], result["gone"], db.existing(ids)) == (25, 0, set())
    assert not any("no bulk_delete" in line for line in db.logs(run_id))


@pytest.mark.databases
@pytest.mark.versions
def test_cancelled_while_deleting(api, db, janitor, deleting):
    run_id, ids = deleting
    api.cancel(run_id)
    message = api.wait_state(run_id, "Cancelled")["state"]["message"]
    deleted = COUNT - len(db.existing(ids))
    assert 10 <= deleted < COUNT
    assert f"deleted {deleted} of {COUNT}" in message
    assert db.state_names(run_id)[-2:] == ["Cancelling", "Cancelled"]


@pytest.mark.parametrize("kind", ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"])
def test_ended_from_outside_while_deleting(api, db, janitor, deleting, kind):
    run_id, ids = deleting
    api.set_state(run_id, kind, message="set by somebody")
    janitor.wait_log(run_id, f"the run was set to {kind} from outside: deleted ")
    assert 0 < len(db.existing(ids)) < COUNT
    assert api.run(run_id)["state"]["message"] == "set by somebody"


def test_paused_in_the_ui_while_deleting(api, db, janitor, deleting):
    run_id, ids = deleting
    api.suspend(run_id)
    line = janitor.wait_log(run_id, "paused from outside")
    deleted = COUNT - len(db.existing(ids))
    assert 10 <= deleted < COUNT and f"deleted {deleted} of {COUNT}" in line
    assert api.run(run_id)["state_name"] == "Suspended"

    assert api.resume(run_id)["status"] == "ACCEPT"
    result = janitor.result(run_id)
    assert (result["status"], result["deleted"]) == ("completed", COUNT)
    assert db.existing(ids) == set()


def test_deleted_while_deleting(api, db, janitor, old, deleting):
    run_id, ids = deleting
    api.delete(f"/flow_runs/{run_id}")
    janitor.worker.wait_output(f"({run_id}): the run was deleted; deleted ")
    assert 0 < len(db.existing(ids)) < COUNT
    assert janitor.approve(janitor.ask(old(2)[0]))["deleted"] == 2


def test_progress(db, janitor, old):
    state, _ = old(100)
    run_id = janitor.ask(state, batch_size=10, job_variables={"batch_pause_ms": 0})
    janitor.approve(run_id)
    janitor.wait_log(run_id, "Completed: ")
    steps = [re.match(r"deleted (\d+) of 100 flow runs \((\d+) %", line) for line in db.logs(run_id)]
    counts = [int(step[1]) for step in steps if step]
    assert counts == sorted(counts) and 2 <= len(counts) <= 11


def test_pace(db, janitor, old):
    """The pause between two batches is kept: 3 of them here."""
    state, _ = old(40)
    run_id = janitor.ask(state, batch_size=10, job_variables={"batch_pause_ms": 400})
    janitor.approve(run_id)
    *_, running, completed = db.states(run_id)
    assert (completed["timestamp"] - running["timestamp"]).total_seconds() >= 3 * 0.4


@pytest.mark.parametrize("value", [-5, "soon", 10_000_000_000, None, True, [10]], ids=str)
def test_a_pool_with_a_default_out_of_bounds(api, db, idle, old, worker, value):
    """The server checks what a deployment or a run sets, but not the pool's own defaults."""
    pool = api.get(f"/work_pools/{idle.pool}")
    for variable in pool["base_job_template"]["variables"]["properties"].values():
        variable["default"] = value
    api.patch(f"/work_pools/{idle.pool}", {"base_job_template": pool["base_job_template"]})
    worker(idle.pool)
    run_id = idle.ask(old(2)[0])
    paused = db.states(run_id)[-1]
    timeout = (parse_time(paused["state_details"]["pause_timeout"]) - paused["timestamp"]).total_seconds()
    assert 5 < timeout < 31 * 86400
    assert idle.approve(run_id)["deleted"] == 2


def test_deleted_while_paused(db, janitor, old, deleted_while_paused):
    run_id, ids = deleted_while_paused
    janitor.worker.wait_output(f"flow run {run_id}: it was deleted", timeout=60)
    assert db.existing(ids) == set(ids)
    assert janitor.approve(janitor.ask(old(2)[0]))["deleted"] == 2
