"""How long a default server stands still while twenty cleanups of twenty deployments begin at once: make stall.

The server is as a user starts it (its own defaults, the collector on), with a history of flow runs that have task runs, states
and logs. /health is asked five times a second: a stall is the time in which nothing was answered. Nothing is asserted but that
the cleanups were asked for; the exit code is 1 where a stall was longer than --most.
"""

import argparse
import asyncio
import collections
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))
import httpx  # noqa: E402
from harness import Api, Db, Server, Worker, run_cli, unique  # noqa: E402

EVERY_SECONDS = 0.2
GRACE_SECONDS = 90  # longer than the stalls that are looked for: a question that is never answered is one too


class Health:
    """Asks at its times, whether or not the questions before were answered."""

    def __init__(self, url):
        self.url, self.answered, self.longest = url, 0, 0.0
        self.failed = collections.Counter()

    async def ask(self, client):
        sent = time.monotonic()
        try:
            answer = await client.get(f"{self.url}/health")
            self.failed[answer.status_code] += answer.status_code != 200
        except httpx.HTTPError as error:
            self.failed[type(error).__name__] += 1
            return
        now = time.monotonic()
        self.answered += 1
        # Nothing was answered since the last answer; before that question was sent, nothing could be.
        self.longest = max(self.longest, now - max(self.last, sent))
        self.last = now

    async def watch(self, seconds):
        asked = []
        limits = httpx.Limits(max_connections=1000, max_keepalive_connections=20)
        async with httpx.AsyncClient(timeout=GRACE_SECONDS, limits=limits) as client:
            begun = self.last = time.monotonic()
            while time.monotonic() < begun + seconds:
                asked.append(asyncio.create_task(self.ask(client)))
                await asyncio.sleep(EVERY_SECONDS)
            await asyncio.gather(*asked)


def watch(url, seconds):
    health = Health(url)
    asyncio.run(health.watch(seconds))
    return health


def measure(args):
    with Server(unique("stall"), defaults=True) as server:
        server.python("scripts/history.py", "--runs", str(args.history), "--days", "400")
        api, pool = Api(server.url, Db(server.home)), unique("pool")
        deployments = []
        for number in range(args.runs):
            name = f"cleanup-{number:02}"
            done = run_cli(server.url, "deploy", "--pool", pool, "--name", name)
            assert done.returncode == 0, done.stderr
            deployments.append(api.deployment(name)["id"])
        settings = {"PREFECT_JANITOR_WRITES_AT_ONCE": args.writes_at_once} if args.writes_at_once else {}
        # What the tests make quicker goes by its defaults here.
        settings |= {"PREFECT_WORKER_QUERY_SECONDS": 10, "PREFECT_WORKER_HEARTBEAT_SECONDS": 30, "PREFECT_JANITOR_WATCH_SECONDS": 1}
        worker = Worker(server.url, tempfile.mkdtemp(prefix="stall-"), pool, **settings)
        idle = watch(server.url, 5)
        runs = [api.trigger(deployment, {"config": {}}, enforce=False) for deployment in deployments]
        health = watch(server.url, args.seconds)
        states = collections.Counter(api.run(run)["state_name"] for run in runs)
        worker.stop()
    return idle, health, states


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--runs", type=int, default=20, help="cleanups at once, each of a deployment of its own")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--history", type=int, default=6000, help="flow runs in the database before")
    parser.add_argument("--writes-at-once", type=int, help="of the worker; its default without")
    parser.add_argument("--most", type=float, default=5, help="seconds: a longer stall is too long")
    args = parser.parse_args()

    longest = 0
    for number in range(args.rounds):
        idle, health, states = measure(args)
        longest = max(longest, health.longest)
        failed = "".join(f", {count} x {what}" for what, count in health.failed.items() if count)
        print(f"round {number + 1}: longest stall {health.longest:.2f} s ({health.answered} answers{failed}; before the cleanups "
              f"{idle.longest:.2f} s); cleanups: {', '.join(f'{count} {state}' for state, count in states.items())}", flush=True)
    print(f"longest stall of {args.rounds} rounds: {longest:.2f} s; wanted: {args.most:g} s at most")
    return longest > args.most


if __name__ == "__main__":
    sys.exit(main())
