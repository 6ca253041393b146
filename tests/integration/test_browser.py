"""The whole story as a person lives it in Prefect's UI: the scripts of tests/browser press the buttons."""

import json
import subprocess

import pytest
from harness import PROJECT, environment, from_now
from janitor import Janitor

pytestmark = pytest.mark.browser
FOLDER = PROJECT / "build/browser"
TIMEOUT = 300


@pytest.fixture
def browse(tmp_path):
    """Runs a script; what it saw. Its pictures are in build/browser, failed.png after a failure."""

    def run(script, **wanted):
        FOLDER.mkdir(parents=True, exist_ok=True)
        (tmp_path / "profile").mkdir()
        wanted |= {"folder": str(FOLDER), "profile": str(tmp_path / "profile")}
        done = subprocess.run(["node", PROJECT / "tests/browser" / script], input=json.dumps(wanted), text=True,
                              capture_output=True, timeout=TIMEOUT, env=environment(HOME=tmp_path))
        assert done.returncode == 0, f"{done.stderr}\nseen: {done.stdout}\nsee {FOLDER}/failed.png"
        return json.loads(done.stdout)

    return run


def test_a_cleanup_by_hand(server, api, db, cli, worker, history, browse):
    start = from_now(days=-1000)
    runs = {"count": 7, "state_type": "FAILED", "state_name": "TimedOut", "start_time": start, "end_time": start}
    [old, kept] = history({"flow": "etl **daily**"} | runs,
                          {"flow": "recent"} | runs | {"start_time": from_now(days=-300), "end_time": from_now(days=-300)})
    janitor = Janitor(api, db, cli, "--param", "states_to_clean=[\"TimedOut\"]")
    worker(janitor.pool)

    page = f"{server.url.removesuffix('/api')}/v2/deployments/deployment/{janitor.deployment_id}"
    seen = browse("cleanup.mjs", page=page, notes="as agreed on Monday", parameters={"Retention Period": "P2Y", "Batch Size": "10"})

    run = api.run(seen["run"])
    config = run["parameters"]["config"]
    assert (config["retention_period"], config["batch_size"], config["states_to_clean"]) == ("P2Y", 10, ["TimedOut"])
    result = db.states(run["id"])[-1]["data"]
    # The page of the waiting run, and the form in it.
    assert "7 flow runs would be deleted; waiting for an approval until" in seen["question"]
    assert "7 flow runs would be deleted" in seen["form"] and result["plan"] in seen["form"]
    # At 1280x720 the fields are seen when the dialog opens, and pressing Resume at once decides nothing.
    assert seen["visible"] > 0.9
    assert seen["undecided"] == 200 and "'approve' is a required property" in seen["refusal"]
    # What the link leads to: the whole preview.
    assert [row.split() for row in seen["rows"]][0] == ["Flow", "TimedOut", "All"]
    assert any("etl **daily**" in row and row.split()[-1] == "7" for row in seen["rows"])
    # What came of it, on the page and in the database.
    assert "deleted 7 of 7 flow runs" in seen["result"]
    assert db.state_names(run["id"]) == ["Scheduled", "Pending", "Running", "Paused", "Running", "Completed"]
    assert all(step in seen["tasks"].split("\n") for step in ("query", "preview", "approval", "delete", "verify", "report"))
    assert all(text in seen["report"] for text in ("as agreed on Monday", result["plan"], "etl **daily**"))
    assert (result["status"], result["notes"]) == ("completed", "as agreed on Monday")
    assert db.existing(old) == set() and db.existing(kept) == set(kept)
    # The UI needs no other host: what it asked one for (its analytics, also where they are off) was refused.
    assert set(seen["outside"]) <= {"sr-client-cfg.amplitude.com"}


def test_a_dialog_that_outlived_its_plan(server, api, db, idle, worker, old, browse):
    """The new plan was never seen: nothing is deleted, and the question stays open."""
    state, ids = old(4)
    worker(idle.pool)
    run_id = idle.ask(state)
    first = idle.digest(run_id)
    home = server.url.removesuffix("/api")
    seen = browse("outlived.mjs", page=f"{home}/v2/runs/flow-run/{run_id}", api=server.url, run=run_id, notes="after lunch")
    assert idle.digest(run_id) != first and seen["state"] == "Paused"
    # The page may have looked anew meanwhile: then the dialog has the new plan, and what was chosen before is forgotten.
    refusals = (f"'{first}' is not one of", "'approve' is a required property")
    assert any(refusal in seen["refusal"] for refusal in refusals), seen["refusal"]
    assert db.existing(ids) == set(ids) and "paused-2-response" not in db.inputs(run_id)
    assert idle.approve(run_id)["deleted"] == 4


def test_approved_in_the_v1_ui(server, api, db, janitor, old, browse):
    state, ids = old(4)
    run_id = janitor.ask(state)
    seen = browse("resume_v1.mjs", page=f"{server.url.removesuffix('/api')}/runs/flow-run/{run_id}", notes="from the old UI")
    assert seen["resumed"] == 201 and "4 flow runs would be deleted" in seen["form"]
    result = janitor.result(run_id)
    assert (result["status"], result["deleted"], result["notes"]) == ("completed", 4, "from the old UI")
    assert db.existing(ids) == set()
