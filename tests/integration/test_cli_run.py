"""`run`: triggers the deployment, and follows it; its exit code says how it ended."""

import json
import re
import subprocess

import pytest
from harness import EXIT_SECONDS, PROGRAM, assert_no_sanitizer_report, environment, unique, wait_until


class Following:
    """`prefect-janitor run --wait` in the background."""

    def __init__(self, url, folder, *arguments):
        self.out = folder / f"{unique('run')}.txt"
        with open(self.out, "w") as out:
            self.process = subprocess.Popen([PROGRAM, "run", "--wait", *map(str, arguments)], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=out, env=environment(PREFECT_API_URL=url))

    def text(self):
        return self.out.read_text()

    def id(self):
        return wait_until(lambda: re.search(r"^id +(\S+)$", self.text(), re.MULTILINE), EXIT_SECONDS, "the run's id")[1]

    def wait(self):
        code = self.process.wait(timeout=EXIT_SECONDS)
        assert_no_sanitizer_report(self.text())
        return code


@pytest.fixture
def follow(server, tmp_path, janitor):
    started = []

    def start(*arguments):
        started.append(Following(server.url, tmp_path, "--deployment", janitor.name, *arguments))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait()


def past_schema(api, janitor, state):
    """A state of the test's own is none of those that the form offers."""
    api.patch(f"/deployments/{janitor.deployment_id}", {"enforce_parameter_schema": False})
    return ["--states", state]


@pytest.mark.versions
def test_approved(api, janitor, old, follow):
    state, ids = old(6)
    run = follow(*past_schema(api, janitor, state))
    api.wait_question(run.id())
    wait_until(lambda: f"prefect-janitor approve {run.id()}" in run.text(), EXIT_SECONDS, "what to do next")
    janitor.answer(run.id(), True, "fine")
    assert run.wait() == 0
    assert janitor.db.existing(ids) == set()
    told = [re.sub(r"^\d\d:\d\d:\d\d UTC  ", "", line) for line in run.text().splitlines()]
    states = [line.partition(":")[0] for line in told if line.partition(":")[0] in
              ("Scheduled", "Pending", "Running", "Paused", "Completed")]
    assert states == ["Scheduled", "Pending", "Running", "Paused", "Running", "Completed"]
    assert "Completed: deleted 6 of 6 flow runs" in told and "approved: fine" in told
    assert "\x1b" not in run.text() and "\r" not in run.text()


def test_nothing_to_clean(api, janitor, follow):
    run = follow(*past_schema(api, janitor, unique("None")))
    assert run.wait() == 0
    assert "no flow runs match" in run.text()


@pytest.mark.parametrize("answer, code, state", [("reject", 3, "Completed"), ("cancel", 4, "Cancelled")])
def test_not_approved(api, janitor, old, follow, answer, code, state):
    name, ids = old()
    run = follow(*past_schema(api, janitor, name), "-o", "json") if answer == "cancel" else follow(*past_schema(api, janitor, name))
    run_id = run.id() if answer == "reject" else wait_until(
        lambda: next(iter(janitor.db.query("SELECT id FROM flow_run WHERE parameters LIKE ?", f'%"{name}"%')), None),
        EXIT_SECONDS, "the run")["id"]
    api.wait_question(run_id)
    if answer == "reject":
        janitor.answer(run_id, False)
    else:
        api.cancel(run_id)
    assert run.wait() == code
    assert janitor.db.state(run_id)[1] == state
    assert janitor.db.existing(ids) == set(ids)
    if answer == "cancel":
        told = json.loads(run.text())
        assert (told["id"], told["state_type"], told["exit_code"]) == (run_id, "CANCELLED", 4)


def test_nobody_decides(cli, api, janitor, old, follow):
    """And then nobody can any more."""
    state, ids = old()
    janitor.set_job_variables(approval_timeout=10)
    try:
        run = follow(*past_schema(api, janitor, state))
        assert run.wait() == 5
    finally:
        janitor.set_job_variables()
    for command in ("approve", "reject"):
        late = cli(command, run.id(), "--yes")
        assert late.returncode == 2 and "has expired: nobody decided by " in late.stderr, late
    assert janitor.db.state(run.id())[1] == "Failed"
    assert not [key for key in janitor.db.inputs(run.id()) if key.endswith("-response")]
    assert janitor.db.existing(ids) == set(ids)


def test_a_run_that_fails(api, janitor, follow):
    run = follow(*past_schema(api, janitor, unique("None")), "--retention-period", "P9999Y")
    assert run.wait() == 1
    assert "before the year 1" in run.text()


def test_it_need_not_be_followed(cli, api, idle):
    """Flags go before the deployment's parameters, field by field; the others stay."""
    idle.deploy("--concurrency-limit", 0, "--param", 'retention_period="P60D"')
    done = cli("run", "--deployment", f"database-cleanup/{idle.name}", "--batch-size", 50, "--dry-run", "-o", "json")
    assert done.returncode == 0, done
    run = api.run(json.loads(done.stdout)["id"])
    assert run["state_type"] == "SCHEDULED" and "prefect-janitor run" in run["state"]["message"]
    assert run["parameters"]["config"]["retention_period"] == "P60D"
    assert run["parameters"]["config"]["batch_size"] == 50 and run["parameters"]["config"]["dry_run"] is True
    plain = cli("run", "--pool", idle.pool)
    assert plain.returncode == 0 and re.search(r"^page +http://\S+/v2/runs/flow-run/", plain.stdout, re.MULTILINE)


def test_what_comes_next_is_told(cli, api, idle, worker):
    """Who does not follow the run needs to know how to decide it, and that somebody must be there to take it."""
    done = cli("run", "--pool", idle.pool)
    run_id = re.search(r"^id +(\S+)$", done.stdout, re.MULTILINE)[1]
    assert done.returncode == 0 and done.stdout.endswith(
        f"next  prefect-janitor pending shows it as soon as it asks; then prefect-janitor approve {run_id}\n"
        f"      No worker is online in work pool '{idle.pool}': prefect-janitor start --pool {idle.pool}\n")
    one = worker(idle.pool)
    wait_until(lambda: [row for row in api.post(f"/work_pools/{idle.pool}/workers/filter") if row["name"] == one.name], 10,
               "the worker")
    again = cli("run", "--pool", idle.pool)
    assert "\nnext  prefect-janitor pending " in again.stdout and "No worker is online" not in again.stdout


@pytest.mark.parametrize("arguments, text", [
    (["--retention-period", "soon"], "'soon'"),
    (["--batch-size", "1001"], "'1001' is not a whole number from 10 to 1000"),
    (["--states", "Completd"], "did you mean 'Completed'?"),
    (["--deployment", "no-such"], "'no-such'"),
    (["--pool", "no-such-pool"], "'no-such-pool'"),
], ids=lambda value: value[0] if isinstance(value, list) else "")
def test_bad_input(cli, db, idle, arguments, text):
    named = any(argument in ("--deployment", "--pool") for argument in arguments)
    count = "SELECT count(*) AS n FROM flow_run WHERE deployment_id = ?"
    done = cli("run", *([] if named else ["--deployment", idle.name]), *arguments)
    assert done.returncode == 2 and text in done.stderr and done.stderr.count("\n") == 1, done
    assert db.query(count, idle.deployment_id)[0]["n"] == 0
