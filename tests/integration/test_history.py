"""`prefect-janitor history`: past cleanups by their reports, whether their runs are there or not."""

import json
from datetime import datetime

import pytest
from harness import wait_until

KEY = "cleanup-report"


def history(cli, *arguments):
    done = cli("history", "--output", "json", *arguments)
    assert done.returncode == 0 and done.stderr == "", done
    return json.loads(done.stdout)


def of_run(cli, run_id):
    """The report is written as the run ends, maybe a moment later."""
    return wait_until(lambda: [one for one in history(cli, "--limit", 200) if one.get("flow_run_id") == run_id], 20,
                      "the report")[0]


def test_reports_of_real_runs(cli, janitor, api, old, db, artifact):
    """They stay when the flow run itself is deleted."""
    state, ids = old(7)
    run_id = janitor.ask(state, batch_size=10)
    janitor.approve(run_id, notes="looks | fine")
    done = of_run(cli, run_id)
    assert done["outcome"] == "completed" and done["plan"]["total"] == 7
    assert done["deletion"]["deleted"] == 7 and done["deletion"]["failed"] == 0
    assert done["decision"]["approved"] is True and done["decision"]["notes"] == "looks | fine"
    second = janitor.ask(old(2)[0])
    janitor.answer(second, False, "not today")
    janitor.result(second)
    rejected = of_run(cli, second)
    assert rejected["outcome"] == "rejected" and rejected["deletion"].keys() == done["deletion"].keys()
    assert rejected["deletion"]["deleted"] == 0 and rejected["deletion"]["took_ms"] is None
    assert datetime.fromisoformat(rejected["finished_at"]) >= datetime.fromisoformat(done["finished_at"])

    api.delete(f"/flow_runs/{run_id}")
    wait_until(lambda: db.existing([run_id]) == set(), 10, "the run is gone")
    assert of_run(cli, run_id) == done
    [latest] = history(cli, "--limit", 1)
    assert latest["flow_run_id"] == second
    rows = cli("history", "--limit", 200).stdout
    assert run_id in rows and "looks | fine" in rows and "rejected" in rows

    artifact("words")
    [broken] = history(cli, "--limit", 1)
    assert broken.keys() == done.keys() and broken["unreadable"] and done["limits"]


@pytest.fixture
def artifact(api):
    """artifact(data) writes one of the reports' key, as anybody can; removed at the end."""
    written = []

    def write(data):
        written.append(api.post("/artifacts/", {"key": KEY, "type": "markdown", "data": data})["id"])
        return written[-1]

    yield write
    for one in written:
        api.delete(f"/artifacts/{one}")


def test_what_somebody_else_wrote(cli, artifact):
    """Nothing in it can disturb the terminal or hide itself."""
    evil = artifact('\n```json\n{"version": 1, "outcome": "\\u001b[2Jfailed\\n", "decision": {"by": "a\\u202eb", "notes": 7}}\n```\n')
    broken = artifact("words")
    told = {one["artifact_id"]: one for one in history(cli, "--limit", 2)}
    assert told[evil].keys() == told[broken].keys() and told[evil]["deletion"] == told[broken]["deletion"]
    assert set(told[evil]["deletion"].values()) == {None}
    assert set(told) == {evil, broken} and "block for programs" in told[broken]["unreadable"]
    done = cli("history", "--limit", 2)
    assert done.returncode == 0 and "\x1b" not in done.stdout and "\u202e" not in done.stdout
    assert "?[2Jfailed?" in done.stdout and "unreadable" in done.stdout


@pytest.mark.parametrize("value", ["0", "many", "-1"])
def test_wrong_usage(cli, value):
    done = cli("history", "--limit", value)
    assert done.returncode == 2 and f"'{value}'" in done.stderr
