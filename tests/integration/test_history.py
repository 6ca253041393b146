"""`prefect-janitor history`: past cleanups by their reports, whether their runs are there or not."""

import json

import pytest

KEY = "cleanup-report"


def history(cli, *arguments):
    done = cli("history", "--output", "json", *arguments)
    assert done.returncode == 0 and done.stderr == "", done
    return json.loads(done.stdout)


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
    assert set(told) == {evil, broken} and "block for programs" in told[broken]["unreadable"]
    done = cli("history", "--limit", 2)
    assert done.returncode == 0 and "\x1b" not in done.stdout and "\u202e" not in done.stdout
    assert "?[2Jfailed?" in done.stdout and "unreadable" in done.stdout


@pytest.mark.parametrize("value", ["0", "many", "-1"])
def test_wrong_usage(cli, value):
    done = cli("history", "--limit", value)
    assert done.returncode == 2 and f"'{value}'" in done.stderr
