"""`deploy --notify-...`: what the real server sends to a receiver on loopback."""

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from harness import parse_time, unique
from janitor import Janitor

KINDS = ("approval", "reminder", "failure", "no success")
TOKEN = "topsecret"


class Receiver:
    """A webhook: keeps what is posted to it."""

    def __init__(self):
        calls = self.calls = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                calls.put((self.path, self.headers, self.rfile.read(int(self.headers["Content-Length"])).decode()))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/hook?token={TOKEN}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def next(self, timeout=30):
        path, headers, body = self.calls.get(timeout=timeout)
        assert path == f"/hook?token={TOKEN}"
        return headers, body

    def alert(self):
        headers, body = self.next()
        assert headers["Content-Type"] == "application/json"
        return json.loads(body)

    def close(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture(scope="module")
def receiver():
    receiver = Receiver()
    yield receiver
    assert receiver.calls.empty(), receiver.calls.get()
    receiver.close()


@pytest.fixture(scope="module")
def alerted(janitor, receiver):
    """The deployment with a worker, and with alerts."""
    janitor.deploy("--concurrency-limit", 0, "--notify-webhook", receiver.url)
    yield janitor
    janitor.deploy("--concurrency-limit", 0, "--no-notify")


def automations(api, name):
    """Of the deployment, by kind."""
    found = api.post("/automations/filter", {"automations": {"name": {
        "any_": [f"prefect-janitor: {name}: {kind}" for kind in KINDS]}}})
    by_kind = {automation["name"].rsplit(": ")[-1]: automation for automation in found}
    assert len(by_kind) == len(found)
    return by_kind


def blocks(api, deployment):
    found = api.get("/block_types/slug/webhook/block_documents")
    return [block for block in found if block["name"] == f"prefect-janitor-{deployment['id']}"]


def page(api, path):
    return api.url.removesuffix("/api") + "/v2" + path


@pytest.mark.versions
def test_an_approval_is_waited_for(api, alerted, receiver, old):
    state, _ = old(5)
    run_id = alerted.ask(state)
    alert = receiver.alert()
    run = api.run(run_id)
    assert alert["alert"] == "approval" and alert["deployment"] == alerted.name
    assert alert["page"] == page(api, f"/runs/flow-run/{run_id}")
    assert "5 flow runs would be deleted; waiting for an approval until 20" in alert["message"]
    assert alert["message"] == f"{run['name']}: {run['state']['message']}"
    assert alert["text"] == f"{alerted.name}: an approval is needed\n{alert['message']}\n{alert['page']}"
    alerted.approve(run_id)


@pytest.mark.versions
def test_a_reminder(api, db, alerted, receiver, old):
    """After three quarters of the time, once."""
    state, _ = old(1)
    run_id = alerted.ask(state, job_variables={"approval_timeout": 40})
    assert receiver.alert()["alert"] == "approval"
    line = "nobody has decided yet, and the time to answer ends at "
    alerted.wait_log(run_id, line, timeout=60)
    alert = receiver.alert()
    assert alert["alert"] == "reminder" and alert["page"] == page(api, f"/runs/flow-run/{run_id}")
    assert alert["text"].startswith(f"{alerted.name}: nobody has decided yet")
    asked = db.states(run_id)[-1]["timestamp"]
    [row] = [row for row in api.log_rows(run_id) if line in row["message"]]
    assert 25 <= (parse_time(row["timestamp"]) - asked).total_seconds() <= 40
    assert api.run(run_id)["labels"]["janitor.reminded"] == 1
    alerted.answer(run_id, False)
    alerted.result(run_id)


@pytest.mark.versions
def test_a_cleanup_failed(api, alerted, receiver):
    run_id = alerted.trigger(retention_period="<soon> \"&\"")
    message = alerted.failure(run_id)
    alert = receiver.alert()
    assert alert["alert"] == "failure" and alert["page"] == page(api, f"/runs/flow-run/{run_id}")
    assert "<soon>" in message and alert["message"] == f"{api.run(run_id)['name']} is Failed: {message}"


def test_a_cleanup_crashed(api, alerted, receiver):
    """Said of the run by somebody else, as for a worker that is gone."""
    run_id = alerted.trigger("NoneSuch", more={"state": {"type": "SCHEDULED", "state_details": {
        "scheduled_time": "2035-01-01T00:00:00Z"}}})
    api.set_state(run_id, "CRASHED", message="gone")
    assert receiver.alert()["message"].endswith("is Crashed: gone")


def test_what_is_no_trouble(api, alerted, old):
    """Refused, nothing to do, paused and cancelled by a person: the fixture finds no call of these."""
    state, _ = old(1)
    alerted.result(alerted.trigger(unique("None")))
    run_id = alerted.trigger(state, more={"state": {"type": "SCHEDULED", "state_details": {
        "scheduled_time": "2035-01-01T00:00:00Z"}}})
    api.set_state(run_id, "CANCELLED")


@pytest.mark.versions
def test_none_succeeded(api, cli, receiver):
    """The server's shortest time in place of days; it is counted from the success."""
    pool, name = unique("pool"), unique("cleanup")
    deploy = ["deploy", "--pool", pool, "--name", name, "--notify-webhook", receiver.url, "--notify-stale-days", 9]
    assert cli(*deploy).returncode == 0
    stale = automations(api, name)["no success"]
    assert stale["trigger"]["within"] == 9 * 86400
    stale["trigger"]["within"] = 10
    answer = api.request("PUT", f"/automations/{stale['id']}", {key: stale[key] for key in (
        "name", "description", "enabled", "trigger", "actions")})
    assert answer.status_code == 204, answer.text

    deployment = api.deployment(name)
    run_id = api.trigger(deployment["id"])
    for state in ("PENDING", "RUNNING", "COMPLETED"):
        api.set_state(run_id, state)
    alert = receiver.alert()
    assert alert["alert"] == "no success" and alert["page"] == page(api, f"/deployments/deployment/{deployment['id']}")
    assert f"no run of {name} has succeeded for 9 days" in alert["message"]

    assert cli("deploy", "--pool", pool, "--name", name, "--no-notify").returncode == 0
    # What starts the clock where nothing ever ran.
    found = api.post("/events/filter", {"filter": {"event": {"name": ["prefect-janitor.deployed"]}, "related": {
        "id": [f"prefect.deployment.{deployment['id']}"]}}})
    assert len(found["events"]) == 1, found


@pytest.mark.versions
def test_again_and_away(api, cli, receiver):
    pool, name = unique("pool"), unique("cleanup")

    def deploy(*arguments, **settings):
        done = cli("deploy", "--pool", pool, "--name", name, *arguments, **settings)
        assert done.returncode == 0, done.stderr
        assert TOKEN not in done.stdout + done.stderr
        return api.deployment(name)

    deployment = deploy()
    assert automations(api, name) == {} and blocks(api, deployment) == []
    deploy(PREFECT_JANITOR_NOTIFY_WEBHOOK=receiver.url)
    first = automations(api, name)
    assert set(first) == set(KINDS)
    [block] = blocks(api, deployment)
    assert TOKEN not in json.dumps(block)  # the server keeps it encrypted and shows stars

    deploy("--notify-webhook", receiver.url)
    deploy()
    again = automations(api, name)  # an update would start the clock of "no success" anew
    assert {kind: again[kind]["updated"] for kind in KINDS} == {kind: first[kind]["updated"] for kind in KINDS}
    assert len(blocks(api, deployment)) == 1

    api.patch(f"/automations/{first['failure']['id']}", {"enabled": False})
    deploy("--notify-webhook", receiver.url, "--notify-stale-days", 2)
    second = automations(api, name)
    assert {kind: second[kind]["id"] for kind in KINDS} == {kind: first[kind]["id"] for kind in KINDS}
    assert second["no success"]["trigger"]["within"] == 2 * 86400
    assert {kind: second[kind]["enabled"] for kind in KINDS} == {kind: kind != "failure" for kind in KINDS}

    deploy("--notify-webhook", receiver.url, "--notify-stale-days", 0)
    assert set(automations(api, name)) == {"approval", "reminder", "failure"}
    deploy("--no-notify")
    assert automations(api, name) == {} and blocks(api, deployment) == []
    deploy("--no-notify")


@pytest.fixture(scope="module")
def make_block(api):
    def make(kind, data):
        [schema, *_] = api.post("/block_schemas/filter", {"block_schemas": {"block_type_id": {
            "any_": [api.get(f"/block_types/slug/{kind}")["id"]]}}})
        name = unique("ours")
        api.post("/block_documents/", {"name": name, "data": data, "block_type_id": schema["block_type_id"],
                                       "block_schema_id": schema["id"]})
        return f"{kind}/{name}"

    return make


@pytest.mark.parametrize("kind", ["webhook", "custom-webhook"])
def test_a_block_of_prefects_own(api, db, cli, receiver, make_block, kind):
    fields = {"webhook": {"url": receiver.url},
              "custom-webhook": {"name": "ops", "url": receiver.url, "json_data": {"s": "{{subject}}", "b": "{{body}}"}}}
    janitor = Janitor(api, db, cli, "--notify-block", make_block(kind, fields[kind]))
    run_id = api.trigger(janitor.deployment_id)
    api.set_state(run_id, "FAILED", message="disk full")
    body = json.loads(receiver.next()[1])
    text = f"{api.run(run_id)['name']} is Failed: disk full"
    link = page(api, f"/runs/flow-run/{run_id}")
    if kind == "webhook":
        assert (body["message"], body["page"]) == (text, link)
    else:
        assert body == {"s": f"{janitor.name}: a cleanup failed", "b": f"{text}\n\n{link}"}
    janitor.deploy("--no-notify")


@pytest.mark.versions
def test_automations_that_wait_for_completed(api, idle, worker, receiver, make_block, old):
    """An event is named after the name of the state, whatever its type: a refused cleanup is Completed, not "Rejected"."""
    worker(idle.pool)  # a deployment without alerts of its own, which would come here too
    kind, name = make_block("webhook", {"url": receiver.url}).split("/")
    block = api.get(f"/block_types/slug/{kind}/block_documents/name/{name}")["id"]
    made = [api.post("/automations/", {
        "name": unique("waits"), "trigger": {
            "type": "event", "posture": "Reactive", "threshold": 1, "within": 0, "for_each": ["prefect.resource.id"],
            "match": {"prefect.resource.id": "prefect.flow-run.*", "prefect.state-type": "COMPLETED"}, "expect": [event],
            "match_related": {"prefect.resource.id": f"prefect.deployment.{idle.deployment_id}"}},
        "actions": [{"type": "call-webhook", "block_document_id": block, "payload": event + " {{ flow_run.id }}"}],
    })["id"] for event in ("prefect.flow-run.Completed", "prefect.flow-run.*")]

    by_hand = idle.trigger(more={"state": {"type": "SCHEDULED", "state_details": {
        "scheduled_time": "2035-01-01T00:00:00Z"}}})
    api.set_state(by_hand, "COMPLETED", name="Rejected")
    refused = idle.ask(old(1)[0])
    idle.answer(refused, False)
    assert idle.result(refused)["status"] == "rejected"
    assert sorted(receiver.next()[1].strip('"') for _ in range(3)) == sorted(
        [f"prefect.flow-run.Completed {refused}", f"prefect.flow-run.* {by_hand}", f"prefect.flow-run.* {refused}"])
    for automation in made:
        api.delete(f"/automations/{automation}")


@pytest.mark.parametrize("place, words", [
    ("webhook/none-such", ["'webhook/none-such'", "make it in the UI"]),
    ("no-such-type/x", ["'no-such-type/x'"]),
    ("ops", ["'ops'", "TYPE/NAME"]),
], ids=lambda value: value if isinstance(value, str) else "")
def test_no_such_block(api, cli, place, words):
    pool, name = unique("pool"), unique("cleanup")
    done = cli("deploy", "--pool", pool, "--name", name, "--notify-block", place)
    assert done.returncode == 2 and all(word in done.stderr for word in words), done.stderr
    assert api.request("GET", f"/work_pools/{pool}").status_code == 404
    assert automations(api, name) == {}


def test_a_block_that_sends_nothing(cli, make_block):
    place = make_block("secret", {"value": "x"})
    done = cli("deploy", "--pool", unique("pool"), "--notify-block", place)
    assert done.returncode == 2 and "'secret' sends nothing" in done.stderr, done.stderr
