"""The MCP client against Prefect's own MCP server, which asks the test's Prefect server."""

import contextlib
import fcntl
import json
import subprocess

import mcp_server as prefect_mcp
import pytest
from harness import PROGRAM, PROJECT, assert_no_sanitizer_report, environment, unique

pytestmark = pytest.mark.mcp
CLIENT = PROGRAM.parent / "mcp-client"
READ_ONLY = {"get_identity", "get_dashboard", "get_deployments", "get_flows", "get_flow_runs", "get_flow_run_logs",
             "get_task_runs", "get_work_pools", "read_events", "get_automations"}
SECRET = "sk-topsecret"


@pytest.fixture(scope="module", autouse=True)
def client():
    """It is built, one at a time: lanes run side by side."""
    kind = PROGRAM.parent.name
    build = [f"BUILD={kind}"] if kind != "build" else []
    with open(PROJECT / ".prefect/mcp-client.lock", "w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        subprocess.run(["make", "--silent", "WERROR=1", CLIENT.relative_to(PROJECT), *build], cwd=PROJECT, check=True)


@pytest.fixture
def settings(server, tmp_path):
    return prefect_mcp.settings(server.url, tmp_path)


def talk(steps, **how):
    """What each step gave."""
    run = subprocess.run([CLIENT], input=json.dumps(how | {"do": steps}), capture_output=True, text=True, timeout=600,
                         env=environment(ANTHROPIC_API_KEY=SECRET))
    assert_no_sanitizer_report(run.stderr)
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


@pytest.fixture
def over_http(mcp_command, settings, tmp_path):
    """The address of an MCP server that listens; more settings may be given."""
    with contextlib.ExitStack() as at_the_end:
        yield lambda **more: at_the_end.enter_context(
            prefect_mcp.listening(mcp_command, settings | more, tmp_path / "mcp.log"))


def check_session(old, api_url, **how):
    """What every transport has to give, and what a server says of mistakes."""
    state, runs = old(3, flow=unique("flow"))
    found = {"filter": {"state": {"name": {"any_": [state]}}}, "limit": 50}
    tools, identity, listed, unknown, wrong, refused = talk([
        "list", ["get_identity", {}], ["get_flow_runs", found], ["no_such_tool", {}], ["get_flow_runs", {"limit": 0}],
        ["get_flow_runs", {"filter": {"nothing": {}}}]], **how)

    by_name = {tool["name"]: tool for tool in tools}
    assert READ_ONLY <= by_name.keys() and all(by_name[name]["read_only"] for name in READ_ONLY)
    assert all(tool["description"] and tool["input_schema"]["type"] == "object" for tool in tools)

    assert json.loads(identity["text"]) == identity["structured"]
    assert identity["structured"]["identity"]["api_url"].rstrip("/") == api_url
    assert {run["id"] for run in listed["structured"]["flow_runs"]} == set(runs)
    assert not listed["is_error"] and not listed["cut"] and json.loads(listed["text"]) == listed["structured"]

    assert unknown["is_error"] and "no_such_tool" in unknown["text"]
    assert wrong["is_error"] and "limit" in wrong["text"]
    assert not refused["is_error"] and refused["structured"]["success"] is False  # so the server says it


def test_over_stdio(server, old, mcp_command, settings):
    check_session(old, server.url, command=mcp_command, environment=settings)


@pytest.mark.parametrize("more", [{}, {"FASTMCP_JSON_RESPONSE": "true"}, {"FASTMCP_STATELESS_HTTP": "true"}],
                         ids=["events", "json", "stateless"])
def test_over_http(server, old, over_http, more):
    check_session(old, server.url, url=over_http(**more) + "/")


def test_a_prefect_that_is_down(mcp_command, settings):
    settings |= {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
    [identity] = talk([["get_identity", {}]], command=mcp_command, environment=settings)
    assert identity["structured"]["success"] is False and not identity["is_error"]


def test_nothing_of_ours_reaches_the_child(settings):
    [error] = talk(["list"], command="sh -c 'env >&2; env | grep -c KEY >&2; exit 7'", environment=settings | {"MARK": "given"})
    assert "exit status 7; its last words: '0'" in error["text"] and SECRET not in error["text"]


def test_a_program_that_is_no_mcp_server(mcp_command, settings):
    for command, words in ((f"{mcp_command.replace('prefect-mcp-server', 'python')} -c 'import nothing'", "ModuleNotFoundError"),
                           ("uvx-that-is-not-there --from prefect-mcp", "command not found")):
        [error] = talk(["list"], command=command, environment=settings)
        assert words in error["text"] and "PREFECT_JANITOR_AI_MCP_COMMAND" in error["text"]
