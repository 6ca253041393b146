"""`approve` and `reject`: the decision is the form's, bound to the plan that was shown; whatever does not fit changes nothing."""

import getpass
import json

import pytest
from harness import Worker, from_now, run_cli, unique
from janitor import Janitor
from proxy import close


def decide(cli, *arguments):
    return cli(*arguments, "--yes")


@pytest.fixture
def waiting(janitor, old):
    """A run that waits for a decision, and the ids that it would delete."""
    state, ids = old(6)
    return janitor.ask(state), ids


def assert_untouched(janitor, run_id, ids, state="Paused"):
    """Nothing was decided and nothing deleted."""
    assert janitor.db.state(run_id)[1] == state
    assert not [key for key in janitor.db.inputs(run_id) if key.endswith("-response")]
    assert janitor.db.existing(ids) == set(ids)


@pytest.mark.versions
@pytest.mark.databases
def test_approve(cli, janitor, waiting):
    run_id, ids = waiting
    done = decide(cli, "approve", run_id, "--notes", "looked at it", "--wait")
    assert done.returncode == 0, done
    assert "6 flow runs would be deleted" in done.stdout and "Approved" in done.stdout
    assert "Completed: deleted 6 of 6 flow runs" in done.stdout
    assert janitor.db.existing(ids) == set()
    answer = json.loads(janitor.db.inputs(run_id)[janitor.keyset(run_id)["response"]])
    assert answer["approve"] is True and answer["notes"].startswith("looked at it (")
    assert f"({getpass.getuser()}@" in answer["notes"]


def test_by_name_and_as_json(cli, api, janitor, waiting):
    run_id, ids = waiting
    done = decide(cli, "approve", api.run(run_id)["name"], "-o", "json")
    assert done.returncode == 0, done
    told = json.loads(done.stdout)
    assert (told["id"], told["decision"], told["total"]) == (run_id, "approved", 6)
    assert janitor.result(run_id)["deleted"] == 6
    assert janitor.db.existing(ids) == set()


@pytest.mark.versions
def test_reject(cli, janitor, waiting):
    run_id, ids = waiting
    done = decide(cli, "reject", run_id, "--notes", "still needed", "--wait")
    assert done.returncode == 0, done
    result = janitor.result(run_id)
    assert result["status"] == "rejected" and result["reason"].startswith("still needed (")
    assert janitor.db.existing(ids) == set(ids)


@pytest.mark.parametrize("form", ["{}", "sha256:{}", "{:.8}"])
def test_the_digest_that_was_shown(cli, janitor, waiting, form):
    run_id, ids = waiting
    digest = json.loads(cli("show", run_id, "-o", "json").stdout)["digest"]
    done = decide(cli, "approve", run_id, "--digest", form.format(digest))
    assert done.returncode == 0, done
    assert janitor.result(run_id)["plan"] == digest
    assert janitor.db.existing(ids) == set()


def test_another_digest(cli, janitor, waiting):
    run_id, ids = waiting
    for command in ("approve", "reject"):
        done = decide(cli, command, run_id, "--digest", "f" * 64)
        assert done.returncode == 2 and "not the one that was shown" in done.stderr, done
    assert_untouched(janitor, run_id, ids)
    janitor.answer(run_id, False)


def test_a_plan_that_was_changed(cli, janitor, waiting):
    """What is stored is not what the form shows: somebody tampered with it."""
    run_id, ids = waiting
    plan = json.loads(janitor.db.inputs(run_id)["cleanup-plan"])
    plan["slices"][0]["count"] += 1
    janitor.db.write("UPDATE flow_run_input SET value = ? WHERE flow_run_id = ? AND key = 'cleanup-plan'",
                     json.dumps(plan), run_id)
    done = decide(cli, "approve", run_id)
    assert done.returncode == 2 and "shows another plan than it has stored" in done.stderr, done
    assert_untouched(janitor, run_id, ids)
    janitor.answer(run_id, False)


def test_without_a_terminal_yes_is_needed(cli, janitor, waiting):
    run_id, ids = waiting
    for arguments in (["approve", run_id], ["reject", run_id], ["approve", run_id, "-o", "json"]):
        done = cli(*arguments)
        assert done.returncode == 2 and "--yes is missing" in done.stderr, done
    assert_untouched(janitor, run_id, ids)
    janitor.answer(run_id, False)


@pytest.mark.parametrize("arguments, text", [
    (["--digest", "abc"], "'abc' is not 8 to 64 hexadecimal digits"),
    (["--digest", "no-digest-at-all"], "'no-digest-at-all'"),
    (["--notes", "x" * 3501], "3501 bytes; 3500 at most are kept"),
    (["--notes", ""], "--notes: the value is empty"),
    (["--retention-period", "P1D"], "no option '--retention-period'"),
    (["another"], "no argument 'another'"),
], ids=lambda value: value[0] if isinstance(value, list) else "")
def test_bad_input(cli, arguments, text):
    done = decide(cli, "approve", "some-run", *arguments)
    assert done.returncode == 2 and text in done.stderr and done.stderr.count("\n") == 1, done


def test_an_answer_that_is_lost_on_its_way_back(proxy, janitor, waiting):
    run_id, ids = waiting
    lost = proxy.add(close(), method="POST", path="/resume$", side="after")
    done = run_cli(proxy.url + "/api", "approve", run_id, "--yes")
    lost.wait()
    assert done.returncode == 0 and "Approved" in done.stdout, done
    assert janitor.result(run_id)["deleted"] == 6
    assert janitor.db.existing(ids) == set()


# --- what cannot be decided: each has its own message, and nothing changes -----------------------------


TABLES = {"flow_run": "id", "flow_run_state": "flow_run_id", "flow_run_input": "flow_run_id", "artifact": "flow_run_id",
          "task_run": "flow_run_id", "log": "flow_run_id"}
UNKNOWN_ID = "00000000-0000-4000-8000-000000000000"
REFUSED = {
    "no such id": f"there is no flow run '{UNKNOWN_ID}' at ",
    "no such name": "there is no flow run with the id or name 'no-such-run' at ",
    "of another flow": "is a run of the flow 'old', not of database-cleanup; ",
    "not asked yet": "has not asked yet: it is Scheduled; ",
    "approved": "was decided already: approved at ",
    "rejected": "was decided already: rejected at ",
    "cancelled": "has ended without a decision: it is Cancelled ",
    "nothing to decide": "has ended without asking: it is Completed ",
    "expired": "has expired: nobody decided by ",
    "without a form": "has no form, so that the server takes no answer: a running worker",
    "paused by hand": "is Suspended without a question: somebody paused it by hand; ",
}


@pytest.fixture(scope="module")
def undecidable(server, api, db, cli, old):
    """Runs for the rows of REFUSED. Their worker is gone, so that nothing of them changes by itself."""
    state, kept = old(3)
    own = Janitor(api, db, cli)
    worker = Worker(server.url, server.home, own.pool)
    try:
        runs = {kind: own.trigger(state, **more) for kind, more in {
            "expired": {"job_variables": {"approval_timeout": 10}}, "approved": {"dry_run": True}, "rejected": {}, "cancelled": {},
            "without a form": {}}.items()}
        runs["nothing to decide"] = own.trigger(unique("None"))
        for kind in ("not asked yet", "paused by hand"):
            runs[kind] = own.trigger(state, more={"scheduled_time": str(from_now(hours=1))})
        api.suspend(runs["paused by hand"])
        for kind in ("approved", "rejected", "cancelled", "without a form"):
            api.wait_question(runs[kind])
        own.answer(runs["approved"], True)
        own.answer(runs["rejected"], False, "no")
        api.cancel(runs["cancelled"])
        for kind, name in (("cancelled", "Cancelled"), ("expired", "Failed"), ("approved", "Completed"), ("rejected", "Completed"),
                           ("nothing to decide", "Completed")):
            api.wait_state(runs[kind], name)
    finally:
        worker.close()
    api.delete(f"/flow_runs/{runs['without a form']}/input/paused-1-schema")
    return runs | {"no such id": UNKNOWN_ID, "no such name": "no-such-run", "of another flow": kept[0]}, kept


def rows_of(db, ids):
    """All that the server has on these runs."""
    return {table: sorted(map(str, db.query(f"SELECT * FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))",
                                            json.dumps(ids)))) for table, column in TABLES.items()}


@pytest.mark.parametrize("command", ["approve", "reject", "show"])
def test_runs_that_cannot_be_decided(cli, db, undecidable, command):
    runs, kept = undecidable
    ids = [run_id for run_id in runs.values() if run_id.count("-") == 4] + kept
    before = rows_of(db, ids)
    assert set(runs) == set(REFUSED) and len(before["flow_run"]) == len(runs) - 2 + len(kept) - 1
    for kind, run_id in runs.items():
        done = cli(command, run_id, *["--yes"] * (command != "show"))
        if command == "show" and "no such" not in kind and kind != "of another flow":
            assert done.returncode == 0 and run_id in done.stdout, (kind, done)
            continue
        assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1, (kind, done)
        assert [other for other, text in REFUSED.items() if text in done.stderr] == [kind], (kind, done)
    assert rows_of(db, ids) == before


def refused(cli, run, text):
    for command in ("approve", "reject"):
        done = decide(cli, command, run)
        assert done.returncode == 2, done
        assert text in done.stderr and str(run) in done.stderr and done.stderr.count("\n") == 1, done


def test_a_name_that_several_runs_have(cli, api, janitor, old):
    state, ids = old()
    name = unique("twins")
    runs = [janitor.ask(state, more={"name": name}) for _ in range(2)]
    refused(cli, name, "is the name of 2 flow runs, give the id: ")
    assert all(run_id in decide(cli, "approve", name).stderr for run_id in runs)
    for run_id in runs:
        assert_untouched(janitor, run_id, ids)
        janitor.answer(run_id, False)


@pytest.mark.versions
def test_one_that_was_decided(cli, api, janitor, waiting):
    run_id, ids = waiting
    janitor.answer(run_id, False, "no")
    janitor.result(run_id)
    before = janitor.db.inputs(run_id)
    refused(cli, api.run(run_id)["name"], "was decided already: rejected at ")
    assert janitor.db.inputs(run_id) == before and janitor.db.existing(ids) == set(ids)


def test_reject_several_and_by_first_digits(cli, api, janitor, old):
    """One that cannot be decided does not hold up the others."""
    state, ids = old(4)
    first, second, third = (janitor.ask(state) for _ in range(3))
    done = decide(cli, "reject", first, "no-such-run", api.run(second)["name"])
    assert done.returncode == 2 and "no flow run with the id or name 'no-such-run'" in done.stderr, done
    for run_id in (first, second):
        assert janitor.result(run_id)["status"] == "rejected"
    shown = cli("show", third[:13], "-o", "json")
    assert shown.returncode == 0 and json.loads(shown.stdout)["id"] == third, shown
    assert decide(cli, "reject", third[:13]).returncode == 0
    assert janitor.result(third)["status"] == "rejected"
    assert janitor.db.existing(ids) == set(ids)
    unknown = cli("show", "ffff")
    assert unknown.returncode == 2 and "'ffff'" in unknown.stderr, unknown


def test_reject_all_and_names(cli, api, janitor, old):
    state, ids = old(2)
    runs = [janitor.ask(state) for _ in range(2)]
    names = cli("pending", "--quiet").stdout.splitlines()
    assert {api.run(run_id)["name"] for run_id in runs} <= set(names)
    done = decide(cli, "reject", "--all", "--pool", janitor.pool)
    assert done.returncode == 0, done
    for run_id in runs:
        assert janitor.result(run_id)["status"] == "rejected"
    assert cli("pending", "--quiet", "--pool", janitor.pool).stdout == "" and "No run waits" in decide(cli, "reject", "--all", "--pool", janitor.pool).stdout
    assert janitor.db.existing(ids) == set(ids)


@pytest.mark.parametrize("arguments, text", [([], "RUN is missing"), (["a", "--all"], "only one of them"),
                                             (["a", "b", "--wait"], "one run at a time"), (["--all", "--digest", "01234567"], "one run")])
def test_reject_needs_to_know_which(cli, arguments, text):
    done = decide(cli, "reject", *arguments)
    assert done.returncode == 2 and text in done.stderr, done
