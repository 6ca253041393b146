"""The harness itself: a history is what the spec asks for, as the API and the database see it."""

import uuid

import pytest
from harness import unique, wait_until

pytestmark = [pytest.mark.tools, pytest.mark.versions, pytest.mark.databases]


def test_history_is_what_the_spec_asks_for(api, db, history):
    state = unique("State")
    over, cancelled = history(
        {"flow": "f", "count": 1200, "state_name": state, "name_prefix": "old-", "spread_seconds": 600, "tags": ["a"],
         "start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:01:00Z"},
        {"flow": "f", "state_type": "CANCELLED", "state_name": state,
         "start_time": "2026-01-02T00:00:00Z", "end_time": "2026-01-02T00:00:00Z"})
    assert (len(over), len(cancelled)) == (1200, 1)
    assert db.existing([*over, *cancelled, str(uuid.uuid4())]) == {*over, *cancelled}

    matching = {"flow_runs": {"state": {"name": {"any_": [state]}}, "end_time": {"before_": "2026-01-01T12:00:00Z"}}}
    assert api.post("/flow_runs/count", matching) == 1200
    assert len(api.post("/flow_runs/filter", matching | {"limit": 200})) == 200

    run = api.run(over[0])
    assert (run["name"], run["state_type"], run["tags"]) == ("old-00000", "COMPLETED", ["a"])
    assert (run["state"]["name"], run["total_run_time"]) == (state, 60)
    assert db.state_names(over[0]) == ["Scheduled", "Pending", "Running", state]
    assert db.state_names(cancelled[0]) == ["Scheduled", state]


def test_runs_have_tasks_logs_and_artifacts(api, db, history):
    [[run_id]] = history({"flow": "g", "task_runs": ["load", "save"], "logs": 3, "artifacts": 1,
                          "start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:01:00Z"})
    graph = api.get(f"/flow_runs/{run_id}/graph-v2")
    assert [node["label"] for _, node in graph["nodes"]] == ["load-0", "save-0"]
    assert api.logs(run_id) == db.logs(run_id) and len(db.logs(run_id)) == 3
    assert len(api.post("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run_id]}}})) == 1


def test_a_deleted_run_is_gone(api, db, history):
    [ids] = history({"flow": "f", "count": 3, "start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-01T00:01:00Z"})
    api.delete(f"/flow_runs/{ids[0]}")
    assert db.existing(ids) == set(ids[1:])


def test_waiting_tells_what_it_last_saw():
    with pytest.raises(AssertionError, match="not within 0 s: the impossible; last seen: False"):
        wait_until(lambda: False, 0, "the impossible")
