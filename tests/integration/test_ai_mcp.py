"""Prefect's own MCP server as the worker's child, and MCP servers that do wrong: then nothing is deleted."""

import os
import shlex
import sys
from pathlib import Path

import pytest
from fake_mcp import FakeMcp
from harness import PROJECT, wait_until
from model_server import KEY, READING, Again, Hang, Turn, call, decide, look

pytestmark = pytest.mark.mcp
FAKE = PROJECT / "tests/integration/fake_mcp.py"
PASSWORD = "hush-of-the-server-4711"
TOOLS = ("get_identity", "get_flows")  # the fake's


@pytest.fixture
def few_tools(model):
    model.allowed = TOOLS
    yield
    model.allowed = READING


def over_stdio(ai, command, **settings):
    return ai.use(PREFECT_JANITOR_AI_MCP_URL=None, PREFECT_JANITOR_AI_MCP_COMMAND=command, **settings)


def fake(ai, fault, *arguments, **settings):
    return over_stdio(ai, shlex.join([sys.executable, "-S", str(FAKE), fault, *map(str, arguments)]), **settings)


def processes():
    """Every process: pid to (parent, group, command line)."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if fields[0] != "Z":
                found[int(folder.name)] = (int(fields[1]), int(fields[2]), (folder / "cmdline").read_text())
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def children(ai):
    return {pid: line for pid, (parent, _, line) in processes().items() if parent == ai.worker.process.pid}


# --- the real one -----------------------------------------------------------------------------------


def test_the_real_one_as_a_child(ai, old, mcp_command):
    """It is no bigger a secret keeper than it has to be, and gone afterwards with all that it started."""
    state, ids = old(3)
    over_stdio(ai, mcp_command, PREFECT_API_KEY=PASSWORD)
    run_id = ai.investigate(state, look(), Again(Hang()))
    wait_until(lambda: len(ai.model.requests) == 2, 60, "the model is asked a second time")
    [(pid, line)] = children(ai).items()
    environment = dict(pair.split("=", 1) for pair in Path(f"/proc/{pid}/environ").read_text().split("\0") if pair)
    assert KEY not in str(environment) and KEY not in line and PASSWORD not in line
    assert not [name for name in environment if "ANTHROPIC" in name or "OPENAI" in name or "JANITOR" in name]
    assert environment["PREFECT_API_URL"] == ai.settings.get("PREFECT_API_URL", ai.api.url)
    assert environment["PREFECT_API_KEY"] == PASSWORD  # of Prefect's, which it needs
    assert environment["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] == "false"
    assert os.getpgid(pid) == pid
    assert KEY not in Path(f"/proc/{ai.worker.process.pid}/cmdline").read_text()

    ai.worker.kill()  # its child goes with it
    wait_until(lambda: not any(group == pid for _, group, _ in processes().values()), 10, "no process of the group is left")
    ai.model.play(look(), decide(), keep_counting=True)
    ai.restart()
    ai.deleted(run_id, ids)
    assert not children(ai) and PASSWORD not in str(ai.model.requests)


def test_another_prefect(ai, old, server):
    """The MCP server looks at one Prefect, the worker at another: here it is the same one under another name."""
    state, _ = old(1)
    other = server.url.replace("127.0.0.1", "localhost")
    run_id = ai.use(PREFECT_API_URL=other).investigate(state)
    ai.failed(run_id, "another Prefect", other, server.url, "PREFECT_API_URL")
    assert not ai.model.requests


# --- those that do wrong ----------------------------------------------------------------------------

BROKEN = {
    # name: (settings, what the run's message says)
    "exits": ({}, ["exit status 3", "no module named prefect_mcp", "PREFECT_JANITOR_AI_MCP_COMMAND"]),
    "endless garbage": ({}, ["are no messages"]),
    "long": ({}, ["10 MiB"]),
    "slow": ({"PREFECT_JANITOR_AI_MCP_START_SECONDS": 0.5}, ["no answer within 500 ms"]),
    "version": ({}, ["1999-01-01"]),
    "wrong": ({}, ["another Prefect", "192.0.2.1"]),
    "nobody": ({}, ["which Prefect"]),
    "other tools": ({}, ["none is known"]),
    "none is read-only": ({}, ["read-only"]),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_broken_before_the_model_is_asked(ai, old, fault):
    settings, words = BROKEN[fault]
    state, _ = old(1)
    run_id = fake(ai, fault, **settings).investigate(state)
    ai.failed(run_id, *words)
    assert not ai.model.requests and not children(ai)


@pytest.mark.parametrize("command, words", [
    ("no-such-command --x", ["command not found", "no-such-command", "PREFECT_JANITOR_AI_MCP_COMMAND"]),
    ("/etc/passwd", ["command not found", "/etc/passwd"]),
    ("sh -c 'exit", ["a quote does not end"]),
], ids=["not found", "no program", "a quote"])
def test_a_command_that_is_none(ai, old, command, words):
    state, _ = old(1)
    ai.failed(over_stdio(ai, command).investigate(state), *words)


@pytest.mark.parametrize("fault, words", [("half", ["closed its output"]), ("dies", ["exit status 4"]), ("long answer", ["10 MiB"])])
@pytest.mark.usefixtures("few_tools")
def test_broken_in_the_middle(ai, old, fault, words):
    state, _ = old(1)
    run_id = fake(ai, fault).investigate(state, look("get_identity"), look("get_flows"))
    ai.failed(run_id, *words)
    assert not children(ai)
    assert "get_identity" in ai.transcript(run_id).replace("\\", "")


@pytest.mark.parametrize("fault", ["slow", "garbage", "noisy"])
@pytest.mark.usefixtures("few_tools")
def test_odd_and_good_enough(ai, old, fault):
    """Slow to start, talkative, with answers to nobody between its own."""
    state, ids = old(1)
    run_id = fake(ai, fault).investigate(state, look("get_flows", "get_identity"), decide())
    ai.deleted(run_id, ids)
    [(name, text, _), _] = ai.model.results.values()
    assert name == "get_flows" and '"tool": "get_flows"' in text


@pytest.mark.usefixtures("few_tools")
def test_a_tool_that_does_not_answer(ai, old):
    """The model is told, and may go on without it."""
    state, ids = old(1)
    run_id = fake(ai, "mute", PREFECT_JANITOR_AI_TOOL_SECONDS=0.5).investigate(state, look("get_flows", "get_flows"), decide())
    ai.deleted(run_id, ids)
    late, fine = ai.model.texts("get_flows")
    assert "no answer within 500 ms" in late and '"success": true' in fine


@pytest.mark.usefixtures("few_tools")
def test_a_tool_that_is_not_read_only_is_not_given(ai, old):
    """Its name is allowed, and the server says that it writes."""
    state, ids = old(1)
    run_id = fake(ai, "fine").investigate(state, Turn([call("get_dashboard"), call("get_flows")]), decide())
    ai.deleted(run_id, ids)
    assert "is not allowed" in ai.model.texts("get_dashboard")[0]


def test_a_silent_one_is_ended(ai, old, tmp_path):
    """It ignores SIGTERM, and so does what it started: SIGKILL for its whole group."""
    state, _ = old(1)
    run_id = fake(ai, "silent", tmp_path / "starts", PREFECT_JANITOR_AI_MCP_START_SECONDS=1).investigate(state)
    ended = wait_until(lambda: children(ai), 20, "the MCP server runs")
    [group] = ended
    wait_until(lambda: len([1 for _, one, _ in processes().values() if one == group]) == 2, 5, "a process of its own")
    ai.failed(run_id, "no answer within 1.0 s")
    assert (tmp_path / "starts").read_text() == "started\n"  # not tried again
    assert not any(one == group for _, one, _ in processes().values())


def test_prefect_is_down_only_for_the_mcp_server(ai, old):
    """Tried three times, as an outage would pass; then it is broken."""
    state, _ = old(1)
    ai.failed(fake(ai, "down").investigate(state), "does not reach Prefect", "All connection attempts failed")


# --- those that listen and do wrong -----------------------------------------------------------------


@pytest.mark.parametrize("fault, words", [("moved", ["307", "/elsewhere", "PREFECT_JANITOR_AI_MCP_URL"]),
                                          ("password", ["401", "PREFECT_JANITOR_AI_MCP_URL"]), ("wrong", ["another Prefect"])])
def test_an_address_that_is_wrong(ai, old, fault, words):
    state, _ = old(1)
    with FakeMcp(fault, ai.api.url) as server:
        ai.failed(ai.use(PREFECT_JANITOR_AI_MCP_URL=server.url).investigate(state), *words)
    assert not ai.model.requests


def test_nobody_listens(ai, old):
    state, _ = old(1)
    run_id = ai.use(PREFECT_JANITOR_AI_MCP_URL="http://127.0.0.1:9/mcp", PREFECT_JANITOR_AI_MCP_START_SECONDS=0.5).investigate(state)
    ai.failed(run_id, "PREFECT_JANITOR_AI_MCP_URL", "127.0.0.1:9")


@pytest.mark.parametrize("fault", ["fine", "events", "lost"])
@pytest.mark.usefixtures("few_tools")
def test_over_http(ai, old, fault):
    """As JSON and as events; and a session that is lost on the way begins again."""
    state, ids = old(1)
    with FakeMcp(fault, ai.api.url) as server:
        run_id = ai.use(PREFECT_JANITOR_AI_MCP_URL=server.url).investigate(state, look("get_flows"), decide())
        ai.deleted(run_id, ids)
        assert server.methods.count("initialize") == (2 if fault == "lost" else 1)
    assert '"tool": "get_flows"' in ai.model.texts("get_flows")[0]
