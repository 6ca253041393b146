"""Speed and memory against the real server, side by side with what there is to compare: make bench.

Every figure comes from this run on this machine; nothing is asserted. The histories that are compared are equal:
the same groups, written anew for each candidate into the same server, or into a fresh one for the vacuum.
"""

import argparse
import contextlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))
import httpx  # noqa: E402
from harness import PROGRAM, Api, Db, History, Server, Worker, run_cli, unique, wait_until  # noqa: E402

# What Prefect's own worker and the Python example did on such a machine (../../README.md, "Figures").
PYTHON_WORKER_REQUESTS_A_MINUTE = 22
PYTHON_EXAMPLE_RUNS_A_SECOND = 8.6


class Table:
    def __init__(self):
        self.rows = []

    def add(self, what, figure, wanted="", beside=""):
        self.rows.append((what, figure, wanted, beside))
        print(f"  {what}: {figure}  {beside}", file=sys.stderr, flush=True)

    def print(self):
        rows = [("figure", "measured", "wanted", "beside"), *self.rows]
        widths = [max(len(row[column]) for row in rows) for column in range(4)]
        for number, row in enumerate(rows):
            print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |")
            if number == 0:
                print("|" + "|".join("-" * (width + 2) for width in widths) + "|")


def old_runs(count, state_name):
    """A plain history: the same for everybody who deletes it."""
    end = datetime.now(timezone.utc) - timedelta(days=100)
    return {"flow": "bench", "count": count, "state_name": state_name, "start_time": end - timedelta(minutes=5),
            "expected_start_time": end - timedelta(minutes=5), "end_time": end, "spread_seconds": 86400,
            "task_runs": 2, "logs": 4}


class Bench:
    def __init__(self, server, args, table):
        self.args, self.table, self.server = args, table, server
        self.db, self.history = Db(server.home), History(server)
        self.api = Api(server.url, self.db)
        self.folder = tempfile.mkdtemp(prefix="bench-")

    def deploy(self, pool, *arguments):
        """Returns the deployment's id."""
        name = unique("bench")
        done = run_cli(self.server.url, "deploy", "--pool", pool, "--name", name, "--concurrency-limit", 0, *arguments)
        assert done.returncode == 0, done.stderr
        return self.api.deployment(name)["id"]

    def worker(self, pool, *arguments, **settings):
        """At default pace, unlike in the tests."""
        defaults = {"PREFECT_WORKER_QUERY_SECONDS": 10, "PREFECT_WORKER_HEARTBEAT_SECONDS": 30,
                    "PREFECT_LOGGING_LEVEL": "INFO"}
        return Worker(self.server.url, self.folder, pool, *arguments, **(defaults | settings))

    def trigger(self, deployment, state_name, **more):
        config = {"retention_period": "P30D", "states_to_clean": [state_name], "batch_size": 1000}
        return self.api.trigger(deployment, {"config": config | more.pop("config", {})}, enforce=False, **more)

    def left(self, state_name):
        row, = self.db.query("SELECT count(*) AS n FROM flow_run WHERE state_name = ?", state_name)
        return row["n"]

    # --- deletion ---------------------------------------------------------------------------------

    def bare_loop(self, state_name):
        """The server's ceiling: the same predicate, the server's largest page, nothing in between."""
        predicate = {"state": {"type": {"any_": ["COMPLETED"]}, "name": {"any_": [state_name]}}}
        client = httpx.Client(base_url=self.server.url, timeout=60)
        while True:
            try:
                answer = client.post("/flow_runs/bulk_delete", json={"flow_runs": predicate, "limit": 50})
            except httpx.HTTPError:  # after a 503 the server closes the connection
                client = httpx.Client(base_url=self.server.url, timeout=60)
                continue
            if answer.status_code == 503:
                time.sleep(0.05)
            elif not answer.json()["deleted"]:
                return

    def janitor(self, deployment, state_name, **more):
        run = self.trigger(deployment, state_name, **more)
        self.api.wait_question(run, timeout=120)
        before = self.left(state_name)
        started = time.monotonic()
        assert self.api.resume(run, {"approve": True, "notes": ""})["status"] == "ACCEPT"
        wait_until(lambda: self.left(state_name) < before, 120, "the first deletion")
        first = time.monotonic() - started
        self.api.wait_state(run, "Completed", timeout=600)
        states = {state["name"]: state["timestamp"] for state in self.db.states(run)}
        assert self.left(state_name) == 0
        return first, run, states

    def settle(self):
        """The server deletes logs after the runs: each candidate starts with a quiet one."""
        wait_until(lambda: self.db.query("SELECT count(*) AS n FROM log l WHERE flow_run_id IS NOT NULL AND NOT EXISTS"
                                         " (SELECT 1 FROM flow_run f WHERE f.id = l.flow_run_id)")[0]["n"] == 0,
                   300, "the server has deleted the logs")
        time.sleep(2)

    def deletion(self):
        pool = unique("pool")
        deployment = self.deploy(pool)
        worker = self.worker(pool, PREFECT_WORKER_QUERY_SECONDS=1)
        count = self.args.runs
        ceilings, rates, firsts = [], [], []
        for _ in range(self.args.rounds):
            name = unique("Bare")
            self.history(old_runs(count, name))
            started = time.monotonic()
            self.bare_loop(name)
            ceilings.append(count / (time.monotonic() - started))
            self.settle()

            name = unique("Own")
            self.history(old_runs(count, name))
            _, run, _ = self.janitor(deployment, name, job_variables={"batch_pause_ms": 0})
            started, = wait_until(
                lambda: re.findall(r"the deletion took ([\d.]+) (ms|s|min)", "\n".join(self.api.logs(run))), 30,
                "how long the deletion took, in the run's log, which is a second behind")
            seconds = float(started[0]) * {"ms": 0.001, "s": 1, "min": 60}[started[1]]
            rates.append(count / seconds)
            self.settle()

            name = unique("Paced")
            self.history(old_runs(200, name))
            first, _, _ = self.janitor(deployment, name, config={"batch_size": 100})
            firsts.append(first)
            self.settle()
        worker.stop()
        ceiling, rate = statistics.median(ceilings), statistics.median(rates)
        self.table.add("server's ceiling, bare bulk_delete loop", f"{ceiling:.0f} runs/s")
        self.table.add("deletion, pacing off", f"{rate:.0f} runs/s", "0.9 of it",
                       f"{rate / ceiling:.2f} of the ceiling, {rate / PYTHON_EXAMPLE_RUNS_A_SECOND:.0f} times the Python example")
        self.table.add("approval to first deletion", f"{statistics.median(firsts):.2f} s", "< 2 s",
                       f"default settings, worst {max(firsts):.2f} s; Python example 8.7 s")

    def vacuum(self):
        """The server's own: by age only, so it gets a server and a history of its own."""
        with Server("bench-vacuum") as server:
            writer = History(server)
            name = unique("Vacuum")
            writer(old_runs(self.args.runs, name))
            writer.stop()
            server.stop()
            server.options += ["--env", "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED=flow_runs",
                               "--env", f"PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD={30 * 86400}"]
            server.start()
            db = Db(server.home)
            count = lambda: db.query("SELECT count(*) AS n FROM flow_run WHERE state_name = ?", name)[0]["n"]  # noqa: E731
            wait_until(lambda: count() < self.args.runs, 120, "the vacuum's first deletion")
            started, first = time.monotonic(), self.args.runs - count()
            wait_until(lambda: count() == 0, 300, "the vacuum's last deletion")
            seconds = max(time.monotonic() - started, 0.05)
        self.table.add("server's own vacuum", f"{(self.args.runs - first) / seconds:.0f} runs/s", "",
                       "direct SQL: no preview, no approval, no report")

    # --- time -------------------------------------------------------------------------------------

    def punctuality(self):
        pool = unique("pool")
        deployment = self.deploy(pool)
        worker = self.worker(pool)
        wait_until(lambda: "started" in worker.output(), 30, "the worker's start")
        late = []
        for _ in range(5):
            due = datetime.now(timezone.utc) + timedelta(seconds=13)
            run = self.trigger(deployment, unique("None"), scheduled_time=due.isoformat())
            self.api.wait_state(run, "Completed", timeout=60)
            running = next(state["timestamp"] for state in self.db.states(run) if state["name"] == "Running")
            late.append((running - due).total_seconds())
        worker.stop()
        self.table.add("scheduled time to Running, prefetched", f"{statistics.median(late) * 1000:.0f} ms", "< 200 ms",
                       f"worst of {len(late)}: {max(late) * 1000:.0f} ms")

    def idle_requests(self):
        with CountingProxy(self.server.url) as proxy:
            worker = Worker(proxy.url, self.folder, unique("pool"), PREFECT_WORKER_QUERY_SECONDS=10,
                            PREFECT_WORKER_HEARTBEAT_SECONDS=30)
            time.sleep(5)  # what a start costs is not idle
            before, started = proxy.requests, time.monotonic()
            time.sleep(self.args.idle_seconds)
            rate = (proxy.requests - before) * 60 / (time.monotonic() - started)
            worker.stop()
        self.table.add("idle requests a minute", f"{rate:.1f}", f"<= {PYTHON_WORKER_REQUESTS_A_MINUTE / 2:.0f}",
                       f"{rate / PYTHON_WORKER_REQUESTS_A_MINUTE:.2f} of Prefect's own worker")

    def help(self):
        times = []
        for _ in range(50):
            started = time.perf_counter()
            subprocess.run([PROGRAM, "start", "--help"], stdout=subprocess.DEVNULL, check=True)
            times.append(time.perf_counter() - started)
        self.table.add("start --help", f"{statistics.median(times) * 1000:.1f} ms", "< 10 ms", "fork and exec included")

    # --- memory -----------------------------------------------------------------------------------

    def memory(self):
        pool, name = unique("pool"), unique("Memory")
        self.history(old_runs(5, name))
        worker = self.worker(pool)
        time.sleep(15)
        self.table.add("resident memory, idle", f"{resident_mb(worker):.1f} MB", "<= 12 MB", "Python worker 104 MB")
        parked = 0
        for wanted, limit in ((100, ""), (self.args.parked, "<= 16 MB" if self.args.parked >= 1000 else "")):
            while parked < wanted:
                self.trigger(self.deploy(pool), name)  # one open question for each deployment
                parked += 1
            wait_until(lambda: self.paused(pool) == wanted, 1200, f"{wanted} paused runs")
            time.sleep(3)
            self.table.add(f"resident memory, {wanted} paused runs", f"{resident_mb(worker):.1f} MB", limit,
                           f"Python: {104 + 105 * wanted} MB")
        worker.stop()

    def paused(self, pool):
        return self.api.post("/flow_runs/count", {"flow_runs": {"state": {"type": {"any_": ["PAUSED"]}}},
                                                  "work_pools": {"name": {"any_": [pool]}}})


def resident_mb(worker):
    status = Path(f"/proc/{worker.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) / 1024


class CountingProxy:
    """Passes bytes on to the server and counts the requests in them."""

    def __init__(self, url):
        host, port = re.fullmatch(r"http://([\d.]+):(\d+)/api", url).groups()
        self.target, self.requests = (host, int(port)), 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/api"

    def __enter__(self):
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.listener.close()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            upstream = socket.create_connection(self.target)
            threading.Thread(target=self.copy, args=(client, upstream, True), daemon=True).start()
            threading.Thread(target=self.copy, args=(upstream, client, False), daemon=True).start()

    def copy(self, source, target, count):
        try:
            while data := source.recv(65536):
                if count:
                    self.requests += len(re.findall(rb"(?:GET|POST|PATCH|DELETE) /\S* HTTP/1\.1\r\n", data))
                target.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, target):  # at once on both sides: a client must not write into a dead connection
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)


def main():
    parser = argparse.ArgumentParser(description="Speed and memory against the real server.")
    parser.add_argument("--runs", type=int, default=2000, help="flow runs a round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the deletion (default: %(default)s)")
    parser.add_argument("--parked", type=int, default=1000, help="paused runs for the memory (default: %(default)s)")
    parser.add_argument("--idle-seconds", type=int, default=120, help="for the idle requests (default: %(default)s)")
    parser.add_argument("--only", action="append", help="only this measurement; may be repeated")
    args = parser.parse_args()

    table = Table()
    with Server("bench") as server:
        bench = Bench(server, args, table)
        for name in ("help", "punctuality", "idle_requests", "deletion", "vacuum", "memory"):
            if not args.only or name in args.only:
                print(f"bench: {name}", file=sys.stderr, flush=True)
                getattr(bench, name)()
        bench.history.stop()
    table.print()


if __name__ == "__main__":
    main()
