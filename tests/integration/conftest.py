"""One Prefect server for all tests of a run. Tests share it, so each one names its own states, pools and deployments."""

import contextlib
import functools
import os
import signal
from datetime import timedelta

import harness
import mcp_server
import pytest
from ai import AiJanitor
from janitor import Janitor
from model_server import ModelServer
from proxy import Proxy


class Tally:
    """Ends the run with one line that scripts/check adds up. A skipped test has not passed."""

    def __init__(self):
        self.passed, self.failed = set(), set()

    def pytest_runtest_logreport(self, report):
        if report.failed:
            self.failed.add(report.nodeid)
        elif report.passed and report.when == "call":
            self.passed.add(report.nodeid)

    def pytest_collectreport(self, report):
        if report.failed:
            self.failed.add(report.nodeid)

    def pytest_unconfigure(self):
        print(f"integration: {len(self.passed - self.failed)} passed, {len(self.failed)} failed", flush=True)


def pytest_addoption(parser):
    parser.addoption("--lane", default="1/1", help="N/M: every Mth test from the Nth on")


def pytest_configure(config):
    config.pluginmanager.register(Tally())
    # pytest dies of SIGTERM without finalizing anything: the server would stay behind.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", returncode=1))


def pytest_collection_modifyitems(config, items):
    """Not run is not passed: what does not fit the database is no test of it."""
    if harness.DATABASE != "sqlite":
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("sqlite")])
        items[:] = [item for item in items if not item.get_closest_marker("sqlite")]
    lane, lanes = map(int, config.getoption("--lane").split("/"))
    if lanes > 1:
        items.sort(key=lambda item: item.nodeid)
        items[:] = items[lane - 1::lanes]


@pytest.fixture(scope="session")
def server_name():
    with harness.own_name("test") as name:
        yield name


@pytest.fixture(scope="session")
def server(server_name):
    with harness.Server(server_name, os.environ.get("PREFECT_VERSION")) as server:
        yield server


@pytest.fixture(scope="session")
def api(server, db):
    return harness.Api(server.url, db)


@pytest.fixture(scope="session")
def db(server):
    return harness.Db(server.home)


@pytest.fixture(scope="session")
def history(server):
    history = harness.History(server)
    yield history
    history.stop()


@pytest.fixture(scope="session")
def cli(server):
    """cli("deploy", "--pool", ...): a finished process with returncode, stdout and stderr."""
    return functools.partial(harness.run_cli, server.url)


@pytest.fixture
def proxy(server):
    """A fault proxy in front of the server: a worker behind it has PREFECT_API_URL=proxy.url + "/api"."""
    with Proxy(server.url) as proxy:
        yield proxy


@contextlib.contextmanager
def workers(server):
    started = []

    def start(pool, *arguments, **more):
        started.append(harness.Worker(server.url, server.home, pool, *arguments, **more))
        return started[-1]

    yield start
    errors = []
    for one in started:
        try:
            one.close()
        except AssertionError as error:
            errors.append(str(error))
    assert not errors, "\n".join(errors)


@pytest.fixture
def worker(server):
    """worker(pool, ...) starts one; all are stopped at the test's end."""
    with workers(server) as start:
        yield start


@pytest.fixture
def idle(api, db, cli):
    """A deployment of the test's own; the test starts its workers."""
    return Janitor(api, db, cli)


@pytest.fixture(scope="module")
def janitor(server, api, db, cli):
    """A deployment with a running worker, for all tests of a file."""
    with workers(server) as start:
        janitor = Janitor(api, db, cli)
        janitor.worker = start(janitor.pool)
        yield janitor


@pytest.fixture(scope="session")
def old(history):
    """old(count, ...) writes flow runs that ended 40 days ago, in a state of a new name: (that name, their ids)."""

    def write(count=5, **group):
        state = harness.unique("Done")
        start = harness.from_now(days=-40)
        defaults = {"flow": "old", "count": count, "state_name": state, "start_time": start,
                    "end_time": start + timedelta(minutes=1)}
        return state, history(defaults | group)[0]

    return write


@pytest.fixture(scope="session")
def mcp_command():
    """Prefect's own MCP server, to be spoken to over its stdin and stdout."""
    return mcp_server.install()


@pytest.fixture(scope="session")
def mcp_url(server, mcp_command):
    """One that listens, for all tests: a start of it takes seconds."""
    with mcp_server.listening(mcp_command, mcp_server.settings(server.url, server.home), server.home / "mcp.log") as url:
        yield url


@pytest.fixture(scope="session")
def model_server():
    with ModelServer() as model:
        yield model


@pytest.fixture
def model(model_server):
    """The scripted model. What it got was right, or the test fails."""
    model_server.play()
    yield model_server
    model_server.check()


@pytest.fixture(scope="module")
def ai_janitor(server, api, db, cli, model_server, mcp_url):
    with workers(server) as start:
        yield AiJanitor(api, db, cli, model_server, mcp_url, start)


@pytest.fixture
def ai(ai_janitor, model):
    """A deployment whose runs a model decides on, and a worker with the settings that a test asks for."""
    return ai_janitor
