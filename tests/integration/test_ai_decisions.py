"""A model decides, with Prefect's own MCP server: what its answers come to. Only its answers are scripted."""

import json

import pytest
from model_server import ANTHROPIC, DECISION, MODEL, OPENAI, READING, USAGE, Call, Turn, call, decide, decision, look, say

pytestmark = pytest.mark.mcp
BOTH = pytest.mark.parametrize("dialect", [ANTHROPIC, OPENAI])
RUN_LOGS = "get_flow_run_logs"


def arguments(**fields):
    """Of a decision, as text."""
    return json.dumps({"approved": True, "confidence": 0.95, "reasoning": "fine"} | fields)


def raw(text):
    return Turn([Call(DECISION, raw=text)])


@BOTH
def test_approved(api, db, ai, old, dialect):
    state, ids = old(5)
    run_id = ai.use(dialect).investigate(
        state, look("get_dashboard"), decide(confidence=0.9, reasoning="All is *quiet*.", concerns=["one deployment is paused"]))
    result = ai.deleted(run_id, ids)
    assert "All is *quiet*." in result["notes"]
    advice = result["advice"]
    assert (advice["confidence"], advice["concerns"]) == (0.9, ["one deployment is paused"]), advice
    assert db.state_names(run_id) == ["Scheduled", "Pending", "Running", "Completed"]
    assert api.run(run_id)["state"]["message"] == "deleted 5 of 5 flow runs"
    ai.wait_log(run_id, "All is *quiet*.")
    ai.wait_log(run_id, "one deployment is paused")
    ai.wait_log(run_id, "0.9")
    ai.wait_log(run_id, "get_dashboard")

    assert ai.model.conversations == 1 and len(ai.model.requests) == 2
    assert json.loads(ai.model.texts("get_dashboard")[0])["success"] is True
    plan = ai.model.plan
    assert (plan["flow_runs_to_delete"], plan["states"], plan["retention_period"]) == (5, [state], "P30D")
    assert plan["plan_digest"] == ai.checkpoint(run_id)["plan"] and plan["cleanup_flow_run_id"] == run_id
    assert [run["name"] for run in plan["oldest_flow_runs"]]


@BOTH
def test_the_transcript(ai, old, dialect):
    state, ids = old(2)
    run_id = ai.use(dialect).investigate(state, Turn([call("get_flows", limit=3)], text="Let me look."), decide())
    ai.deleted(run_id, ids)
    [artifact] = ai.transcripts(run_id)
    assert artifact["type"] == "markdown"
    text = ai.transcript(run_id)
    for words in (MODEL, "get_flows", "Let me look.", "Routine cleanup; nothing speaks against it.", "0.95",
                  str(2 * USAGE[0]), str(2 * USAGE[1]), "never instructions", "flow_runs_to_delete", *READING):
        assert words in text.replace("\\", ""), words
    for request in range(ai.model.number - 1, ai.model.number + 1):
        assert f"req_{request}" in text.replace("\\", "")


@BOTH
def test_rejected(ai, old, dialect):
    state, ids = old(3)
    run_id = ai.use(dialect).investigate(state, look(), decide(False, 0.99, "An incident goes on.", concerns=["ask the team"]))
    assert ai.rejected(run_id) == "An incident goes on."
    assert "ask the team" in ai.worker.output()
    assert "An incident goes on." in ai.transcript(run_id)


NOT_ENOUGH = {
    # name: (answers, what the reason says, corrections that the model gets)
    "low confidence": ([look(), decide(confidence=0.79)], ["0.79", "0.8"]),
    "no confidence": ([look(), decide(confidence=0)], ["0.8"]),
    "without a look": ([decide()], ["investigat"]),
    "a look that fails": ([Turn([call("get_flow_runs", limit=0)]), decide()], ["investigat"]),
    "a look that finds nothing": ([Turn([call("get_flow_runs", filter={"nothing": {}})]), decide()], ["investigat"]),
    "invalid twice": ([look(), raw(arguments(confidence=80)), raw(arguments(confidence="80%"))], ["confidence", "80%"]),
    "text twice": ([look(), say("Go ahead."), say(arguments())], ["text"]),
    "a refusal": ([look(), Turn(text="I can not help with that.", stop="refusal")], ["refused", "I can not help"]),
    "a refusal with a decision": ([look(), Turn([decision()], stop="refusal")], ["refused"]),
    "cut off": ([look(), Turn([decision()], stop="max_tokens")], ["cut off"]),
    "two decisions twice": ([look(), *[Turn([decision(), decision(False)])] * 2], ["more than one decision"]),
    "a decision beside a look, twice": ([*[Turn([call("get_flows", limit=1), decision()])] * 2], ["beside"]),
    "nothing at all, twice": ([look(), Turn(), Turn()], ["text"]),
}


@pytest.mark.parametrize("case", NOT_ENOUGH)
def test_no_approval(ai, old, case):
    """An answer that does not carry an approval: the rule that stopped it is the reason."""
    steps, words = NOT_ENOUGH[case]
    state, _ = old(2)
    reason = ai.rejected(run_id := ai.use().investigate(state, *steps), *words)
    assert not ai.model.steps, "not all of the script was asked for"
    assert len(ai.model.requests) == len(steps) and ai.model.conversations == 1
    assert reason[:100] in ai.worker.output()
    ai.transcript(run_id)


CORRECTED = {
    # name: (the wrong answer, what the correction has to say)
    "a field of a wrong type": (raw(arguments(approved="yes")), 'approved: is "yes"; it has to be true or false'),
    "a field that is missing": (raw('{"approved": true, "confidence": 1}'), "reasoning: is missing"),
    "a field more": (raw(arguments(force=True)), "force: is no field of the decision"),
    "text": (say("I approve."), "text"),
    "two decisions": (Turn([decision(False), decision()]), "more than one decision"),
    "a decision beside a look": (Turn([decision(), call("get_flows", limit=1)]), "beside"),
}


@pytest.mark.parametrize("dialect, case", [(ANTHROPIC, case) for case in CORRECTED] + [(OPENAI, "a field of a wrong type"),
                                                                                        (OPENAI, "text")])
def test_corrected_once(ai, old, dialect, case):
    wrong, words = CORRECTED[case]
    state, ids = old(2)
    run_id = ai.use(dialect).investigate(state, look(), wrong, decide(confidence=1))
    ai.deleted(run_id, ids)
    said = [*ai.model.texts(DECISION), *ai.model.corrections]
    assert any(words in text for text in said), said


@pytest.mark.parametrize("dialect, text, words", [(dialect, *case) for dialect in (ANTHROPIC, OPENAI) for case in (
    ('{"approved": false, "approved": true, "confidence": 1, "reasoning": "x"}', "duplicate"),
    ('{"approved": true, "confidence": NaN, "reasoning": "x"}', ""),
    ('["yes"]', "not a JSON object"),
)] + [(OPENAI, '{"approved": true, "confidence": 1, "reasoning": "hal', "")])
def test_arguments_that_are_no_json(ai, old, dialect, text, words):
    """A mistake of the model's like any other: one correction."""
    state, ids = old(2)
    run_id = ai.use(dialect).investigate(state, look(), raw(text), raw(text))
    ai.rejected(run_id, words)
    run_id = ai.investigate(state, look(), raw(text), decide())
    ai.deleted(run_id, ids)


def test_an_answer_without_an_end(ai, old):
    """Where the input has no end, the whole answer has none."""
    state, _ = old(2)
    run_id = ai.use(ANTHROPIC).investigate(state, look(), raw('{"approved": true, "confidence": 1, "reasoning": "hal'))
    ai.failed(run_id, "answer")


@BOTH
def test_several_tools_in_one_turn(ai, old, dialect):
    """All results go back at once, in their order, each with its id: the model server checks that."""
    state, ids = old(2)
    run_id = ai.use(dialect).investigate(state, look("get_identity", "get_work_pools", "get_identity"),
                                         look("get_dashboard"), decide())
    ai.deleted(run_id, ids)
    assert len(ai.model.texts("get_identity")) == 2 and len(ai.model.results) == 4
    assert all(json.loads(text)["success"] for _, text, _ in ai.model.results.values())


REFUSED = {
    # name: (the call, what the model is told)
    "a failing tool": (call("get_flow_runs", limit=0), "limit"),
    "a wrong filter": (call("get_flow_runs", filter={"nothing": {}}), '"success":false'),
    "an unknown tool": (call("delete_flow_run", id="x"), "there is no tool 'delete_flow_run'"),
    "the one that writes": (call("execution_plans_publish", plan={}), "execution_plans_publish"),
    "one that is not allowed": (call("get_object_schema", object_type="automation"), "'get_object_schema' is not allowed"),
    "logs": (call(RUN_LOGS, flow_run_id="00000000-0000-0000-0000-000000000000"), f"'{RUN_LOGS}' is not allowed"),
    "a name that is none": (Call("../\x1b[31m\n"), "there is no tool"),
}


@pytest.mark.parametrize("dialect, case", [(ANTHROPIC, case) for case in REFUSED] + [(OPENAI, "the one that writes")])
def test_a_tool_that_gives_nothing(api, ai, old, dialect, case):
    """It is told so, and may go on; alone it is no investigation."""
    asked, words = REFUSED[case]
    state, ids = old(2)
    run_id = ai.use(dialect).investigate(state, Turn([asked, call("get_flows", limit=1)]), decide())
    ai.deleted(run_id, ids)
    [(name, text, is_error), (_, fine, _)] = ai.model.results.values()
    assert name == asked.name and words in text and json.loads(fine)["success"]
    assert is_error is None or is_error == (case != "a wrong filter")
    assert dialect == ANTHROPIC or case == "a wrong filter" or text.startswith("Error")


@pytest.mark.parametrize("case", ["a wrong filter", "the one that writes"])
def test_a_tool_that_gives_nothing_is_no_investigation(ai, old, case):
    state, _ = old(2)
    ai.rejected(ai.use().investigate(state, Turn([REFUSED[case][0]]), decide()), "investigat")


def test_run_logs_where_they_are_allowed(ai, old):
    state, ids = old(2, logs=2)
    ai.model.allowed = (*READING, RUN_LOGS)
    try:
        run_id = ai.use(PREFECT_JANITOR_AI_RUN_LOGS="true").investigate(
            state, Turn([call(RUN_LOGS, flow_run_id=ids[0])]), decide())
        ai.deleted(run_id, ids)
        assert len(json.loads(ai.model.texts(RUN_LOGS)[0])["logs"]) == 2
    finally:
        ai.model.allowed = READING


GUARD_RAILS = {
    # name: (settings, configuration of the run, what the reason says)
    "too many": ({"PREFECT_JANITOR_AI_MAX_RUNS": 2}, {}, ["3", "2", "PREFECT_JANITOR_AI_MAX_RUNS"]),
    "none at all": ({"PREFECT_JANITOR_AI_MAX_RUNS": 0}, {}, ["PREFECT_JANITOR_AI_MAX_RUNS"]),
    "too young": ({"PREFECT_JANITOR_AI_MIN_RETENTION": "P31D"}, {"retention_period": "P30D"},
                  ["P31D", "PREFECT_JANITOR_AI_MIN_RETENTION"]),
    "not sure enough": ({"PREFECT_JANITOR_AI_MIN_CONFIDENCE": 0.96}, {}, ["0.95", "0.96"]),
}


@pytest.mark.parametrize("case", GUARD_RAILS)
def test_beyond_the_guard_rails(ai, old, case):
    settings, config, words = GUARD_RAILS[case]
    state, _ = old(3)
    run_id = ai.use(**settings).investigate(state, look(), decide(), **config)
    ai.rejected(run_id, *words)


def test_at_the_guard_rails(ai, old):
    state, ids = old(3)
    ai.use(PREFECT_JANITOR_AI_MAX_RUNS=3, PREFECT_JANITOR_AI_MIN_RETENTION="P30D", PREFECT_JANITOR_AI_MIN_CONFIDENCE=0.95)
    ai.deleted(ai.investigate(state, look(), decide(confidence=0.95), retention_period="P30D"), ids)


def test_a_run_can_not_widen_them(db, ai, old):
    """Neither its parameters nor its job variables are asked."""
    state, ids = old(3)
    ai.use(PREFECT_JANITOR_AI_MAX_RUNS=2)
    run_id = ai.investigate(state, look(), decide(), ai={"max_runs": 10})
    assert "config.ai: there is no such field" in ai.failure(run_id)
    run_id = ai.investigate(state, look(), decide(), job_variables={"ai_max_runs": 10, "PREFECT_JANITOR_AI_MAX_RUNS": "10"})
    ai.rejected(run_id, "PREFECT_JANITOR_AI_MAX_RUNS")


def test_where_it_is_not_allowed(ai, old):
    state, _ = old(1)
    run_id = ai.use(PREFECT_JANITOR_AI_ENABLED="false").investigate(state)
    ai.rejected(run_id, "PREFECT_JANITOR_AI_ENABLED")
    run_id = ai.use(ANTHROPIC_API_KEY=None, ANTHROPIC_BASE_URL=None).investigate(state)
    ai.failed(run_id, "ANTHROPIC_API_KEY")
    assert not ai.model.requests


BUDGETS = {
    "answers": ({"PREFECT_JANITOR_AI_MAX_TURNS": 3}, 3, "PREFECT_JANITOR_AI_MAX_TURNS"),
    "bytes": ({"PREFECT_JANITOR_AI_MAX_BYTES": 40_000}, None, "PREFECT_JANITOR_AI_MAX_BYTES"),
    "tool calls": ({"PREFECT_JANITOR_AI_MAX_TOOL_CALLS": 2, "PREFECT_JANITOR_AI_MAX_TURNS": 4}, 4, "MAX_TURNS"),
}


@pytest.mark.parametrize("case", BUDGETS)
def test_endless_calls_of_tools(ai, old, case):
    settings, requests, words = BUDGETS[case]
    state, _ = old(1)
    run_id = ai.use(**settings).investigate(state, *[look("get_identity")] * 20)
    ai.rejected(run_id, words)
    assert requests is None or len(ai.model.requests) == requests
    if case == "bytes":
        assert sum(request.size for request in ai.model.requests) <= 40_000
    if case == "tool calls":
        used = [text for text in ai.model.texts("get_identity") if "used up" in text]
        assert len(used) == 1 and len(ai.model.results) == 3


def test_nothing_to_delete(ai):
    """Then nobody is asked."""
    run_id = ai.use().investigate("NoSuchState")
    assert ai.result(run_id)["status"] == "no_action"
    assert not ai.model.requests and not ai.transcripts(run_id)


def test_a_dry_run(ai, old):
    state, _ = old(2)
    run_id = ai.use().investigate(state, look(), decide(), dry_run=True)
    result = ai.result(run_id)
    assert result.pop("advice")["approved"] is True
    assert result == {"status": "dry_run", "would_delete": 2}
    assert ai.model.plan["dry_run"] is True
    ai.assert_gone()
