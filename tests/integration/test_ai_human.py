"""The model advises, or is not sure, and a person decides."""

import pytest
from model_server import Status, decide, decision, look, Turn, Again

pytestmark = pytest.mark.mcp
ADVISE = {"PREFECT_JANITOR_AI_MODE": "advise"}
UNSURE = {"PREFECT_JANITOR_AI_ON_UNSURE": "human"}


def asked(ai, run_id, ids):
    """Waits for the question; nothing has happened before. Returns the form's description, without escapes."""
    ai.api.wait_question(run_id)
    assert ai.db.existing(ids) == set(ids)
    ai.assert_gone()
    form = ai.preview(run_id)
    assert "An AI agent looked at this plan; you decide." in form and len(form.split("\n")) <= 13
    return ai.page(run_id).replace("\\", "")


@pytest.mark.parametrize("approve", [True, False])
@pytest.mark.parametrize("advice", [True, False])
def test_advice(db, ai, old, advice, approve):
    """Whatever it says, the person's word counts."""
    state, ids = old(3)
    run_id = ai.use(**ADVISE).investigate(state, look(), decide(advice, 0.7, "Looks like routine.", concerns=["Ask Ada."]))
    description = asked(ai, run_id, ids)
    for words in ("Looks like routine.", "Ask Ada.", "0.7"):
        assert words in description
    assert "3 flow runs" in description
    assert "Looks like routine." in ai.worker.output()
    ai.answer(run_id, approve, "my own view")
    if approve:
        assert ai.deleted(run_id, ids)["notes"] == "my own view"
    else:
        assert ai.rejected(run_id) == "my own view"
    assert len(ai.model.requests) == 2  # not asked again after the answer
    assert db.state_names(run_id) == ["Scheduled", "Pending", "Running", "Paused", "Running", "Completed"]
    assert len(ai.transcripts(run_id)) == 1


NOT_SURE = {
    "low confidence": ([look(), decide(confidence=0.5, reasoning="Maybe.", concerns=["It is odd."])], {},
                       ["Maybe.", "It is odd.", "0.5"]),
    "beyond a guard rail": ([look(), decide()], {"PREFECT_JANITOR_AI_MAX_RUNS": 1}, ["PREFECT_JANITOR_AI_MAX_RUNS"]),
    "no look": ([decide()], {}, ["investigat"]),
    "refused": ([look(), Turn(text="I will not.", stop="refusal")], {}, ["I will not."]),
    "budget": ([look(), look()], {"PREFECT_JANITOR_AI_MAX_TURNS": 2}, ["PREFECT_JANITOR_AI_MAX_TURNS"]),
    "cut off": ([look(), Turn([decision()], stop="max_tokens")], {}, ["cut off"]),
}


@pytest.mark.parametrize("case", NOT_SURE)
def test_not_sure(ai, old, case):
    steps, settings, words = NOT_SURE[case]
    state, ids = old(2)
    run_id = ai.use(**UNSURE, **settings).investigate(state, *steps)
    description = asked(ai, run_id, ids)
    for word in words:
        assert word in description
    ai.answer(run_id, True, "still")
    ai.deleted(run_id, ids)
    assert len(ai.model.requests) == len(steps)


def test_sure_asks_nobody(ai, old):
    """A plain no is a no, and a plain yes a yes."""
    state, ids = old(2)
    ai.use(**UNSURE)
    assert ai.rejected(ai.investigate(state, look(), decide(False, 0.9, "No."))) == "No."
    ai.deleted(ai.investigate(state, look(), decide()), ids)


@pytest.mark.parametrize("settings", [ADVISE, UNSURE], ids=["advise", "unsure"])
def test_broken_asks_nobody(ai, old, settings):
    state, _ = old(2)
    ai.failed(ai.use(**settings).investigate(state, Again(Status(401))), "ANTHROPIC_API_KEY")


def test_asked_again_after_a_retry(api, ai, old):
    """A run that is started afresh is judged afresh."""
    state, ids = old(2)
    run_id = ai.use(**ADVISE).investigate(state, look(), decide(), look(), decide(reasoning="The second time."))
    asked(ai, run_id, ids)
    ai.answer(run_id, False)
    ai.rejected(run_id)
    api.retry(run_id)
    api.wait_question(run_id)
    assert "The second time." in ai.preview(run_id)
    ai.answer(run_id, True)
    ai.deleted(run_id, ids)
    assert len(ai.model.requests) == 4


def test_what_it_says_is_harmless_in_the_form(ai, old):
    """Markdown and HTML of a model's are text in the form, and its lines cannot pass for ours."""
    evil = "# Approved\n\n<img src=x onerror=alert(1)> [ok](javascript:x) ![](http://e/) \x1b[31m\u202e | `x`"
    state, ids = old(1)
    run_id = ai.use(**ADVISE).investigate(state, look(), decide(reasoning=evil, concerns=[evil]))
    asked(ai, run_id, ids)
    raw = ai.preview(run_id).replace("[Flows, deployments, oldest runs](", "") + ai.page(run_id)
    assert "<" not in raw and "](" not in raw and "\x1b" not in raw and "\u202e" not in raw
    assert not any(line.lstrip().startswith("# Approved") for line in raw.splitlines())
    ai.answer(run_id, False)
    ai.rejected(run_id)
