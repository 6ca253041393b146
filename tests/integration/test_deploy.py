"""`prefect-janitor deploy`: what is on the server afterwards, after a first call and after a second one."""

import re
from urllib.parse import quote

import httpx
import pytest
from harness import unique, wait_until

TIMEZONE = "Europe/Berlin"


@pytest.fixture
def deploy(api, cli):
    """deploy(...) calls the command for a pool and a deployment of the test's own: (that deployment, the output)."""
    pool, name = unique("pool"), unique("cleanup")

    def call(*arguments):
        done = cli("deploy", "--pool", pool, "--name", name, *arguments)
        assert done.returncode == 0, done.stderr
        return api.deployment(name), done.stdout

    return call


def schedules(deployment):
    return [entry["schedule"] for entry in deployment["schedules"]]


@pytest.mark.versions
def test_creates_pool_flow_and_deployment(api, deploy):
    deployment, output = deploy("--tag", "nightly", "--tag", "ops")
    pool = api.get(f"/work_pools/{deployment['work_pool_name']}")
    assert pool["type"] == "janitor" and pool["description"]
    variables = pool["base_job_template"]["variables"]["properties"]
    assert set(variables) == set(pool["base_job_template"]["job_configuration"]) == {
        "approval_timeout", "batch_pause_ms", "batch_pause_max_ms", "batch_size_min", "batch_target_ms"}
    assert all(variable["title"] and variable["description"] and "default" in variable for variable in variables.values())

    assert api.get(f"/flows/{deployment['flow_id']}")["name"] == "database-cleanup"
    assert set(deployment["tags"]) == {"database-maintenance", "cleanup", "nightly", "ops"}
    assert "| Parameter |" in deployment["description"] and "**Paused**" in deployment["description"]
    assert deployment["enforce_parameter_schema"] is True
    assert deployment["parameters"] == {"config": {
        "retention_period": "P30D", "states_to_clean": ["Completed", "Failed", "Cancelled"], "batch_size": 100,
        "dry_run": False, "approval_type": "human", "age_by": "start"}}
    assert deployment["global_concurrency_limit"]["limit"] == 1
    assert deployment["concurrency_options"]["collision_strategy"] == "ENQUEUE"
    assert schedules(deployment) == [] and deployment["paused"] is False
    assert deployment["name"] in output


@pytest.mark.versions
def test_how_long_an_approval_is_waited_for(api, deploy, cli):
    deployment, _ = deploy()
    pool = api.get(f"/work_pools/{deployment['work_pool_name']}")
    assert pool["base_job_template"]["variables"]["properties"]["approval_timeout"]["default"] == 3 * 86400
    assert deployment["job_variables"] == {}
    api.patch(f"/deployments/{deployment['id']}", {"job_variables": {"batch_pause_ms": 7}})
    again = ["deploy", "--pool", deployment["work_pool_name"], "--name", deployment["name"]]
    done = cli(*again, "--approval-timeout", "PT36H")
    assert done.returncode == 0 and "129600" in done.stdout, done
    kept = {"batch_pause_ms": 7, "approval_timeout": 36 * 3600}
    assert api.deployment(deployment["name"])["job_variables"] == kept
    assert cli(*again).returncode == 0
    assert api.deployment(deployment["name"])["job_variables"] == kept
    for wrong in ("PT9S", "P31D", "a day"):
        refused = cli(*again, "--approval-timeout", wrong)
        assert refused.returncode == 2 and "--approval-timeout" in refused.stderr


def test_the_default_name(api, cli):
    done = cli("deploy", "--pool", unique("pool"))
    assert done.returncode == 0, done.stderr
    assert api.deployment("database-cleanup-deployment")["status"]


def test_prints_the_page_in_the_ui(api, deploy):
    deployment, output = deploy()
    page = re.search(r"http\S+", output)[0]
    assert page == f"{api.url.removesuffix('/api')}/v2/deployments/deployment/{deployment['id']}"
    assert httpx.get(page, headers={"Accept": "text/html"}).status_code == 200


@pytest.mark.parametrize("arguments, expected", [
    pytest.param(["--cron", "0 2 * * *"], {"cron": "0 2 * * *"}, marks=pytest.mark.versions),
    (["--cron", "@daily"], {"cron": "@daily"}),
    (["--interval", "PT12H"], {"interval": 12 * 3600}),
    (["--interval", "P1DT30M"], {"interval": 86400 + 1800}),
    (["--interval", "5400"], {"interval": 5400}),
    (["--interval", "P1D"], {"interval": 86400}),
    (["--rrule", "FREQ=WEEKLY;BYDAY=SU;BYHOUR=3"], {"rrule": "FREQ=WEEKLY;BYDAY=SU;BYHOUR=3"}),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
@pytest.mark.parametrize("paused", [False, True], ids=["active", "paused"])
def test_schedules(deploy, arguments, expected, paused):
    deployment, output = deploy(*arguments, "--timezone", TIMEZONE, *["--paused"] * paused)
    [schedule] = schedules(deployment)
    assert schedule["timezone"] == TIMEZONE
    # The server writes the start into a rule that has none.
    assert {key: schedule[key] for key in expected} == expected or schedule["rrule"].endswith("\n" + expected["rrule"])
    assert deployment["schedules"][0]["active"] is not paused
    assert deployment["paused"] is paused
    told = {"PT12H": "every 12 hours", "P1DT30M": "every 1470 minutes", "5400": "every 90 minutes", "P1D": "every 1 day"}
    words = told.get(arguments[1], arguments[1])
    assert f"schedule    {words} ({TIMEZONE}){', switched off' * paused}\n" in output


@pytest.mark.parametrize("arguments, expected", [
    (["retention_period=\"P60D\""], {"retention_period": "P60D"}),
    (["config.batch_size=50", "dry_run=true"], {"batch_size": 50, "dry_run": True}),
    (["config={\"batch_size\": 500}", "states_to_clean=[\"Crashed\"]"], {"batch_size": 500, "states_to_clean": ["Crashed"]}),
    (["batch_size=10", "batch_size=20"], {"batch_size": 20}),
], ids=" ".join)
def test_parameters_are_merged(deploy, arguments, expected):
    deployment, _ = deploy(*(part for argument in arguments for part in ("--param", argument)))
    defaults = {"retention_period": "P30D", "states_to_clean": ["Completed", "Failed", "Cancelled"], "batch_size": 100,
                "dry_run": False, "approval_type": "human", "age_by": "start"}
    assert deployment["parameters"] == {"config": defaults | expected}


@pytest.mark.parametrize("limit", [0, 3])
def test_concurrency_limit(deploy, limit):
    named = ["--concurrency-limit", limit]
    for arguments in (named, [], ["--concurrency-limit", 2], named):
        deployment, output = deploy(*arguments)
        expected = 2 if 2 in arguments else limit
        assert (deployment["global_concurrency_limit"] or {}).get("limit", 0) == expected
        assert (deployment["concurrency_options"] or {}).get("collision_strategy") == ("ENQUEUE" if expected else None)
    assert f"concurrency limit  {'2 -> 3' if limit else 'removed (was 2)'}\n" in output


SECOND = {
    "cron": (["--cron", "30 4 * * *"], {"04:30"}),
    "interval": (["--interval", "P1D"], {"00:00"}),
    "paused": (["--cron", "30 4 * * *", "--paused"], set()),
    "kept": ([], {"02:00"}),
    "none": (["--no-schedule"], set()),
}


@pytest.fixture(scope="module")
def twice(api, db, cli):
    """All second calls side by side, since the server takes seconds to make scheduled runs."""

    def deploy(kind, *arguments):
        done = cli("deploy", "--pool", names[kind], "--name", names[kind], *arguments)
        assert done.returncode == 0, done.stderr
        return api.deployment(names[kind])

    def scheduled(kind):
        """The times of day for which there are scheduled runs."""
        return {row["expected_start_time"][11:16] for row in db.query(
            "SELECT expected_start_time FROM flow_run WHERE deployment_id = ? AND state_type = 'SCHEDULED'",
            first[kind]["id"])}

    names = {kind: unique("twice") for kind in SECOND}
    first = {kind: deploy(kind, "--cron", "0 2 * * *", "--param", "batch_size=50", "--tag", "first") for kind in SECOND}
    wait_until(lambda: all(scheduled(kind) == {"02:00"} for kind in SECOND), 60, "scheduled runs of the first calls")
    second, at_once = {}, {}
    for kind, (arguments, _) in SECOND.items():
        second[kind] = deploy(kind, *arguments, "--param", "dry_run=true", "--tag", "second")
        at_once[kind] = scheduled(kind)
    wait_until(lambda: all(scheduled(kind) == times for kind, (_, times) in SECOND.items()), 60,
               "scheduled runs of the second calls")
    return {kind: (first[kind], second[kind], at_once[kind]) for kind in SECOND}


@pytest.mark.versions
@pytest.mark.parametrize("kind", SECOND)
def test_twice(twice, kind):
    """What the second call names is changed, and nothing is left of a schedule that it replaces or removes."""
    first, second, scheduled_at_once = twice[kind]
    assert kind == "kept" or "02:00" not in scheduled_at_once
    assert second["id"] == first["id"]
    assert set(second["tags"]) == {"database-maintenance", "cleanup", "first", "second"}
    config = second["parameters"]["config"]
    assert (config["dry_run"], config["batch_size"]) == (True, 50)
    assert len(schedules(second)) == (0 if kind == "none" else 1)
    assert second["paused"] is (kind == "paused")


def test_again_changes_nothing(deploy):
    arguments = ["--interval", "PT1H", "--timezone", TIMEZONE, "--tag", "same"]
    first, _ = deploy(*arguments)
    second, _ = deploy(*arguments)
    ignored = {"updated", "last_polled", "status", "schedules"}
    assert {k: v for k, v in first.items() if k not in ignored} == {k: v for k, v in second.items() if k not in ignored}
    assert schedules(first) == schedules(second)


def test_what_is_not_named_stays(api, deploy):
    """Also what somebody set in the UI."""
    named = ["--cron", "0 2 * * *", "--timezone", TIMEZONE, "--param", 'retention_period="P60D"', "-t", "prod",
             "--concurrency-limit", 3, "--paused"]
    first, _ = deploy(*named)
    api.patch(f"/deployments/{first['id']}", {"job_variables": {"batch_pause_ms": 7}})
    queue = api.post(f"/work_pools/{first['work_pool_name']}/queues", {"name": "ours"})
    api.patch(f"/deployments/{first['id']}", {"work_queue_name": queue["name"]})
    second, output = deploy("--param", "batch_size=50")
    assert second["id"] == first["id"]
    assert schedules(second) == schedules(first) and second["schedules"][0]["active"] is False
    assert second["parameters"]["config"] == first["parameters"]["config"] | {"batch_size": 50}
    for key in ("paused", "concurrency_options"):
        assert second[key] == first[key]
    assert second["global_concurrency_limit"]["limit"] == 3
    assert set(second["tags"]) == set(first["tags"])
    assert second["job_variables"] == {"batch_pause_ms": 7} and second["work_queue_name"] == "ours"
    assert re.findall(r"\S+  .* -> .*|removed.*|added.*", output) == ["batch_size  100 -> 50"]


@pytest.mark.versions
@pytest.mark.parametrize("arguments, changed", [
    (["--param", "batch_size=50"], {}),
    (["--paused"], {}),
    (["--cron", "0 3 * * *"], {"cron": "0 3 * * *"}),
    (["--interval", "PT6H"], {"interval": 21600, "anchor_date": "2020-01-01T00:00:00Z", "cron": None, "day_or": None}),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_what_a_schedule_has_besides_stays(api, deploy, arguments, changed):
    """Whatever of it was set in the UI, also where another time takes the place of its own."""
    first, _ = deploy("--cron", "0 2 1 * 1", "--timezone", TIMEZONE)
    own = {"max_scheduled_runs": 3, "parameters": {"config": {"dry_run": True}}, "slug": "night"}
    api.patch(f"/deployments/{first['id']}/schedules/{first['schedules'][0]['id']}",
              own | {"schedule": schedules(first)[0] | {"day_or": False}})
    second, _ = deploy(*arguments)
    [entry] = second["schedules"]
    assert {key: entry[key] for key in own} == own and entry["active"] is (arguments != ["--paused"])
    expected = {"cron": "0 2 1 * 1", "timezone": TIMEZONE, "day_or": False} | changed
    assert {key: entry["schedule"].get(key) for key in expected} == expected


@pytest.mark.parametrize("arguments, lines", [
    (["--no-schedule"], ["schedule    removed (was 0 2 * * * (Europe/Berlin))"]),
    (["--cron", "0 3 * * *"], ["schedule    0 2 * * * (Europe/Berlin) -> 0 3 * * * (Europe/Berlin)"]),
    (["--timezone", "UTC"], ["schedule    0 2 * * * (Europe/Berlin) -> 0 2 * * * (UTC)"]),
    (["--paused"], ["schedule    0 2 * * * (Europe/Berlin) -> 0 2 * * * (Europe/Berlin), switched off", "paused      no -> yes"]),
    (["--param", 'retention_period="P30D"'], ["retention_period  P60D -> P30D"]),
    (["-t", "nightly"], ["tags        added: nightly"]),
], ids=lambda value: " ".join(value))
def test_what_is_changed_is_told(deploy, arguments, lines):
    first, _ = deploy("--cron", "0 2 * * *", "--timezone", TIMEZONE, "--param", 'retention_period="P60D"', "-t", "prod")
    second, output = deploy(*arguments)
    changes = [line for line in output.splitlines() if " -> " in line or "removed" in line or "added" in line]
    assert changes == lines
    config, tags, times = second["parameters"]["config"], set(second["tags"]), schedules(second)
    assert (config["retention_period"] == "P60D") is ("--param" not in arguments)
    assert "prod" in tags and ("nightly" in tags) is ("-t" in arguments)
    assert (times == schedules(first)) is (arguments[0] not in ("--no-schedule", "--cron", "--timezone"))
    assert [second["paused"], *[not entry["active"] for entry in second["schedules"]]] == (
        [False] if arguments == ["--no-schedule"] else [arguments == ["--paused"]] * 2)


def test_what_the_worker_would_refuse_does_not_stay(api, deploy):
    first, _ = deploy("--param", "batch_size=50")
    api.patch(f"/deployments/{first['id']}", {"enforce_parameter_schema": False, "parameters": {"config": {
        "batch_size": 50, "retention_period": "soon", "days": 5}}})
    second, output = deploy()
    assert second["parameters"]["config"] == first["parameters"]["config"] and second["enforce_parameter_schema"] is True
    assert "retention_period  soon -> P30D\n" in output and "days        removed (was 5)\n" in output


@pytest.mark.versions
def test_a_move_to_another_pool(api, db, cli):
    old, new, name = unique("pool"), unique("pool"), unique("cleanup")
    assert cli("deploy", "--pool", old, "--name", name).returncode == 0
    run_id = api.trigger(api.deployment(name)["id"])
    done = cli("deploy", "--pool", new, "--name", name)
    assert done.returncode == 0, done.stderr
    assert api.deployment(name)["work_pool_name"] == new
    assert f"moved       from work pool '{old}' to '{new}'\n" in done.stdout
    assert f"wait in work pool '{old}': 1; only a worker of that pool takes them" in done.stderr
    assert api.run(run_id)["work_pool_name"] == old and api.run(run_id)["state"]["type"] == "SCHEDULED"
    assert cli("deploy", "--pool", new, "--name", name).stderr == ""


@pytest.mark.parametrize("arguments", [["--cron", "61 * * * *"], ["--cron", "0 2 * * *", "--timezone", "Mars/Olympus"],
                                       ["--notify-block", "webhook/none-such"]], ids=" ".join)
def test_what_is_refused_changes_nothing(api, cli, deploy, arguments):
    first, _ = deploy("--cron", "0 2 * * *")
    pool = unique("pool")
    done = cli("deploy", "--pool", pool, "--name", first["name"], "-t", "more", *arguments)
    assert done.returncode == 2, done
    assert api.request("GET", f"/work_pools/{pool}").status_code == 404
    assert api.deployment(first["name"]) == first


@pytest.mark.parametrize("param, words", [
    ('states_to_clean=["Running"]', "a flow run that is Running has not ended"),
    ('states_to_clean=["completed"]', "did you mean 'Completed'?"),
    ('retention_period="P1.5D"', "'P1.5D' is not a duration like P30D, "),
    ("batch_size=5", "5 is less than the minimum of 10"),
    ("days=5", "config.days: there is no such field"),
], ids=lambda value: value)
def test_a_parameter_that_is_refused(api, cli, deploy, param, words):
    """In the same words as preview and run, before the server is asked."""
    first, _ = deploy("--cron", "0 2 * * *")
    pool = unique("pool")
    done = cli("deploy", "--pool", pool, "--name", first["name"], "--param", param)
    assert done.returncode == 2 and done.stderr.startswith("prefect-janitor deploy: --param: config."), done
    assert words in done.stderr and done.stderr.count("\n") == 1 and "HTTP" not in done.stderr
    assert api.request("GET", f"/work_pools/{pool}").status_code == 404
    assert api.deployment(first["name"]) == first


def test_states_of_the_deployment_stay(api, cli, deploy):
    """Also those of the user's own; one that is nearly Prefect's is refused: a default would delete what nobody asked for."""
    first, _ = deploy()
    arguments = ["deploy", "--pool", first["work_pool_name"], "--name", first["name"]]

    def stored(states):
        api.patch(f"/deployments/{first['id']}", {"enforce_parameter_schema": False, "parameters": {"config": {"states_to_clean": states}}})
        return api.deployment(first["name"])

    stored(["Archived"])
    assert cli(*arguments).returncode == 0
    assert api.deployment(first["name"])["parameters"]["config"]["states_to_clean"] == ["Archived"]
    before = stored(["completed"])
    done = cli(*arguments)
    assert done.returncode == 2 and "the deployment's own parameters, which --param changes: " in done.stderr, done
    assert api.deployment(first["name"]) == before
    assert cli(*arguments, "--param", 'states_to_clean=["Failed"]').returncode == 0
    assert api.deployment(first["name"])["parameters"]["config"]["states_to_clean"] == ["Failed"]


def test_a_time_zone_without_a_schedule(api, cli):
    pool = unique("pool")
    done = cli("deploy", "--pool", pool, "--name", unique("cleanup"), "--timezone", TIMEZONE)
    assert done.returncode == 2 and "--timezone: there is no schedule" in done.stderr, done
    assert api.request("GET", f"/work_pools/{pool}").status_code == 404


def test_alerts_and_none(api, cli):
    pool = unique("pool")
    done = cli("deploy", "--pool", pool, "--no-notify", "--notify-block", "webhook/ops")
    assert done.returncode == 2 and "--no-notify removes the alerts" in done.stderr, done
    assert api.request("GET", f"/work_pools/{pool}").status_code == 404


def test_a_pool_edited_in_the_ui_stays(api, deploy):
    deployment, _ = deploy()
    pool = api.get(f"/work_pools/{deployment['work_pool_name']}")
    template = pool["base_job_template"]
    template["variables"]["properties"]["batch_pause_ms"]["default"] = 7
    api.patch(f"/work_pools/{pool['name']}", {"base_job_template": template, "description": "ours"})
    deploy()
    again = api.get(f"/work_pools/{pool['name']}")
    assert again["base_job_template"] == template and again["description"] == "ours"


@pytest.mark.parametrize("arguments, words", [
    (["--cron", "61 * * * *"], "cron"),
    (["--cron", "now and then"], "cron"),
    (["--rrule", "FREQ=OFTEN"], "rrule"),
    (["--cron", "0 2 * * *", "--timezone", "Mars/Olympus"], "timezone"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_a_schedule_that_the_server_refuses(api, cli, arguments, words):
    pool, name = unique("pool"), unique("cleanup")
    done = cli("deploy", "--pool", pool, "--name", name, *arguments)
    assert done.returncode == 2, done
    assert "Field required" not in done.stderr and api.request("GET", f"/work_pools/{pool}").status_code == 404
    assert "HTTP 422" in done.stderr and words in done.stderr.lower()
    assert api.request("GET", f"/deployments/name/database-cleanup/{name}").status_code == 404


@pytest.mark.parametrize("command", ["deploy", "start"])
def test_a_pool_of_another_type(api, cli, command):
    pool = unique("pool")
    api.post("/work_pools/", {"name": pool, "type": "process"})
    done = cli(command, "--pool", pool, timeout=20)
    assert done.returncode == 2, done
    assert all(word in done.stderr for word in (pool, "'process'", "'janitor'", "--pool"))
    assert api.get(f"/work_pools/{pool}")["type"] == "process"


@pytest.mark.parametrize("name", ["Grüße & Co", "Grüße", "a b", "50%", "a/b"])
def test_names_with_any_characters(api, cli, name):
    pool, name = unique(f"{name} pool"), unique(name)
    done = cli("deploy", "--pool", pool, "--name", name, "--tag", "ü & 100%")
    if any(character in name for character in "/%&<>"):
        assert done.returncode == 2 and "is not a name for Prefect" in done.stderr, done.stderr
        assert api.request("GET", f"/work_pools/{quote(pool, safe='')}").status_code == 404
    else:
        assert done.returncode == 0, done.stderr
        [deployment] = api.post("/deployments/filter", {"deployments": {"name": {"any_": [name]}}})
        assert deployment["work_pool_name"] == pool and "ü & 100%" in deployment["tags"]


def test_the_server_enforces_the_schema(api, janitor):
    answer = api.request("POST", f"/deployments/{janitor.deployment_id}/create_flow_run",
                         {"parameters": {"config": {"batch_size": 5}}})
    assert answer.status_code == 409 and "batch_size" in answer.text


@pytest.mark.versions
def test_a_pool_that_was_deleted(api, cli):
    """The deployment has none then; a deploy puts it into another, with its alerts."""
    old, new, name = unique("pool"), unique("pool"), unique("cleanup")
    assert cli("deploy", "--pool", old, "--name", name).returncode == 0
    api.request("DELETE", f"/work_pools/{old}").raise_for_status()
    assert api.deployment(name)["work_pool_name"] is None
    refused = cli("run", "--deployment", name)
    assert refused.returncode == 2 and "no worker would take the run" in refused.stderr, refused
    assert api.post("/flow_runs/count", {"deployments": {"name": {"any_": [name]}}}) == 0
    done = cli("deploy", "--pool", new, "--name", name, "--notify-webhook", "http://127.0.0.1:9/hook")
    assert done.returncode == 0 and f"moved       to work pool '{new}'; it was in none\n" in done.stdout, done
    assert api.deployment(name)["work_pool_name"] == new and "alert       approval (created)" in done.stdout


@pytest.mark.versions
def test_days_are_taken_by_the_server(api, deploy):
    """As somebody writes them into the form of Custom run."""
    deployment, _ = deploy()
    for written in ("30 days", "30d", "30", "2 weeks", "P30D"):
        run = api.post(f"/deployments/{deployment['id']}/create_flow_run", {"parameters": {"config": {"retention_period": written}}})
        assert run["parameters"]["config"]["retention_period"] == written
    refused = api.request("POST", f"/deployments/{deployment['id']}/create_flow_run",
                          {"parameters": {"config": {"retention_period": "30 dogs"}}})
    assert refused.status_code in (409, 422), refused


def test_flags_and_job_variables(api, deploy):
    deployment, _ = deploy("--retention-period", "60 days", "--states", "Failed", "--job-variable", "batch_pause_ms=7", "--param",
                           "approval_type=human")
    config = deployment["parameters"]["config"]
    assert (config["retention_period"], config["states_to_clean"]) == ("P60D", ["Failed"])
    assert deployment["job_variables"] == {"batch_pause_ms": 7}
    deployment, _ = deploy("--job-variable", "approval_timeout=60")
    assert deployment["job_variables"] == {"batch_pause_ms": 7, "approval_timeout": 60}
