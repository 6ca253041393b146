"""The question and every way to answer it."""

import json
from datetime import timedelta

import pytest
from harness import PROJECT, from_now, parse_time

pytestmark = pytest.mark.databases
READ_RESULT = PROJECT / "tests/integration/read_result.py"


@pytest.fixture(scope="module", autouse=True)
def expiring(janitor, old):
    """A run that nobody answers: it is asked first and looked at last."""
    state, ids = old()
    return janitor.trigger(state, job_variables={"approval_timeout": 10}), ids


@pytest.mark.versions
def test_a_whole_run(api, db, janitor, old):
    state, ids = old(5)
    other_state, others = old(3)
    run_id = janitor.ask(state)
    assert db.existing(ids) == set(ids)  # nothing before the answer

    result = janitor.approve(run_id, "by all means")
    assert (result["status"], result["deleted"], result["failed"]) == ("completed", 5, 0)
    assert db.existing(ids) == set()
    assert db.existing(others) == set(others)
    assert api.run(run_id)["state"]["message"] == "deleted 5 of 5 flow runs"
    assert db.state_names(run_id) == ["Scheduled", "Pending", "Running", "Paused", "Running", "Completed"]
    janitor.wait_log(run_id, "approved: by all means")


def test_a_python_client_reads_the_result(server, janitor, old):
    state, _ = old(2)
    run_id = janitor.ask(state)
    stored = janitor.approve(run_id, "ümlaut, \"quotes\" and a\nsecond line")
    assert json.loads(server.python(READ_RESULT, run_id)) == stored
    assert stored["deleted"] == 2


@pytest.mark.versions
def test_the_form(api, db, janitor, old):
    state, _ = old()
    run_id = janitor.ask(state)
    paused = db.states(run_id)[-1]
    details = paused["state_details"]
    assert details["pause_key"] == "1" and details["pause_reschedule"] is False
    assert details["run_input_keyset"] == {"schema": "paused-1-schema", "description": "paused-1-description",
                                           "response": "paused-1-response"}
    timeout = parse_time(details["pause_timeout"]) - paused["timestamp"]
    assert timedelta(days=3, minutes=-1) < timeout <= timedelta(days=3, seconds=1)  # a busy server is late with the state

    digest = janitor.digest(run_id)
    schema = api.input(run_id, "paused-1-schema")
    assert schema["required"] == ["approve"] and schema["additionalProperties"] is False
    assert {name: (field.get("type"), field.get("enum"), field.get("default")) for name, field in schema["properties"].items()} == {
        "approve": (None, [True, False], None), "notes": ("string", None, ""), "plan": ("string", [digest], digest)}
    assert api.input(run_id, "paused-1-response") is None
    janitor.answer(run_id, False)


@pytest.mark.parametrize("run_input, reason", [
    pytest.param({"approve": False, "notes": "not on a Friday"}, "not on a Friday", marks=pytest.mark.versions),
    ({"approve": False, "notes": ""}, ""),
    ({"approve": False}, ""),
], ids=["with notes", "empty notes", "no notes"])
def test_no_is_no(db, api, janitor, old, run_input, reason):
    state, ids = old()
    run_id = janitor.ask(state)
    assert api.resume(run_id, run_input)["status"] == "ACCEPT"
    result = janitor.result(run_id)
    assert result["status"] == "rejected" and set(result) == {"status", "reason"}
    if reason:
        assert result["reason"] == reason
    assert db.existing(ids) == set(ids)


@pytest.mark.parametrize("run_input", [
    pytest.param({}, marks=pytest.mark.versions), pytest.param(None, marks=pytest.mark.versions), {"notes": "go ahead"},
    {"approve": "yes"}, {"approve": 1}, {"approve": None}, {"approve": True, "notes": 5}, {"approve": True, "notes": "", "more": True},
    pytest.param({"approve": True, "plan": "another"}, marks=pytest.mark.versions),
], ids=json.dumps)
def test_who_does_not_decide_has_not_rejected(api, db, janitor, old, run_input):
    state, ids = old(1)
    run_id = janitor.ask(state)
    verdict = api.resume(run_id, run_input)
    assert verdict["status"] == "REJECT", verdict
    assert api.run(run_id)["state_name"] == "Paused"
    janitor.answer(run_id, False)
    janitor.result(run_id)
    assert db.existing(ids) == set(ids)


@pytest.mark.parametrize("response", ['{"approve": "true"}', '{"approve": 1}', '{"approve": [true]}', "true", "garbage",
                                      '{"approve": true, "more": 1}', '{"approve": true, "notes": null}'])
def test_only_a_plain_yes_counts(api, db, janitor, old, response):
    """Whatever came past the server's check of the form."""
    state, ids = old(1)
    run_id = janitor.ask(state)
    api.post(f"/flow_runs/{run_id}/input", {"key": "paused-1-response", "value": response})
    api.set_state(run_id, "RUNNING")
    run = api.wait_state(run_id, "Completed", "Failed")
    assert run["state_name"] == "Failed" or janitor.result(run_id)["status"] == "rejected"
    assert db.existing(ids) == set(ids)


def test_cancelled_while_paused(api, db, janitor, old):
    state, ids = old()
    run_id = janitor.ask(state)
    api.cancel(run_id)
    run = api.wait_state(run_id, "Cancelled")
    assert "nothing was deleted" in run["state"]["message"]
    assert db.existing(ids) == set(ids)


def test_failed_while_paused(api, db, janitor, old):
    """Set from outside: the answer must not come too late."""
    state, ids = old()
    run_id = janitor.ask(state)
    api.set_state(run_id, "FAILED", "Failed", message="enough")
    janitor.wait_log(run_id, "nothing was deleted")
    assert api.run(run_id)["state"]["message"] == "enough"
    assert api.resume(run_id, {"approve": True})["status"] == "ABORT"
    assert db.existing(ids) == set(ids)


def test_not_answered_in_time(api, db, janitor, expiring):
    run_id, ids = expiring
    run = api.wait_state(run_id, "Failed", timeout=40)
    assert "never resumed" in run["state"]["message"]
    janitor.wait_log(run_id, "nothing was deleted")
    paused = next(state for state in db.states(run_id) if state["name"] == "Paused")
    timeout = parse_time(paused["state_details"]["pause_timeout"]) - paused["timestamp"]
    assert timeout.total_seconds() <= 11
    assert api.resume(run_id, {"approve": True})["status"] in ("ABORT", "REJECT")
    assert db.existing(ids) == set(ids)
    assert db.state_names(run_id)[-1] == "Failed" and parse_time(run["end_time"]) < from_now()
