"""Compares every decision with every deletion of a torture run, by what is in the server's database.

A cleanup run can be tried several times (retries). An attempt reaches from its first state to a final one, is approved
where the answer to its question is a plain yes, and claims to have deleted a number of flow runs: in its result, or in
the message of its cancellation.
"""

import json
import re
from dataclasses import dataclass
from datetime import timedelta

from harness import parse_time

FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
# A call that the server was given before the attempt's end may be carried out a little later.
GRACE = timedelta(seconds=1)
# How long the server may take for an answer that it accepts.
ANSWER = timedelta(seconds=15)
# Final states that others set: they tell of no deletion.
OTHERS = re.compile("set by torture|never resumed|cancellation timed out|^$")
GIVEN_UP = re.compile(r"(\d+) workers ended without a word")


@dataclass
class Attempt:
    states: list
    approved: bool  # a plain yes to its question is stored
    yes_at: object  # when the run became Running by it

    @property
    def last(self):
        return self.states[-1]

    @property
    def message(self):
        return self.last["message"] or ""

    @property
    def ended(self):
        return self.last["type"] in FINAL

    @property
    def claimed(self):
        """How many flow runs it says that it deleted; None where the final state is not its own."""
        if isinstance(self.last["data"], dict):
            return self.last["data"].get("deleted", 0)
        if OTHERS.search(self.message) or GIVEN_UP.match(self.message):
            return None
        said = re.search(r"deleted (\d+) of \d+ flow runs", self.message)
        return int(said[1]) if said else 0

    def may_delete_at(self, moment):
        return self.approved and self.yes_at <= moment and (not self.ended or moment <= self.last["timestamp"] + GRACE)


def attempts(states, inputs):
    """A final state that is set on a finished run is the new end of the attempt that it had."""
    parts, part = [], []
    for state in states:
        part.append(state)
        if state["type"] in FINAL:
            if parts and not any(one["type"] in ("SCHEDULED", "RUNNING") for one in part):
                parts[-1] += part
            else:
                parts.append(part)
            part = []
    return [_attempt(part, inputs) for part in [*parts, *([part] if part else [])]]


def _attempt(states, inputs):
    approved, yes_at = False, None
    for number, state in enumerate(states[:-1]):
        keys = state["state_details"].get("run_input_keyset")
        if state["name"] == "Paused" and keys:
            answer = json.loads(inputs.get(keys["response"], "null"))
            following = states[number + 1]
            approved = following["type"] == "RUNNING" and isinstance(answer, dict) and answer.get("approve") is True
            yes_at = following["timestamp"]
    return Attempt(states, approved, yes_at)


class Auditor:
    def __init__(self, torture):
        self.torture, self.db = torture, torture.db
        self.violations = []
        self.gone = {row["id"]: parse_time(row["at"]) for row in self.db.query("SELECT id, at FROM torture_gone")}
        self.attempts = {cleanup.id: attempts(self.db.states(cleanup.id), self.db.inputs(cleanup.id))
                         for cleanup in torture.cleanups if cleanup.id and cleanup.id not in self.gone}

    def audit(self):
        """Returns the violations; each was printed with all that belongs to it."""
        for text in self.torture.complaints:
            self.violations.append(text)
        for group, ids in zip(self.torture.schedule.groups, self.torture.old):
            self.judge_group(ids, [one for one in self.torture.cleanups if one.id and one.script.group is group])
        for cleanup in self.torture.cleanups:
            self.judge_run(cleanup, self.attempts.get(cleanup.id, []))
        if touched := self.torture.bystanders & set(self.gone):
            self.violate(f"{len(touched)} flow runs are gone that no plan held", [])
        lost = set(self.torture.bystanders | {one for ids in self.torture.old for one in ids}) - set(self.gone)
        if len(lost) != len(self.db.existing(lost)):
            self.violate("flow runs are gone and nobody saw them go", [])
        self.summary()
        return self.violations

    # --- groups: what vanished, and by whom ------------------------------------------------------------

    def judge_group(self, ids, cleanups):
        gone = {one: self.gone[one] for one in ids if one in self.gone}
        wild = [moment for moment in gone.values() if not any(self.may_delete_at(one, moment) for one in cleanups)]
        if wild:
            self.violate(f"{len(wild)} of {len(ids)} flow runs were deleted that nobody had approved then, the first at "
                         f"{min(wild)}", cleanups)

        tries = [one for cleanup in cleanups for one in self.attempts.get(cleanup.id, [])]
        claims = [one.claimed for one in tries]
        told = sum(claim or 0 for claim in claims)
        whole = None not in claims and all(cleanup.id in self.attempts for cleanup in cleanups)
        if told > len(gone) or (whole and told != len(gone)):
            self.violate(f"{len(gone)} flow runs are gone, but the results say {told} ({claims})", cleanups)
        if any(one.approved and self.is_done(one) for one in tries) and len(gone) < len(ids):
            self.violate(f"{len(ids) - len(gone)} of {len(ids)} flow runs are left after a deletion that says it is complete",
                         cleanups)

    def may_delete_at(self, cleanup, moment):
        if cleanup.id in self.attempts:
            return not cleanup.script.dry_run and any(one.may_delete_at(moment) for one in self.attempts[cleanup.id])
        # The cleanup run was deleted, and its states with it: what is left is what the person did.
        said_yes = any(what == "yes" and when <= moment for when, what, _ in cleanup.deeds)
        return said_yes and not cleanup.script.dry_run and moment <= self.gone[cleanup.id] + GRACE

    @staticmethod
    def is_done(attempt):
        return isinstance(attempt.last["data"], dict) and attempt.last["data"].get("status") == "completed"

    # --- cleanup runs: a truthful end ------------------------------------------------------------------

    def judge_run(self, cleanup, tries):
        for when, what, answer in cleanup.deeds:
            if tries and (what, answer) == ("yes", "ACCEPT") and not any(
                    one.approved and when - GRACE <= one.yes_at <= when + ANSWER for one in tries):
                self.violate(f"the yes of {when} is not to be found", [cleanup])
        for number, attempt in enumerate(tries):
            for what in self.untruths(cleanup, attempt, is_last=number == len(tries) - 1):
                self.violate(what, [cleanup])

    def untruths(self, cleanup, attempt, is_last):
        last, message = attempt.last, attempt.message
        if not attempt.ended:
            if is_last:
                yield f"the run is still {last['name']}"
            return
        if last["type"] == "COMPLETED" and last["data"] is not None:
            yield from self.untruths_of_result(cleanup, attempt, last["data"], message)
        elif last["type"] == "CANCELLED":
            began = any(state["type"] == "RUNNING" for state in attempt.states)
            if not message.startswith("cancelled: ") and (began or message):  # the server's own, of a run that nobody had
                yield f"cancelled with the message {message!r}"
        elif given_up := GIVEN_UP.match(message):
            began = attempt.states[0]["timestamp"]
            kills = sum(what == "SIGKILL" for hand in self.torture.hands for when, what in hand.deeds
                        if began <= when <= last["timestamp"])
            if kills < int(given_up[1]):
                yield f"given up after {kills} workers were killed: {message}"
        elif not OTHERS.search(message) or (last["type"] == "FAILED" and "never resumed" in message and attempt.approved):
            yield f"ended as {last['name']} ({message!r}) without a reason"
        cancelling = [state for state in attempt.states if state["type"] == "CANCELLING"]
        if cancelling and last["type"] != "CANCELLED" and message != "set by torture":
            yield f"was cancelled, but is {last['name']}: {message!r}"

    @staticmethod
    def untruths_of_result(cleanup, attempt, result, message):
        dry = cleanup.script.dry_run
        if result["status"] == "no_action":
            expected, wanted = not any(state["name"] == "Paused" for state in attempt.states), "no flow runs match"
        elif result["status"] == "rejected":
            expected, wanted = not attempt.approved, "rejected, nothing was deleted"
        elif result["status"] == "dry_run":
            expected, wanted = attempt.approved and dry, "dry run: would delete"
        else:
            expected, wanted = attempt.approved and not dry, f"deleted {result['deleted']} of {result['matched']} flow runs"
            if result["deleted"] + result["gone"] + result["remaining"] != result["matched"] or result["failed"]:
                yield f"the result does not add up: {result}"
        if not expected:
            yield f"the result is '{result['status']}', but the run was {'' if attempt.approved else 'not '}approved"
        if not message.startswith(wanted):
            yield f"the result is '{result['status']}', the message {message!r}"

    # --- telling ---------------------------------------------------------------------------------------

    def violate(self, text, cleanups):
        self.violations.append(text)
        print(f"\nVIOLATION: {text}", flush=True)
        for cleanup in cleanups:
            self.tell(cleanup)

    def tell(self, cleanup):
        script = cleanup.script
        print(f"  flow run {cleanup.id}: {script}")
        for when, what, answer in cleanup.deeds:
            if "Connection refused" in answer:
                continue
            print(f"    {when:%H:%M:%S.%f} person: {what} -> {answer}")
        if cleanup.id in self.gone:
            print(f"    {self.gone[cleanup.id]:%H:%M:%S.%f} deleted")
        for state in self.db.states(cleanup.id):
            print(f"    {state['timestamp']:%H:%M:%S.%f} {state['name']}: {state['message']} {state['data'] or ''}")
        for row in self.db.query("SELECT timestamp, message FROM log WHERE flow_run_id = ? ORDER BY timestamp", cleanup.id):
            print(f"    log {row['timestamp'][11:23]} {row['message'].splitlines()[0]}")
        ids = self.torture.old[script.group.number]
        moments = sorted(self.gone[one] for one in ids if one in self.gone)
        print(f"    {len(moments)} of {len(ids)} gone:", " ".join(f"{moment:%H:%M:%S.%f}" for moment in moments[::5]))
        for hand in self.torture.hands:
            for line in hand.worker.output().splitlines():
                if cleanup.id in line:
                    print(f"    worker {hand.number} {line}")

    def summary(self):
        tries = [one for some in self.attempts.values() for one in some]
        ends = {}
        for one in tries:
            result = one.last["data"]["status"] if isinstance(one.last["data"], dict) else ""
            key = " ".join(filter(None, (one.last["name"], result, "given up" if GIVEN_UP.match(one.message) else "")))
            ends[key] = ends.get(key, 0) + 1
        old = {one for ids in self.torture.old for one in ids}
        print(f"\n{len(self.torture.cleanups)} cleanup runs, {len(tries)} attempts, {len(old & set(self.gone))} of {len(old)} "
              f"old flow runs deleted, {sum(len(hand.deeds) for hand in self.torture.hands)} events at the workers")
        for name, count in sorted(ends.items()):
            print(f"  {count:4} {name}")
