"""Workers that are killed and stopped while a model investigates, and after it has decided."""

import pytest
from harness import wait_until
from model_server import Again, Hang, Meanwhile, decide, look

pytestmark = pytest.mark.mcp
LONG_MS = 600_000  # longer than any test


def wait_asked(ai, count):
    wait_until(lambda: len(ai.model.requests) == count, 30, f"{count} requests to the model")


def test_killed_while_it_investigates(ai, old):
    """It is asked again, from the start."""
    state, ids = old(2)
    run_id = ai.use().investigate(state, look(), Hang(), look(), decide())
    wait_asked(ai, 2)
    ai.worker.kill()
    ai.restart()
    ai.deleted(run_id, ids)
    assert ai.model.conversations == 2 and len(ai.model.requests) == 4


def test_killed_again_and_again(ai, old):
    """Asked again at most twice; then it is unsure."""
    state, _ = old(2)
    run_id = ai.use().investigate(state, Again(Hang()))
    for number in (1, 2, 3):
        wait_asked(ai, number)
        ai.worker.kill()
        ai.restart()
    ai.rejected(run_id, "")
    assert len(ai.model.requests) == 3  # and no more


def test_killed_again_and_again_where_a_person_may_be_asked(ai, old):
    state, ids = old(2)
    run_id = ai.use(PREFECT_JANITOR_AI_ON_UNSURE="human").investigate(state, Again(Hang()))
    for number in (1, 2, 3):
        wait_asked(ai, number)
        ai.worker.kill()
        ai.restart()
    ai.api.wait_question(run_id)
    ai.answer(run_id, True)
    ai.deleted(run_id, ids)


def test_killed_after_it_decided(ai, old):
    """The decision is kept: the model is not asked again, and the rest is deleted."""
    state, ids = old(35)
    ai.use().set_job_variables(batch_pause_ms=LONG_MS)
    try:
        run_id = ai.investigate(state, look(), decide(reasoning="Once and for all."), batch_size=10)
        ai.wait_left(ids, 25)
        assert ai.checkpoint(run_id)
        ai.worker.kill()
        ai.set_job_variables(batch_pause_ms=0)
        ai.restart()
        assert "Once and for all." in ai.deleted(run_id, ids)["notes"]
    finally:
        ai.set_job_variables(batch_pause_ms=0)
    assert len(ai.model.requests) == 2
    assert len(ai.transcripts(run_id)) == 1


def begun(ai, old):
    """A run whose worker is killed when 10 of 35 are deleted."""
    state, ids = old(35)
    ai.use().set_job_variables(batch_pause_ms=LONG_MS)
    try:
        run_id = ai.investigate(state, look(), decide(), batch_size=10)
        ai.wait_left(ids, 25)
        ai.worker.kill()
    finally:
        ai.set_job_variables(batch_pause_ms=0)
    return run_id, ids


def stopped(ai, run_id, ids, word):
    """What was begun is approved no longer: it is said how far it came, nobody is asked again, nothing more is deleted."""
    message = ai.failure(run_id)
    assert message.startswith("stopped: ") and word in message and message.endswith("deleted 10 of 35 flow runs"), message
    assert len(ai.db.existing(ids)) == 25
    assert len(ai.model.requests) == 2
    assert [s["name"] for s in ai.db.states(run_id)].count("Paused") == 0


@pytest.mark.parametrize("more", [{"PREFECT_JANITOR_AI_MAX_RUNS": "1"}, {"PREFECT_JANITOR_AI_MODE": "advise"},
                                  {"ANTHROPIC_API_KEY": None, "ANTHROPIC_BASE_URL": None}], ids=["ceiling", "advise", "no key"])
def test_approved_no_longer_when_some_is_deleted(ai, old, more):
    run_id, ids = begun(ai, old)
    ai.settings = {name: value for name, value in (ai.settings | more).items() if value is not None}
    ai.restart()
    stopped(ai, run_id, ids, "AI_ENABLED" if None in more.values() else next(iter(more)))


def test_changed_to_human_when_some_is_deleted(ai, api, old):
    run_id, ids = begun(ai, old)
    parameters = api.get(f"/flow_runs/{run_id}")["parameters"]
    parameters["config"]["approval_type"] = "human"
    api.patch(f"/flow_runs/{run_id}", {"parameters": parameters})
    ai.restart()
    stopped(ai, run_id, ids, "approval_type")


@pytest.mark.parametrize("settings", [{"PREFECT_JANITOR_AI_MODE": "advise"}, {"PREFECT_JANITOR_AI_ON_UNSURE": "human"}],
                         ids=["advise", "unsure"])
def test_killed_while_a_person_is_asked(ai, old, settings):
    state, ids = old(2)
    run_id = ai.use(**settings).investigate(state, look(), decide(confidence=0.5))
    ai.api.wait_question(run_id)
    ai.worker.kill()
    ai.restart()
    ai.answer(run_id, True)
    ai.deleted(run_id, ids)
    assert len(ai.model.requests) == 2


def test_stopped_while_it_investigates(ai, old):
    """A worker that is asked to stop does not wait for the model; the next one asks again."""
    state, ids = old(2)
    run_id = ai.use().investigate(state, look(), Hang(), look(), decide())
    wait_asked(ai, 2)
    ai.worker.stop(timeout=15)
    assert ai.db.state(run_id)[1] == "Running" and ai.db.existing(ids) == set(ids)
    ai.restart()
    ai.deleted(run_id, ids)


@pytest.mark.parametrize("answer", [decide(), Hang()], ids=["decides", "hangs"])
def test_cancelled_while_it_investigates(api, ai, old, answer):
    """The approval comes too late, or never: that is not waited for."""
    state, ids = old(2)
    run_id = ai.use(PREFECT_JANITOR_AI_MODEL_SECONDS=600).investigate(
        state, look(), Meanwhile(lambda: cancel.append(api.cancel(run_id)), answer))
    cancel = []
    run = api.wait_state(run_id, "Cancelled")
    assert cancel and "nothing was deleted" in run["state"]["message"]
    ai.assert_gone()
    assert db_has(ai, ids)


def db_has(ai, ids):
    return ai.db.existing(ids) == set(ids)


def test_two_runs_have_a_decision_each(ai, old):
    """What was decided for one plan says nothing of another."""
    state, ids = old(2)
    first = ai.use().investigate(state, look(), decide(False, 1, "Not now."))
    assert ai.rejected(first) == "Not now."
    second = ai.investigate(state, look(), decide())
    ai.deleted(second, ids)
    assert ai.checkpoint(first) != ai.checkpoint(second)


def test_prefect_is_away_while_it_investigates(ai, old, proxy, mcp_command):
    """For the worker and its MCP server alike: both wait for it, the model is asked no more than it would have been."""
    state, ids = old(2)
    ai.use(PREFECT_API_URL=proxy.url + "/api", PREFECT_JANITOR_AI_MCP_URL=None, PREFECT_JANITOR_AI_MCP_COMMAND=mcp_command)
    try:
        run_id = ai.investigate(state, look(), Meanwhile(proxy.down, look()), decide())
        wait_until(lambda: "sending heartbeats: no answer" in ai.worker.output(), 60, "the worker sees it")
        assert ai.checkpoint(run_id) is None and ai.db.existing(ids) == set(ids)
    finally:
        proxy.up()
    ai.deleted(run_id, ids)
    assert len(ai.model.requests) == 3
