"""`preview --ai-context`: what a hosted model would be told can be read before anything is sent to it."""

import json

import pytest
from model_server import ANTHROPIC, OPENAI, decide

pytestmark = pytest.mark.mcp
CHANGES = {"plan_digest", "planned_at", "deleted_are_runs_that_started_at_or_before", "cleanup_flow_run_id"}  # from plan to plan


def proposal(request):
    """The first message of a request, and the plan in it."""
    content = next(message["content"] for message in request["messages"] if message["role"] == "user")
    text = content if isinstance(content, str) else "".join(part["text"] for part in content)
    return json.loads(text[text.index("{"):text.rindex("}") + 1])


@pytest.mark.parametrize("dialect", [ANTHROPIC, OPENAI])
def test_it_is_what_a_run_sends(cli, ai, old, dialect):
    ai.past_schema()
    state, ids = old(3)
    ai.use(dialect)
    shown = cli("preview", "--deployment", ai.name, "--states", state, "--ai-context", **ai.settings)
    assert shown.returncode == 0, shown.stderr
    assert ai.model.requests == [] and "Nothing was sent" in shown.stderr
    assert not any(value in shown.stdout + shown.stderr for name, value in ai.settings.items() if name.endswith("_KEY"))

    run_id = ai.investigate(state, decide())
    ai.rejected(run_id, "without one successful investigation")
    sent, shown = ai.model.requests[0].body, json.loads(shown.stdout)
    was, would = proposal(sent), proposal(shown)
    assert would["flow_runs_to_delete"] == len(ids)
    assert {key: value for key, value in was.items() if key not in CHANGES} == \
        {key: value for key, value in would.items() if key not in CHANGES}
    for request in (sent, shown):
        del request["messages"][-1]
    assert sent == shown


def test_before_anything_is_configured(cli, ai, old, mcp_url):
    ai.past_schema()
    state, _ = old(1)
    shown = cli("preview", "--deployment", ai.name, "--states", state, "--ai-context", PREFECT_JANITOR_AI_MCP_URL=mcp_url)
    assert shown.returncode == 0, shown.stderr
    assert proposal(json.loads(shown.stdout))["flow_runs_to_delete"] == 1
