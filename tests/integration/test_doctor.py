"""`prefect-janitor doctor` on a real server: each line when all is well, and when it is not. Nothing is changed by it.

Passwords, tokens and certificates: test_auth.py."""

import contextlib
import json
import os
from datetime import timedelta
from pathlib import Path

import pytest
from harness import from_now, run_cli, unique, wait_until
from janitor import Janitor

SECRET = "hush-hush"
NAMES = ["configuration", "address", "tls", "auth", "csrf", "version", "bulk-delete", "database", "clock", "deployment",
         "schema", "parameters", "schedule", "ai", "work-pool", "work-queue", "worker", "approvals"]


NO_BULK_DELETE = os.environ.get("PREFECT_VERSION", "").startswith("3.4.")


class Findings:
    def __init__(self, done):
        told = json.loads(done.stdout)
        self.checks = {check["check"]: check for check in told["checks"]}
        assert list(self.checks) == NAMES
        if NO_BULK_DELETE and self.checks["bulk-delete"]["status"] != "skip":  # always so: let the other lines speak
            assert self.checks["bulk-delete"]["status"] == "warn" and "one by one" in self.checks["bulk-delete"]["text"]
            self.checks["bulk-delete"]["status"] = "ok"
            told["status"] = "ok" if told["status"] == "warn" and not self.of("warn") else told["status"]
        self.status = told["status"]
        assert self.status == ("fail" if self.of("fail") else "warn" if self.of("warn") else "ok")
        assert done.returncode == (1 if self.status == "fail" else 0), done
        assert SECRET not in done.stdout + done.stderr

    def of(self, status):
        return [name for name, check in self.checks.items() if check["status"] == status]

    def bad(self):
        return [check for check in self.checks.values() if check["status"] in ("warn", "fail")]

    def assert_only(self, status, name, *words):
        """This check alone says so; all others that were looked at are well."""
        assert (self.of("fail") + self.of("warn")) == [name], self.bad()
        check = self.checks[name]
        assert check["status"] == status, check
        for word in words:
            assert word in check["text"] + " " + check.get("next", ""), check


@pytest.fixture(scope="module")
def healthy(server, api, db, cli):
    """A deployment with a schedule, and a worker that was seen."""
    janitor = Janitor(api, db, cli, "--cron", "0 2 * * *", "--timezone", "Europe/Berlin")
    beat(api, janitor.pool)
    return janitor


def beat(api, pool, name="w"):
    """A heartbeat, as a worker sends it, that is good for an hour."""
    api.post(f"/work_pools/{pool}/workers/heartbeat", {"name": name, "heartbeat_interval_seconds": 3600})


@pytest.fixture(scope="module")
def doctor(server):
    def examine(janitor, *arguments, url=server.url, **settings):
        arguments = [*(["--deployment", janitor.name] if janitor else []), *arguments]
        return Findings(run_cli(url, "doctor", "--output", "json", *arguments, **settings))

    return examine


def test_all_is_well(doctor, healthy):
    wait_until(lambda: "next: " in doctor(healthy).checks["schedule"]["text"], 30, "the server's scheduler")
    found = doctor(healthy)
    assert found.status == "ok" and found.of("ok") == NAMES, found.bad()
    text = {name: check["text"] for name, check in found.checks.items()}
    version = os.environ.get("PREFECT_VERSION", "3.")
    assert version in text["version"]
    assert "0 2 * * * (Europe/Berlin), next: " in text["schedule"]
    assert "'w' sent a heartbeat" in text["worker"]
    assert healthy.pool in text["work-pool"] and healthy.name in text["deployment"]


def test_a_window_shorter_than_a_working_day(api, doctor, healthy):
    before = api.deployment(healthy.name)["job_variables"]
    healthy.set_job_variables(approval_timeout=3600)
    doctor(healthy).assert_only("warn", "schedule", "waits only 1 h 00 min for an approval")
    healthy.set_job_variables(**before)


def test_lines_for_people(cli, healthy):
    done = cli("doctor", "--deployment", healthy.name)
    assert done.returncode == 0 and done.stderr == ""
    lines = [line for line in done.stdout.splitlines() if not line.startswith("   ")]
    assert [line.split()[1] for line in lines[:len(NAMES)]] == NAMES
    assert lines[-1] == f"{len(NAMES) - NO_BULK_DELETE} ok, {int(NO_BULK_DELETE)} warn, 0 fail"
    done = cli("doctor", "--deployment", unique("no"), "--pool", healthy.pool)
    assert done.returncode == 1
    assert "-> " in done.stdout and "prefect-janitor deploy" in done.stdout and "not looked at" in done.stdout.splitlines()[-1]


def test_nothing_is_changed(doctor, healthy, db, old, proxy):
    """By its requests: it reads, and what it asks of bulk_delete is refused."""
    ids = old(3)[1]
    assert doctor(healthy, url=proxy.url + "/api").status == "ok"
    asked = {(request.method, request.path.removeprefix("/api").split("?")[0]) for request in proxy.seen}
    changing = {path for method, path in asked if method != "GET" and not path.endswith("/filter")}
    assert changing <= {"/flow_runs/bulk_delete"} and len(asked) > 8
    assert all(request.status == (404 if NO_BULK_DELETE else 422) for request in proxy.seen if request.path.endswith("/bulk_delete"))
    assert db.existing(ids) == set(ids)


def test_the_address(doctor, healthy, server):
    for url, words in (("http://127.0.0.1:9/api", "refused"), (server.url.removesuffix("/api"), "HTTP 404"),
                       (server.url + "/more", "HTTP 404")):
        found = doctor(healthy, url=url)
        assert found.of("fail") == ["address"] and found.of("warn") == []
        assert "PREFECT_API_URL" in found.checks["address"]["next"]
        assert len(found.of("skip")) == len(NAMES) - 4


def test_no_deployment(doctor, healthy, cli):
    found = Findings(cli("doctor", "--output", "json", "--deployment", unique("no"), "--pool", healthy.pool))
    found.assert_only("fail", "deployment", "prefect-janitor deploy")
    assert found.of("skip") == ["schema", "parameters", "schedule", "work-queue", "approvals"]


def test_no_pool(doctor, healthy):
    found = doctor(healthy, "--pool", unique("no"))
    assert found.of("fail") == ["deployment", "work-pool"]
    assert "there is no work pool" in found.checks["work-pool"]["text"]


def test_a_pool_of_another_type(doctor, healthy, api):
    pool = unique("pool")
    api.post("/work_pools/", {"name": pool, "type": "process"})
    found = doctor(healthy, "--pool", pool)
    assert "has type 'process'" in found.checks["work-pool"]["text"] and "work-pool" in found.of("fail")


@contextlib.contextmanager
def changed(api, path, change, back):
    api.patch(path, change)
    try:
        yield
    finally:
        api.patch(path, back)


def test_what_is_switched_off(doctor, healthy, api):
    deployment = healthy.deployment()
    path = f"/deployments/{deployment['id']}"
    with changed(api, f"/work_pools/{healthy.pool}", {"is_paused": True}, {"is_paused": False}):
        doctor(healthy).assert_only("warn", "work-pool", "is paused")
    with changed(api, f"/work_pools/{healthy.pool}/queues/default", {"is_paused": True}, {"is_paused": False}):
        doctor(healthy).assert_only("warn", "work-queue", "is paused")
    with changed(api, path, {"enforce_parameter_schema": False}, {"enforce_parameter_schema": True}):
        doctor(healthy).assert_only("warn", "deployment", "does not enforce")
    with changed(api, path, {"paused": True}, {"paused": False}):
        assert doctor(healthy).checks["deployment"]["status"] == "warn"


def test_limits_of_zero(doctor, healthy, api):
    with changed(api, f"/work_pools/{healthy.pool}", {"concurrency_limit": 0}, {"concurrency_limit": None}):
        doctor(healthy).assert_only("warn", "work-pool", "concurrency limit 0")
    with changed(api, f"/work_pools/{healthy.pool}/queues/default", {"concurrency_limit": 0}, {"concurrency_limit": None}):
        doctor(healthy).assert_only("warn", "work-queue", "concurrency limit 0")


def test_a_worker_that_missed_two_heartbeats(doctor, idle, api):
    """The server still calls it ONLINE: it waits for the third."""
    idle.deploy("--concurrency-limit", 0, "--cron", "0 2 * * *")
    api.post(f"/work_pools/{idle.pool}/workers/heartbeat", {"name": "w", "heartbeat_interval_seconds": 4})
    found = wait_until(lambda: (one := doctor(idle)).checks["worker"]["status"] != "ok" and one, 30, "two missing heartbeats")
    assert found.checks["worker"]["status"] == "warn" and "'w'" in found.checks["worker"]["text"], found.bad()


def test_several_deployments(cli, api):
    """Each is looked at, with its pool and its worker."""
    pools, names = [unique("pool") for _ in range(2)], [unique("cleanup") for _ in range(2)]
    for pool, name in zip(pools, names, strict=True):
        assert cli("deploy", "--pool", pool, "--name", name, "--cron", "0 2 * * *").returncode == 0
    beat(api, pools[0])
    done = cli("doctor", "--output", "json")
    checks = json.loads(done.stdout)["checks"]
    said = {(check["deployment"], check["check"]): check for check in checks if "deployment" in check}
    for pool, name in zip(pools, names, strict=True):
        if (name, "work-pool") in said:  # ten at most are looked at: others of this server may be before them
            assert pool in said[name, "work-pool"]["text"]
            assert said[name, "worker"]["status"] == ("ok" if pool == pools[0] else "fail")
    assert len({name for name, _ in said}) >= 2 and "not looked at" not in " ".join(
        check["text"] for check in checks if check["check"] == "worker")


def test_drift(doctor, idle, api):
    """A deployment of another version of the program: its form asks for other parameters than the worker reads."""
    idle.deploy("--concurrency-limit", 0, "--cron", "0 2 * * *")
    beat(api, idle.pool)
    deployment = idle.deployment()
    schema = deployment["parameter_openapi_schema"]
    del schema["properties"]["config"]["properties"]["dry_run"]
    body = {key: deployment[key] for key in ("name", "flow_id", "parameters", "work_pool_name", "tags", "entrypoint")}
    body["parameters"]["config"].pop("dry_run")
    api.post("/deployments/", body | {
        "parameter_openapi_schema": schema, "enforce_parameter_schema": True,
        "schedules": [{"schedule": {"cron": "0 2 * * *"}, "active": True}]})
    doctor(idle).assert_only("fail", "schema", "prefect-janitor deploy")
    idle.deploy("--concurrency-limit", 0, "--cron", "0 2 * * *")
    assert doctor(idle).status == "ok"


def test_schedules(doctor, idle, api):
    beat(api, idle.pool)
    doctor(idle).assert_only("warn", "schedule", "there is none")
    idle.deploy("--cron", "0 2 * * *", "--paused")
    assert doctor(idle).checks["schedule"]["status"] == "warn"
    idle.deploy("--interval", "PT12H", "--paused=false")
    assert "every 12 hours (UTC)" in doctor(idle).checks["schedule"]["text"]
    late = from_now(minutes=-30)
    idle.trigger(more={"scheduled_time": str(late - timedelta(hours=1))})  # by hand: says nothing of the schedule
    assert doctor(idle).checks["schedule"]["status"] == "ok", doctor(idle).checks["schedule"]
    api.trigger(idle.deployment_id, scheduled_time=str(late), tags=["auto-scheduled"])
    doctor(idle).assert_only("fail", "schedule", f"{late:%Y-%m-%d %H:%M:%S} UTC", "no worker has taken it")


def test_workers(doctor, idle, api, worker):
    idle.deploy("--cron", "0 2 * * *")
    doctor(idle).assert_only("fail", "worker", f"prefect-janitor start --pool {idle.pool}")
    one = worker(idle.pool, PREFECT_WORKER_HEARTBEAT_SECONDS=1)
    one.wait_output("started")
    assert f"1 online; '{one.name}'" in doctor(idle).checks["worker"]["text"]
    one.stop()
    wait_until(lambda: "worker" in doctor(idle).of("fail"), 30, "the server calls it OFFLINE")
    assert f"the last one was '{one.name}'" in doctor(idle).checks["worker"]["text"]


def test_the_clock(doctor, healthy, tmp_path):
    [library] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    for offset, words in (timedelta(hours=2), "ahead of the server's"), (timedelta(hours=-2), "behind the server's"):
        found = doctor(healthy, LD_PRELOAD=library, FAKETIME=f"{offset.total_seconds():+.0f}", FAKETIME_DONT_FAKE_MONOTONIC=1,
                       ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
        found.assert_only("warn", "clock")
        assert words in found.checks["clock"]["text"]


def test_the_file(doctor, healthy, tmp_path):
    file = tmp_path / "janitor.conf"

    def write(text, mode):
        file.write_text(text)
        file.chmod(mode)
        return doctor(healthy, "--config", file)

    secret = f'api: {{ key = "{SECRET}"; }};\n'
    assert write(secret, 0o600).status == "ok"
    write(secret, 0o644).assert_only("fail", "configuration", "mode 0644", f"chmod 600 '{file}'")
    assert write("logging: { level = \"INFO\"; };", 0o644).status == "ok"
    write("logging: { level = \"INFO\"; };", 0o666).assert_only("warn", "configuration", "can be changed by other users")
    doctor(healthy, PREFECT_WORKER_QUERY_SECONDS="soon").assert_only("fail", "configuration", "PREFECT_WORKER_QUERY_SECONDS")
    write("worker: { limit = 0; };", 0o600).assert_only("fail", "configuration", "worker.limit", str(file))


def test_ai(doctor, healthy):
    sane = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1", "PREFECT_JANITOR_AI_MODEL": "m",
            "PREFECT_JANITOR_AI_MCP_URL": "http://127.0.0.1:9/mcp"}
    found = doctor(healthy, **sane)
    assert found.status == "ok" and "model 'm'" in found.checks["ai"]["text"]
    for change, word in (({"PREFECT_JANITOR_AI_MODEL": ""}, "PREFECT_JANITOR_AI_MODEL"),
                         ({"OPENAI_BASE_URL": "", "PREFECT_JANITOR_AI_ENABLED": "true"}, "ANTHROPIC_API_KEY"),
                         ({"PREFECT_JANITOR_AI_MCP_URL": "", "PREFECT_JANITOR_AI_MCP_COMMAND": "no-such-program x"},
                          "no-such-program")):
        doctor(healthy, **(sane | change)).assert_only("fail", "ai", word)
    doctor(healthy, **sane, PREFECT_JANITOR_AI_MAX_RUNS=0).assert_only("warn", "ai", "MAX_RUNS")


@pytest.mark.parametrize("arguments, text", [
    (["--pool"], "--pool"), (["--bogus"], "--bogus"), (["extra"], "extra"), (["--output", "xml"], "xml"),
    (["--config", "no-such-file.conf"], "no-such-file.conf"),
], ids=" ".join)
def test_wrong_usage(cli, arguments, text):
    done = cli("doctor", *arguments)
    assert done.returncode == 2 and text in done.stderr and done.stdout == ""
