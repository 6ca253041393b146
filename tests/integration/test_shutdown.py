"""SIGTERM and SIGINT: within ten seconds, whatever the server does, and never worse than kill -9."""

import contextlib
import json
import os
import pty
import signal
import socket
import subprocess
import time

import pytest
from harness import PROGRAM, environment, unique

STOP_SECONDS = 10  # what a service manager is promised
PAUSE_MS = 500  # between two batches of 10: it stops in between, or in one


@contextlib.contextmanager
def hanging(server):
    """Connections are accepted, by the kernel, and nothing is ever answered."""
    pid = json.loads((server.home / "server.json").read_text())["pid"]
    os.killpg(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(pid, signal.SIGCONT)


@contextlib.contextmanager
def away(server):
    """Connections are refused."""
    server.stop()
    try:
        yield
    finally:
        server.start()


OUTAGES = {"hangs": hanging, "refuses": away, "answers": lambda _: contextlib.nullcontext()}


@pytest.fixture(params=OUTAGES)
def outage(request, server):
    return lambda: OUTAGES[request.param](server)


def stop(one, number=signal.SIGTERM):
    started = time.monotonic()
    one.process.send_signal(number)
    one.wait(timeout=60)
    took = time.monotonic() - started
    assert took < STOP_SECONDS, f"it took {took:.1f} s:\n{one.output()}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_while_it_waits_for_its_server(idle, worker, number):
    """The first request of the start is under way, and nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        one = worker(idle.pool, PREFECT_API_URL=f"http://127.0.0.1:{mute.getsockname()[1]}/api")
        mute.accept()
        stop(one, number)
    assert "stopped" in one.output()


@pytest.mark.threads
def test_in_the_middle_of_everything(api, db, idle, old, worker, outage):
    """Services at their work, a run that waits for an answer, one in its deletion, and log lines that are not sent yet."""
    waiting_state, waiting_ids = old()
    state, ids = old(150)
    one = worker(idle.pool)
    waiting = idle.ask(waiting_state)
    idle.set_job_variables(batch_pause_ms=PAUSE_MS)
    run_id = idle.ask(state, batch_size=10)
    idle.answer(run_id, True)
    idle.wait_left(ids, 140)
    with outage():
        time.sleep(1)  # every service meets it
        stop(one)
        assert db.state(waiting) == ("PAUSED", "Paused") and db.state(run_id) == ("RUNNING", "Running")
        assert db.existing(ids)
    assert one.output().count("stopping: no new runs") == 1

    idle.set_job_variables(batch_pause_ms=0)
    worker(idle.pool, name=one.name)
    idle.answer(waiting, False, "no")
    assert idle.result(waiting) == {"status": "rejected", "reason": "no"}
    result = idle.result(run_id)
    assert result["deleted"] + result["gone"] == 150
    assert db.existing(ids + waiting_ids) == set(waiting_ids)
    for run in waiting, run_id:
        assert db.state_names(run) == ["Scheduled", "Pending", "Running", "Paused", "Running", "Completed"]


def test_a_name_server_that_hangs(idle, worker, tmp_path):
    """The C library cannot be called off while it asks one: then the stop ends all the same."""
    source, library = tmp_path / "slow.c", tmp_path / "slow.so"
    source.write_text("#include <unistd.h>\nint getaddrinfo(void) { sleep(60); return -3; }\n")
    subprocess.run(["gcc", "-fno-builtin", "-shared", "-fPIC", "-o", library, source], check=True)
    one = worker(idle.pool, PREFECT_API_URL="http://prefect.invalid/api", LD_PRELOAD=library,
                 ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
    time.sleep(1)
    started = time.monotonic()
    one.process.send_signal(signal.SIGTERM)
    one.wait(expect=1)
    assert time.monotonic() - started < STOP_SECONDS
    assert "stopping takes too long: ending at once" in one.output()


def test_a_closed_terminal_ends_it(idle, server, tmp_path):
    """SIGHUP from a terminal that is gone is no wish for new settings."""
    terminal, its_end = pty.openpty()
    process = subprocess.Popen([PROGRAM, "start", "--pool", idle.pool, "--name", unique("worker")], stderr=its_end,
                               env=environment(PREFECT_API_URL=server.url))
    os.close(its_end)
    shown = b""
    while b"started" not in shown:
        shown += os.read(terminal, 4096)
    os.close(terminal)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=STOP_SECONDS) == 0


def test_the_second_signal_ends_at_once(db, idle, old, server, worker):
    state, ids = old(40)
    one = worker(idle.pool)
    idle.set_job_variables(batch_pause_ms=PAUSE_MS)
    run_id = idle.ask(state, batch_size=10)
    idle.answer(run_id, True)
    idle.wait_left(ids, 30)
    with hanging(server):
        time.sleep(1)
        one.process.send_signal(signal.SIGTERM)
        one.wait_output("stopping")
        started = time.monotonic()
        one.process.send_signal(signal.SIGTERM)
        one.wait(expect=1)
        assert time.monotonic() - started < 2
    worker(idle.pool, name=one.name)
    idle.result(run_id)
    assert db.existing(ids) == set()
