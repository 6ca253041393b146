"""A deployment of database-cleanup in the words of a test: trigger, ask, answer, and what came of it."""

import hashlib
import json

from harness import parse_time, unique, wait_until


class Janitor:
    def __init__(self, api, db, cli, *deploy_arguments):
        """Without a concurrency limit, so that the runs of one test need not wait for those of another."""
        self.api, self.db, self.cli = api, db, cli
        self.pool = unique("pool")
        self.name = unique("cleanup")
        self.worker = None
        self.deploy("--concurrency-limit", 0, *deploy_arguments)
        self.deployment_id = self.deployment()["id"]
        self.more_deployments = []  # copies of it

    def deploy(self, *arguments):
        deployed = self.cli("deploy", "--pool", self.pool, "--name", self.name, *arguments)
        assert deployed.returncode == 0, deployed.stderr

    def deployment(self):
        return self.api.deployment(self.name)

    def past_schema(self):
        """For commands that name a state of the test's own, which is none of those that the form offers."""
        for deployment in (self.deployment_id, *self.more_deployments):
            self.api.patch(f"/deployments/{deployment}", {"enforce_parameter_schema": False})

    def set_job_variables(self, **variables):
        """For every run from its next start on: a worker reads them again each time."""
        for deployment in (self.deployment_id, *self.more_deployments):
            self.api.patch(f"/deployments/{deployment}", {"job_variables": variables})

    def free_deployment(self):
        """One without a run that waits or works: of one deployment's runs only the newest asks."""
        live = {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"]}}
        for deployment in (self.deployment_id, *self.more_deployments):
            runs = {"deployment_id": {"any_": [deployment]}, "state": live}
            if self.api.post("/flow_runs/count", {"flow_runs": runs}) == 0:
                return deployment
        same = ("flow_id", "parameters", "job_variables", "work_pool_name", "work_queue_name", "enforce_parameter_schema",
                "parameter_openapi_schema", "entrypoint", "tags")
        original = self.api.get(f"/deployments/{self.deployment_id}")
        copy = self.api.post("/deployments/", {"name": unique(self.name)} | {key: original[key] for key in same})
        self.more_deployments.append(copy["id"])
        return copy["id"]

    def trigger(self, state=None, job_variables=None, more=None, deployment=None, **config):
        """Past the schema, since only Prefect's own state names are in it. Returns the run's id. Where another run of the deployment
        waits or works, it is of a copy of it, unless the test names one."""
        if state:
            config["states_to_clean"] = [state]
        more = (more or {}) | ({"job_variables": job_variables} if job_variables else {})
        return self.api.trigger(deployment or self.free_deployment(), {"config": config}, enforce=False, **more)

    def ask(self, state=None, **more):
        """Triggers a run and waits for its question, with the form that can be answered."""
        run_id = self.trigger(state, **more)
        self.api.wait_question(run_id)
        return run_id

    def answer(self, run_id, approve, notes=""):
        verdict = self.api.resume(run_id, {"approve": approve, "notes": notes})
        assert verdict["status"] == "ACCEPT", verdict

    def approve(self, run_id, notes=""):
        """Answers yes and waits for the end. Returns the run's result."""
        self.answer(run_id, True, notes)
        return self.result(run_id)

    def result(self, run_id, state="Completed", **more):
        """Waits for the end. Returns the data of the final state."""
        self.api.wait_state(run_id, state, **more)
        return self.db.states(run_id)[-1]["data"]

    def failure(self, run_id):
        """Waits for the run to fail. Returns its message."""
        return self.api.wait_state(run_id, "Failed")["state"]["message"]

    def plan(self, run_id):
        """The stored plan, with its times parsed."""
        plan = json.loads(self.db.inputs(run_id)["cleanup-plan"])
        return plan | {key: parse_time(plan[key]) for key in ("cutoff", "planned_at")}

    def digest(self, run_id):
        """The stored plan's, as the form shows it."""
        stored = json.loads(self.db.inputs(run_id)["cleanup-plan"])
        return hashlib.sha256(json.dumps(stored, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()

    def questions(self, run_id):
        """The inputs of a plan or of a question: what a run that asks nothing does not have."""
        return {key for key in self.db.inputs(run_id) if not key.startswith("janitor-owner-")}

    def keyset(self, run_id):
        """The names of the inputs that belong to the latest question: schema, description, response."""
        paused = [state for state in self.db.states(run_id) if state["name"] == "Paused"]
        return paused[-1]["state_details"]["run_input_keyset"]

    def preview(self, run_id):
        return json.loads(self.db.inputs(run_id)[self.keyset(run_id)["description"]])

    def page(self, run_id):
        """The whole preview: the artifact that the form links to, in the Markdown of the run's latest attempt."""
        rows = self.db.query("SELECT id, data FROM artifact WHERE key = 'cleanup-preview' AND flow_run_id = ? ORDER BY created", run_id)
        return json.loads(rows[-1]["data"])

    def wait_left(self, ids, count):
        """Waits until at most so many of these runs exist; returns those."""
        wait_until(lambda: len(self.db.existing(ids)) <= count, 60, f"at most {count} of {len(ids)} flow runs are left")
        return self.db.existing(ids)

    def wait_log(self, run_id, text, timeout=10):
        """Waits for a line with this text in the run's log; returns the line."""
        return wait_until(lambda: next((line for line in self.api.logs(run_id) if text in line), None), timeout,
                          f"'{text}' in the log of {run_id}")
