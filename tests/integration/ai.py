"""A deployment whose runs a model decides on, in the words of a test."""

import json

from janitor import Janitor
from model_server import ANTHROPIC, KEY

TRANSCRIPT = "cleanup-ai-transcript"
CHECKPOINT = "cleanup-decision"


class AiJanitor(Janitor):
    def __init__(self, api, db, cli, model, mcp_url, start):
        super().__init__(api, db, cli)
        self.model, self.mcp_url, self.start = model, mcp_url, start
        self.settings = None
        self.before = set()

    def use(self, dialect=ANTHROPIC, **settings):
        """A worker with these settings: the one that runs, where it has them. With None for one that is left out."""
        wanted = {"PREFECT_JANITOR_AI_MCP_URL": self.mcp_url} | self.model.settings(dialect) | settings
        wanted = {name: value for name, value in wanted.items() if value is not None}
        if wanted != self.settings or self.worker.process.poll() is not None:
            if self.worker and self.worker.process.poll() is None:
                self.worker.stop()
            self.settings = wanted
            self.worker = self.start(self.pool, **wanted)
        return self

    def restart(self):
        """After a kill: the same worker again."""
        self.worker = self.start(self.pool, name=self.worker.name, **self.settings)

    def investigate(self, state, *steps, **more):
        """Triggers a run that the model decides on by this script. Returns its id."""
        if not self.settings:
            self.use()
        self.model.play(*steps)
        self.before = self._all_runs()
        return self.trigger(state, **({"approval_type": "ai"} | more))

    def _all_runs(self):
        return {row["id"] for row in self.db.query("SELECT id FROM flow_run")}

    def assert_gone(self, ids=()):
        """These and nothing else."""
        assert self.before - self._all_runs() == set(ids)

    def completed(self, run_id, **more):
        """The result of a run that is Completed."""
        return self.result(run_id, **more)

    def deleted(self, run_id, ids, **more):
        """What the run was to delete is gone, and nothing else. Returns its result."""
        result = self.result(run_id, **more)
        assert (result["status"], result.get("deleted"), result.get("failed")) == ("completed", len(ids), 0), result
        assert {"model", "guard_rails"} <= set(result["advice"]), result
        self.assert_gone(ids)
        self.assert_no_key(run_id)
        return result

    def rejected(self, run_id, *words, **more):
        """It ended without a deletion, and with this in its reason. Returns the reason."""
        result = self.result(run_id, **more)
        assert set(result) == {"status", "reason", "advice"} and result["status"] == "rejected", result
        assert {"model", "guard_rails"} <= set(result["advice"]), result
        message = self.db.states(run_id)[-1]["message"]
        assert message.startswith("rejected, nothing was deleted"), message
        for word in words:
            assert word in result["reason"], result["reason"]
        self.assert_gone()
        self.assert_no_key(run_id)
        return result["reason"]

    def failed(self, run_id, *words):
        """The agent is broken: the run Failed, with this in its message."""
        message = self.failure(run_id)
        for word in (*words, "nothing was deleted"):
            assert word in message, message
        self.assert_gone()
        self.assert_no_key(run_id)
        return message

    def transcripts(self, run_id):
        return self.db.query("SELECT type, data, description FROM artifact WHERE key = ? AND flow_run_id = ? ORDER BY created",
                             TRANSCRIPT, run_id)

    def transcript(self, run_id):
        """Its text, as the UI shows it."""
        found = self.transcripts(run_id)
        assert found, f"no artifact {TRANSCRIPT}"
        assert found[-1]["type"] == "markdown"
        return json.loads(found[-1]["data"])

    def checkpoint(self, run_id):
        """The stored decision, None where there is none."""
        stored = self.db.inputs(run_id).get(CHECKPOINT)
        return json.loads(stored) if stored else None

    def assert_no_key(self, run_id):
        """Not in what the server has of the run, and not in the worker's log."""
        for place, text in {
            "logs": self.db.logs(run_id), "states": self.db.states(run_id), "inputs": self.db.inputs(run_id),
            "artifacts": self.db.query("SELECT key, data, description, metadata_ FROM artifact WHERE flow_run_id = ?", run_id),
            "the worker's log": self.worker.output(),
        }.items():
            assert KEY not in str(text), f"the key is in {place}"
