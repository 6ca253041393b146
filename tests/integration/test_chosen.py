"""Which runs a cleanup chooses, and what its preview says of the others. Ages of decades: no other test has such runs."""

import json
from datetime import timedelta

import pytest
from harness import from_now, unique

pytestmark = pytest.mark.databases
AGE = {"retention_period": "P20Y"}
OLD = from_now(days=-25 * 365)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def runs(history, db):
    """runs(count, ...) writes runs that started and ended 25 years ago; what is left of them goes at the test's end."""
    written = []

    def write(count, **group):
        ids = history({"flow": "ancient", "count": count, "start_time": OLD, "end_time": OLD + MINUTE} | group)[0]
        written.extend(ids)
        return ids

    yield write
    db.write("DELETE FROM flow_run WHERE id IN (SELECT value FROM json_each(?))", json.dumps(written))


@pytest.mark.versions
@pytest.mark.parametrize("states, goes", [
    (["COMPLETED"], ["plain", "skipped"]), (["Skipped"], ["skipped"]), (["Completed", "CRASHED"], ["landed", "plain"]),
    (["COMPLETED", "Crash Landed"], ["landed", "plain", "skipped"]), (["COMPLETED", "Skipped"], ["plain", "skipped"]),
    (["COMPLETED", "FAILED", "CANCELLED", "CRASHED", "Skipped"], ["failed", "landed", "plain", "skipped"]),
], ids=json.dumps)
def test_states_by_type_or_by_name(api, db, idle, worker, runs, states, goes):
    """The form takes them: the deployment's schema is enforced."""
    groups = {"plain": runs(2), "skipped": runs(3, state_name="Skipped"), "failed": runs(1, state_type="FAILED", state_name="Failed"),
              "landed": runs(1, state_type="CRASHED", state_name="Crash Landed")}
    worker(idle.pool)
    run_id = api.trigger(idle.deployment_id, {"config": AGE | {"states_to_clean": states}})
    api.wait_question(run_id)
    expected = sum(len(groups[name]) for name in goes)
    assert f"**{expected} flow runs would be deleted**" in idle.preview(run_id)
    assert idle.approve(run_id)["deleted"] == expected
    assert sorted(name for name, ids in groups.items() if not db.existing(ids)) == goes
    assert all(db.existing(ids) == set(ids) for name, ids in groups.items() if name not in goes)


@pytest.mark.versions
def test_the_age_by_the_end(db, idle, worker, runs):
    state = unique("Done")
    ended, ends_late = runs(3, state_name=state), runs(2, state_name=state, end_time=from_now(days=-1))
    worker(idle.pool)
    run_id = idle.ask(state, age_by="end", **AGE)
    assert "- Ended before " in idle.preview(run_id) and "(7300 days)\n" in idle.preview(run_id)
    assert "2 that started earlier and ended within the period" in idle.preview(run_id)
    assert idle.plan(run_id)["age_by"] == "end" and idle.approve(run_id)["deleted"] == 3
    assert db.existing([*ended, *ends_late]) == set(ends_late)


def test_the_age_by_the_start_tells_who_ended_lately(db, idle, worker, runs):
    state = unique("Done")
    ids = [*runs(3, state_name=state), *runs(2, state_name=state, end_time=from_now(days=-1))]
    worker(idle.pool)
    run_id = idle.ask(state, **AGE)
    assert "- 2 of them ended after that\n" in idle.preview(run_id)
    assert idle.approve(run_id)["deleted"] == 5 and db.existing(ids) == set()


def test_what_stays_is_told(api, db, idle, worker, runs):
    state, other = unique("Done"), unique("Skipped").replace("-", " ")
    goes, others = runs(2, state_name=state), runs(3, state_name=other)
    endless = runs(4, state_name=state)
    db.write("UPDATE flow_run SET end_time = NULL WHERE id IN (SELECT value FROM json_each(?))", json.dumps(endless))
    unfinished = runs(1, state_name=state)
    api.set_state(unfinished[0], "RUNNING")
    worker(idle.pool)
    run_id = idle.ask(state, **AGE)
    form = idle.preview(run_id)
    oldest = OLD.strftime("%Y-%m-%d")
    assert f"- Stay: 3 in other states ({other}); 4 without an end time; 1 not finished (oldest {oldest})\n" in form
    assert idle.approve(run_id)["deleted"] == 2
    assert db.existing([*goes, *others, *endless, *unfinished]) == {*others, *endless, *unfinished}


def test_many_flows_and_deployments_are_counted_exactly(api, db, idle, worker, runs, history):
    state = unique("Done")
    groups = [{"flow": f"ancient-{number:03}", "count": 1, "state_name": state, "start_time": OLD, "end_time": OLD + MINUTE}
              for number in range(130)]
    ids = [one for group in history(*groups) for one in group]
    worker(idle.pool)
    run_id = idle.ask(state, **AGE)
    page = idle.page(run_id)
    assert "- Of 130 flows" in page and "| ... and 110 more flows |" in page
    assert idle.approve(run_id)["deleted"] == 130 and db.existing(ids) == set()
