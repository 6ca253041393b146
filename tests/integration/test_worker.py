"""`prefect-janitor start`: how the worker shows itself to the server, and which runs it takes, and when."""

import signal
import socket
import subprocess

import pytest
from harness import PROGRAM, environment, from_now, unique, wait_until
from janitor import Janitor


def first_interval(db, run_id, state):
    """From when to when the run was first in this state."""
    states = db.states(run_id)
    number = next(number for number, row in enumerate(states) if row["name"] == state)
    return states[number]["timestamp"], states[number + 1]["timestamp"]


@pytest.mark.versions
def test_the_server_knows_the_worker(api, idle, worker):
    pool = unique("pool")
    one = worker(pool)  # makes its pool itself
    wait_until(lambda: api.request("GET", f"/work_pools/{pool}").status_code == 200, 10, "the pool")
    assert api.get(f"/work_pools/{pool}")["type"] == "janitor"
    # One that is misspelt is made all the same, but not without a word.
    one.wait_output(f"INFO    | created work pool '{pool}' (type janitor)")
    one.wait_output(f"WARNING | nothing is deployed in work pool '{pool}': no run comes from it before prefect-janitor deploy")
    wait_until(lambda: api.get(f"/work_pools/{pool}")["status"] == "READY", 10, "the pool is ready")
    [shown] = api.post(f"/work_pools/{pool}/workers/filter")
    assert (shown["name"], shown["status"]) == (one.name, "ONLINE")
    heartbeat = shown["last_heartbeat_time"]
    wait_until(lambda: api.post(f"/work_pools/{pool}/workers/filter")[0]["last_heartbeat_time"] > heartbeat, 10,
               "another heartbeat")


def test_a_pool_that_is_there_is_no_news(idle, worker):
    one = worker(idle.pool)
    one.wait_output("started: work pool")
    assert "created work pool" not in one.output()


def test_queue_and_deployment_become_ready(api, idle, worker):
    assert idle.deployment()["status"] == "NOT_READY"
    worker(idle.pool)
    wait_until(lambda: idle.deployment()["status"] == "READY", 10, "the deployment is ready")
    [queue] = api.post(f"/work_pools/{idle.pool}/queues/filter")
    assert queue["status"] == "READY"


@pytest.mark.versions
def test_labels_and_process_id(api, idle, old, worker):
    one = worker(idle.pool)
    run = api.run(idle.ask(old(1)[0]))
    pool = api.get(f"/work_pools/{idle.pool}")
    expected = {"prefect.worker.name": one.name, "prefect.worker.type": "janitor",
                "prefect.work-pool.name": idle.pool, "prefect.work-pool.id": pool["id"]}
    assert {key: run["labels"].get(key) for key in expected} == expected
    assert "prefect.flow.id" in run["labels"]  # the server's own stay
    assert run["infrastructure_pid"] == f"{socket.gethostname()}:{one.process.pid}"


def test_unknown_flows_are_left_alone(api, db, idle, worker):
    flow_name = unique("somebody-elses")
    flow_id = api.post("/flows/", {"name": flow_name})["id"]
    other = api.post("/deployments/", {"name": unique("other"), "flow_id": flow_id, "work_pool_name": idle.pool})["id"]
    one = worker(idle.pool)
    for _ in range(2):  # two polls at least see them
        others = [api.trigger(other) for _ in range(2)]
        idle.result(idle.trigger(unique("None")))
    for run_id in others:
        assert db.state_names(run_id) in (["Scheduled"], ["Scheduled", "Late"])
        assert api.run(run_id)["infrastructure_pid"] is None
    assert one.output().count(flow_name) == 1


def test_only_its_work_queues(api, db, idle, worker):
    for queue in ("first", "second"):
        api.post(f"/work_pools/{idle.pool}/queues", {"name": queue})
    taken = [idle.trigger(unique("None"), more={"work_queue_name": queue}) for queue in ("first", "second")]
    left = idle.trigger(unique("None"))
    worker(idle.pool, "--work-queue", "first", "--work-queue", "second")
    for run_id in taken:
        idle.result(run_id)
    idle.result(idle.trigger(unique("None"), more={"work_queue_name": "first"}))
    assert db.state_names(left) in (["Scheduled"], ["Scheduled", "Late"])


def test_a_paused_pool_rests(api, db, idle, worker):
    one = worker(idle.pool)
    idle.result(idle.trigger(unique("None")))
    api.patch(f"/work_pools/{idle.pool}", {"is_paused": True})
    run_id = idle.trigger(unique("None"))
    heartbeat = api.post(f"/work_pools/{idle.pool}/workers/filter")[0]["last_heartbeat_time"]
    wait_until(lambda: api.post(f"/work_pools/{idle.pool}/workers/filter")[0]["last_heartbeat_time"] > heartbeat, 10,
               "another heartbeat")  # some polls later
    assert api.run(run_id)["state_type"] == "SCHEDULED"
    api.patch(f"/work_pools/{idle.pool}", {"is_paused": False})
    idle.result(run_id)
    assert one.process.poll() is None


@pytest.mark.threads
def test_limit(db, idle, old, worker):
    """Runs that wait for an answer do not count; of the others there is one at a time."""
    state, ids = old(30)
    runs = [idle.trigger(state) for _ in range(3)] + [idle.trigger(unique("None")) for _ in range(3)]
    worker(idle.pool, "--limit", 1)
    for run_id in runs[:3]:
        idle.api.wait_question(run_id)
    for run_id in runs[3:]:
        idle.api.wait_state(run_id, "Completed")
    running = sorted(first_interval(db, run_id, "Running") for run_id in runs)
    for (_, end), (start, _) in zip(running, running[1:]):
        assert end <= start, running
    for run_id in runs[:3]:
        idle.answer(run_id, True)
    assert sum(idle.result(run_id)["deleted"] for run_id in runs[:3]) == 30
    assert db.existing(ids) == set()


@pytest.mark.parametrize("arguments, settings", [
    ([], {"PREFECT_WORKER_QUERY_SECONDS": 3600}),  # fetched before, or never
    (["--prefetch-seconds", 0], {"PREFECT_WORKER_QUERY_SECONDS": 0.2}),
], ids=["prefetch", "no prefetch"])
def test_a_run_starts_at_its_time(db, idle, worker, arguments, settings):
    due = from_now(seconds=3)
    runs = [idle.api.trigger(idle.free_deployment(), {"config": {"states_to_clean": [unique("None")]}}, enforce=False,
                             scheduled_time=str(due)) for _ in range(2)]
    worker(idle.pool, *arguments, **settings)
    for run_id in runs:
        idle.result(run_id)
        pending, running = (first_interval(db, run_id, state)[0] for state in ("Pending", "Running"))
        assert running >= due
        assert (running - due).total_seconds() < 3  # usually some hundredths; a busy machine must not fail this
        assert (pending - due).total_seconds() > -1.5  # until then it can be cancelled or moved


def test_a_run_cancelled_before_its_time(db, idle, worker):
    one = worker(idle.pool)
    run_id = idle.api.trigger(idle.deployment_id, scheduled_time=str(from_now(seconds=3)))
    one.wait_output(f"({run_id}): fetched")
    idle.api.set_state(run_id, "CANCELLED", "Cancelled")
    later = idle.api.trigger(idle.deployment_id, {"config": {"states_to_clean": [unique("None")]}}, enforce=False,
                             scheduled_time=str(from_now(seconds=3)))
    idle.result(later)
    assert db.state_names(run_id) == ["Scheduled", "Cancelled"]


def test_run_once(db, idle, old, worker):
    state, ids = old()
    due = [idle.trigger(unique("None")), idle.trigger(unique("None"))]
    waiting = idle.trigger(state)
    later = idle.api.trigger(idle.deployment_id, scheduled_time=str(from_now(hours=1)))
    one = worker(idle.pool, "--run-once")
    for run_id in due:
        idle.result(run_id)
    idle.api.wait_question(waiting)
    after = idle.trigger(unique("None"))
    assert one.process.poll() is None
    assert idle.approve(waiting)["deleted"] == 5
    one.wait()
    assert db.existing(ids) == set()
    assert db.state_names(later) == ["Scheduled"]
    assert db.state_names(after) in (["Scheduled"], ["Scheduled", "Late"])


def test_run_once_with_nothing_to_do(idle, worker):
    worker(idle.pool, "--run-once").wait(timeout=10)


@pytest.mark.databases
@pytest.mark.threads
def test_two_workers_share_twenty_runs(db, idle, old, worker):
    """Each run is executed once, and the runs that all of them were approved to delete are counted once."""
    state, ids = old(100)
    runs = [idle.trigger(state) for _ in range(20)]
    # With heartbeats as they are by default: one that counts as away has its runs taken over, and begun again.
    names = {worker(idle.pool, PREFECT_WORKER_HEARTBEAT_SECONDS=30).name for _ in range(2)}
    for run_id in runs:
        idle.api.wait_question(run_id, timeout=60)
    assert {idle.api.run(run_id)["labels"]["prefect.worker.name"] for run_id in runs} <= names
    for run_id in runs:
        assert [name for name in db.state_names(run_id) if name != "Late"] == ["Scheduled", "Pending", "Running", "Paused"]
    for run_id in runs:
        idle.answer(run_id, True)
    results = [idle.result(run_id, timeout=60) for run_id in runs]
    assert sum(result["deleted"] for result in results) == 100
    assert all(result["deleted"] + result["gone"] == 100 for result in results)
    assert db.existing(ids) == set()


def test_a_name_is_taken_once(idle, cli, worker):
    one = worker(idle.pool)
    idle.result(idle.trigger(unique("None")))
    done = cli("start", "--pool", idle.pool, "--name", one.name)
    assert done.returncode == 1
    assert one.name in done.stderr and "--name" in done.stderr
    one.stop()
    worker(idle.pool, "--run-once", name=one.name).wait()


def test_default_names_differ(api, idle, server):
    """Two workers without a name get names of their own."""
    settings = environment(PREFECT_API_URL=server.url, PREFECT_WORKER_QUERY_SECONDS=0.5)
    workers = [subprocess.Popen([PROGRAM, "start", "--pool", idle.pool], env=settings, stderr=subprocess.PIPE, text=True)
               for _ in range(2)]
    try:
        shown = wait_until(lambda: len(found := api.post(f"/work_pools/{idle.pool}/workers/filter")) == 2 and found, 20,
                           "two workers")
        host = socket.gethostname()
        assert {one["name"] for one in shown} == {f"janitor-{host}", f"janitor-{host}-2"}
    finally:
        for one in workers:
            one.send_signal(signal.SIGTERM)
        ended = [(one.communicate(timeout=30), one.returncode) for one in workers]
    assert [code for _, code in ended] == [0, 0], ended


def test_the_default_deployment_runs(api, db, cli, old, worker):
    """With its concurrency limit of 1 and the server's lease: one cleanup after the other."""
    limited = Janitor(api, db, cli, "--concurrency-limit", 1)
    worker(limited.pool)
    for _ in range(3):
        run_id = limited.ask(old(5)[0])
        assert limited.approve(run_id)["deleted"] == 5
