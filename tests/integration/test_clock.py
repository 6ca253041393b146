"""This machine's clock is wrong, or jumps: what counts is the server's, and waiting goes by neither of them."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from harness import from_now, parse_time, unique, wait_until

DAY = 24 * 3600
WINDOW = timedelta(days=3)  # the default window of an approval
NEAR = timedelta(seconds=4)  # the Date header counts whole seconds, and is renewed once a second
EARLY = timedelta(seconds=1.5)  # by as much; and the server starts a run up to half a second early
STEADY = {"batch_size": 10, "job_variables": {"batch_pause_ms": 1000}}


class WrongClock:
    """The wall clock of the workers of a test; their monotonic one stays right."""

    def __init__(self, folder):
        self.file = Path(folder) / "offset"
        [library] = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
        self.settings = {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": self.file,
            "FAKETIME_NO_CACHE": 1,
            "FAKETIME_DONT_FAKE_MONOTONIC": 1,
            # AddressSanitizer would rather be loaded first; it works as well behind this one.
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
            "PREFECT_WORKER_HEARTBEAT_SECONDS": 1,  # how often a difference is looked at
        }

    def set(self, seconds):
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds:+d}")
        new.replace(self.file)


@pytest.fixture
def clock(tmp_path):
    clock = WrongClock(tmp_path)
    clock.set(0)
    return clock


def told(one):
    """What the worker said of its clock."""
    words = ("this machine's clock", "ahead of", "behind", "agree")
    lines = [line for line in one.output().splitlines() if words[0] in line]
    return [next(word for word in words[1:] if word in line) for line in lines]


def wait_told(one, *words):
    wait_until(lambda: told(one) == list(words), 20, f"worker {one.name} says {words}: {told(one)}")


def wait_heartbeats(api, pool, count=3):
    def beat():
        [shown] = api.post(f"/work_pools/{pool}/workers/filter")
        return shown["last_heartbeat_time"]

    for _ in range(count):
        last = beat()
        wait_until(lambda: beat() > last, 20, "another heartbeat")


def assert_servers_times(db, idle, run_id):
    """Everything that was written about the run bears the server's time; states do by themselves."""
    states = {state["name"]: state for state in db.states(run_id)}
    begin, end = states["Pending"]["timestamp"] - NEAR, db.states(run_id)[-1]["timestamp"] + NEAR
    wait_until(lambda: db.logs(run_id)[-1].startswith("Completed"), 10, "the last log line")
    times = [parse_time(row["timestamp"]) for row in db.query("SELECT timestamp FROM log WHERE flow_run_id = ?", run_id)]
    assert len(times) >= 3 and all(begin < time < end for time in times), (begin, sorted(times), end)
    plan = idle.plan(run_id)
    running = next(state for state in db.states(run_id) if state["name"] == "Running")["timestamp"]
    assert plan["planned_at"] == running
    assert plan["planned_at"] - plan["cutoff"] == timedelta(days=30)
    paused = states["Paused"]
    assert abs(parse_time(paused["state_details"]["pause_timeout"]) - paused["timestamp"] - WINDOW) < NEAR


@pytest.mark.parametrize("offset, word", [(DAY, "ahead of"), (-DAY, "behind")], ids=["a day ahead", "a day behind"])
def test_a_wrong_clock(api, db, idle, old, history, worker, clock, offset, word):
    """By its own clock it would delete half a day too much or too little, and start a run a day too early or late."""
    state, ids = old(5, start_time=from_now(days=-30.5), end_time=from_now(days=-30.5))
    young = history({"flow": "young", "count": 5, "state_name": state, "start_time": from_now(days=-29.5),
                     "end_time": from_now(days=-29.5)})[0]
    clock.set(offset)
    one = worker(idle.pool, **clock.settings)
    one.wait_output("started")
    due = from_now(seconds=4)
    run_id = idle.trigger(state, more={"scheduled_time": str(due)})
    api.wait_question(run_id)
    assert idle.approve(run_id)["deleted"] == 5
    assert db.existing(ids + young) == set(young)
    running = next(state for state in db.states(run_id) if state["name"] == "Running")["timestamp"]
    assert due - EARLY < running < due + NEAR
    assert_servers_times(db, idle, run_id)
    wait_heartbeats(api, idle.pool)
    assert told(one) == [word]  # once, however many answers there were


def test_jumps_while_a_run_waits(api, db, idle, old, worker, clock):
    state, ids = old()
    one = worker(idle.pool, **clock.settings)
    run_id = idle.ask(state)
    due = from_now(seconds=6)
    later = idle.trigger(unique("None"), more={"scheduled_time": str(due)})
    one.wait_output(f"({later}): fetched")
    assert told(one) == []
    clock.set(DAY)
    wait_told(one, "ahead of")
    idle.result(later)
    running = next(state for state in db.states(later) if state["name"] == "Running")["timestamp"]
    assert due - EARLY < running < due + NEAR
    assert db.state(run_id) == ("PAUSED", "Paused")  # its hour is not over
    clock.set(DAY - 30)  # less than a minute: no news
    wait_heartbeats(api, idle.pool)
    clock.set(-DAY)
    wait_told(one, "ahead of", "behind")
    clock.set(0)
    wait_told(one, "ahead of", "behind", "agree")
    assert idle.approve(run_id)["deleted"] == 5
    assert db.existing(ids) == set()
    assert_servers_times(db, idle, run_id)
    wait_heartbeats(api, idle.pool)
    assert told(one) == ["ahead of", "behind", "agree"]


def test_jumps_while_one_deletes(db, idle, old, worker, clock):
    """The pauses between the batches keep their length, in either direction."""
    state, ids = old(60)
    one = worker(idle.pool, **clock.settings)
    run_id = idle.ask(state, **STEADY)
    idle.answer(run_id, True)
    for offset, word, left in (DAY, ["ahead of"], 40), (-DAY, ["ahead of", "behind"], 20):
        idle.wait_left(ids, left)
        clock.set(offset)
        wait_told(one, *word)
    clock.set(0)
    assert idle.result(run_id)["deleted"] == 60
    assert db.existing(ids) == set()
    assert_servers_times(db, idle, run_id)
    resumed, completed = (state["timestamp"] for state in db.states(run_id)[-2:])
    assert timedelta(seconds=4) < completed - resumed < timedelta(seconds=60)
    wait_told(one, "ahead of", "behind", "agree")
