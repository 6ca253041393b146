"""What a run's parameters may be: the worker checks them itself, since a client can turn the schema check off."""

from datetime import timedelta

import pydantic
import pytest
from harness import from_now

DEFAULT_STATES = ["Completed", "Failed", "Cancelled"]

WRONG = {
    "retention: no duration": ({"config": {"retention_period": "banana"}}, ["config.retention_period"]),
    "retention: zero": ({"config": {"retention_period": "P0D"}}, ["config.retention_period"]),
    "retention: negative": ({"config": {"retention_period": "-P30D"}}, ["config.retention_period"]),
    "retention: negative number": ({"config": {"retention_period": -1}}, ["config.retention_period"]),
    "retention: overflow": ({"config": {"retention_period": "P99999999999999D"}}, ["config.retention_period"]),
    "retention: before the year 1": ({"config": {"retention_period": "P1000000D"}}, ["config.retention_period"]),
    "retention: boolean": ({"config": {"retention_period": True}}, ["config.retention_period"]),
    "retention: null": ({"config": {"retention_period": None}}, ["config.retention_period"]),
    "states: empty": ({"config": {"states_to_clean": []}}, ["config.states_to_clean"]),
    "states: twice": ({"config": {"states_to_clean": ["Failed", "Failed"]}}, ["config.states_to_clean", "Failed"]),
    "states: a number": ({"config": {"states_to_clean": [5]}}, ["config.states_to_clean"]),
    "states: an empty name": ({"config": {"states_to_clean": [""]}}, ["config.states_to_clean"]),
    "states: text": ({"config": {"states_to_clean": "Failed"}}, ["config.states_to_clean"]),
    "batch: too small": ({"config": {"batch_size": 9}}, ["config.batch_size", "10"]),
    "batch: too large": ({"config": {"batch_size": 1001}}, ["config.batch_size", "1000"]),
    "batch: text": ({"config": {"batch_size": "100"}}, ["config.batch_size"]),
    "batch: fraction": ({"config": {"batch_size": 10.5}}, ["config.batch_size"]),
    "batch: boolean": ({"config": {"batch_size": True}}, ["config.batch_size"]),
    "dry run: text": ({"config": {"dry_run": "true"}}, ["config.dry_run"]),
    "dry run: number": ({"config": {"dry_run": 1}}, ["config.dry_run"]),
    "approval: unknown": ({"config": {"approval_type": "robot"}}, ["config.approval_type", "robot"]),
    "approval: list": ({"config": {"approval_type": ["human"]}}, ["config.approval_type"]),
    "unknown field": ({"config": {"older_than": "P1D"}}, ["config.older_than"]),
    "unknown parameter": ({"retention_period": "P1D"}, ["retention_period", "config"]),
    "config: a list": ({"config": ["P1D"]}, ["config"]),
    "config: text": ({"config": "P1D"}, ["config"]),
    "everything at once": (
        {"config": {"retention_period": "banana", "states_to_clean": [], "batch_size": 5, "dry_run": 0,
                    "approval_type": "robot", "older_than": 5}, "more": 1},
        ["config.retention_period", "config.states_to_clean", "config.batch_size", "config.dry_run",
         "config.approval_type", "config.older_than", "more"]),
    "the AI mode": ({"config": {"approval_type": "ai"}}, ["config.approval_type", "ai", "human", "nothing was deleted"]),
}

# What the reference flow's pydantic makes of it is what counts. It takes more than ISO 8601; the worker need not.
RETENTIONS = ["P30D", "P2W", "PT36H", "P1DT12H30M", "P0Y45D", "P1Y", "P6M", "PT0.5S", "-P1D", "P1D2", "30 days",
              "40 12:30:00", "P1.5D", "P", "PT", 3_456_000, 3_456_000.25, 0.001]


@pytest.fixture(scope="module")
def wrong(api, janitor):
    """All of them side by side."""
    return {name: api.trigger(janitor.free_deployment(), parameters, enforce=False) for name, (parameters, _) in WRONG.items()}


@pytest.fixture(scope="module")
def retentions(janitor, old):
    """Something that every one of them finds, or the flow would end without a plan."""
    ancient = from_now(days=-5000)
    state, _ = old(1, start_time=ancient, end_time=ancient + timedelta(minutes=1))
    return {retention: janitor.trigger(state, retention_period=retention) for retention in RETENTIONS}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_parameters(db, janitor, wrong, name):
    message = janitor.failure(wrong[name])
    assert all(word in message for word in WRONG[name][1]), message
    assert db.state_names(wrong[name]) == ["Scheduled", "Pending", "Running", "Failed"]
    assert janitor.questions(wrong[name]) == set()
    janitor.wait_log(wrong[name], message)


@pytest.mark.parametrize("retention", RETENTIONS, ids=repr)
def test_retention_is_read_as_pydantic_does(api, janitor, retentions, retention):
    """But for numbers, which are days here: seconds to pydantic, and nobody means those."""
    try:
        expected = pydantic.TypeAdapter(timedelta).validate_python(retention)
    except pydantic.ValidationError:
        expected = timedelta(0)
    if isinstance(retention, (int, float)):
        expected = timedelta(days=retention) if isinstance(retention, int) and retention < 10**6 else timedelta(0)
    run_id = retentions[retention]
    run = api.wait_state(run_id, "Paused", "Failed")
    if run["state_name"] == "Failed":
        assert expected <= timedelta(0) or not str(retention).startswith("P"), run["state"]["message"]
        assert "config.retention_period" in run["state"]["message"]
    else:
        plan = janitor.plan(run_id)
        assert plan["planned_at"] - plan["cutoff"] == expected
        janitor.answer(run_id, False)


@pytest.mark.parametrize("parameters, expected", [
    ({}, {}),
    ({"config": None}, {}),
    ({"config": {}}, {}),
    ({"config": {"retention_period": "P60D"}}, {"retention": timedelta(days=60)}),
    ({"config": {"states_to_clean": ["Crashed", "TimedOut"]}}, {"states": ["Crashed", "TimedOut"]}),
], ids=str)
def test_missing_fields_get_their_defaults(api, janitor, history, parameters, expected):
    """A run's parameters replace the deployment's `config` as a whole. {} leaves the deployment's."""
    long_ago = from_now(days=-100)
    history(*({"flow": "defaults", "state_type": kind, "state_name": name, "start_time": long_ago, "end_time": long_ago}
              for kind, name in (("COMPLETED", "Completed"), ("CRASHED", "Crashed"))))
    run_id = api.trigger(janitor.deployment_id, parameters, enforce=False)
    api.wait_question(run_id)
    plan = janitor.plan(run_id)
    assert plan["planned_at"] - plan["cutoff"] == expected.get("retention", timedelta(days=30))
    assert plan["states"] == expected.get("states", DEFAULT_STATES)
    janitor.answer(run_id, False)


def test_a_partial_config_with_the_schema_enforced(api, db, janitor, history):
    """{"dry_run": true} loses the other fields on the server: the default states and 30 days hold."""
    [old_ids, young_ids, crashed_ids] = history(
        {"flow": "partial", "count": 3, "start_time": from_now(days=-31), "end_time": from_now(days=-31)},
        {"flow": "partial", "count": 3, "start_time": from_now(days=-29), "end_time": from_now(days=-29)},
        {"flow": "partial", "count": 3, "state_type": "CRASHED", "start_time": from_now(days=-31),
         "end_time": from_now(days=-31)})
    run_id = api.trigger(janitor.deployment_id, {"config": {"dry_run": True}})
    assert api.wait_question(run_id)["parameters"] == {"config": {"dry_run": True}}
    plan = janitor.plan(run_id)
    [row] = db.query(  # all that anybody left in this database
        "SELECT count(*) AS count FROM flow_run WHERE state_type IN ('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED')"
        " AND state_name IN ('Completed', 'Failed', 'Cancelled') AND start_time <= ? AND end_time <= ?",
        *(plan[key].replace(tzinfo=None).isoformat(" ") for key in ("cutoff", "planned_at")))
    assert row["count"] >= 3
    assert janitor.approve(run_id) == {"status": "dry_run", "would_delete": row["count"]}
    assert db.existing([*old_ids, *young_ids, *crashed_ids]) == {*old_ids, *young_ids, *crashed_ids}


def test_quick_run_uses_the_deployment(api, idle, worker):
    """No parameters at all: those of the deployment."""
    worker(idle.pool)
    idle.deploy("--concurrency-limit", 0, "--param", 'retention_period="P4000D"', "--param", 'states_to_clean=["RolledBack"]')
    run_id = api.trigger(idle.deployment_id)
    assert api.run(run_id)["parameters"]["config"]["retention_period"] == "P4000D"
    assert idle.result(run_id) == {"status": "no_action", "deleted": 0}
