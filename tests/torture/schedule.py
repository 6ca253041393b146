"""What happens in a torture run and when: all of it from the seed, so that a run can be had again.

Times are seconds from the start. What an event meets when its time comes depends on the machine, not on the seed.
"""

import random
from dataclasses import dataclass, field

WORKERS = 3
# What a person answers, and how often. "never" lets the question expire, "nothing" resumes without the form.
ANSWERS = {"yes": 62, "no": 14, "nothing": 6, "never": 8, "cancel": 10}
# What befalls a cleanup run besides, at some moment of its life.
ACTS = {"cancel": 30, "suspend": 30, "delete": 15, "end": 15}
ENDS = ("FAILED", "CRASHED", "COMPLETED")
FAULTS = {"kill": 30, "terminate": 15, "stop": 10, "outage": 20, "requests": 35, "server killed": 4, "server restarted": 3}
# Kinds of fault that one request can meet; torture.py says what each does.
REQUEST_FAULTS = ("close", "half", "garbage", "html", "shape", "500", "502", "503", "504", "429", "delay")
PATHS = ("", "/bulk_delete$", "/set_state$", "/input", "/labels$", r"/flow_runs/[-\w]*$", "/filter$", "/heartbeat$", "/count$")


def pick(dice, weights):
    return dice.choices(list(weights), list(weights.values()))[0]


@dataclass
class Group:
    """Old runs in a state of a name of their own, which one or two cleanup runs are for."""

    number: int
    count: int
    state: str


@dataclass
class Script:
    """The life of one cleanup run, as far as it lies in our hands."""

    number: int
    group: Group
    at: float
    batch_size: int
    pause_ms: int
    dry_run: bool
    answers: list  # one (kind, seconds after the question) for each question: the first, that of a retry, ...
    acts: list = field(default_factory=list)  # (seconds after it was triggered, what, how)
    retries: list = field(default_factory=list)  # seconds after its end


@dataclass
class Fault:
    at: float
    kind: str
    worker: int
    seconds: float  # how long it lasts
    requests: list = field(default_factory=list)  # (kind, path, side, nth, count)


class Schedule:
    def __init__(self, seed, seconds, rate):
        """@rate: cleanup runs a minute."""
        dice = random.Random(seed)
        self.seconds = seconds
        self.groups, self.scripts = [], []
        while len(self.scripts) < seconds / 60 * rate:
            self._add_group(dice, f"Torture-{seed}")
        self.scripts.sort(key=lambda script: script.at)
        self.faults = list(self._faults(dice))

    def _add_group(self, dice, name):
        group = Group(len(self.groups), dice.randint(5, 60), f"{name}-{len(self.groups)}")
        self.groups.append(group)
        start = dice.uniform(0, self.seconds * 0.9)
        for _ in range(dice.choices([1, 2], [85, 15])[0]):
            self.scripts.append(self._script(dice, group, start + dice.uniform(0, 10)))

    def _script(self, dice, group, at):
        acts = [(dice.uniform(0, 25), what := pick(dice, ACTS), dice.choice(ENDS) if what == "end" else dice.uniform(0.5, 8))
                for _ in range(dice.choices([0, 1, 2], [60, 30, 10])[0])]
        retries = [dice.uniform(0.5, 10) for _ in range(dice.choices([0, 1, 2], [80, 15, 5])[0])]
        answers = [(pick(dice, ANSWERS), dice.uniform(0, 10) ** 2 / 10) for _ in range(len(retries) + 1)]
        return Script(len(self.scripts), group, at, batch_size=dice.choice([10, 10, 20, 100]),
                      pause_ms=dice.choice([0, 100, 500, 2000]), dry_run=dice.random() < 0.05, answers=answers,
                      acts=sorted(acts), retries=retries)

    def _faults(self, dice):
        at = dice.uniform(3, 8)
        while at < self.seconds:
            kind = pick(dice, FAULTS)
            requests = [(dice.choice(REQUEST_FAULTS), dice.choice(PATHS), dice.choice(["before", "after"]), dice.randint(1, 6),
                         dice.randint(1, 4)) for _ in range(dice.randint(1, 5))]
            yield Fault(at, kind, dice.randrange(WORKERS), dice.uniform(0.3, 4) ** 2,
                        requests if kind == "requests" else [])
            at += dice.uniform(1, 9)
