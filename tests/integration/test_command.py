"""The command line: help, wrong usage, and where settings come from. No server is needed."""

import socket
import subprocess

import pytest
from harness import PROGRAM, PROJECT, run_cli, unique


@pytest.fixture
def dead_url():
    """An address at which nothing answers, for the length of a test."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # bound but not listening: connections are refused
        yield f"http://127.0.0.1:{bound.getsockname()[1]}/api"


@pytest.mark.parametrize("arguments, text", [
    (["help"], "Usage: prefect-janitor COMMAND"),
    (["--help"], "Usage: prefect-janitor COMMAND"),
    (["-h"], "Usage: prefect-janitor COMMAND"),
    (["start", "--help"], "--prefetch-seconds"),
    (["deploy", "--help"], "--concurrency-limit"),
    (["help", "deploy"], "--rrule"),
    (["preview", "--help"], "--what-if"),
    (["pending", "--help"], "Usage: prefect-janitor pending"),
    (["show", "--help"], "RUN"),
    (["approve", "--help"], "--digest"),
    (["reject", "--help"], "--notes"),
    (["config", "--help"], "prefect.toml"),
    (["run", "--help"], "5 nobody decided in time"),
    (["help", "start"], "PREFECT_WORKER_QUERY_SECONDS"),
    (["version"], "prefect-janitor 0."),
    (["--version"], "prefect-janitor 0."),
], ids=" ".join)
def test_help(dead_url, arguments, text):
    done = run_cli(dead_url, *arguments)
    assert done.returncode == 0 and done.stderr == ""
    assert text in done.stdout


@pytest.mark.parametrize("arguments", ["help", "version", "start --help", "preview --help", "completion bash"])
def test_output_that_cannot_be_written(arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run([PROGRAM, *arguments.split()], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "the output cannot be written" in done.stderr


@pytest.mark.parametrize("arguments, code", [(["--help"], 0), (["-h"], 0), (["--frob"], 2), (["now"], 2)], ids=str)
def test_the_demo_starts_for_nobody_who_asks_for_help(arguments, code):
    done = subprocess.run([PROJECT / "scripts/demo", *arguments], capture_output=True, text=True, timeout=20)
    assert done.returncode == code
    assert "APPROVAL=ai" in (done.stdout if code == 0 else done.stderr) and "==" not in done.stdout


@pytest.mark.parametrize("command", ["start", "deploy", "preview", "pending", "show", "approve", "reject", "run"])
def test_help_is_a_screen(dead_url, command):
    assert 10 < len(run_cli(dead_url, command, "--help").stdout.splitlines()) <= 80


@pytest.mark.parametrize("arguments, text", [
    ([], "command"),
    (["clean"], "no command 'clean'"),
    (["help", "frob"], "no command 'frob'"),
    (["help", "start", "deploy"], "no argument 'deploy'"),
    (["version", "extra"], "no argument 'extra'"),
    (["--version", "--bogus"], "no argument '--bogus'"),
    (["start"], "--pool"),
    (["deploy"], "--pool"),
    (["start", "--pool"], "--pool"),
    (["start", "--pool", "p", "--bogus"], "--bogus"),
    (["start", "--pool", "p", "extra"], "extra"),
    (["start", "--pool", "p", "--limit", "0"], "--limit"),
    (["start", "--pool", "p", "--limit", "many"], "--limit"),
    (["start", "--pool", "p", "--prefetch-seconds", "-1"], "--prefetch-seconds"),
    (["start", "--pool", "p", "--cron", "0 2 * * *"], "--cron"),
    (["deploy", "--pool", "p", "--cron", "0 2 * * *", "--interval", "P1D"], "only one"),
    (["deploy", "--pool", "p", "--interval", "tomorrow"], "--interval"),
    (["deploy", "--pool", "p", "--interval", "0"], "--interval"),
    (["deploy", "--pool", "p", "--interval", "-PT1H"], "--interval"),
    (["deploy", "--pool", "p", "--concurrency-limit", "-1"], "--concurrency-limit"),
    (["deploy", "--pool", "p", "--param", "batch_size"], "KEY=VALUE"),
    (["deploy", "--pool", "p", "--param", "=1"], "KEY=VALUE"),
    (["deploy", "--pool", "p", "--param", "retention_period=30 days ago"], "config.retention_period"),
    (["deploy", "--pool", "p", "--param", 'retention_period="P30D'], "quotes"),
    (["deploy", "--pool", "p", "--param", "config=5"], "object"),
    (["deploy", "--pool", "p", "--param", "batch_size=5"], "config.batch_size: 5 is less than the minimum of 10"),
    (["deploy", "--pool", "p", "--param", "days=5"], "config.days: there is no such field"),
    (["deploy", "--pool", "p", "--param", 'retention_period="30 days ago"'], "config.retention_period"),
    (["deploy", "--pool", "p", "--param", "states_to_clean=[]"], "config.states_to_clean"),
    (["deploy", "--pool", "p", "--param", "dry_run=1"], "config.dry_run"),
    (["deploy", "--pool", "p", "--param", 'approval_type="me"'], "config.approval_type"),
    (["deploy", "--pool", "p", "--config", "no-such-file.conf"], "no-such-file.conf"),
], ids=lambda value: " ".join(value) or "nothing" if isinstance(value, list) else "")
def test_wrong_usage(dead_url, arguments, text):
    done = run_cli(dead_url, *arguments)
    assert done.returncode == 2, done
    assert text in done.stderr and done.stderr.count("\n") == 1 and (done.stdout == "" or not arguments)


def test_words_that_no_command_has(dead_url):
    """Before the server is asked: one line that names the word, and exit code 2."""
    listed = run_cli(dead_url, "help").stdout.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    commands = [line.split()[0] for line in listed]
    assert len(commands) == 14 and "history" in commands
    rows = [(command, words) for command in commands for words in (["--bogus"], ["one", "two", "three"])]
    rows.remove(("reject", ["one", "two", "three"]))  # it takes several runs
    for command, words in rows:
        done = run_cli(dead_url, command, *words)
        assert done.returncode == 2 and done.stdout == "", done
        assert done.stderr.count("\n") == 1 and any(f"'{word}'" in done.stderr for word in words), done


def test_several_wrong_parameters_are_told_at_once(dead_url):
    done = run_cli(dead_url, "deploy", "--pool", "p", "--param", "batch_size=5", "--param", "dry_run=1")
    assert done.returncode == 2
    assert "config.batch_size" in done.stderr and "config.dry_run" in done.stderr


@pytest.mark.parametrize("name, value", [
    ("PREFECT_API_URL", "ftp://example.com/api"),
    ("PREFECT_API_URL", "http://"),
    ("PREFECT_API_URL", "http://user:hush@example.com/api"),
    ("PREFECT_API_REQUEST_TIMEOUT", "soon"),
    ("PREFECT_CLIENT_CUSTOM_HEADERS", "X-Token: hush"),
    ("PREFECT_CLIENT_CUSTOM_HEADERS", '{"X-Token": "hush\\r\\nX-More: hush"}'),
    ("PREFECT_LOGGING_LEVEL", "LOUD"),
    ("PREFECT_WORKER_QUERY_SECONDS", "0"),
    ("PREFECT_WORKER_HEARTBEAT_SECONDS", "never"),
    ("PREFECT_API_TLS_INSECURE_SKIP_VERIFY", "perhaps"),
])
def test_wrong_environment(dead_url, name, value):
    """Secrets are never repeated."""
    done = run_cli(dead_url, "start", "--pool", "p", **{name: value})
    assert done.returncode == 2, done
    assert name in done.stderr and "hush" not in done.stderr


@pytest.mark.parametrize("text, message", [
    ("api: { url = ", "syntax"),
    ('worker: { pooool = "p"; };', "pooool"),
    ("worker: { limit = 0; };", "worker.limit"),
    ('worker: { limit = "many"; };', "worker.limit"),
])
def test_wrong_configuration_file(dead_url, tmp_path, text, message):
    file = tmp_path / "wrong.conf"
    file.write_text(text)
    done = run_cli(dead_url, "start", "--pool", "p", "--config", file)
    assert done.returncode == 2, done
    assert message in done.stderr and str(file) in done.stderr


def test_a_server_that_is_away(dead_url):
    done = run_cli(dead_url, "deploy", "--pool", "p")
    assert done.returncode == 1
    assert dead_url.removesuffix("/api") in done.stderr  # where
    assert "refused" in done.stderr or "connect" in done.stderr  # what
    assert "PREFECT_API_URL" in done.stderr or "scripts/server" in done.stderr  # the next action


def test_an_address_that_is_no_api(server):
    done = run_cli(server.url.removesuffix("/api"), "deploy", "--pool", unique("pool"))
    assert done.returncode == 1
    assert "PREFECT_API_URL" in done.stderr


def test_flags_before_environment_before_file(server, api, dead_url, tmp_path):
    pool, name = unique("pool"), unique("cleanup")
    file = tmp_path / "janitor.conf"
    file.write_text(f'api: {{ url = "{dead_url}"; }};\nworker: {{ pool = "wrong-pool"; }};\n'
                    f'deployment: {{ name = "{name}"; tags = ["from-file"]; cron = "0 4 * * *"; }};\n')
    done = run_cli(server.url, "deploy", "--pool", pool, "--config", file, PREFECT_DEFAULT_WORK_POOL_NAME="wrong-too")
    assert done.returncode == 0, done.stderr
    deployment = api.deployment(name)
    assert deployment["work_pool_name"] == pool
    assert "from-file" in deployment["tags"]
    assert deployment["schedules"][0]["schedule"]["cron"] == "0 4 * * *"


def test_the_environment_names_pool_and_file(server, api, tmp_path):
    pool, name = unique("pool"), unique("cleanup")
    file = tmp_path / "janitor.conf"
    file.write_text(f'deployment: {{ name = "{name}"; }};\n')
    done = run_cli(server.url, "deploy", PREFECT_DEFAULT_WORK_POOL_NAME=pool, PREFECT_JANITOR_CONFIG=file)
    assert done.returncode == 0, done.stderr
    assert api.deployment(name)["work_pool_name"] == pool


def test_a_stopped_worker_does_not_wait_for_its_server(server, dead_url, worker):
    one = worker("p", PREFECT_API_URL=dead_url)
    one.wait_output("waiting for the server")
    one.stop(timeout=10)
