"""The form of a question is there whatever happens: it is stored after the pause, and put back where it is missing."""

import json

import proxy as act
import pytest
from harness import wait_until

pytestmark = [pytest.mark.versions, pytest.mark.databases]
PARTS = ("schema", "description")
PUT_BACK_SECONDS = 30  # a form is looked at every 12 s at the tests' pace


def form(db, janitor, run_id):
    """What a person would see: the parts that are there, decoded."""
    inputs, keyset = db.inputs(run_id), janitor.keyset(run_id)
    stored = {part: inputs[keyset[part]] for part in PARTS if keyset[part] in inputs}
    return {part: json.loads(text) for part, text in stored.items() if text[0] in '{"'}


def wait_form(db, janitor, run_id, wanted=None, timeout=PUT_BACK_SECONDS):
    def seen():
        found = form(db, janitor, run_id)
        assert set(found) == set(PARTS) and wanted in (None, found), found
        return found
    return wait_until(seen, timeout, f"the form of {run_id}")


def approve(db, janitor, run_id, ids):
    janitor.answer(run_id, True)
    assert janitor.result(run_id)["deleted"] == len(ids)
    assert db.existing(ids) == set()


PAUSE = ("POST", "/set_state$", '"PAUSED"')
DESCRIPTION = ("POST", "/input$", '"paused-1-description"')
SCHEMA = ("POST", "/input$", '"paused-1-schema"')


@pytest.mark.parametrize("moment, side", [(PAUSE, "after"), (DESCRIPTION, "before"), (DESCRIPTION, "after"), (SCHEMA, "before"),
                                          (SCHEMA, "after")],
                         ids=["paused", "no part", "described", "no schema", "all of it"])
def test_killed_between_the_pause_and_the_form(api, db, idle, old, worker, proxy, moment, side):
    state, ids = old(3)
    one = worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    held = proxy.add(act.hold(), *moment, side=side)
    run_id = idle.trigger(state)
    held.wait()
    one.kill()
    proxy.clear()
    if "schema" not in form(db, idle, run_id):
        assert api.resume(run_id, {"approve": True})["status"] == "REJECT"  # half a form is none
    worker(idle.pool, name=one.name)
    shown = wait_form(db, idle, run_id)
    assert "3 flow runs would be deleted" in shown["description"]
    approve(db, idle, run_id, ids)
    assert db.state_names(run_id) == ["Scheduled", "Pending", "Running", "Paused", "Running", "Completed"]


def test_killed_and_taken_over(api, db, idle, old, worker, proxy):
    """Its worker never comes back: another one puts the form there."""
    state, ids = old(3)
    one = worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    held = proxy.add(act.hold(), *DESCRIPTION)
    run_id = idle.trigger(state)
    held.wait()
    one.kill()
    proxy.clear()
    worker(idle.pool)
    wait_form(db, idle, run_id, timeout=60)
    approve(db, idle, run_id, ids)


def damage(api, run_id, key, value=None):
    api.delete(f"/flow_runs/{run_id}/input/{key}")
    if value is not None:
        api.post(f"/flow_runs/{run_id}/input", {"key": key, "value": value})


@pytest.mark.parametrize("changes", [
    {"paused-1-schema": None},
    {"paused-1-schema": None, "paused-1-description": None},
    {"paused-1-description": '"Nothing to see here"'},
    {"paused-1-description": "not JSON"},
    {"paused-1-schema": '{"type": "object", "properties": {}}'},
], ids=["no schema", "nothing", "another text", "no text", "another schema"])
def test_a_damaged_form_is_put_back(api, db, idle, old, worker, changes):
    state, ids = old(2)
    worker(idle.pool)
    run_id = idle.ask(state)
    before = form(db, idle, run_id)
    for key, value in changes.items():
        damage(api, run_id, key, value)
    wait_form(db, idle, run_id, before)
    idle.wait_log(run_id, "is put back")
    approve(db, idle, run_id, ids)


@pytest.mark.parametrize("lost", [[], ["cleanup-form"]], ids=["the form", "and the text that is kept"])
def test_damaged_while_nobody_watches(api, db, idle, old, worker, lost):
    """Without the text that is kept it is made again from the plan."""
    state, ids = old(2)
    one = worker(idle.pool)
    run_id = idle.ask(state)
    before = form(db, idle, run_id)
    one.kill()
    for key in ["paused-1-schema", "paused-1-description", *lost]:
        damage(api, run_id, key)
    worker(idle.pool, name=one.name)
    after = wait_form(db, idle, run_id)
    assert after["schema"] == before["schema"]
    if lost:  # until when to decide and the page of the tables are not known any more
        assert idle.digest(run_id) in after["description"] and "**2 flow runs would be deleted**" in after["description"]
    else:
        assert after["description"] == before["description"]
    approve(db, idle, run_id, ids)


@pytest.mark.parametrize("code", [400, 403, 503])
def test_a_form_that_cannot_be_stored(api, db, idle, old, worker, proxy, cli, code):
    """The run's log and doctor say so; when it can be stored, it is there."""
    state, ids = old(2)
    idle.past_schema()
    worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    refused = proxy.add(act.status(code), *SCHEMA, count=None)
    run_id = idle.trigger(state)
    api.wait_state(run_id, "Paused")
    idle.wait_log(run_id, "nobody can answer: the form of this approval is not there", timeout=30)
    doctor = cli("doctor", "--deployment", idle.name)
    assert doctor.returncode == 1 and "1 of 1 waiting runs have no form" in doctor.stdout
    refused.remove()
    wait_form(db, idle, run_id)
    assert [line for line in api.logs(run_id) if "nobody can answer" in line][1:] == []
    approve(db, idle, run_id, ids)


@pytest.mark.parametrize("kept", [True, False], ids=["with the text that was kept", "without"])
def test_a_plan_that_was_changed_gets_no_form(api, db, idle, old, worker, kept):
    """What is put back is what was shown, or nothing: never a form for another plan. Also for a run of version 0.1, which kept
    no text."""
    state, ids = old(3)
    one = worker(idle.pool)
    run_id = idle.ask(state, dry_run=True)
    before = form(db, idle, run_id)
    one.kill()
    plan = json.loads(db.inputs(run_id)["cleanup-plan"]) | {"dry_run": False}
    damage(api, run_id, "cleanup-plan", json.dumps(plan))
    if not kept:
        damage(api, run_id, "cleanup-form")
    worker(idle.pool, name=one.name)
    idle.wait_log(run_id, "is not the one that was shown", timeout=30)
    assert form(db, idle, run_id) == before
    idle.answer(run_id, True)
    assert idle.result(run_id)["status"] == "rejected" and db.existing(ids) == set(ids)


def test_what_version_0_1_has_asked_is_left_as_it_is(api, db, idle, old, worker, proxy):
    state, ids = old(2)
    one = worker(idle.pool)
    run_id = idle.ask(state)
    before = form(db, idle, run_id)
    one.kill()
    damage(api, run_id, "cleanup-form")
    db.write("DELETE FROM flow_run WHERE id = ?", ids[0])  # the counts are others now
    looked = proxy.add(act.nothing(), "GET", "/input/cleanup-form$", side="after")
    worker(idle.pool, name=one.name, PREFECT_API_URL=proxy.url + "/api")
    looked.wait()
    approve(db, idle, run_id, ids[1:])
    assert form(db, idle, run_id) == before and "put back" not in "".join(api.logs(run_id))


def test_an_answer_while_the_form_is_put_back(api, db, idle, old, worker, proxy):
    """Somebody answered what a changed form showed: it stays what was answered, and is no approval."""
    state, ids = old(2)
    worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    run_id = idle.ask(state)
    held = proxy.add(act.hold(), "DELETE", "/input/paused-1-schema$")
    damage(api, run_id, "paused-1-description", '"Nothing to see here"')
    held.wait()
    idle.answer(run_id, True)
    held.release()
    assert idle.result(run_id) == {"status": "rejected", "reason": "the stored plan is not the one that was shown"}
    assert form(db, idle, run_id).get("description") == "Nothing to see here" and db.existing(ids) == set(ids)


def test_without_a_plan_there_is_no_form(api, db, idle, old, worker):
    state, ids = old(2)
    one = worker(idle.pool)
    run_id = idle.ask(state)
    one.kill()
    for key in ("paused-1-schema", "cleanup-plan"):
        damage(api, run_id, key)
    worker(idle.pool, name=one.name)
    idle.wait_log(run_id, "nobody can answer: the form of this approval is not there, and cannot be put back", timeout=30)
    assert "paused-1-schema" not in db.inputs(run_id)
    assert api.resume(run_id, {"approve": True})["status"] == "REJECT"
    assert db.existing(ids) == set(ids)


def test_paused_by_hand_has_no_form(api, db, idle, old, worker, proxy):
    """A pause from the UI is not a question: who looks after forms looks once, and leaves it alone."""
    state, ids = old(30)
    worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    run_id = idle.ask(state, batch_size=10, job_variables={"batch_pause_ms": 1500})
    idle.answer(run_id, True)
    idle.wait_left(ids, 20)
    api.suspend(run_id)
    idle.wait_log(run_id, "paused from outside")
    begin = len(proxy.seen)

    def requests(path):
        return sum(path in request.path for request in proxy.seen[begin:])

    wait_until(lambda: requests("/flow_runs/filter") > 20, 60, "the watch has looked twenty times")
    assert requests(f"/flow_runs/{run_id}") < 20
    api.resume(run_id)
    assert idle.result(run_id)["deleted"] == 30
    assert "put back" not in "".join(api.logs(run_id))
