"""`preview`, `pending` and `show`: what would be deleted and what waits, without a change to anything."""

import json
import re

import pytest
from harness import from_now, run_cli, unique, wait_until

READS = re.compile(r"/(filter|count)$")


def preview(cli, janitor, *arguments):
    done = cli("preview", "--deployment", janitor.name, "--output", "json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def pending(cli, *arguments):
    done = cli("pending", "--output", "json", *arguments)
    assert done.returncode == 0, done.stderr
    return {run["id"]: run for run in json.loads(done.stdout)}


def test_it_is_what_the_form_shows(cli, janitor, history):
    janitor.past_schema()
    done, broken, flow = unique("Done"), unique("Broken"), unique("etl")
    long_ago = from_now(days=-50)
    history({"flow": flow, "count": 6, "state_name": done, "start_time": long_ago, "end_time": long_ago},
            {"flow": flow, "count": 2, "state_type": "FAILED", "state_name": broken, "start_time": long_ago, "end_time": long_ago})
    flags = ["--states", f"{done},{broken}", "--retention-period", "P35D"]
    shown = cli("preview", "--deployment", janitor.name, *flags)
    assert shown.returncode == 0, shown.stderr
    assert re.search(rf"^{flow} +6 +2 +8$", shown.stdout, re.MULTILINE), shown.stdout
    assert "Preview: 8 flow runs would be deleted" in shown.stdout and "**" not in shown.stdout
    assert janitor.name in shown.stdout and "Nothing was changed" in shown.stdout

    run_id = janitor.trigger(states_to_clean=[done, broken], retention_period="P35D")
    janitor.api.wait_question(run_id)
    in_form = cli("show", run_id).stdout
    from_table = shown.stdout[shown.stdout.index("Flow "):].split("\nPlan")[0]
    assert from_table in in_form  # the same table, the same runs, in the same order
    assert re.search("^- With them go .*$", shown.stdout, re.MULTILINE)[0] in in_form
    janitor.answer(run_id, False)


def test_as_json(cli, janitor, history):
    janitor.past_schema()
    done, flow = unique("Done"), unique("etl")
    history({"flow": flow, "count": 3, "state_name": done, "start_time": from_now(days=-50), "end_time": from_now(days=-50),
             "task_runs": 2, "logs": 4, "artifacts": 1})
    told = preview(cli, janitor, "--states", done)
    assert told["total"] == 3 and told["by_state"] == {done: 3} and told["deployment"] == janitor.name
    assert [(row["name"], row["count"]) for row in told["flows"]] == [(flow, 3)]
    assert told["extent"] == {"task_runs": 6, "artifacts": 3, "log_lines": 12, "log_runs": 3, "log_lines_are_all": True}
    assert len(told["oldest_runs"]) == 3 and told["states_to_clean"] == [done]


@pytest.mark.versions
def test_parameters_are_the_deployment_s_and_flags_go_before(cli, idle):
    idle.deploy("--concurrency-limit", 0, "--param", 'retention_period="P77D"', "--param", "batch_size=33")
    assert preview(cli, idle)["retention_period"] == "P77D"
    told = preview(cli, idle, "--retention-period", "P5D", "--dry-run")
    assert (told["retention_period"], told["batch_size"], told["dry_run"]) == ("P5D", 33, True)
    by_pool = json.loads(cli("preview", "--pool", idle.pool, "-o", "json").stdout)
    assert by_pool["deployment"] == idle.name and by_pool["batch_size"] == 33


def test_what_if(cli, janitor, history):
    janitor.past_schema()
    state = unique("Done")
    history(*({"flow": "what-if", "count": count, "state_name": state, "start_time": from_now(days=-days),
               "end_time": from_now(days=-days)} for days, count in ((10, 1), (20, 2), (40, 4), (100, 8))))
    done = cli("preview", "--deployment", janitor.name, "--states", state, "--what-if", "P7D,P14D,P30D,P90D", "-o", "json")
    assert [(row["retention_period"], row["total"]) for row in json.loads(done.stdout)] == [
        ("P7D", 15), ("P14D", 14), ("P30D", 12), ("P90D", 8)]
    shown = cli("preview", "--deployment", janitor.name, "--states", state, "--what-if", "P7D,P90D")
    assert re.search(r"^P7D .* 15\nP90D .* +8$", shown.stdout, re.MULTILINE), shown.stdout


def test_nothing_to_clean(cli, janitor):
    janitor.past_schema()
    assert "No flow runs match" in cli("preview", "--deployment", janitor.name, "--states", unique("None")).stdout


@pytest.mark.versions
@pytest.mark.databases
def test_pending_and_show(cli, janitor, old):
    state, ids = old(4)
    run_id = janitor.ask(state)
    run = pending(cli)[run_id]
    plan = janitor.db.inputs(run_id)["cleanup-plan"]
    assert run["total"] == 4 and run["retention_period"] == json.loads(plan)["retention_period"]
    assert run["page"].endswith(f"/v2/runs/flow-run/{run_id}") and run["deadline"] > run["asked_at"]
    assert f"sha256:{run['digest']}" in janitor.preview(run_id)
    assert run_id in pending(cli, "--pool", janitor.pool) and cli("pending", "--pool", unique("other")).returncode == 2

    title, *rows = cli("pending").stdout.splitlines()
    row = next(line for line in rows if run_id in line)
    assert row.startswith(run["name"]) and " 2 d 23 h " in row and " 4 " in row
    # Right-aligned below their titles: since when it waits, and until when it can.
    since, left = (row[:title.index(name) + len(name)].rsplit("  ", 1)[-1].strip() for name in ("WAITING SINCE", "TIME LEFT"))
    assert re.fullmatch(r"\d+ s", since) and left == "2 d 23 h"
    shown = json.loads(cli("show", run["name"], "-o", "json").stdout)
    assert shown["description"] == janitor.preview(run_id) and shown["digest"] == run["digest"]

    janitor.answer(run_id, False, "not these")
    janitor.result(run_id)
    assert run_id not in pending(cli)
    after = json.loads(cli("show", run_id, "-o", "json").stdout)
    assert after["answer"] == {"approve": False, "notes": "not these"} and after["state_type"] == "COMPLETED"
    assert janitor.db.existing(ids) == set(ids)


@pytest.mark.parametrize("command, decision, outcome, deleted", [
    ("approve", "approved", "completed", 3), ("reject", "not approved", "rejected", 0)])
def test_show_says_what_became_of_it(cli, api, janitor, old, command, decision, outcome, deleted):
    """By the report; where that is gone, by the answer that is stored and the state's message."""
    run_id = janitor.ask(old(3)[0])
    waiting = json.loads(cli("show", run_id, "-o", "json").stdout)
    assert waiting["decision"] is None and waiting["report"] is None
    assert cli(command, run_id, "--yes", "--notes", "seen \u202e by two", "--wait").returncode == 0
    told = wait_until(lambda: (one := json.loads(cli("show", run_id, "-o", "json").stdout))["report"] and one, 20, "the report")
    assert told.keys() == waiting.keys()
    assert told["decision"]["approved"] is (decision == "approved") and told["decision"]["by"] == "a person"
    assert told["decision"]["notes"] == told["answer"]["notes"] and told["decision"]["notes"].startswith("seen")
    assert told["asked_at"] < told["decision"]["decided_at"] < told["report"]["finished_at"]
    assert (told["report"]["outcome"], told["report"]["deletion"]["deleted"]) == (outcome, deleted)

    def lines():
        shown = cli("show", run_id)
        assert shown.returncode == 0 and "\u202e" not in shown.stdout
        return dict(line.split(maxsplit=1) for line in shown.stdout.partition("\n\n")[0].splitlines())

    head = lines()
    assert head["Decided"].endswith(f" ago: {decision} by a person") and head["Notes"].startswith("seen ? by two (")
    assert head["Result"].startswith(f"{outcome}: deleted {deleted} of 3 flow runs") and head["State"].startswith("Completed: ")

    api.delete(f"/artifacts/{told['report']['artifact_id']}")
    head = lines()
    assert head["Decided"].endswith(f" ago: {decision} by an answer to the form") and head["Notes"].startswith("seen ? by two (")
    assert "Result" not in head and str(deleted if deleted else "nothing was deleted") in head["State"]
    told = json.loads(cli("show", run_id, "-o", "json").stdout)
    assert told["report"] is None and told["decision"]["by"] is None and told["decision"]["decided_at"] == told["decided_at"]


def test_a_report_of_an_earlier_attempt_is_not_of_this_one(cli, api, janitor, old):
    """A run that is retried asks again: what it says then is of the last question."""
    run_id = janitor.ask(old(1)[0])
    janitor.answer(run_id, False, "first")
    janitor.result(run_id)
    wait_until(lambda: json.loads(cli("show", run_id, "-o", "json").stdout)["report"], 20, "the report")
    api.retry(run_id)
    api.wait_question(run_id)
    told = json.loads(cli("show", run_id, "-o", "json").stdout)
    assert told["report"] is None and told["decision"] is None and "Notes" not in cli("show", run_id).stdout
    api.cancel(run_id)
    api.wait_state(run_id, "Cancelled")
    told = json.loads(cli("show", run_id, "-o", "json").stdout)
    assert told["decision"] is None and (told["report"] or {"outcome": "cancelled"})["outcome"] == "cancelled"


@pytest.mark.parametrize("flags", [["--states", "completed"], ["--states", "Running"], ["--retention-period", "P1.5D"]], ids=str)
def test_it_refuses_what_a_run_refuses(cli, idle, flags):
    preview, run = (cli(command, "--deployment", idle.name, *flags) for command in ("preview", "run"))
    assert preview.returncode == run.returncode == 2 and preview.stdout == run.stdout == ""
    assert preview.stderr.partition(": ")[2] == run.stderr.partition(": ")[2] and flags[1] in preview.stderr
    if flags[0] == "--retention-period":
        assert "--what-if: " in cli("preview", "--deployment", idle.name, "--what-if", f"P7D,{flags[1]}").stderr


def test_a_run_that_shows_nothing_yet(cli, idle):
    run_id = idle.trigger()
    shown = cli("show", run_id)
    assert shown.returncode == 0 and "Scheduled" in shown.stdout and "No preview" in shown.stdout


def test_they_only_read(server, proxy, janitor, old):
    """Through a proxy that writes down every request."""
    run_id = janitor.ask(old()[0])
    for arguments in (["preview", "--deployment", janitor.name], ["preview", "--pool", janitor.pool, "-o", "json"],
                      ["preview", "--deployment", janitor.name, "--what-if", "P7D,P90D"], ["pending"], ["show", run_id]):
        done = run_cli(proxy.url + "/api", *arguments)
        assert done.returncode == 0, done.stderr
    seen = proxy.requests()
    assert len(seen) > 10
    for request in seen:
        path = request.path.partition("?")[0]
        assert request.method == "GET" or (request.method == "POST" and READS.search(path)), str(request)
    assert janitor.db.state(run_id)[1] == "Paused"
    janitor.answer(run_id, False)


@pytest.mark.parametrize("arguments, text", [
    (["preview", "--retention-period", "a month"], "'a month'"),
    (["preview", "--states", "A,,B"], "config.states_to_clean[1]"),
    (["preview", "--batch-size", "5"], "'5' is not a whole number from 10 to 1000"),
    (["preview", "--batch-size", "many"], "'many' is not a whole number from 10 to 1000"),
    (["preview", "--approval-type", "me"], "'me' is neither 'human' nor 'ai'"),
    (["preview", "--param", "days=5"], "config.days: there is no such field"),
    (["preview", "--what-if", "P7D,soon"], "--what-if: 'soon'"),
    (["preview", "--what-if", "P7D,"], "--what-if: ''"),
    (["preview", "--output", "xml"], "'xml' is none of text, json"),
    (["preview", "--deployment", "no-such"], "'no-such'"),
    (["preview", "--pool", "no-such-pool"], "'no-such-pool'"),
    (["show"], "RUN is missing"),
    (["show", "no-such-run"], "'no-such-run'"),
    (["show", "00000000-0000-4000-8000-000000000000"], "'00000000-0000-4000-8000-000000000000'"),
    (["pending", "extra"], "no argument 'extra'"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_bad_input(cli, arguments, text):
    done = cli(*arguments)
    assert done.returncode == 2, done
    assert text in done.stderr and done.stderr.count("\n") == 1 and done.stdout == ""


def test_several_deployments_are_told_apart(cli, idle, janitor):
    done = cli("preview")
    assert done.returncode == 2 and "--deployment NAME is missing" in done.stderr
