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
    ai.api.wait_state(run_id, "Paused")
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


@pytest.mark.parametrize("settings", [{"PREFECT_JANITOR_AI_MODE": "advise"}, {"PREFECT_JANITOR_AI_ON_UNSURE": "human"}],
                         ids=["advise", "unsure"])
def test_killed_while_a_person_is_asked(ai, old, settings):
    state, ids = old(2)
    run_id = ai.use(**settings).investigate(state, look(), decide(confidence=0.5))
    ai.api.wait_state(run_id, "Paused")
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


def test_cancelled_while_it_investigates(api, ai, old):
    """The approval comes too late."""
    state, ids = old(2)
    run_id = ai.use().investigate(state, look(), Meanwhile(lambda: cancel.append(api.cancel(run_id)), decide()))
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
