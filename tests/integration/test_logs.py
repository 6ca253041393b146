"""The run's log, as the UI shows it."""

import logging
import re

from harness import parse_time

# What is only for reading is left out where the server gives no answer for five seconds: the one warning of a run that completes.
NO_ANSWER = re.compile(r"(the run's timeline|cleanup-[a-z]+) cannot be written, going on without: "
                       r"(the (task runs?|artifact)( '[a-z -]+')?: )?no answer from \S+: (.* timed out |a request waited )")


def test_lines_are_there_within_two_seconds(api, janitor, old):
    run_id = janitor.ask(old(2)[0])
    janitor.wait_log(run_id, "waiting for an approval", timeout=2)
    janitor.approve(run_id)
    janitor.wait_log(run_id, "Completed: deleted 2 of 2 flow runs", timeout=2)
    run_id = janitor.trigger(batch_size=1)
    message = janitor.failure(run_id)
    janitor.wait_log(run_id, f"Failed: {message}", timeout=2)


def test_lines_are_in_order(api, janitor, old):
    """As they were written, which is how the worker's own log has them."""
    run_id = janitor.ask(old(120)[0], batch_size=10, job_variables={"batch_pause_ms": 0})
    janitor.approve(run_id)
    janitor.wait_log(run_id, "Completed: ")
    rows = api.log_rows(run_id)
    times = [parse_time(row["timestamp"]) for row in rows]
    assert len(rows) > 10 and all(earlier < later for earlier, later in zip(times, times[1:]))
    own = [line.split(f"({run_id}): ", 1)[1] for line in janitor.worker.output().splitlines() if f"({run_id}): " in line]
    own = [line for line in own if line not in ("fetched", "claimed", "resumed")]
    # The preview is Markdown in the UI; the worker's own log has its first line as plain text.
    assert [row["message"].splitlines()[0].replace("**", "") for row in rows] == own


def test_levels(api, janitor, old):
    run_id = janitor.trigger(batch_size=1)
    janitor.failure(run_id)
    janitor.wait_log(run_id, "Failed: ")
    assert api.log_rows(run_id)[-1]["level"] == logging.ERROR
    run_id = janitor.ask(old(1)[0])
    janitor.approve(run_id)
    janitor.wait_log(run_id, "Completed: ")
    loud = [(row["level"], row["message"]) for row in api.log_rows(run_id) if row["level"] > logging.INFO]
    assert [(level, message) for level, message in loud if level != logging.WARNING or not NO_ANSWER.match(message)] == []
