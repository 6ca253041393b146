"""The demo's story, from the build to the last deletion. Start it by scripts/demo, which installs what it needs.

APPROVAL=ai: a model decides in place of a person, or a script in place of the model where no key or address is set.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.append(str(PROJECT / "tests/integration"))
from model_server import ANTHROPIC, ModelServer, Turn, call, decide, look  # noqa: E402: it lies with the tests

PROGRAM = PROJECT / "build/prefect-janitor"
SERVER = "demo"
POOL = "demo"
DEPLOYMENT = "database-cleanup/database-cleanup-deployment"
WORKER_LOG = PROJECT / ".prefect" / SERVER / "worker.log"
ENOUGH_OLD_RUNS = 1000
POLL_SECONDS = 0.3
PICK_UP_SECONDS = 60
ANSWER_SECONDS = 180
APPROVAL = os.environ.get("APPROVAL", "human")
TRANSCRIPT = "cleanup-ai-transcript"
MODEL_SETTINGS = ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL")
AI_SETTINGS = "PREFECT_JANITOR_AI_"
SCRIPT = [
    look("get_dashboard", "get_work_pools"),
    Turn([call("get_flow_runs", filter={"state": {"type": {"any_": ["FAILED", "CRASHED"]}}}, limit=10),
          call("get_deployments", limit=10)]),
    decide(True, 0.9, "SCRIPTED, no model has thought about this: the tools answered, and the script says yes.",
           concerns=["SCRIPTED: a model would name its concerns here."]),
]
TERMINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


def fail(message):
    sys.exit(f"demo: {message}")


def chapter(text):
    print(f"\n== {text}", flush=True)


def command(*arguments, **more):
    run = subprocess.run(arguments, stdin=subprocess.DEVNULL, text=True, **more)
    if run.returncode != 0:
        fail(f"{' '.join(map(str, arguments))} failed with exit code {run.returncode}, see above")
    return run.stdout


def server_command(*arguments, **more):
    return command(PROJECT / "scripts/server", *arguments, **more)


class Api:
    def __init__(self, url):
        self.url = url

    def request(self, path, body=None):
        """Decoded JSON. A locked SQLite database answers 503, or not in time on a busy machine: it is asked again."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, {"Content-Type": "application/json"})
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.load(answer)
            except TimeoutError:
                if time.monotonic() > deadline:
                    fail(f"{path}: no answer from the server within {ANSWER_SECONDS} s")
            except urllib.error.HTTPError as error:
                if error.code != 503 or time.monotonic() > deadline:
                    fail(f"{path}: the server answered {error.code}: {error.read().decode(errors='replace')}")
                time.sleep(POLL_SECONDS)

    def old_runs(self):
        """Runs that a cleanup with default parameters finds."""
        cutoff = datetime.now(timezone.utc) - timedelta(days=30)
        return self.request("/flow_runs/count", {"flow_runs": {
            "state": {"name": {"any_": ["Completed", "Failed", "Cancelled"]}},
            "start_time": {"before_": cutoff.isoformat()},
        }})

    def all_runs(self):
        return self.request("/flow_runs/count", {})

    def run(self, run_id):
        return self.request(f"/flow_runs/{run_id}")

    def logs(self, run_id, since, offset):
        return self.request("/logs/filter", {
            "logs": {"flow_run_id": {"any_": [run_id]}, "timestamp": {"after_": since}},
            "sort": "TIMESTAMP_ASC", "limit": 200, "offset": offset,
        })


class Worker:
    def __init__(self, environment):
        # Not in our process group: Ctrl-C is for us, and we stop it.
        with open(WORKER_LOG, "w") as log:
            self.process = subprocess.Popen([PROGRAM, "start", "--pool", POOL, "--name", "demo-worker"], env=environment,
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def require_alive(self):
        if self.process.poll() is not None:
            fail(f"the worker ended with exit code {self.process.returncode}:\n{WORKER_LOG.read_text()}")

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Logs:
    """Prints what is new in the flow run's logs since a moment."""

    def __init__(self, api, run_id, since):
        self.api, self.run_id, self.since = api, run_id, since
        self.seen = 0

    def show(self):
        while new := self.api.logs(self.run_id, self.since, self.seen):
            self.seen += len(new)
            for log in new:
                print(f"   {log['timestamp'][11:19]}  {log['message']}", flush=True)


def answered(api, run_id):
    """True or False from the terminal, None where somebody was faster in the UI."""
    print("approve? [y/N] ", end="", flush=True)
    while api.run(run_id)["state_type"] == "PAUSED":
        if select.select([sys.stdin], [], [], POLL_SECONDS)[0]:
            return sys.stdin.readline().strip().lower() in ("y", "yes")
    print("(answered in the UI)")
    return None


def approval(api, run_id):
    if sys.stdin.isatty():
        approve, notes = answered(api, run_id), "answered in the demo's terminal"
    else:
        print("There is no terminal to ask: the demo approves by itself, through the API.")
        approve, notes = True, "approved by scripts/demo: there was no terminal to ask"
    if approve is not None:
        verdict = api.request(f"/flow_runs/{run_id}/resume", {"run_input": {"approve": approve, "notes": notes}})
        if verdict["status"] != "ACCEPT":
            fail(f"the server did not resume the run: {verdict['details'].get('reason')}")


def until(api, run_id, worker, wanted, seconds=None, meanwhile=lambda: None):
    """The run in one of the wanted state types, or in a terminal one."""
    deadline = time.monotonic() + seconds if seconds else None
    while (run := api.run(run_id))["state_type"] not in (*wanted, *TERMINAL):
        worker.require_alive()
        if deadline and time.monotonic() > deadline:
            fail(f"after {seconds} s the run is still {run['state_name']}; the worker's log: {WORKER_LOG}")
        meanwhile()
        time.sleep(POLL_SECONDS)
    return run


def model_settings(at_the_end):
    """What the worker needs to ask a model: the one that is configured here, or a script in its place."""
    mcp = server_command("install-mcp", stdout=subprocess.PIPE).strip()
    own = {name: value for name, value in os.environ.items()
           if name.removesuffix("_FILE") in MODEL_SETTINGS or name.startswith(AI_SETTINGS)}
    settings = {f"{AI_SETTINGS}MCP_COMMAND": mcp, f"{AI_SETTINGS}MAX_RUNS": "10000"} | own
    if any(name.removesuffix("_FILE") in MODEL_SETTINGS for name in own):
        if f"{AI_SETTINGS}MODEL" not in own:
            fail(f"which model? Set {AI_SETTINGS}MODEL beside its key or address")
        print(f"Asking the real model {own[f'{AI_SETTINGS}MODEL']}. What it is sent is listed in docs/ai-approval.md.")
        return settings
    print(f"NO MODEL: none of {', '.join(MODEL_SETTINGS)} is set.\n"
          "A SCRIPT plays the model's part: its answers are fixed, whatever the server looks like. All else is real:\n"
          "the worker's agent, Prefect's MCP server, the tools that are called, the check of the decision, the deletion.")
    model = at_the_end.enter_context(ModelServer())
    model.play(*SCRIPT)
    at_the_end.callback(model.check)
    return settings | model.settings(ANTHROPIC) | {f"{AI_SETTINGS}MODEL": "scripted-model-1"}


def show_transcript(api, page, run_id):
    found = api.request("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run_id]}, "key": {"any_": [TRANSCRIPT]}}})
    if found:
        print(f"   what the agent did, word for word: {page}/v2/artifacts/artifact/{found[0]['id']}")


def cleanup(api, worker, page):
    deployment = api.request(f"/deployments/name/{DEPLOYMENT}")
    parameters = {"parameters": {"config": {"approval_type": "ai"}}} if APPROVAL == "ai" else {}
    run_id = api.request(f"/deployments/{deployment['id']}/create_flow_run", parameters)["id"]
    before = api.all_runs()

    if APPROVAL == "ai":
        run = until(api, run_id, worker, ["RUNNING", "PAUSED"], PICK_UP_SECONDS)
        chapter("The agent investigates; nothing is deleted before it has decided")
        logs = Logs(api, run_id, run["created"])
        run = until(api, run_id, worker, ["PAUSED"], meanwhile=logs.show)
    else:
        run = until(api, run_id, worker, ["PAUSED"], PICK_UP_SECONDS)
        # The preview is in the logs as well: they are shown from the pause on.
        logs = Logs(api, run_id, run["state"]["timestamp"] if run["state_type"] == "PAUSED" else run["created"])
    if run["state_type"] == "PAUSED":
        chapter("The run waits for an approval. Its preview:")
        preview = api.request(f"/flow_runs/{run_id}/input/paused-1-description")
        print("\n" + textwrap.indent(preview, "   "))
        print(f"The same in the UI, by Resume in the menu at the top right:\n   {page}/v2/runs/flow-run/{run_id}")
        approval(api, run_id)
        chapter("Going on")
        run = until(api, run_id, worker, [], meanwhile=logs.show)

    worker.stop()  # which sends the last logs
    logs.show()
    chapter(f"{run['state_name']}: {run['state']['message']}")
    print(f"   result: {json.dumps(run['state']['data'])}")
    show_transcript(api, page, run_id)
    print(f"   flow runs on the server: {before} before, {api.all_runs()} now")
    return run["state_type"] == "COMPLETED"


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.chdir(PROJECT)
    if APPROVAL not in ("human", "ai"):
        fail(f"APPROVAL={APPROVAL}: it has to be human or ai")
    keep = "--keep" in sys.argv[1:]
    with contextlib.ExitStack() as at_the_end:
        chapter("Building")
        command("make", "--silent")

        chapter("Starting a Prefect server")
        runs_already = subprocess.run(["scripts/server", "url", "--name", SERVER], capture_output=True).returncode == 0
        if not runs_already and not keep:
            at_the_end.callback(server_command, "stop", "--name", SERVER)
        url = server_command("start", "--name", SERVER, stdout=subprocess.PIPE).strip()
        api, page = Api(url), url.removesuffix("/api")
        print(page)
        if api.old_runs() < ENOUGH_OLD_RUNS:
            server_command("python", "--name", SERVER, "scripts/history.py", "--runs", "3000")
        print(f"{api.all_runs()} flow runs, {api.old_runs()} of them older than 30 days")

        chapter("Deploying the cleanup, starting the worker, triggering a run")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
        environment |= {"PREFECT_API_URL": url, "PREFECT_WORKER_QUERY_SECONDS": "2"}
        if APPROVAL == "ai":
            environment |= model_settings(at_the_end)
        command(PROGRAM, "deploy", "--pool", POOL, env=environment)
        worker = Worker(environment)
        at_the_end.callback(worker.stop)
        completed = cleanup(api, worker, page)
        if keep or runs_already:
            print(f"\nThe server goes on at {page}. Stop it with: scripts/server stop --name {SERVER}")
        else:
            print("\nThe pages above end with the server. scripts/demo --keep leaves it running.")
        chapter("Stopping what the demo started; its data stays in .prefect/demo for the next time")
    return 0 if completed else 1


try:
    sys.exit(main())
except KeyboardInterrupt:
    sys.exit(130)
