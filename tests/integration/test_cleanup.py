"""What is deleted, and above all what is not."""

import json
from datetime import timedelta

import pytest
from harness import from_now, unique

SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)


@pytest.mark.versions
def test_nothing_matches(db, janitor):
    run_id = janitor.trigger(unique("None"))
    assert janitor.result(run_id) == {"status": "no_action", "deleted": 0}
    assert db.state_names(run_id) == ["Scheduled", "Pending", "Running", "Completed"]
    assert janitor.questions(run_id) == set()


@pytest.mark.versions
def test_dry_run(db, janitor, old):
    state, ids = old(7)
    run_id = janitor.ask(state, dry_run=True)
    assert janitor.approve(run_id) == {"status": "dry_run", "would_delete": 7}
    assert db.existing(ids) == set(ids)


def test_a_rejected_dry_run_is_rejected(janitor, old):
    run_id = janitor.ask(old()[0], dry_run=True)
    janitor.answer(run_id, False, "no")
    assert janitor.result(run_id) == {"status": "rejected", "reason": "no"}


@pytest.mark.versions
@pytest.mark.parametrize("batch_size", [10, 100])
def test_120_runs(db, janitor, old, batch_size):
    state, ids = old(120, task_runs=1)
    _, others = old(20)
    run_id = janitor.ask(state, batch_size=batch_size, job_variables={"batch_pause_ms": 0})
    result = janitor.approve(run_id)
    assert {key: result[key] for key in ("status", "deleted", "failed", "matched", "remaining", "gone")} == {
        "status": "completed", "deleted": 120, "failed": 0, "matched": 120, "remaining": 0, "gone": 0}
    assert result["failed_ids"] == []
    assert db.existing(ids) == set() and db.existing(others) == set(others)
    assert db.query("SELECT count(*) AS count FROM task_run WHERE flow_run_id IN (SELECT value FROM json_each(?))",
                    json.dumps(ids)) == [{"count": 0}]


def test_1200_runs(db, janitor, old):
    """More than the 200 that a page has, in the preview as in the deletion."""
    state, ids = old(1200, spread_seconds=86400)
    run_id = janitor.ask(state)
    assert "**1200 flow runs would be deleted**" in janitor.preview(run_id)
    assert "... and 1195 more" in janitor.page(run_id)
    janitor.answer(run_id, True)
    assert janitor.result(run_id, timeout=90)["deleted"] == 1200
    assert db.existing(ids) == set()
    progress = [line for line in db.logs(run_id) if line.startswith("deleted ") and "%" in line]
    assert 2 <= len(progress) <= 20


def test_boundary_ages(db, janitor, old, history):
    """Runs that slip in after the plan was made, as a badly set clock or an import could do."""
    state, ids = old(20)
    run_id = janitor.ask(state)
    for spare in ids[:15]:  # the plan's count may not grow
        janitor.api.delete(f"/flow_runs/{spare}")
    plan = janitor.plan(run_id)
    cutoff, planned_at = plan["cutoff"], plan["planned_at"]
    before = planned_at - SECOND
    cases = {  # (start, end): deleted?
        (cutoff - SECOND, before): True,
        (cutoff - MICROSECOND, before): True,
        (cutoff, before): True,
        (cutoff + MICROSECOND, before): False,
        (cutoff + SECOND, before): False,
        (cutoff + timedelta(days=1), before): False,
        (cutoff - SECOND, planned_at - MICROSECOND): True,
        (cutoff - SECOND, planned_at): True,
        (cutoff - SECOND, planned_at + MICROSECOND): False,
        (cutoff - SECOND, planned_at + SECOND): False,
    }
    groups = history(*({"flow": "f", "state_name": state, "start_time": start, "end_time": end} for start, end in cases),
                     *({"flow": "f", "state_name": state, "expected_start_time": start, "end_time": end}
                       for start, end in cases))
    started, never_started = groups[:len(cases)], groups[len(cases):]
    result = janitor.approve(run_id)
    left = {case: bool(db.existing(group)) for case, group in zip(cases, started)}
    assert left == {case: not deleted for case, deleted in cases.items()}
    # A slice that was empty in the preview stays so, whatever matches it later.
    assert all(db.existing(group) for group in never_started)
    assert result["deleted"] == 5 + sum(cases.values())
    assert db.existing(ids) == set()


def test_boundary_ages_of_runs_that_never_started(db, janitor, history):
    state = unique("Done")
    ancient = from_now(days=-45)
    [ids] = history({"flow": "f", "count": 10, "state_name": state, "expected_start_time": ancient, "end_time": ancient})
    run_id = janitor.ask(state)
    for spare in ids[:5]:
        janitor.api.delete(f"/flow_runs/{spare}")
    plan = janitor.plan(run_id)
    cutoff, before = plan["cutoff"], plan["planned_at"] - SECOND
    cases = {cutoff - SECOND: True, cutoff: True, cutoff + MICROSECOND: False, cutoff + SECOND: False}
    groups = history(*({"flow": "f", "state_name": state, "expected_start_time": due, "end_time": before} for due in cases))
    assert janitor.approve(run_id)["deleted"] == 5 + 2
    assert [bool(db.existing(group)) for group in groups] == [not deleted for deleted in cases.values()]


@pytest.mark.versions
def test_only_terminal_runs(db, janitor, old, history):
    """A state is judged by its type: a name alone, or an end time, deletes nothing."""
    state, ids = old(4)
    long_ago = from_now(days=-40)
    kinds = ["RUNNING", "PENDING", "SCHEDULED", "PAUSED", "CANCELLING"]
    groups = history(*({"flow": "f", "count": 2, "state_type": kind, "state_name": state, "start_time": long_ago} | end
                       for kind in kinds for end in ({}, {"end_time": long_ago})))
    others = [run_id for group in groups for run_id in group]
    run_id = janitor.ask(state)
    assert "**4 flow runs" in janitor.preview(run_id)
    assert janitor.approve(run_id)["deleted"] == 4
    assert db.existing([*ids, *others]) == set(others)


@pytest.mark.parametrize("kind", ["COMPLETED", "FAILED", "CANCELLED", "CRASHED"])
def test_every_terminal_type(db, janitor, old, kind):
    state, ids = old(2, state_type=kind)
    assert janitor.approve(janitor.ask(state))["deleted"] == 2
    assert db.existing(ids) == set()


def test_other_states_stay(db, janitor, old):
    state, ids = old(3)
    _, others = old(3, state_name=state.lower())
    _, longer = old(3, state_name=state + " ")
    assert janitor.approve(janitor.ask(state))["deleted"] == 3
    assert db.existing([*ids, *others, *longer]) == {*others, *longer}


def test_what_happens_between_preview_and_approval(api, db, janitor, old, history):
    state, ids = old(8)
    long_ago = from_now(days=-40)
    [[running]] = history({"flow": "f", "state_type": "RUNNING", "start_time": long_ago})
    run_id = janitor.ask(state)

    api.set_state(running, "COMPLETED", state)  # ends now, and then matches all but the end time
    retried, rerun, again, gone = ids[:4]
    api.retry(retried)
    api.set_state(rerun, "RUNNING")
    api.set_state(again, "RUNNING")
    api.set_state(again, "COMPLETED", state)  # old by its start, in a wanted state, but ended after the plan
    api.delete(f"/flow_runs/{gone}")
    assert api.run(running)["state_name"] == api.run(again)["state_name"] == state

    result = janitor.approve(run_id)
    assert db.existing([*ids, running]) == {retried, rerun, again, running}
    assert (result["deleted"], result["failed"], result["gone"]) == (4, 0, 4)
    message = api.run(run_id)["state"]["message"]
    assert "deleted 4 of 8" in message and "4 were run again or deleted by others" in message


def test_all_of_the_plan_is_gone(api, janitor, old):
    state, ids = old(3)
    run_id = janitor.ask(state)
    for old_id in ids:
        api.delete(f"/flow_runs/{old_id}")
    result = janitor.approve(run_id)
    assert (result["status"], result["deleted"], result["gone"]) == ("completed", 0, 3)


def tamper(change):
    def apply(text, state):
        plan = json.loads(text)
        change(plan, state)
        return json.dumps(plan)
    return apply


def later_cutoff(plan, _):
    """Consistent in itself: only the digest tells."""
    cutoff = plan["cutoff"]
    plan["cutoff"] = plan["planned_at"]
    for part in plan["slices"]:
        assert part["filter"]["start_time"]["before_"] == cutoff
        part["filter"]["start_time"]["before_"] = plan["planned_at"]


def more_states(plan, _):
    plan["states"].append("Completed")
    for part in plan["slices"]:
        part["filter"]["state"]["name"]["any_"] = plan["states"]


TAMPERED = {
    "a later cutoff": tamper(later_cutoff),
    "more states": tamper(more_states),
    "no dry run": tamper(lambda plan, _: plan.update(dry_run=not plan["dry_run"])),
    "another count": tamper(lambda plan, _: plan["slices"][0].update(count=1000)),
    "a filter without end time": tamper(lambda plan, _: plan["slices"][0]["filter"].pop("end_time")),
    "a filter with or": tamper(lambda plan, _: plan["slices"][0]["filter"].update(operator="or_")),
    "a filter with more types": tamper(lambda plan, _: plan["slices"][0]["filter"]["state"]["type"]["any_"].append("RUNNING")),
    "one slice more": tamper(lambda plan, _: plan["slices"].append(plan["slices"][0])),
    "no slices": tamper(lambda plan, _: plan.update(slices=[])),
    "a new field": tamper(lambda plan, _: plan.update(more=1)),
    "another version": tamper(lambda plan, _: plan.update(version=3)),
    "a list": lambda text, _: f"[{text}]",
    "empty": lambda text, _: "",
    "gone": lambda text, _: None,
}


@pytest.fixture(scope="module")
def tampered(janitor, old, db):
    """All of them side by side: run and history ids by name."""
    asked = {}
    for name, change in TAMPERED.items():
        state, ids = old(3)
        asked[name] = (janitor.trigger(state), ids, state, change)
    for run_id, _, state, change in asked.values():
        janitor.api.wait_question(run_id, timeout=60)
        text = change(db.inputs(run_id)["cleanup-plan"], state)
        where = "WHERE flow_run_id = ? AND key = 'cleanup-plan'"
        if text is None:
            db.write(f"DELETE FROM flow_run_input {where}", run_id)
        else:
            db.write(f"UPDATE flow_run_input SET value = ? {where}", text, run_id)
        janitor.answer(run_id, True)
    return asked


@pytest.mark.parametrize("name", TAMPERED)
def test_a_tampered_plan_deletes_nothing(api, db, tampered, name):
    run_id, ids, *_ = tampered[name]
    run = api.wait_state(run_id, "Failed", "Completed")
    message = run["state"]["message"]
    assert "plan" in message or "not the one that was shown" in message
    if run["state_name"] == "Completed":
        assert db.states(run_id)[-1]["data"]["status"] == "rejected"
    assert db.existing(ids) == set(ids)


@pytest.mark.parametrize("text", ["approved", '{"version": 1,'])
def test_a_plan_that_is_no_json(db, janitor, old, text):
    """It could be a proxy's page, so it is asked for again, for minutes; the test does not wait for the end."""
    state, ids = old(3)
    run_id = janitor.ask(state)
    db.write("UPDATE flow_run_input SET value = ? WHERE flow_run_id = ? AND key = 'cleanup-plan'", text, run_id)
    janitor.answer(run_id, True)
    janitor.wait_log(run_id, "cleanup-plan")
    assert db.existing(ids) == set(ids)


def test_a_tampered_preview_deletes_nothing(db, janitor, old):
    """Whatever text was shown, it was not that of this plan."""
    state, ids = old(3)
    run_id = janitor.ask(state)
    db.write("UPDATE flow_run_input SET value = ? WHERE flow_run_id = ? AND key = ?",
             json.dumps("1 flow run would be deleted"), run_id, janitor.keyset(run_id)["description"])
    janitor.answer(run_id, True)
    assert janitor.result(run_id) == {"status": "rejected", "reason": "the stored plan is not the one that was shown"}
    assert db.existing(ids) == set(ids)
