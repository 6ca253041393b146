"""The auditor of the torture runs finds what it is there for: each case is an honest run with one thing changed."""

import json
import sys
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from harness import PROJECT

sys.path.insert(0, str(PROJECT / "tests/torture"))
from auditor import Auditor  # noqa: E402

pytestmark = pytest.mark.tools

BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
RESULT = {"status": "completed", "deleted": 3, "failed": 0, "matched": 3, "remaining": 0, "gone": 0}
ANSWERED = {"run_input_keyset": {"response": "paused-1-response"}}


def moment(second):
    return BEGIN + timedelta(seconds=second)


class Story:
    """One cleanup run that was approved at second 3, deleted three old runs at 4 and ended at 5."""

    def __init__(self):
        self.gone = {"old-0": 4, "old-1": 4, "old-2": 4}
        self.answer = {"approve": True}
        self.states = [[0, "SCHEDULED", "Scheduled"], [1, "RUNNING", "Running"], [2, "PAUSED", "Paused"],
                       [3, "RUNNING", "Running"], [5, "COMPLETED", "Completed", "deleted 3 of 3 flow runs", RESULT]]
        self.deeds = [(moment(2.9), "yes", "ACCEPT")]
        self.dry_run = False
        self.others = []  # of other runs for the same group: their states

    def end(self, *state):
        self.states[-1] = [5, *state]

    # What the auditor asks of a database.

    def query(self, sql, *_):
        return [{"id": one, "at": str(moment(at))} for one, at in self.gone.items()] if "torture_gone" in sql else []

    def existing(self, ids):
        return ids

    def inputs(self, _):
        return {"paused-1-response": json.dumps(self.answer)}

    def rows(self, run_id):
        states = self.states if run_id == "run-0" else self.others[int(run_id[4:]) - 1]
        for at, kind, name, *more in states:
            message, data = [*more, None, None][:2]
            yield {"timestamp": moment(at), "type": kind, "name": name, "message": message, "data": data,
                   "state_details": ANSWERED if name == "Paused" else {}}

    def audit(self):
        group = SimpleNamespace(number=0)
        cleanups = [SimpleNamespace(id=f"run-{number}", deeds=self.deeds, script=SimpleNamespace(
            group=group, dry_run=self.dry_run)) for number in range(1 + len(self.others))]
        db = SimpleNamespace(query=self.query, existing=self.existing, inputs=self.inputs,
                             states=lambda run_id: list(self.rows(run_id)))
        return Auditor(SimpleNamespace(
            db=db, cleanups=cleanups, complaints=[], hands=[], bystanders={"young"}, old=[["old-0", "old-1", "old-2"]],
            schedule=SimpleNamespace(groups=[group]))).audit()


def test_an_honest_run():
    assert Story().audit() == []


def change(**members):
    return lambda story: vars(story).update(members)


REJECTED = ("COMPLETED", "Completed", "rejected, nothing was deleted", {"status": "rejected", "reason": ""})
DISHONEST = {
    "before the yes": (change(gone={"old-0": 2.5, "old-1": 4, "old-2": 4}), "nobody had approved"),
    "after the end": (change(gone={"old-0": 4, "old-1": 4, "old-2": 9}), "nobody had approved"),
    "after a no": (change(answer={"approve": False}), "nobody had approved"),
    "without an answer": (change(answer=None), "nobody had approved"),
    "a yes that was lost": (change(answer=None, gone={}), "is not to be found"),
    "a dry run": (change(dry_run=True), "nobody had approved"),
    "rejected all the same": (lambda story: story.end(*REJECTED), "the result is 'rejected'"),
    "a bystander": (lambda story: story.gone.update(young=4), "no plan held"),
    "one is left": (change(gone={"old-0": 4, "old-1": 4}), "results say 3"),
    "one was not counted": (lambda story: story.end("COMPLETED", "Completed", "deleted 2 of 3 flow runs",
                                                    RESULT | {"deleted": 2, "gone": 1}), "results say 2"),
    "counted twice": (change(others=[Story().states]), "results say 6"),
    "a sum that is wrong": (lambda story: story.end("COMPLETED", "Completed", "deleted 3 of 3 flow runs",
                                                    RESULT | {"remaining": 1}), "does not add up"),
    "another message": (lambda story: story.end("COMPLETED", "Completed", "deleted 2 of 3 flow runs", RESULT), "the message"),
    "stuck": (lambda story: story.states.pop(), "still Running"),
    "an approval that was lost": (lambda story: story.end("FAILED", "Failed", "out of memory"), "without a reason"),
    "expired after a yes": (lambda story: story.end("FAILED", "Failed", "The flow was paused and never resumed."),
                            "without a reason"),
    "given up too soon": (lambda story: story.end("CRASHED", "Crashed", "3 workers ended without a word while"), "given up"),
    "a cancellation that says less": (lambda story: story.end("CANCELLED", "Cancelled", "cancelled: deleted 2 of 3 flow runs"),
                                      "results say 2"),
    "a cancellation that says nothing": (lambda story: story.end("CANCELLED", "Cancelled", "gone"), "with the message"),
    "cancelled, but went on": (lambda story: story.states.insert(-1, [4, "CANCELLING", "Cancelling"]), "was cancelled, but"),
}


@pytest.mark.parametrize("name", DISHONEST)
def test_finds(name):
    story = Story()
    alter, expected = DISHONEST[name]
    alter(story)
    found = story.audit()
    assert any(expected in one for one in found), found
