"""The worker's own log for programs: every line of it is an object, or bears the journal's priority."""

import json
import os
import re
import subprocess

from harness import PROGRAM, environment, parse_time, run_cli, unique

FIELDS = {"timestamp", "level", "message"}


def entries(output):
    return [json.loads(line) for line in output.splitlines()]


def test_every_line_is_json(api, idle, worker):
    one = worker(idle.pool, "--log-format", "json")
    run_id = idle.trigger(unique("None"))
    idle.result(run_id)
    one.stop()
    lines = entries(one.output())
    assert all(FIELDS <= line.keys() for line in lines)
    assert all(line["timestamp"].endswith("Z") and parse_time(line["timestamp"]) for line in lines)
    assert {"INFO", "DEBUG"} <= {line["level"] for line in lines}
    about = [line for line in lines if line.get("flow_run_id") == run_id]
    assert {"fetched", "claimed"} <= {line["message"] for line in about}
    assert {line["flow_run_name"] for line in about if line["message"] == "claimed"} == {api.run(run_id)["name"]}
    assert all(set(line) == FIELDS for line in lines if line["message"].startswith("worker '"))


def test_how_it_failed_is_json_too(server, api):
    pool = unique("pool")
    api.post("/work_pools/", {"name": pool, "type": "process"})
    done = run_cli(server.url, "start", "--pool", pool, PREFECT_JANITOR_LOG_FORMAT="json")
    assert done.returncode == 2
    last = entries(done.stderr)[-1]
    assert last["level"] == "ERROR" and "has type 'process'" in last["message"]


def test_the_format_changes_with_a_reload(idle, worker, tmp_path):
    file = tmp_path / "janitor.conf"
    file.write_text('logging: { level = "DEBUG"; };\n')
    one = worker(idle.pool, "--config", file, PREFECT_LOGGING_LEVEL="")
    one.wait_output("started")
    file.write_text('logging: { level = "DEBUG"; format = "json"; };\n')
    one.process.send_signal(1)
    one.wait_output("logging.format is 'json' now, it was 'text'\n")
    run_id = idle.trigger(unique("None"))
    idle.result(run_id)
    before, after = one.output().split("\n{", 1)
    assert " | INFO    | " in before
    assert run_id in {line.get("flow_run_id") for line in entries("{" + after)}


def test_priorities_for_the_journal(idle, server):
    """The journal is known by the socket that systemd names; a pipe stands for it here."""
    read, write = os.pipe()
    of_pipe = os.fstat(write)
    settings = environment(PREFECT_API_URL=server.url, PREFECT_LOGGING_LEVEL="DEBUG",
                           JOURNAL_STREAM=f"{of_pipe.st_dev}:{of_pipe.st_ino}")
    arguments = [PROGRAM, "start", "--pool", idle.pool, "--name", unique("worker"), "--run-once"]
    with subprocess.Popen(arguments, env=settings, stderr=write) as process, open(read, errors="replace") as lines:
        os.close(write)
        output = lines.read()
        assert process.wait() == 0
    assert all(re.match(r"<[2-7]>\S", line) for line in output.splitlines()), output
    assert "<6>worker '" in output
