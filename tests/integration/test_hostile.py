"""What others write into names, notes, states and variables; and that secrets stay where they are."""

import json
import os
import re
import resource
import signal
import subprocess

import pytest
from harness import PROGRAM, environment, from_now, run_cli, unique

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \| (DEBUG|INFO|WARNING|ERROR|CRITICAL) *\| ")
NAMES = {
    "escape": "\x1b[2J\x1b[31mred\x07",
    "forged line": "x\n2026-01-01 00:00:00.000 | INFO    | approved",
    "direction": "a\u202eb\u2066c\u200b",
    "markdown": "**b** [x](javascript:alert(1)) ![i](http://e/) | `c` | # h",
    "html": "<img src=x onerror=alert(1)>&lt;",
    "long": "n" * 100_000,
    "c1": "a\x85\x9b31mb",
}
SECRET = "hush-4711"


def assert_log_is_whole(worker):
    """One record a line, and nothing in it that a terminal acts on."""
    for line in worker.log.read_bytes().decode("utf-8").split("\n")[:-1]:
        assert LOG_LINE.match(line) and not CONTROL.search(line) and len(line) < 2200, line[:300]


def assert_run_is_clean(db, run_id, preview):
    for message in db.logs(run_id):
        assert not CONTROL.search(message.replace("\n", "")), message[:300]
        assert "\n" not in message or " would be deleted" in message.split("\n")[0]
    for state in db.states(run_id):
        assert not CONTROL.search(state["message"] or "") and len(state["message"] or "") <= 1000


LINK = re.compile(r"^- \[Flows, deployments, oldest runs\]\(\.\./\.\./artifacts/artifact/[0-9a-f-]{36}\)$", re.MULTILINE)


def assert_preview_is_whole(form, page):
    assert len(LINK.findall(form)) == 1
    for text in (LINK.sub("", form), page):
        assert not CONTROL.search(text.replace("\n", "")) and len(text) < 20_000
        assert "<" not in text and "](" not in text.replace("\\]\\(", "")
    tables = [[line for line in block.splitlines() if line.startswith("|")] for block in page.split("\n\n")]
    for rows in filter(None, tables):
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_names_and_notes(api, db, janitor, history, name):
    """As the name of the runs, of their flow, of the cleanup run itself, of its states, and as the notes."""
    text = NAMES[name]
    state, ago = unique("Done"), from_now(days=-40)
    flow = re.sub("[/%&<>]", "", text)[:1000]
    [ids] = history({"flow": flow, "names": [text], "state_name": state, "start_time": ago, "end_time": ago})
    run_id = janitor.trigger(state, more={"name": text})
    api.wait_question(run_id)
    preview = janitor.preview(run_id)
    assert_preview_is_whole(preview, janitor.page(run_id))
    janitor.answer(run_id, True, notes=text)
    result = janitor.result(run_id)
    assert result["deleted"] == 1 and db.existing(ids) == set()
    assert result["notes"] == text[:4000]
    janitor.wait_log(run_id, "Completed: ")
    assert_run_is_clean(db, run_id, preview)
    assert_log_is_whole(janitor.worker)


@pytest.mark.parametrize("name", NAMES)
def test_rejected_with_such_notes(db, janitor, old, name):
    state, ids = old(2)
    run_id = janitor.ask(state)
    janitor.answer(run_id, False, notes=NAMES[name])
    assert janitor.result(run_id)["reason"] == NAMES[name][:4000]
    janitor.wait_log(run_id, "Completed: ")
    assert db.existing(ids) == set(ids)
    assert_run_is_clean(db, run_id, janitor.preview(run_id))
    assert_log_is_whole(janitor.worker)


@pytest.mark.parametrize("value", [NAMES["escape"], NAMES["long"], [[1]], {"a": {}}, 1e300, -(2 ** 62), True])
def test_job_variables(api, db, idle, old, worker, value):
    """Past the server, which checks them."""
    state, ids = old(2)
    run_id = idle.trigger(state)
    db.write("UPDATE flow_run SET job_variables = ? WHERE id = ?",
             json.dumps({"batch_pause_ms": value, "approval_timeout": value}), run_id)
    one = worker(idle.pool)
    api.wait_question(run_id)
    assert idle.approve(run_id)["deleted"] == 2 and db.existing(ids) == set()
    one.stop()
    assert_run_is_clean(db, run_id, idle.preview(run_id))
    assert_log_is_whole(one)


@pytest.mark.parametrize("config", [
    {NAMES["escape"]: 1}, {"states_to_clean": [NAMES["forged line"]], "batch_size": NAMES["escape"]},
    {"retention_period": NAMES["escape"]}, {"approval_type": NAMES["html"]}, {"batch_size": 10 ** 18},
    {"retention_period": "P" + "9" * 100_000 + "D"}, {"x": [[[[[[[[1]]]]]]]]}])
def test_parameters(db, janitor, config):
    run_id = janitor.trigger(**config)
    message = janitor.failure(run_id)
    assert message.startswith("the parameters are not valid, nothing was done")
    janitor.wait_log(run_id, "Failed: ")
    assert_run_is_clean(db, run_id, None)
    assert_log_is_whole(janitor.worker)


def test_nested_parameters_hold_up_no_other_run(api, janitor, old):
    """Deeper than they are read; the server itself breaks the connection at some hundred levels."""
    nested = 1
    for _ in range(90):
        nested = [nested]
    run_id = janitor.trigger(x=nested)
    state, _ = old(2)
    assert janitor.approve(janitor.ask(state))["deleted"] == 2
    assert "config.x: there is no such field" in janitor.failure(run_id)


def test_a_hostile_worker_name(api, db, idle, old, worker):
    one = worker(idle.pool, name="w\x1b[31m\u202e")
    state, ids = old(2)
    run_id = idle.ask(state)
    idle.approve(run_id)
    one.stop()
    assert db.existing(ids) == set()
    assert_run_is_clean(db, run_id, idle.preview(run_id))
    assert_log_is_whole(one)


# --- secrets -------------------------------------------------------------------------------------------------

SECRETS = [
    {"PREFECT_API_KEY": SECRET},
    {"PREFECT_API_AUTH_STRING": f"user:{SECRET}"},
    {"PREFECT_CLIENT_CUSTOM_HEADERS": json.dumps({"X-Token": SECRET})},
]
TROUBLE = {
    "refused": {"PREFECT_API_URL": "http://127.0.0.1:1/api"},
    "TLS where there is none": {"PREFECT_API_URL": "https://{host}/api"},
    "user in the address": {"PREFECT_API_URL": f"http://user:{SECRET}@127.0.0.1:1/api"},
    "user in an address that is none": {"PREFECT_API_URL": f"http://user:{SECRET}@ 127.0.0.1"},
    "wrong value elsewhere": {"PREFECT_API_REQUEST_TIMEOUT": "soon"},
    "a file that is missing": {"PREFECT_API_SSL_CERT_FILE": "/nonexistent.pem", "PREFECT_API_URL": "https://127.0.0.1:1/api"},
    "no API": {"PREFECT_API_URL": "http://{host}"},
    "both": {"PREFECT_API_KEY": SECRET, "PREFECT_API_AUTH_STRING": f"user:{SECRET}"},
    "headers that are no JSON": {"PREFECT_CLIENT_CUSTOM_HEADERS": f"X-Token: {SECRET}"},
    "a header of two lines": {"PREFECT_CLIENT_CUSTOM_HEADERS": json.dumps({"X": f"{SECRET}\r\n{SECRET}"})},
}


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: next(iter(secret)))
@pytest.mark.parametrize("trouble", TROUBLE)
def test_no_error_tells_a_secret(server, trouble, secret):
    host = server.url.removeprefix("http://").removesuffix("/api")
    wrong = {key: value.replace("{host}", host) for key, value in TROUBLE[trouble].items()}
    done = run_cli(server.url, "deploy", "--pool", unique("pool"), **(secret | wrong | {"PREFECT_LOGGING_LEVEL": "DEBUG"}))
    assert done.returncode != 0 and SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize("secret", SECRETS, ids=lambda secret: next(iter(secret)))
@pytest.mark.parametrize("from_file", [False, True], ids=["environment", "file"])
def test_a_run_tells_no_secret(server, db, idle, old, worker, tmp_path, secret, from_file):
    """Everything that the worker writes, here and on the server; and what everybody can see of its process."""
    arguments, settings = [], secret
    if from_file:
        key = {"PREFECT_API_KEY": "key", "PREFECT_API_AUTH_STRING": "auth_string",
               "PREFECT_CLIENT_CUSTOM_HEADERS": "custom_headers"}[next(iter(secret))]
        file = tmp_path / "janitor.conf"
        file.write_text(f"api: {{ {key} = {json.dumps(next(iter(secret.values())))}; }};\n")
        file.chmod(0o600)
        arguments, settings = ["--config", file], {}
    one = worker(idle.pool, *arguments, **settings)
    state, _ = old(2)
    run_id = idle.ask(state)
    with open(f"/proc/{one.process.pid}/cmdline") as cmdline, open(f"/proc/{one.process.pid}/limits") as limits:
        assert SECRET not in cmdline.read()
        assert re.search(r"Max core file size +0 ", limits.read())
    idle.approve(run_id)
    one.stop()
    told = [one.output(), *db.logs(run_id), json.dumps(db.states(run_id), default=str), json.dumps(db.inputs(run_id))]
    told.append(json.dumps(db.query("SELECT * FROM worker"), default=str))
    assert not any(SECRET in text for text in told)
    assert "lets other users in" not in one.output()


def test_no_core_dump(dead_worker):
    """Where the shell that starts it allows one."""
    assert not list(dead_worker.glob("core*"))


@pytest.fixture
def dead_worker(tmp_path):
    """The folder in which a worker with a secret was killed by SIGABRT."""
    def allow():
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

    process = subprocess.Popen([PROGRAM, "start", "--pool", "p"], cwd=tmp_path, preexec_fn=allow, stderr=subprocess.PIPE,
                               env=environment(PREFECT_API_URL="http://127.0.0.1:1/api", PREFECT_API_KEY=SECRET))
    assert b"127.0.0.1:1" in process.stderr.readline()
    os.kill(process.pid, signal.SIGABRT)
    process.communicate(timeout=60)
    yield tmp_path


@pytest.mark.parametrize("mode, warned", [(0o600, False), (0o640, True), (0o644, True), (0o602, True)])
@pytest.mark.parametrize("command", ["start", "deploy"])
def test_a_file_that_others_can_read(tmp_path, command, mode, warned):
    file = tmp_path / "janitor.conf"
    file.write_text(f'api: {{ url = "http://127.0.0.1:1/api"; key = "{SECRET}"; }};\n')
    file.chmod(mode)
    process = subprocess.Popen([PROGRAM, command, "--pool", "p", "--config", file], stderr=subprocess.PIPE, text=True,
                               env=environment())
    first = process.stderr.readline()
    process.terminate()
    rest = process.communicate(timeout=60)[1]
    lines = [line for line in (first + rest).splitlines() if "holds a secret" in line]
    assert len(lines) == warned and SECRET not in first + rest
    if warned:
        assert str(file) in lines[0] and f"{mode:04o}" in lines[0] and f"chmod 600 '{file}'" in lines[0]
