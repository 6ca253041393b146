"""The plan as it is stored, and the preview as a person reads it."""

import hashlib
import json
import re

import pytest
from harness import from_now, unique

LINE = re.compile(r"^- (.+) \((COMPLETED|FAILED|CANCELLED|CRASHED)\) - (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) UTC( \(never started\))?$",
                  re.MULTILINE)


def human(time):
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")


@pytest.mark.versions
def test_preview(api, janitor, history):
    done, failed = unique("Done"), unique("Broken")
    etl, report = unique("etl"), unique("report")
    oldest = from_now(days=-50)
    history(
        {"flow": etl, "count": 6, "state_name": done, "name_prefix": "etl ", "start_time": oldest, "end_time": oldest,
         "spread_seconds": 600},
        {"flow": etl, "count": 1, "state_type": "FAILED", "state_name": failed, "start_time": from_now(days=-40),
         "end_time": from_now(days=-40)},
        {"flow": report, "count": 2, "state_type": "CRASHED", "state_name": failed, "names": ["rep-old", "rep-new"],
         "start_time": from_now(days=-60), "end_time": from_now(days=-60), "spread_seconds": -3600 * 24})
    run_id = janitor.trigger(states_to_clean=[done, failed], retention_period="P35D")
    api.wait_question(run_id)
    plan, preview = janitor.plan(run_id), janitor.page(run_id)

    assert "**Preview: 9 flow runs would be deleted**\n" in preview
    assert f"| {etl} | 6 | 1 | 7 |\n| {report} | 0 | 2 | 2 |\n| **All** | 6 | 3 | **9** |\n" in preview
    lines = LINE.findall(preview)
    assert [name for name, *_ in lines] == ["rep-old", "rep-new", "etl 00005", "etl 00004", "etl 00003"]
    assert [kind for _, kind, *_ in lines] == ["CRASHED"] * 2 + ["COMPLETED"] * 3
    assert [time for *_, time, _ in lines] == sorted(time for *_, time, _ in lines)
    assert "\n\n... and 4 more\n" in preview  # glued to the last bullet without the blank line
    assert "35 days" in preview and human(plan["cutoff"]) in preview
    assert f"Oldest: {lines[0][2]} UTC" in preview and f"Newest: {human(from_now(days=-40))[:10]}" in preview

    stored = json.loads(janitor.db.inputs(run_id)["cleanup-plan"])
    canonical = json.dumps(stored, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}" in preview
    assert sum(part["count"] for part in plan["slices"]) == 9
    assert (plan["planned_at"] - plan["cutoff"]).days == 35
    form = janitor.preview(run_id)
    assert "**9 flow runs would be deleted**" in form and len(form.split("\n")) <= 12
    janitor.wait_log(run_id, "9 flow runs would be deleted\n")
    janitor.answer(run_id, False)


@pytest.mark.parametrize("count, headline, more", [
    (1, "1 flow run would be deleted", None), (5, "5 flow runs would be deleted", None),
    (6, "6 flow runs would be deleted", "... and 1 more")])
def test_numbers(janitor, old, count, headline, more):
    run_id = janitor.ask(old(count)[0])
    preview = janitor.page(run_id)
    assert headline in janitor.preview(run_id)
    assert headline in preview and len(LINE.findall(preview)) == min(count, 5)
    assert ("... and" in preview) is bool(more) and (more or "") in preview
    janitor.answer(run_id, False)


def test_a_dry_run_says_so(janitor, old):
    run_id = janitor.ask(old()[0], dry_run=True)
    assert "dry run: nothing will be deleted" in janitor.preview(run_id)
    # What alerts, the UI's list of runs and the log of the server tell is the state's message alone.
    assert janitor.db.states(run_id)[-1]["message"].startswith("dry run: ")
    janitor.answer(run_id, False)


def test_many_flows_stay_readable(janitor, history):
    state = unique("Done")
    long_ago = from_now(days=-40)
    history(*({"flow": f"many-{number:02}", "count": 1 + (number == 7), "state_name": state, "start_time": long_ago,
               "end_time": long_ago} for number in range(30)))
    run_id = janitor.ask(state)
    preview = janitor.page(run_id).partition("| Flow | Deployment |")[0]
    rows = re.findall(r"^\| many-\d\d \|", preview, re.MULTILINE)
    assert len(rows) == 20 and rows[0] == "| many-07 |"
    assert re.search(r"^\| \.\.\. and 10 more flows \|.* 10 \|$", preview, re.MULTILINE)
    assert "**31**" in preview
    assert janitor.approve(run_id)["deleted"] == 31


@pytest.mark.parametrize("name", ["a | b", "**bold** _it_", "<script>alert(1)</script>", "[link](http://example.com)",
                                  "line\nbreak", "x" * 500, "`code`", "größe 大きさ"])
def test_names_cannot_change_the_preview(janitor, history, name):
    state = unique("Done")
    long_ago = from_now(days=-40)
    flow = re.sub("[/%&<>]", "", name)  # what the server refuses in a flow's name, but not in a run's
    history({"flow": flow, "names": [name], "state_name": state, "start_time": long_ago, "end_time": long_ago})
    run_id = janitor.ask(state)
    preview = janitor.page(run_id)
    assert name not in preview or name.startswith("größe")
    assert len(LINE.findall(preview)) == 1
    rows = [line for line in preview.splitlines() if line.endswith("| 1 | 1 |")]
    assert len(rows) == 1 and len(re.findall(r"(?<!\\)\|", rows[0])) == 4
    assert "<script" not in preview and max(map(len, preview.splitlines())) < 600
    assert janitor.approve(run_id)["deleted"] == 1


@pytest.mark.versions
def test_runs_that_never_started(api, db, janitor, history):
    """The second slice: their age is the time for which they were scheduled."""
    state = unique("Done")
    ancient, young = from_now(days=-45), from_now(days=-20)
    started, never, young_never = history(
        {"flow": "f", "count": 3, "state_name": state, "start_time": from_now(days=-40), "end_time": from_now(days=-40)},
        {"flow": "f", "count": 2, "state_type": "CANCELLED", "state_name": state, "expected_start_time": ancient,
         "end_time": ancient},
        {"flow": "f", "count": 2, "state_type": "CANCELLED", "state_name": state, "expected_start_time": young,
         "end_time": young})
    run_id = janitor.ask(state)
    lines = LINE.findall(janitor.page(run_id))
    assert [bool(never_started) for *_, never_started in lines] == [True, True, False, False, False]
    assert [part["count"] for part in janitor.plan(run_id)["slices"]] == [3, 2]
    assert janitor.approve(run_id)["deleted"] == 5
    assert db.existing([*started, *never, *young_never]) == set(young_never)


def test_only_runs_that_never_started(db, janitor, history):
    state = unique("Done")
    ancient = from_now(days=-45)
    [ids] = history({"flow": "f", "count": 12, "state_type": "CANCELLED", "state_name": state,
                     "expected_start_time": ancient, "end_time": ancient})
    run_id = janitor.ask(state)
    assert [part["count"] for part in janitor.plan(run_id)["slices"]] == [0, 12]
    assert janitor.approve(run_id)["deleted"] == 12
    assert db.existing(ids) == set()
