"""SIGHUP: what the worker takes over from its configuration while it runs, and what it does not."""

import contextlib
import functools
import os
import signal
import socket

import pytest
from conftest import workers
from harness import Api, Db, History, Server, from_now, run_cli, unique, wait_until
from janitor import Janitor

AGAIN = "configuration read again: "
STAYS = "everything stays as it is"


class Config:
    """A worker's configuration file."""

    def __init__(self, folder):
        self.path = folder / "janitor.conf"
        self.one = None

    def write(self, **groups):
        self.path.write_text("".join(
            f"{group}: {{ {' '.join(f'{key} = {value};' for key, value in settings.items())} }};\n"
            for group, settings in groups.items()))

    def reload(self, *words):
        """Sends SIGHUP and waits until the worker has said each of these words since."""
        before = len(self.one.output())
        self.one.process.send_signal(signal.SIGHUP)
        for text in words:
            wait_until(lambda: text in self.one.output()[before:], 20, f"'{text}' in {self.one.output()[before:]}")
        return self.one.output()[before:]


@pytest.fixture
def config(tmp_path):
    return Config(tmp_path)


def start(worker, idle, config, *arguments, **settings):
    """Its level comes from the file, and without a deployment its pool too."""
    config.one = worker(idle and idle.pool, "--config", config.path, *arguments, **({"PREFECT_LOGGING_LEVEL": ""} | settings))
    config.one.wait_output("started")
    return config.one


@pytest.mark.threads
def test_the_log_level(idle, worker, config):
    config.write(logging={"level": '"INFO"'})
    one = start(worker, idle, config)
    idle.result(idle.trigger(unique("None")))
    assert "DEBUG" not in one.output()
    config.write(logging={"level": '"DEBUG"'})
    config.reload(f"{AGAIN}logging.level is 'DEBUG' now, it was 'INFO'")
    idle.result(idle.trigger(unique("None")))
    one.wait_output("| DEBUG   |")
    config.write(logging={"level": '"WARNING"'})
    config.reload(f"{AGAIN}logging.level is 'WARNING' now, it was 'DEBUG'")
    size = len(one.output())
    idle.result(idle.trigger(unique("None")))
    assert len(one.output()) == size


def test_the_files_of_prefect(idle, worker, config, tmp_path):
    """The active profile and a key in it are read again; another server needs a restart."""
    profiles = tmp_path / "profiles.toml"

    def write(active, level, more=""):
        profiles.write_text(f'active = "{active}"\n[profiles.{active}]\nPREFECT_LOGGING_LEVEL = "{level}"\n{more}')

    config.write()
    write("one", "INFO")
    one = start(worker, idle, config, PREFECT_PROFILES_PATH=profiles)
    write("two", "DEBUG", 'PREFECT_API_KEY = "hush-hush"\n')
    config.reload(f"{AGAIN}logging.level is 'DEBUG' now, it was 'INFO'", f"{AGAIN}api.key has changed")
    profiles.write_text(profiles.read_text().replace("LEVEL =", "LEVEL = ="))
    config.reload(STAYS, f"{profiles}:3: ")
    idle.result(idle.trigger(unique("None")))
    one.wait_output("| DEBUG   |")
    assert "hush" not in one.output()


@pytest.mark.threads
def test_the_limit(api, db, idle, old, worker, config):
    """A second body starts as soon as there is room for it."""
    config.write(worker={"limit": 1}, logging={"level": '"DEBUG"'})
    start(worker, idle, config)
    state, ids = old(40)
    run_id = idle.ask(state, batch_size=10, job_variables={"batch_pause_ms": 600_000})
    idle.answer(run_id, True)
    idle.wait_left(ids, 30)
    second = idle.trigger(unique("None"))
    config.one.wait_output(f"({second}): fetched")
    assert db.state(second) == ("SCHEDULED", "Scheduled")
    config.write(worker={"limit": 2}, logging={"level": '"DEBUG"'})
    config.reload(f"{AGAIN}worker.limit is '2' now, it was '1'")
    idle.result(second)
    assert db.state(run_id) == ("RUNNING", "Running")
    api.cancel(run_id)


def test_intervals_hold_at_once(api, idle, worker, config):
    """Also those that are being waited for."""
    config.write(worker={"query_seconds": 3600, "heartbeat_seconds": 3600, "prefetch_seconds": 0})
    never = {"PREFECT_WORKER_QUERY_SECONDS": "", "PREFECT_WORKER_HEARTBEAT_SECONDS": ""}
    start(worker, idle, config, **never)
    wait_until(lambda: idle.deployment()["status"] == "READY", 10, "the first poll")
    run_id = idle.trigger(unique("None"))

    def heartbeat():
        [shown] = api.post(f"/work_pools/{idle.pool}/workers/filter")
        return shown["last_heartbeat_time"], shown["heartbeat_interval_seconds"]

    first, _ = heartbeat()
    config.write(worker={"query_seconds": 0.3, "heartbeat_seconds": 1})
    config.reload("worker.query_seconds", "worker.heartbeat_seconds", "worker.prefetch_seconds is '10' now, it was '0'")
    idle.result(run_id)
    idle.result(idle.trigger(unique("None")))
    wait_until(lambda: heartbeat()[0] > first and heartbeat()[1] == 1, 20, "heartbeats at the new pace")


@pytest.mark.parametrize("text, words", [
    ("worker: { limit = 0; };", "worker.limit: '0'"),
    ("worker: { limit = ", "syntax error"),
    ("worker: { limmit = 3; };", "there is no setting 'worker.limmit'"),
    ('api: { key = "pnu_secret"; auth_string = "a:secret"; };', "only one of them"),
    (None, "cannot be read"),
], ids=["out of range", "cut off", "unknown", "contradictory", "missing"])
def test_a_broken_file_changes_nothing(api, idle, worker, config, text, words):
    config.write(worker={"limit": 3}, logging={"level": '"DEBUG"'})
    one = start(worker, idle, config)
    config.path.write_text(f'logging: {{ level = "ERROR"; }};\n{text}') if text else config.path.unlink()
    told = config.reload(STAYS)
    assert words in told and AGAIN not in told and "secret" not in told
    idle.result(idle.trigger(unique("None")))
    assert "DEBUG" in one.output()[-2000:]
    config.write(worker={"limit": 4}, logging={"level": '"DEBUG"'})
    config.reload(f"{AGAIN}worker.limit is '4' now, it was '3'")


def test_what_needs_a_restart(api, idle, worker, config, server):
    """It is named, each time, and all the rest is taken over."""
    config.write(api={"url": f'"{server.url}"'}, worker={"pool": f'"{idle.pool}"'})
    start(worker, None, config, PREFECT_API_URL=None)
    other = unique("pool")
    config.write(api={"url": '"http://127.0.0.1:1/api"'}, worker={"pool": f'"{other}"', "limit": 5})
    pool = f"{AGAIN}worker.pool is '{other}' in it, and stays '{idle.pool}': only a restart can change it"
    url = f"{AGAIN}api.url is 'http://127.0.0.1:1/api' in it, and stays '{server.url}': only a restart can change it"
    config.reload(pool, url, "worker.limit is '5' now")
    assert "limit" not in config.reload(pool, url)
    idle.result(idle.trigger(unique("None")))
    assert api.request("GET", f"/work_pools/{other}").status_code == 404


def test_flags_go_before_the_file(idle, worker, config):
    config.write(worker={"limit": 3})
    start(worker, idle, config, "--limit", 7)
    config.write(worker={"limit": 4, "pool": '"another"'})
    assert "limit" not in config.reload(f"{AGAIN}no setting differs")


def test_before_its_server_is_there(idle, worker, config):
    """It reads it again; but not any more once it stops."""
    config.write()
    with socket.create_server(("127.0.0.1", 0)) as mute:
        config.one = worker(idle.pool, "--config", config.path, PREFECT_LOGGING_LEVEL="",
                            PREFECT_API_URL=f"http://127.0.0.1:{mute.getsockname()[1]}/api")
        mute.accept()
        config.write(worker={"limit": 2})
        config.reload("worker.limit is '2' now")
        config.one.process.send_signal(signal.SIGTERM)
        config.one.wait_output("stopping")
        config.one.process.send_signal(signal.SIGHUP)
        config.one.wait()
    assert config.one.output().count(AGAIN) == 1


@contextlib.contextmanager
def guarded_server(name, auth_string):
    """A server that asks for a password: (server, its API)."""
    server = Server(name, os.environ.get("PREFECT_VERSION"), [f"PREFECT_SERVER_API_AUTH_STRING={auth_string}"])
    with server:
        api = Api(server.url, Db(server.home))
        api.http.auth = tuple(auth_string.split(":"))
        yield server, api


def test_a_password_that_is_changed(server_name, tmp_path, config):
    """On the server first, then in the worker's file: the run that waited meanwhile goes on."""
    old, new = "admin:before", "admin:after"
    start_time = from_now(days=-40)
    with guarded_server(f"{server_name}-guarded", old) as (server, api):
        idle = Janitor(api, api.db, functools.partial(run_cli, server.url, PREFECT_API_AUTH_STRING=old))
        history = History(server)
        [ids] = history({"flow": "old", "count": 5, "state_name": "Gone", "start_time": start_time, "end_time": start_time})
        history.stop()
        config.write(api={"auth_string": f'"{old}"'})
        with workers(server) as worker:
            one = start(worker, idle, config)
            run_id = idle.ask("Gone")
            server.stop()
            server.options[-1] = f"PREFECT_SERVER_API_AUTH_STRING={new}"
            server.start()
            api.http.auth = tuple(new.split(":"))
            one.wait_output("HTTP 401")
            idle.answer(run_id, True)
            config.reload(f"{AGAIN}no setting differs")  # in the file nothing has changed yet
            config.write(api={"auth_string": f'"{new}"'})
            config.reload(f"{AGAIN}api.auth_string has changed", "works again")
            assert idle.result(run_id)["deleted"] == 5
            assert api.db.existing(ids) == set()
            assert old not in one.output() and new not in one.output()
