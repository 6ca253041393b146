"""A server that is away, or answers nonsense, at start and later: the worker stays, says so once, asks rarely, and is back soon."""

import time

import proxy as act
import pytest
from harness import run_cli, unique, wait_until

OUTAGE_SECONDS = 12
LOOK_SECONDS = 4  # the end of an outage, when the waits have become long
BACK_SECONDS = 10
AUTH_SECONDS = 40  # a wrong password is tried slowly
SERVICES = 4  # heartbeat, poll, watch and run: each may say it once

OUTAGES = {  # what it is, what the worker says, within how many seconds it is back
    "refused": (None, "PREFECT_API_URL", BACK_SECONDS),
    "503": (act.status(503), "503", BACK_SECONDS),
    "401": (act.status(401), "PREFECT_API_AUTH_STRING", AUTH_SECONDS),
    "html": (act.html(), "PREFECT_API_URL", BACK_SECONDS),
}


def troubles(one, start=0):
    """The worker's lines about what goes wrong, from the start-th character of its log on."""
    return [line for line in one.output()[start:].splitlines() if "WARNING" in line or "ERROR" in line]


def begin(proxy, action):
    if action:
        proxy.add(action, count=None)
    else:
        proxy.down()


def end(proxy):
    proxy.clear()
    proxy.up()


def wait_idle(proxy, back=BACK_SECONDS):
    """Until heartbeat and poll were answered once more."""
    count = len(proxy.seen)
    for path in ("/heartbeat$", "/get_scheduled_flow_runs$"):
        wait_until(lambda: any(one.status and one.status < 300 for one in proxy.requests(path=path) if one in proxy.seen[count:]),
                   back, f"{path} answered")


@pytest.mark.parametrize("outage", OUTAGES)
def test_a_start_waits(api, proxy, idle, worker, outage):
    """It says so once, names the setting to look at, and goes on when the server comes."""
    action, text, back = OUTAGES[outage]
    begin(proxy, action)
    run_id = idle.trigger(unique("None"))
    one = worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    one.wait_output("waiting for the server")
    time.sleep(3)
    assert one.process.poll() is None
    assert len(troubles(one)) == 1 and text in troubles(one)[0], one.output()
    end(proxy)
    assert idle.result(run_id, timeout=back)["status"] == "no_action"


@pytest.mark.parametrize("url, text", [
    ("http://prefect.invalid:4200/api", "prefect.invalid"), ("http://127.0.0.1:1/api", "127.0.0.1:1"),
], ids=["no such name", "nobody there"])
def test_an_address_where_nobody_is(worker, url, text):
    one = worker(unique("pool"), PREFECT_API_URL=url)
    one.wait_output("waiting for the server")
    time.sleep(2)
    assert one.process.poll() is None
    [line] = troubles(one)
    assert text in line and "PREFECT_API_URL" in line
    done = run_cli(url, "deploy", "--pool", unique("pool"))
    assert done.returncode == 1
    assert text in done.stderr and "PREFECT_API_URL" in done.stderr


@pytest.mark.parametrize("outage", OUTAGES)
def test_an_outage(api, db, proxy, idle, old, worker, outage):
    """With one run that waits for its approval, and gets it meanwhile."""
    action, text, back = OUTAGES[outage]
    state, ids = old()
    one = worker(idle.pool, PREFECT_API_URL=proxy.url + "/api", PREFECT_WORKER_QUERY_SECONDS=1)
    run_id = idle.ask(state)
    wait_idle(proxy)
    before = len(proxy.seen)
    time.sleep(LOOK_SECONDS)
    usual = len(proxy.seen) - before
    start = len(one.output())

    begin(proxy, action)
    idle.answer(run_id, True)
    time.sleep(OUTAGE_SECONDS - LOOK_SECONDS)
    before = len(proxy.seen)
    time.sleep(LOOK_SECONDS)
    asked = len(proxy.seen) - before
    end(proxy)

    assert idle.result(run_id, timeout=back)["deleted"] == 5
    wait_idle(proxy, back)
    assert db.existing(ids) == set()
    lines = troubles(one, start)
    assert 1 <= len(lines) <= SERVICES and any(text in line for line in lines), "\n".join(lines)
    assert asked <= 2 * usual, f"{asked} requests in {LOOK_SECONDS} s of an outage, usually {usual}"


def test_each_change_is_told_once(proxy, idle, worker):
    """Refused, then 503, then 401, then fine: three things to say, and that it is over."""
    one = worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    wait_idle(proxy)
    for name in ("refused", "503", "401"):
        action, text, back = OUTAGES[name]
        start = len(one.output())
        begin(proxy, action)
        wait_until(lambda: any(text in line for line in troubles(one, start)), 30, f"a line with {text}")
        time.sleep(3)
        lines = troubles(one, start)
        assert len(lines) <= SERVICES, "\n".join(lines)
        proxy.up()
    start = len(one.output())
    end(proxy)
    wait_idle(proxy, back)
    assert troubles(one, start) == []


def test_a_password_that_is_refused_at_the_start(proxy, idle):
    """It does not become right by itself: exit code 2, which the unit does not start again."""
    proxy.add(act.status(401), count=None)
    done = run_cli(proxy.url + "/api", "start", "--pool", idle.pool, "--name", unique("worker"), PREFECT_API_AUTH_STRING="a:secret-word")
    assert done.returncode == 2 and "refuses key or password at the start" in done.stderr and "401" in done.stderr, done
    assert "secret-word" not in done.stderr
