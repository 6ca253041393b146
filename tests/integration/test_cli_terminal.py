"""At a terminal: the question, colours, the width, and the bar."""

import re
import unicodedata

import pytest
from harness import from_now, unique
from terminal import Terminal

QUESTION = "Delete these 6 flow runs? They cannot be restored. [y/N] "


def columns(line):
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


@pytest.fixture
def at_terminal(server):
    opened = []

    def start(*arguments, **more):
        opened.append(Terminal(server.url, *arguments, **more))
        return opened[-1]

    yield start
    for one in opened:
        one.__exit__()


def test_yes(at_terminal, janitor, old):
    state, ids = old(6)
    run_id = janitor.ask(state)
    terminal = at_terminal("approve", run_id, "--notes", "by hand")
    terminal.expect(QUESTION)
    assert terminal.text.index("6 flow runs would be deleted") < terminal.text.index(QUESTION)
    assert janitor.db.state(run_id)[1] == "Paused"
    terminal.type("y\n")
    assert terminal.wait() == 0
    assert "Approved" in terminal.text
    assert janitor.result(run_id)["deleted"] == 6
    assert janitor.db.existing(ids) == set()


@pytest.mark.parametrize("typed", ["\n", "yes but later\n", "\x04"], ids=["enter", "words", "end"])
def test_anything_else_is_no(at_terminal, janitor, old, typed):
    state, ids = old(6)
    run_id = janitor.ask(state)
    terminal = at_terminal("approve", run_id)
    terminal.expect(QUESTION)
    terminal.type(typed)
    assert terminal.wait() == 1
    assert "nothing changed" in terminal.text
    assert janitor.db.state(run_id)[1] == "Paused" and janitor.db.existing(ids) == set(ids)
    janitor.answer(run_id, False)


def test_decided_by_another_person_meanwhile(at_terminal, janitor, old):
    state, ids = old(6)
    run_id = janitor.ask(state)
    terminal = at_terminal("approve", run_id)
    terminal.expect(QUESTION)
    janitor.answer(run_id, False, "first")
    terminal.type("y\n")
    assert terminal.wait() == 2
    assert "was decided already: rejected" in terminal.text
    assert janitor.result(run_id)["reason"] == "first" and janitor.db.existing(ids) == set(ids)


def test_colours(at_terminal, cli, janitor, old):
    run_id = janitor.ask(old(6)[0])
    for settings, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        terminal = at_terminal("show", run_id, **settings)
        assert terminal.wait() == 0
        assert ("\x1b[" in terminal.raw) is coloured, settings
    assert "\x1b" not in cli("show", run_id).stdout
    janitor.answer(run_id, False)


@pytest.mark.parametrize("width", [40, 60, 120])
def test_tables_fit_the_width(at_terminal, janitor, history, width):
    state, flow = unique("Done"), "日本語の長い名前 " * 4 + unique("x")
    history({"flow": flow, "count": 3, "state_name": state, "start_time": from_now(days=-40), "end_time": from_now(days=-40)})
    janitor.past_schema()
    terminal = at_terminal("preview", "--deployment", janitor.name, "--states", state, columns=width)
    assert terminal.wait() == 0
    table = terminal.text[terminal.text.index("Flow "):].split("\n\n")[0].splitlines()
    assert len(table) == 3 and all(columns(line) <= width for line in table), table
    assert ("…" in table[1]) is (width < 120)
    assert re.search(r" 3 +3$", table[1])


def test_too_narrow_for_columns(at_terminal, janitor, old):
    run_id = janitor.ask(old(6)[0])
    terminal = at_terminal("pending", columns=40)
    assert terminal.wait() == 0
    assert re.search(rf"^FLOW RUNS +6$", terminal.text, re.MULTILINE)
    assert re.search(rf"^PAGE +http://\S+{run_id}$", terminal.text, re.MULTILINE)
    janitor.answer(run_id, False)


def test_times_are_told_in_utc_and_here(at_terminal, janitor, old):
    run_id = janitor.ask(old(6)[0])
    terminal = at_terminal("show", run_id, TZ="XYZ-3", columns=200)
    assert terminal.wait() == 0
    assert re.search(r"^Asked .*\d\d:\d\d:\d\d UTC \(.*\d\d:\d\d:\d\d XYZ\), ", terminal.text, re.MULTILINE)
    janitor.answer(run_id, False)


def test_a_bar_while_it_deletes(at_terminal, api, idle):
    """The worker's part is played by the test, so that it lasts as long as it takes to see it."""
    terminal = at_terminal("run", "--wait", "--deployment", idle.name)
    terminal.expect("Scheduled")
    run_id = re.search(r"^id +(\S+)$", terminal.text, re.MULTILINE)[1]
    api.set_state(run_id, "PENDING")
    api.set_state(run_id, "RUNNING")
    artifact = {"type": "progress", "key": "cleanup-progress", "description": "Deleting flow runs: **1 / 4**", "data": 25.0,
                "flow_run_id": run_id}
    made = api.post("/artifacts/", artifact)
    terminal.expect("[######..................]  25 %  Deleting flow runs: 1 / 4")
    api.patch(f"/artifacts/{made['id']}", {"data": 75.0, "description": "Deleting flow runs: **3 / 4**"})
    terminal.expect("[##################......]  75 %  Deleting flow runs: 3 / 4")
    api.set_state(run_id, "COMPLETED", message="deleted 4 of 4 flow runs")
    assert terminal.wait() == 0
    assert terminal.text.rstrip().endswith("Completed: deleted 4 of 4 flow runs")
