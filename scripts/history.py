#!/usr/bin/env python3
"""Write flow runs that are long over straight into a Prefect server's database.

    scripts/server python scripts/history.py [--runs N] [--days N] [--seed N]   a believable history
    scripts/server python scripts/history.py --spec FILE                        what the file asks for
    ... --spec -                                          the same for every line of standard input

A spec is a JSON list of objects with the fields of Group below. Its answer, on one line, is a list with one
list of new flow run ids per group.

It uses the ORM models of the server it runs with, so that it fits that version's tables on SQLite and PostgreSQL.
"""

import argparse
import asyncio
import itertools
import json
import random
import sys
import time
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

try:
    import sqlalchemy as sa
    from prefect.server.database import provide_database_interface
except ImportError:
    sys.exit("history.py: it runs in a server's environment: scripts/server python --name NAME scripts/history.py")

NOW = datetime.now(timezone.utc)
# A transaction holds the database's only write lock: the server must get its turn.
RUNS_PER_TRANSACTION = 500
TERMINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@dataclass
class Group:
    """Runs that differ only in their name and, by the spread, in their times."""

    flow: str
    count: int = 1
    state_type: str = "COMPLETED"
    state_name: str = ""  # empty: the type's own, as Completed
    message: str | None = None
    name_prefix: str = "run-"
    names: list = field(default_factory=list)  # instead of prefix and number
    expected_start_time: datetime | None = None  # None: the start time, or else now
    start_time: datetime | None = None
    end_time: datetime | None = None
    spread_seconds: float = 0  # the last run's times lie almost this far before the first one's
    task_runs: int | list = 0  # how many, or their names
    logs: int = 0
    artifacts: int = 0
    artifact_key: str | None = None
    tags: list = field(default_factory=list)

    def __post_init__(self):
        for name in ("expected_start_time", "start_time", "end_time"):
            if isinstance(value := getattr(self, name), str):
                setattr(self, name, datetime.fromisoformat(value))
        self.expected_start_time = self.expected_start_time or self.start_time or NOW
        self.state_name = self.state_name or self.state_type.title()
        if isinstance(self.task_runs, int):
            self.task_runs = [f"task-{number}" for number in range(self.task_runs)]


class Rows:
    """What one transaction inserts, table by table."""

    def __init__(self):
        self.flow_runs, self.flow_run_states, self.task_runs, self.task_run_states = [], [], [], []
        self.logs, self.artifacts = [], []

    def add_run(self, group, number, flow_id):
        shift = timedelta(seconds=group.spread_seconds * number / group.count)
        expected, start, end = (
            moment and moment - shift for moment in (group.expected_start_time, group.start_time, group.end_time)
        )
        run_id = uuid.uuid4()
        name = group.names[number] if group.names else f"{group.name_prefix}{number:05}"
        state = self.add_states(self.flow_run_states, "flow_run_id", run_id, group, expected, start, end)
        self.flow_runs.append(
            run_columns(run_id, name, group, state, expected, start, end)
            | {"flow_id": flow_id, "labels": {"prefect.flow.id": str(flow_id)}}
        )
        if start:
            self.add_task_runs(run_id, group, start, end)
            self.add_logs(run_id, name, group, start, end or NOW)
        for _ in range(group.artifacts):
            self.add_artifact(run_id, group, end or start or expected)
        return run_id

    def add_states(self, rows, owner, run_id, group, expected, start, end):
        """The way to the final state. A run that was over the moment it started never ran."""
        ran = start and start != end
        timeline = []
        if owner == "flow_run_id" or group.state_type == "SCHEDULED":
            timeline.append(("SCHEDULED", "Scheduled", min(expected, start or expected)))
        if ran or group.state_type == "PENDING":
            timeline.append(("PENDING", "Pending", start or expected))
        if ran:
            timeline.append(("RUNNING", "Running", start))
        if timeline and timeline[-1][0] == group.state_type:
            timeline.pop()
        timeline.append((group.state_type, group.state_name, end or start or expected))

        # The server keeps one state of a run per instant: an earlier one makes room for a later one.
        later = None
        for state_type, state_name, moment in reversed(timeline):
            moment = min(moment, later["timestamp"] - timedelta(milliseconds=1)) if later else moment
            later = {
                "id": uuid.uuid4(),
                owner: run_id,
                "type": state_type,
                "name": state_name,
                "timestamp": moment,
                "message": None if later else group.message,
                "state_details": {owner: run_id, "scheduled_time": expected if state_type == "SCHEDULED" else None},
            }
            rows.append(later)
        return rows[-len(timeline)]

    def add_task_runs(self, run_id, group, start, end):
        """One after the other, each waiting for the one before: the graph then shows arrows."""
        previous = None
        share = ((end or NOW) - start) / max(len(group.task_runs), 1)
        for number, name in enumerate(group.task_runs):
            task_run_id = uuid.uuid4()
            task_start = start + share * number
            is_last = number == len(group.task_runs) - 1
            task_end = None if is_last and not end else task_start + share
            outcome = group if is_last else Group(group.flow)
            state = self.add_states(self.task_run_states, "task_run_id", task_run_id, outcome,
                                    task_start, task_start, task_end)
            self.task_runs.append(
                run_columns(task_run_id, f"{name}-0", outcome, state, task_start, task_start, task_end)
                | {
                    "flow_run_id": run_id,
                    "task_key": name,
                    "dynamic_key": "0",
                    "flow_run_run_count": 1,
                    "task_inputs": {"upstream": [{"input_type": "task_run", "id": previous}]} if previous else {},
                }
            )
            previous = task_run_id

    def add_logs(self, run_id, name, group, start, end):
        for number in range(group.logs):
            level, message = 20, f"Processed {1000 * (number + 1)} records"
            if number == 0:
                message = f"Beginning flow run '{name}' for flow '{group.flow}'"
            elif number == group.logs - 1 and group.state_type in TERMINAL:
                level = 20 if group.state_type == "COMPLETED" else 40
                message = f"Finished in state {group.state_name}({group.message or ''})"
            self.logs.append({
                "id": uuid.uuid4(),
                "name": "prefect.flow_runs",
                "level": level,
                "message": message,
                "flow_run_id": run_id,
                "timestamp": start + (end - start) * number / group.logs,
            })

    def add_artifact(self, run_id, group, moment):
        self.artifacts.append({
            "id": uuid.uuid4(),
            "key": group.artifact_key,
            "type": "markdown",
            "data": f"# {group.flow}\n\n| records | errors |\n|---|---|\n| {len(self.logs) * 1000} | 0 |\n",
            "description": f"What {group.flow} did",
            "flow_run_id": run_id,
            "created": moment,
            "updated": moment,
        })

    async def insert(self, db):
        async with db.session_context(begin_transaction=True, with_for_update=True) as session:
            # A run and its states point at each other: the run gets its state last.
            final_states = [
                {"id": run["id"], "state_id": run.pop("state_id"), "updated": run["updated"]} for run in self.flow_runs
            ]
            for table, rows in (
                (db.FlowRun, self.flow_runs),
                (db.FlowRunState, self.flow_run_states),
                (db.TaskRun, self.task_runs),
                (db.TaskRunState, self.task_run_states),
                (db.Log, self.logs),
                (db.Artifact, self.artifacts),
            ):
                if rows:
                    # Left to itself the server's model asks the clock twice for each row, slowly.
                    rows = [{"created": NOW, "updated": NOW} | row for row in rows]
                    await session.execute(sa.insert(table.__table__), rows)
            await session.execute(sa.update(db.FlowRun), final_states)
            await show_artifacts(db, session, self.artifacts)


def run_columns(run_id, name, group, state, expected, start, end):
    return {
        "id": run_id,
        "name": name,
        "state_id": state["id"],
        "state_type": state["type"],
        "state_name": state["name"],
        "state_timestamp": state["timestamp"],
        "expected_start_time": expected,
        "next_scheduled_start_time": expected if group.state_type == "SCHEDULED" else None,
        "start_time": start,
        "end_time": end,
        "total_run_time": end - start if start and end else timedelta(0),
        "run_count": 1 if start and start != end else 0,
        "tags": group.tags,
        "created": min(expected, start or expected),
        "updated": state["timestamp"],
    }


async def show_artifacts(db, session, artifacts):
    """The UI lists only the newest artifact of each key, which has a table of its own."""
    newest = {}
    for artifact in artifacts:
        key = artifact["key"]
        if key and (key not in newest or artifact["created"] > newest[key]["created"]):
            newest[key] = artifact
    for key, artifact in newest.items():
        shown = {name: value for name, value in artifact.items() if name != "id"} | {"latest_id": artifact["id"]}
        known = sa.update(db.ArtifactCollection).where(db.ArtifactCollection.key == key)
        if not (await session.execute(known.values(**shown))).rowcount:
            await session.execute(sa.insert(db.ArtifactCollection).values(**shown))


async def flow_ids(db, names):
    async with db.session_context(begin_transaction=True, with_for_update=True) as session:
        query = sa.select(db.Flow.name, db.Flow.id).where(db.Flow.name.in_(names))
        known = {key: value for key, value in (await session.execute(query)).all()}
        new = [{"id": uuid.uuid4(), "name": name} for name in names if name not in known]
        if new:
            await session.execute(sa.insert(db.Flow), new)
        return known | {flow["name"]: flow["id"] for flow in new}


async def write(db, groups):
    """Returns the new flow run ids, one list per group."""
    flows = await flow_ids(db, {group.flow for group in groups})
    ids = [[] for _ in groups]
    runs = ((index, number) for index, group in enumerate(groups) for number in range(group.count))
    while portion := list(itertools.islice(runs, RUNS_PER_TRANSACTION)):
        rows = Rows()
        for index, number in portion:
            ids[index].append(rows.add_run(groups[index], number, flows[groups[index].flow]))
        await rows.insert(db)
    return ids


# --- a believable history -------------------------------------------------------------------------

# name: (share of all runs, usual minutes, tasks, tags)
FLOWS = {
    "etl-orders": (40, 6, ["extract", "transform", "load"], ["prod", "etl"]),
    "sync-customers": (25, 2, ["fetch-changes", "upsert"], ["prod", "crm"]),
    "nightly-report": (12, 15, ["query", "render", "send-mail"], ["prod", "reporting"]),
    "data-quality": (12, 4, ["profile-tables", "check-rules"], ["prod"]),
    "ml-training": (6, 95, ["load-features", "train", "evaluate", "register-model"], ["ml"]),
    "backfill-events": (5, 40, ["plan-partitions", "copy-partitions"], ["ops"]),
}
# type, name: (share, message)
OUTCOMES = {
    ("COMPLETED", "Completed"): (820, "All states completed."),
    ("FAILED", "Failed"): (85, "Flow run encountered an exception: ConnectionError: warehouse did not answer"),
    ("FAILED", "TimedOut"): (20, "Flow run exceeded timeout of 3600 second(s)"),
    ("CRASHED", "Crashed"): (30, "Flow run process exited with non-zero status code -9."),
    ("CANCELLED", "Cancelled"): (25, None),
    ("CANCELLED", "Cancelled before it started"): (20, None),
}
ADJECTIVES = "amber brisk calm dapper eager fuzzy gentle hidden ivory jolly keen lucid mellow nimble olive proud".split()
ANIMALS = "badger cougar dingo egret falcon gecko heron ibex jackal kestrel lemur marmot newt otter puffin robin".split()


def believable_groups(runs, days, seed):
    dice = random.Random(seed)
    shares = [share for share, *_ in FLOWS.values()]

    def group(state, age, **more):
        state_type, state_name = state
        flow = dice.choices(list(FLOWS), shares)[0]
        _, minutes, tasks, tags = FLOWS[flow]
        due = NOW - age
        start = due + timedelta(seconds=dice.uniform(0.2, 8))
        times = {"expected_start_time": due}
        if state_type in TERMINAL or state_type == "RUNNING":
            times["start_time"] = start
        if state_type in TERMINAL:
            times["end_time"] = start + timedelta(minutes=minutes * dice.uniform(0.5, 1.8))
        if state_name == "Cancelled before it started":
            state_name, times["end_time"] = "Cancelled", start
        reports = flow in ("nightly-report", "ml-training", "data-quality") and state_type == "COMPLETED"
        return Group(flow, state_type=state_type, state_name=state_name, tags=tags, task_runs=tasks,
                     names=[f"{dice.choice(ADJECTIVES)}-{dice.choice(ANIMALS)}"], logs=dice.randint(3, 8),
                     artifacts=int(reports), artifact_key=f"{flow}-summary" if reports else None, **times, **more)

    over = dice.choices(list(OUTCOMES), [share for share, _ in OUTCOMES.values()], k=runs)
    # The longest flow must be over by now.
    groups = [group(state, timedelta(days=dice.uniform(0.2, days)), message=OUTCOMES[state][1]) for state in over]
    groups += [group(("RUNNING", "Running"), timedelta(minutes=dice.uniform(1, 30))) for _ in range(4)]
    groups += [group(("PENDING", "Pending"), timedelta(seconds=30)) for _ in range(2)]
    groups += [group(("SCHEDULED", "Scheduled"), -timedelta(hours=dice.uniform(2, 48))) for _ in range(12)]
    return groups


# --- command line ---------------------------------------------------------------------------------


async def main():
    parser = argparse.ArgumentParser(description="Write finished flow runs into a Prefect server's database.")
    parser.add_argument("--runs", type=int, default=4000, help="finished runs of a believable history (%(default)s)")
    parser.add_argument("--days", type=float, default=120, help="age of the oldest of them (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="same seed, same history (%(default)s)")
    parser.add_argument("--spec", metavar="FILE", help="write exactly this instead; '-': one spec per line")
    args = parser.parse_args()
    db = provide_database_interface()

    if args.spec:
        for spec in sys.stdin if args.spec == "-" else [Path(args.spec).read_text()]:
            ids = await write(db, [Group(**group) for group in json.loads(spec)])
            print(json.dumps(ids, default=str), flush=True)
    else:
        started = time.monotonic()
        groups = believable_groups(args.runs, args.days, args.seed)
        await write(db, groups)
        print(f"history: {len(groups)} flow runs in {time.monotonic() - started:.1f} s", file=sys.stderr)


asyncio.run(main())
