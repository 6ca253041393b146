"""A finished run that is retried in the UI asks again: an answer is good for one plan."""

import pytest
from harness import wait_until


def finish(api, janitor, run_id, how):
    if how == "Completed":
        janitor.approve(run_id, "the first time")
    elif how == "rejected":
        janitor.answer(run_id, False)
        janitor.result(run_id)
    elif how == "Cancelled":
        api.cancel(run_id)
        api.wait_state(run_id, "Cancelled")
    else:
        api.set_state(run_id, "FAILED", "Failed")
        janitor.wait_log(run_id, "nothing was deleted")


@pytest.mark.parametrize("how", ["Completed", "rejected", "Failed", "Cancelled"])
@pytest.mark.parametrize("approve", [True, False], ids=["approved", "rejected"])
def test_a_retry_asks_again(api, db, janitor, old, how, approve):
    state, first = old(3)
    run_id = janitor.ask(state)
    plan, preview = janitor.plan(run_id), janitor.preview(run_id)
    finish(api, janitor, run_id, how)
    _, second = old(4, state_name=state)
    left = db.existing(first)

    api.retry(run_id)
    api.wait_question(run_id)
    assert api.input(run_id, janitor.keyset(run_id)["response"]) is None
    assert janitor.plan(run_id)["planned_at"] > plan["planned_at"]
    assert janitor.preview(run_id) != preview
    assert f"**{len(left) + 4} flow runs" in janitor.preview(run_id)
    assert db.existing(second) == set(second)
    assert db.state_names(run_id).count("Paused") == 2

    if approve:
        assert janitor.approve(run_id)["deleted"] == len(left) + 4
        assert db.existing([*first, *second]) == set()
    else:
        janitor.answer(run_id, False)
        assert janitor.result(run_id)["status"] == "rejected"
        assert db.existing([*first, *second]) == {*left, *second}


def test_a_retry_with_the_same_wrong_parameters(api, db, janitor):
    run_id = janitor.trigger(batch_size=1)
    message = janitor.failure(run_id)
    api.retry(run_id)
    wait_until(lambda: db.state_names(run_id).count("Failed") == 2, 30, "a second failure")
    assert janitor.failure(run_id) == message
