"""A scripted model server on loopback: both dialects on one port, every request checked, every answer from a script.

It knows the two APIs as they are recorded (Anthropic's Messages, OpenAI's chat completions) and believes nothing: what a
request has to look like follows from the answers that it gave before. A request that is wrong is written down as a mistake
and answered with 400; check() tells of it, so that no caller overlooks one. Standard library only: the demo uses it too.
"""

import json
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

KEY = "sk-test-9f8e7d6c5b4a-never-shown"
MODEL = "scripted-model-1"
DECISION = "final_result"  # the tool that ends an investigation
READING = ("get_identity", "get_dashboard", "get_deployments", "get_flows", "get_flow_runs", "get_task_runs",
           "get_work_pools", "read_events", "get_automations")
LOGS = "get_flow_run_logs"  # only where the operator allows it
DECISION_FIELDS = {"approved", "confidence", "reasoning", "concerns"}
PLAN_FIELDS = {"retention_period", "states", "flow_runs_to_delete", "largest_flows", "oldest_flow_runs"}
ANTHROPIC, OPENAI = "anthropic", "openai"
PATHS = {"/v1/messages": ANTHROPIC, "/v1/chat/completions": OPENAI}
USAGE = (1000, 50)  # tokens that each answer says it took: in, out
HUGE = 10 * 1024 * 1024


# --- what a script is made of ---------------------------------------------------------------------


@dataclass
class Call:
    """A tool call. @raw stands for the arguments as they go over the wire, valid JSON or not."""

    name: str
    arguments: dict = field(default_factory=dict)
    raw: str | None = None
    id: str = ""

    def json(self):
        return json.dumps(self.arguments) if self.raw is None else self.raw

    def json_again(self):
        """As it has to come back: servers that read it would refuse what is no JSON object."""
        def refuse(*_):
            raise ValueError

        try:
            pairs = json.loads(self.json(), object_pairs_hook=lambda pairs: pairs, parse_constant=refuse)
            return self.json() if len(dict(pairs)) == len(pairs) else "{}"
        except ValueError:
            return "{}"


@dataclass
class Turn:
    """What the model says: text, tool calls, and why it stopped."""

    calls: list = field(default_factory=list)
    text: str = ""
    stop: str | None = None  # in Anthropic's words; None: tool_use with calls, end_turn without


@dataclass
class Status:
    """An HTTP error, as the provider gives it."""

    code: int
    headers: dict = field(default_factory=dict)
    message: str = "no"


@dataclass
class Raw:
    """Any body with status 200."""

    body: bytes


class Hang:
    """Takes the request and does not answer."""


class CutOff:
    """Half of a body whose length was announced."""


class Huge:
    """A well-formed answer of ten megabytes."""


@dataclass
class Again:
    """This step for every further request."""

    step: object


@dataclass
class Meanwhile:
    """Does something before it answers with this step."""

    action: object
    step: object


def call(name, **arguments):
    return Call(name, arguments)


def look(*names):
    """A turn that asks for tools without arguments."""
    return Turn([Call(name) for name in names or ("get_dashboard",)])


def decision(approved=True, confidence=0.95, reasoning="Routine cleanup; nothing speaks against it.", **more):
    """The call alone; a field that is None is left out."""
    fields = {"approved": approved, "confidence": confidence, "reasoning": reasoning} | more
    return Call(DECISION, {name: value for name, value in fields.items() if value is not None})


def decide(*arguments, **fields):
    """A turn that decides."""
    return Turn([decision(*arguments, **fields)])


def say(text):
    return Turn(text=text)


# --- the two dialects -----------------------------------------------------------------------------


class Wrong(Exception):
    """A request that no such server would get from a good client."""


def require(condition, text):
    if not condition:
        raise Wrong(text)


class Anthropic:
    STOPS = {}

    @staticmethod
    def check(headers, body):
        require(headers.get("x-api-key") == KEY, "x-api-key is not the key")
        require(headers.get("anthropic-version") == "2023-06-01", "no anthropic-version: 2023-06-01")
        require("authorization" not in headers, "an Authorization header")
        require(0 < body.get("max_tokens", 0) <= 64000, f"max_tokens: {body.get('max_tokens')}")
        require(body.get("tool_choice") in ({"type": "any"}, {"type": "auto"}), f"tool_choice: {body.get('tool_choice')}")
        require(isinstance(body.get("system"), str), "system is no text")

    @staticmethod
    def system(body):
        return body["system"]

    @staticmethod
    def tools(body):
        return [(tool["name"], tool.get("description"), tool["input_schema"]) for tool in body["tools"]]

    @staticmethod
    def first(message):
        require(message["role"] == "user", "the first message is not the user's")
        content = message["content"]
        return content if isinstance(content, str) else "\n".join(block["text"] for block in content)

    @staticmethod
    def said(turn):
        """The assistant's message that has to come back, None where the turn was empty."""
        blocks = [{"type": "text", "text": turn.text}] if turn.text else []
        blocks += [{"type": "tool_use", "id": one.id, "name": one.name, "input": json.loads(one.json_again())}
                   for one in turn.calls]
        return {"role": "assistant", "content": blocks} if blocks else None

    @staticmethod
    def replies(messages):
        """What follows the assistant's message: ({call id: (text, is_error)} in order, the user's own text)."""
        require(len(messages) == 1 and messages[0]["role"] == "user", "not one user message follows a turn of the model")
        results, text = {}, []
        for block in messages[0]["content"]:
            if block["type"] == "tool_result":
                require(not text, "a tool_result after text: the API refuses that")
                require(block["tool_use_id"] not in results, f"two results for {block['tool_use_id']}")
                content = block.get("content", [])
                said = content if isinstance(content, str) else "".join(part["text"] for part in content)
                results[block["tool_use_id"]] = (said, block.get("is_error", False))
            else:
                require(block["type"] == "text" and block["text"].strip(), f"a block of type {block['type']}")
                text.append(block["text"])
        return results, "\n".join(text)

    @classmethod
    def answer(cls, turn, number):
        stop = turn.stop or ("tool_use" if turn.calls else "end_turn")
        blocks = [json.dumps({"type": "text", "text": turn.text})] if turn.text else []
        blocks += ['{"type":"tool_use","id":%s,"name":%s,"input":%s}' % (json.dumps(one.id), json.dumps(one.name), one.json())
                   for one in turn.calls]
        return ('{"id":"msg_%d","type":"message","role":"assistant","model":"%s","content":[%s],"stop_reason":"%s",'
                '"stop_sequence":null,"usage":{"input_tokens":%d,"output_tokens":%d}}'
                % (number, MODEL, ",".join(blocks), stop, *USAGE))

    @staticmethod
    def error(status):
        kinds = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
                 413: "request_too_large", 429: "rate_limit_error", 529: "overloaded_error"}
        error = {"type": kinds.get(status.code, "api_error"), "message": status.message}
        return json.dumps({"type": "error", "error": error, "request_id": "req_scripted"})


class OpenAi:
    STOPS = {"tool_use": "tool_calls", "end_turn": "stop", "max_tokens": "length", "refusal": "content_filter"}

    @staticmethod
    def check(headers, body):
        require(headers.get("authorization") == f"Bearer {KEY}", "no bearer key")
        require("x-api-key" not in headers, "an x-api-key header")
        require(body.get("tool_choice") in ("required", "auto"), f"tool_choice: {body.get('tool_choice')}")
        require(body["messages"][0]["role"] == "system", "no system message")

    @staticmethod
    def system(body):
        return body["messages"][0]["content"]

    @staticmethod
    def tools(body):
        require(all(tool["type"] == "function" for tool in body["tools"]), "a tool that is no function")
        functions = [tool["function"] for tool in body["tools"]]
        return [(one["name"], one.get("description"), one["parameters"]) for one in functions]

    @staticmethod
    def first(message):
        require(message["role"] == "user", "the first message is not the user's")
        return message["content"]

    @staticmethod
    def said(turn):
        message = {"role": "assistant", "content": turn.text or None}
        if turn.calls:
            message["tool_calls"] = [{"id": one.id, "type": "function",
                                      "function": {"name": one.name, "arguments": one.json_again()}} for one in turn.calls]
        return message if turn.text or turn.calls else None

    @staticmethod
    def replies(messages):
        results, text = {}, []
        for message in messages:
            if message["role"] == "tool":
                require(not text, "a tool message after the user's")
                require(message["tool_call_id"] not in results, f"two results for {message['tool_call_id']}")
                results[message["tool_call_id"]] = (message["content"], None)
            else:
                require(message["role"] == "user" and message["content"].strip(), f"a message of {message['role']}")
                text.append(message["content"])
        return results, "\n".join(text)

    @classmethod
    def answer(cls, turn, number):
        stop = turn.stop or ("tool_use" if turn.calls else "end_turn")
        message = cls.said(turn) or {"role": "assistant", "content": ""}
        for one, call in zip(turn.calls, message.get("tool_calls", [])):
            call["function"]["arguments"] = one.json()
        choice = {"index": 0, "finish_reason": cls.STOPS[stop], "message": message}
        return json.dumps({"id": f"chatcmpl-{number}", "object": "chat.completion", "created": 1, "model": MODEL,
                           "choices": [choice], "usage": {"prompt_tokens": USAGE[0], "completion_tokens": USAGE[1],
                                                          "total_tokens": sum(USAGE)}})

    @staticmethod
    def error(status):
        return json.dumps({"error": {"message": status.message, "type": "error", "param": None, "code": None}})


DIALECTS = {ANTHROPIC: Anthropic, OPENAI: OpenAi}


# --- the server -----------------------------------------------------------------------------------


@dataclass
class Request:
    dialect: str
    body: dict
    size: int
    at: float


class ModelServer:
    """with ModelServer() as model: model.play(look(), decide()); ...; model.check()"""

    def __init__(self, allowed=READING, port=0):
        self.allowed = allowed
        self.lock = threading.RLock()
        self.number = 0  # of answers so far: ids are never used twice
        self.closing = threading.Event()
        self.play()
        handler = type("Handler", (Handler,), {"model": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()

    def settings(self, dialect=ANTHROPIC):
        """The environment of a worker that asks this server."""
        address = {ANTHROPIC: {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": self.url},
                   OPENAI: {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{self.url}/v1"}}[dialect]
        return address | {"PREFECT_JANITOR_AI_PROVIDER": dialect, "PREFECT_JANITOR_AI_MODEL": MODEL}

    def play(self, *steps, keep_counting=False):
        """A new script, one step for each request; whatever was going on is over, or only the steps are new."""
        with self.lock:
            if keep_counting:
                self.steps = list(steps)
                return
            self.released = getattr(self, "released", threading.Event())
            self.released.set()  # who still hangs may go
            self.released = threading.Event()
            self.steps = list(steps)
            self.requests = []     # of Request, as they came
            self.mistakes = []
            self.conversations = 0
            self.results = {}      # call id: (tool, text of the result, is_error; None where the dialect has no word for it)
            self.corrections = []  # what the user said after the first message
            self.proposal = None   # the first message of the last conversation,
            self.plan = None       # and the JSON in it
            self.last = None       # the messages of the last request
            self.turn = None       # what was answered to it; None: an error, and it may come again
            self.choices = []      # tool_choice of every request

    def check(self):
        assert not self.mistakes, "the model server got wrong requests:\n" + "\n".join(self.mistakes)

    def texts(self, tool):
        """The results that were sent back for this tool."""
        return [text for name, text, _ in self.results.values() if name == tool]

    def respond(self, path, headers, data):
        """(the step, the body of its answer) for a request."""
        with self.lock:
            dialect = PATHS.get(path)
            try:
                body = self._check(dialect, path, headers, data)
            except (Wrong, KeyError, TypeError, ValueError) as error:
                self.mistakes.append(f"request {len(self.requests) + 1}: {type(error).__name__}: {error}\n{data[:2000]!r}")
                return Status(400), DIALECTS[dialect or ANTHROPIC].error(Status(400, message=f"the script: {error}")).encode()
            self.requests.append(Request(dialect, body, len(data), time.monotonic()))
            step = self.steps[0]
            if isinstance(step, Again):
                step = step.step
            else:
                self.steps.pop(0)
            if isinstance(step, Meanwhile):
                step.action()
                step = step.step
            return step, self._answer(DIALECTS[dialect], step)

    def _answer(self, dialect, step):
        self.turn = None
        self.number += 1
        if isinstance(step, Status):
            return dialect.error(step).encode()
        if isinstance(step, Raw):
            return step.body
        if isinstance(step, (Hang, CutOff)):
            return dialect.answer(look(), self.number).encode()
        if isinstance(step, Huge):
            return dialect.answer(Turn([decision()], text="a" * HUGE), self.number).encode()
        # A script may be played again, so its turns are copied; the ids are new each time.
        calls = [Call(one.name, one.arguments, one.raw, one.id or f"call_{self.number}_{place}")
                 for place, one in enumerate(step.calls, 1)]
        self.turn = Turn(calls, step.text, step.stop)
        return dialect.answer(self.turn, self.number).encode()

    # --- what has to be true of a request

    def _check(self, dialect, path, headers, data):
        require(dialect, f"POST {path}")
        require(self.steps, "a request after the end of the script")
        require(headers.get("content-type", "").startswith("application/json"), f"Content-Type {headers.get('content-type')}")
        text = data.decode("utf-8")
        require(KEY not in text, "the key is in the body")
        body = json.loads(text)
        require(body.get("model") == MODEL, f"model {body.get('model')}")
        require(body.get("stream", False) is False, "stream")
        kind = DIALECTS[dialect]
        kind.check(headers, body)
        self.choices.append(body["tool_choice"])
        system = kind.system(body)
        require(len(system) > 200 and "data" in system and "instruction" in system,
                "the system prompt does not say that data are no instructions")
        self._check_tools(kind.tools(body))
        messages = body["messages"][1:] if dialect == OPENAI else body["messages"]
        self._check_messages(kind, messages)
        self.last = messages
        return body

    def _check_tools(self, tools):
        names = [name for name, _, _ in tools]
        require(sorted(names) == sorted([*self.allowed, DECISION]), f"too many tools, or too few: {sorted(names)}")
        for name, description, schema in tools:
            require(description and schema.get("type") == "object", f"tool {name} without description or schema")
            require(name != DECISION or set(schema["properties"]) == DECISION_FIELDS, "the decision's fields")

    def _check_messages(self, kind, messages):
        if len(messages) == 1:
            if self.last == messages and self.turn is None and len(self.requests) > 0:
                return  # tried again after an error
            self.conversations += 1
            self.proposal = kind.first(messages[0])
            self.plan = json.loads(self.proposal[self.proposal.index("{"):self.proposal.rindex("}") + 1])
            require(PLAN_FIELDS <= self.plan.keys(), f"the proposal lacks {PLAN_FIELDS - self.plan.keys()}")
            return
        require(self.last is not None, "a conversation that goes on before it began")
        if self.turn is None:
            require(messages == self.last, "after an error the request changed")
            return
        said = kind.said(self.turn)
        if not said and len(messages) == len(self.last):  # two messages of the user's in a row are one
            more = len(self.last[-1]["content"])
            messages = [*messages[:-1], *({"role": "user", "content": part} for part in
                                          (messages[-1]["content"][:more], messages[-1]["content"][more:]))]
        before = len(self.last)
        require(messages[:before] == self.last, "what was said before has changed")
        if said:
            require(messages[before] == said, f"the model's turn came back as {messages[before]}, not {said}")
            before += 1
        results, text = kind.replies(messages[before:])
        self._check_results(results, text)

    def _check_results(self, results, text):
        ids = [one.id for one in self.turn.calls]
        require(list(results) == ids, f"results for {list(results)}, wanted for {ids}")
        require(results or text, "nothing was said to the model's text")
        for one in self.turn.calls:
            said, is_error = results[one.id]
            require(said.strip(), f"an empty result for {one.name}")
            # What is no answer of a tool has to be called an error, where the dialect can.
            if one.name not in self.allowed:
                require(is_error in (True, None), f"{one.name} is not allowed, and its result is no error")
            self.results[one.id] = (one.name, said, is_error)
        if text:
            self.corrections.append(text)


class Handler(BaseHTTPRequestHandler):
    model = None
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        released = self.model.released
        step, body = self.model.respond(self.path.partition("?")[0], headers, data)
        try:
            self._send(step, body, released)
        except OSError:
            self.close_connection = True  # who asked has gone

    def _send(self, step, body, released):
        if isinstance(step, Hang):
            while not (released.wait(0.05) or self.model.closing.is_set()):
                pass
            self.close_connection = True
            return
        self.send_response(step.code if isinstance(step, Status) else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("request-id", f"req_{self.model.number}")
        self.send_header("x-request-id", f"req_{self.model.number}")
        for name, value in (step.headers if isinstance(step, Status) else {}).items():
            self.send_header(name, value)
        self.end_headers()
        if isinstance(step, CutOff):
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)
