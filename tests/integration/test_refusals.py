"""The server refuses what has to be noted of a run, for good: the run ends and says why, and nobody tries for ever."""

import proxy as act

REFUSED = act.status(422)


def test_a_place_in_the_queue(api, db, proxy, idle, old, worker):
    """After an approval: Failed with the reason, nothing deleted."""
    state, ids = old(3)
    one = worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    run_id = idle.ask(state)
    proxy.add(REFUSED, "PATCH", "/labels$", "janitor.approved", count=None)
    idle.answer(run_id, True)
    message = idle.failure(run_id)
    assert "its place in the queue of deletions cannot be noted" in message and "HTTP 422" in message
    assert len(db.existing(ids)) == 3
    assert "stops" not in one.output()


def test_the_marks_of_a_claim(api, proxy, idle, worker):
    proxy.add(REFUSED, "PATCH", "/labels$", "prefect.worker.name", count=None)
    worker(idle.pool, PREFECT_API_URL=proxy.url + "/api")
    message = idle.failure(idle.trigger())
    assert "it cannot be marked" in message and "HTTP 422" in message
