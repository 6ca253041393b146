"""The model server fails in every way: the run says what to do, or goes on; nothing is deleted without a decision."""

import time

import pytest
from model_server import ANTHROPIC, MODEL, OPENAI, Again, CutOff, Hang, Huge, Raw, Status, decide, look

pytestmark = pytest.mark.mcp


@pytest.mark.parametrize("dialect, code, headers, least", [
    (ANTHROPIC, 429, {"retry-after": "1"}, 1), (OPENAI, 429, {"retry-after": "1"}, 1), (ANTHROPIC, 429, {}, 0),
    (ANTHROPIC, 529, {}, 0), (ANTHROPIC, 500, {}, 0), (OPENAI, 503, {}, 0)])
def test_an_error_that_passes(ai, old, dialect, code, headers, least):
    state, ids = old(1)
    run_id = ai.use(dialect).investigate(state, Status(code, headers), look(), Status(code, headers), decide())
    ai.deleted(run_id, ids)
    times = [request.at for request in ai.model.requests]
    assert len(times) == 4 and ai.model.conversations == 1
    assert times[1] - times[0] >= least and times[3] - times[2] >= least


def test_a_server_that_cannot_force_a_call(ai, old):
    """It refuses tool_choice: it is asked again without, from then on."""
    state, ids = old(1)
    run_id = ai.use(OPENAI).investigate(state, Status(400, message="tool_choice is not supported"), look(), decide())
    ai.deleted(run_id, ids)
    assert ai.model.choices == ["required", "auto", "auto"]


BROKEN = {
    # name: (status, tries, what the run's message says)
    "429": (Status(429), 3, ["429"]),
    "500": (Status(500), 3, ["500"]),
    "529": (Status(529, message="Overloaded"), 3, ["529", "Overloaded"]),
    "400": (Status(400, message="max_tokens: bad"), 1, ["400", "max_tokens: bad"]),
    "401": (Status(401, message="invalid x-api-key"), 1, ["401", "_API_KEY"]),
    "403": (Status(403), 1, ["403", "_API_KEY"]),
    "404": (Status(404, message="no such model"), 1, ["404", "no such model", "PREFECT_JANITOR_AI_MODEL"]),
    "413": (Status(413), 1, ["413"]),
}


@pytest.mark.parametrize("dialect, case", [(ANTHROPIC, case) for case in BROKEN] + [(OPENAI, "401"), (OPENAI, "500")])
def test_an_error_that_stays(ai, old, dialect, case):
    status, tries, words = BROKEN[case]
    state, _ = old(1)
    run_id = ai.use(dialect).investigate(state, Again(status))
    ai.failed(run_id, *words)
    assert len(ai.model.requests) == tries
    assert words[0] in ai.transcript(run_id)


@pytest.mark.parametrize("headers", [{"retry-after": "3600"}, {"retry-after": "-1"}, {"retry-after": "soon"}], ids=str)
def test_a_time_to_wait_that_is_none(ai, old, headers):
    """Nobody waits for an hour, or gives up over nonsense."""
    state, _ = old(1)
    run_id = ai.use(PREFECT_JANITOR_AI_MODEL_SECONDS=2, PREFECT_JANITOR_AI_RETRIES=1).investigate(
        state, Again(Status(429, headers)))
    ai.failed(run_id, "429")


@pytest.mark.parametrize("settings, words", [
    ({"PREFECT_JANITOR_AI_MODEL_SECONDS": 0.5, "PREFECT_JANITOR_AI_RETRIES": 0}, "ANTHROPIC_BASE_URL"),
    ({"PREFECT_JANITOR_AI_TOTAL_SECONDS": 2}, "PREFECT_JANITOR_AI_TOTAL_SECONDS"),
], ids=["a try", "all"])
def test_a_hang(ai, old, settings, words):
    state, _ = old(1)
    started = time.monotonic()
    run_id = ai.use(**settings).investigate(state, look(), Again(Hang()))
    ai.failed(run_id, words)
    assert time.monotonic() - started < 20
    assert words in ai.transcript(run_id).replace("\\", "")


NONE = {"cut off": CutOff(), "10 MB": Huge(), "text": Raw(b"no JSON"), "empty object": Raw(b"{}"), "array": Raw(b"[]"),
        "page": Raw(b"<html>502</html>"), "empty": Raw(b""), "no UTF-8": Raw(b'{"content": "\xff"}'), "nested": Raw(b"[" * 100_000)}


@pytest.mark.parametrize("dialect, case", [(ANTHROPIC, case) for case in NONE] + [(OPENAI, "cut off"), (OPENAI, "empty object")])
def test_an_answer_that_is_none(ai, old, dialect, case):
    state, _ = old(1)
    run_id = ai.use(dialect, PREFECT_JANITOR_AI_RETRIES=0).investigate(state, Again(NONE[case]))
    ai.failed(run_id)
    ai.transcript(run_id)


def test_nobody_listens(ai, old):
    state, _ = old(1)
    run_id = ai.use(ANTHROPIC_BASE_URL="http://127.0.0.1:9", PREFECT_JANITOR_AI_RETRIES=0).investigate(state)
    ai.failed(run_id, "ANTHROPIC_BASE_URL", "127.0.0.1:9")
    assert MODEL in ai.transcript(run_id)
