/* How an investigation ends: decided, unsure, or broken; and what the model is told on the way. */
#include "client/agent/agent.h"

#include <stdio.h>
#include <string.h>

#include "client/agent/transcript.h"
#include "client/base/clock.h"
#include "client/base/text.h"
#include "tests/unit/api.h"
#include "tests/unit/client/agent/investigation.h"

static const struct {
	const char *name;
	const char *script;               /* of the MCP server, after START */
	const char *answers[ANSWERS_MAX]; /* of the model */
	const char *decision;             /* JSON; NULL: none */
	const char *unsure;               /* a part of the rule */
	size_t requests;
	int64_t investigated;
	const char *said;                 /* a part of the last request; NULL: not looked at */
} rows[] = {
	{"decides at once", "", {DECIDE(YES)}, YES, NULL, 1, 0, NULL},
	{"a no", "", {DECIDE("{\"approved\": false}")}, "{\"approved\": false}", NULL, 1, 0, NULL},
	{"looks first", ANSWER(4, GOOD), {LOOK("get_flows"), DECIDE(YES)}, YES, NULL, 2, 1, "\\\"success\\\":true"},
	{"a look that fails", ANSWER(4, BAD), {LOOK("get_flows"), DECIDE(YES)}, YES, NULL, 2, 0, "\\\"success\\\":false"},
	{"who it is, is no look", ANSWER(4, GOOD), {LOOK("get_identity"), DECIDE(YES)}, YES, NULL, 2, 0, NULL},
	{"two looks in one answer", ANSWER(4, GOOD) ANSWER(5, BAD),
	 {SAY(USE("a", "get_flows", "{\"x\": 1}") "," USE("b", "get_flows", "{}"), "tool_use"), DECIDE(YES)}, YES, NULL, 2, 1,
	 "\"tool_use_id\":\"b\""},
	{"a tool that does not exist", "", {LOOK("delete_flow_run"), DECIDE(YES)}, YES, NULL, 2, 0,
	 "Error: there is no tool 'delete_flow_run'. There are: get_identity get_flows"},
	{"one that writes", "", {LOOK("get_runs"), DECIDE(YES)}, YES, NULL, 2, 0, "Error: the tool 'get_runs' is not allowed here"},
	{"one that is not in the list", "", {LOOK("other"), DECIDE(YES)}, YES, NULL, 2, 0, "Error: the tool 'other' is not allowed"},
	{"a tool's error", "< \"tools/call\"\n> {\"jsonrpc\":\"2.0\",\"id\":4,\"result\":{\"isError\":true,\"content\":"
	 "[{\"type\":\"text\",\"text\":\"limit: too much\"}]}}\n", {LOOK("get_flows"), DECIDE(YES)}, YES, NULL, 2, 0, "Error: limit: too much"},
	{"a call that the server refuses", "< \"tools/call\"\n> {\"jsonrpc\":\"2.0\",\"id\":4,\"error\":{\"code\":-32602,\"message\":"
	 "\"bad\"}}\n", {LOOK("get_flows"), DECIDE(YES)}, YES, NULL, 2, 0, "bad"},
	/* one correction */
	{"a wrong decision, then a right one", "", {DECIDE("{\"approved\": 1}"), DECIDE(YES)}, YES, NULL, 2, 0,
	 "approved: has to be a boolean"},
	{"a wrong one twice", "", {DECIDE("{\"approved\": 1}"), DECIDE("{}")}, NULL, "approved: has to be a boolean", 2, 0, NULL},
	{"a key twice, then a right one", "", {DECIDE("{\"approved\": false, \"approved\": true}"), DECIDE(YES)}, YES, NULL, 2, 0,
	 "duplicate object key"},
	{"a key twice, twice", "", {DECIDE("{\"approved\": false, \"approved\": true}"), DECIDE("{\"approved\": true, \"approved\": true}")},
	 NULL, "duplicate", 2, 0, NULL},
	{"no object", "", {DECIDE("true"), DECIDE(YES)}, YES, NULL, 2, 0, "not a JSON object"},
	{"text, then a decision", "", {SAY(TEXT("{\\\"approved\\\": true}"), "end_turn"), DECIDE(YES)}, YES, NULL, 2, 0, "plain text"},
	{"text twice", "", {SAY(TEXT("Yes."), "end_turn"), SAY(TEXT("Yes!"), "end_turn")}, NULL, "text", 2, 0, NULL},
	{"nothing at all, twice", "", {SAY("", "end_turn"), SAY("", "end_turn")}, NULL, "text", 2, 0, NULL},
	{"text, then a wrong decision", "", {SAY(TEXT("Yes."), "end_turn"), DECIDE("{}")}, NULL, "approved", 2, 0, NULL},
	{"two decisions", "", {SAY(USE("a", "decide", YES) "," USE("b", "decide", YES), "tool_use"), DECIDE(YES)}, YES, NULL, 2, 0,
	 "more than one decision"},
	{"two decisions twice", "", {SAY(USE("a", "decide", YES) "," USE("b", "decide", "{}"), "tool_use"),
	 SAY(USE("c", "decide", YES) "," USE("d", "decide", YES), "tool_use")}, NULL, "more than one decision", 2, 0, NULL},
	{"a decision beside a look", ANSWER(4, GOOD), {SAY(USE("a", "decide", YES) "," USE("b", "get_flows", "{}"), "tool_use"), DECIDE(YES)},
	 YES, NULL, 2, 1, "beside calls whose answers were not known yet"},
	/* what does not count */
	{"a refusal", "", {SAY(TEXT("No way."), "refusal")}, NULL, "the model refused to answer: No way.", 1, 0, NULL},
	{"a refusal with a decision", "", {SAY(USE("d", "decide", YES), "refusal")}, NULL, "refused", 1, 0, NULL},
	{"a decision and an end that nobody knows", "", {SAY(USE("d", "decide", YES), "error_midway")}, NULL, "not known here", 1, 0, NULL},
	{"cut off", "", {SAY(USE("d", "decide", YES), "max_tokens")}, NULL, "cut off", 1, 0, NULL},
	/* budgets */
	{"no end", ANSWER(4, GOOD) ANSWER(5, GOOD) ANSWER(6, GOOD) ANSWER(7, GOOD),
	 {LOOK("get_flows"), LOOK("get_flows"), LOOK("get_flows"), LOOK("get_flows"), LOOK("get_flows"), LOOK("get_flows"), DECIDE(YES)},
	 NULL, "did not decide within 6 answers", 6, 4, "all 4 calls are used up"},
	{"tools used up, then a decision", ANSWER(4, GOOD) ANSWER(5, GOOD) ANSWER(6, GOOD) ANSWER(7, GOOD),
	 {LOOK("get_flows"), LOOK("get_flows"), LOOK("get_flows"), LOOK("get_flows"), LOOK("get_flows"), DECIDE(YES)}, YES, NULL, 6, 4,
	 "all 4 calls are used up"},
	/* the model server, in passing */
	{"busy once", "", {"529", DECIDE(YES)}, YES, NULL, 2, 0, NULL},
};

static void check_end(const char *name, const struct agent_result *result, const char *decision, const char *unsure)
{
	if (decision != NULL)
		CHECK_JSON(name, result->decision, decision);
	else
		CHECK(name, result->decision == NULL);
	if (unsure != NULL)
		CHECK_HAS(name, result->unsure != NULL ? result->unsure : "(none)", unsure);
	else
		CHECK(name, result->unsure == NULL);
}

static void ends(void)
{
	EACH(row, rows)
	{
		AUTO_TEXT script = {.max = 20000};
		struct investigation i;
		struct agent_result result;
		struct error err;

		text_addf(&script, "%s%s", START, row->script);
		investigation_open(&i, row->answers, text_str(&script));
		if (CHECK_RC(row->name, agent_run(&i.settings, &result, &err), 0, &err)) {
			check_end(row->name, &result, row->decision, row->unsure);
			CHECK_INT(row->name, result.investigated, row->investigated);
			AUTO_FREE char *last = json_write(json_array_get(i.requests, json_array_size(i.requests) - 1), 0);
			if (row->said != NULL)
				CHECK_HAS(row->name, last, row->said);
		}
		agent_result_release(&result);
		CHECK_INT(row->name, investigation_close(&i, row->name), row->requests);
	}
}

static const struct {
	const char *name;
	const char *script;
	const char *answers[ANSWERS_MAX];
	int rc;
	const char *text;
	size_t requests;
} broken[] = {
	{"another Prefect", HELLO TOOLS IDENTITY("http://elsewhere/api"), {DECIDE(YES)}, ERR_CONFLICT, "another Prefect (http://elsewhere/api)", 0},
	{"no Prefect", HELLO TOOLS "< \"get_identity\"\n> " TOOL_RESULT(3, BAD) "\n", {DECIDE(YES)}, ERR_BUSY, "does not reach Prefect", 0},
	{"which Prefect?", HELLO TOOLS "< \"get_identity\"\n> " TOOL_RESULT(3, GOOD) "\n", {DECIDE(YES)}, ERR_CONFLICT,
	 "does not say which Prefect", 0},
	{"no tools", HELLO "< \"tools/list\"\n> {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"tools\":[]}}\n", {DECIDE(YES)}, ERR_USAGE,
	 "of the 0 tools of the MCP server none", 0},
	{"none that only reads", HELLO "< \"tools/list\"\n> {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"tools\":[" TOOL("get_flows", "false")
	 "]}}\n", {DECIDE(YES)}, ERR_USAGE, "of the 1 tools", 0},
	{"it ends at once", "x3\n", {DECIDE(YES)}, ERR_TRANSPORT, "PREFECT_JANITOR_AI_MCP_COMMAND", 0},
	{"it ends on the way", START "< \"tools/call\"\nx3\n", {LOOK("get_flows"), DECIDE(YES)}, ERR_TRANSPORT, "exit status 3", 1},
	{"a key that is refused", START, {"401"}, ERR_AUTH, "ANTHROPIC_API_KEY", 1},
	{"a server that stays busy", START, {"503", "503"}, ERR_TRANSPORT, "503", 2},
	{"a request that is refused", START, {"400"}, ERR_INVALID, "400", 1},
	{"an answer that cannot be read", START, {"{}"}, ERR_DECODE, "ANTHROPIC_BASE_URL", 1},
};

static void says_what_is_broken(void)
{
	EACH(row, broken)
	{
		struct investigation i;
		struct agent_result result;
		struct error err = {.text = ""};

		investigation_open(&i, row->answers, row->script);
		CHECK_RC(row->name, agent_run(&i.settings, &result, &err), row->rc, &err);
		CHECK_HAS(row->name, err.text, row->text);
		CHECK(row->name, result.decision == NULL && result.unsure == NULL);
		const char *said = json_string_value(json_object_get(json_object_get(result.transcript, "outcome"), "broken"));
		CHECK_STR(row->name, said != NULL ? said : "", err.text);
		agent_result_release(&result);
		CHECK_INT(row->name, investigation_close(&i, row->name), row->requests);
	}
}

/* The words of a command may hold a key of the MCP server. */
static void tells_only_the_program_of_a_command(void)
{
	static const char *const none[ANSWERS_MAX] = {NULL};
	struct investigation i;
	struct agent_result result;
	struct error err;

	investigation_open(&i, none, "x9\n");
	i.settings.tools.mcp.command = "/nowhere/mcp --key s3cr3t";
	CHECK_RC("command", agent_run(&i.settings, &result, &err), ERR_USAGE, &err);
	AUTO_FREE char *transcript = json_write(result.transcript, 0);
	CHECK_HAS("the program", transcript, "/nowhere/mcp ...");
	CHECK_LACKS("transcript", transcript, "s3cr3t");
	CHECK_HAS("error", err.text, "/nowhere/mcp ...");
	CHECK_LACKS("error", err.text, "s3cr3t");
	agent_result_release(&result);
	CHECK_INT("command", investigation_close(&i, "command"), 0);
}

static void keeps_to_its_limits(void)
{
	static const char *const look[ANSWERS_MAX] = {LOOK("get_flows"), DECIDE(YES)};
	struct investigation i;
	struct agent_result result;
	struct error err;

	/* No model is named: nothing is started. */
	investigation_open(&i, look, "x9\n");
	i.settings.llm.model = NULL;
	CHECK_RC("no model", agent_run(&i.settings, &result, &err), ERR_USAGE, &err);
	CHECK_HAS("no model", err.text, "PREFECT_JANITOR_AI_MODEL");
	agent_result_release(&result);
	CHECK_INT("no model", investigation_close(&i, "no model"), 0);

	/* The second request would be too much. */
	investigation_open(&i, look, START ANSWER(4, GOOD));
	i.settings.max_bytes = 1000;
	CHECK_RC("bytes", agent_run(&i.settings, &result, &err), 0, &err);
	check_end("bytes", &result, NULL, "before 1000 bytes were sent");
	agent_result_release(&result);
	CHECK_INT("bytes", investigation_close(&i, "bytes"), 1);

	/* The answer of a tool could be too much for another request: it is told to decide, while it still can. */
	investigation_open(&i, look, START);
	i.settings.max_bytes = 15000;
	CHECK_RC("told to decide", agent_run(&i.settings, &result, &err), 0, &err);
	check_end("told to decide", &result, YES, NULL);
	CHECK_INT("told to decide", result.investigated, 0);
	AUTO_FREE char *told = json_write(json_array_get(i.requests, 1), 0);
	CHECK_HAS("told to decide", told, "Error: not called: its answer could be more than may be sent. Decide now");
	agent_result_release(&result);
	CHECK_INT("told to decide", investigation_close(&i, "told to decide"), 2);

	/* Cancelled after the first answer. */
	investigation_open(&i, look, START ANSWER(4, GOOD));
	i.go_on = 2;
	CHECK_RC("told to stop", agent_run(&i.settings, &result, &err), ERR_STOPPED, &err);
	agent_result_release(&result);
	CHECK_INT("told to stop", investigation_close(&i, "told to stop"), 1);

	/* A tool that does not answer is said to the model; the time of the whole is over for good. */
	investigation_open(&i, look, START "< \"tools/call\"\n< \"notifications/cancelled\"\n");
	i.settings.tool_ms = 50;
	CHECK_RC("a tool that hangs", agent_run(&i.settings, &result, &err), 0, &err);
	check_end("a tool that hangs", &result, YES, NULL);
	CHECK_INT("a tool that hangs", result.investigated, 0);
	agent_result_release(&result);
	CHECK_INT("a tool that hangs", investigation_close(&i, "a tool that hangs"), 2);

	investigation_open(&i, look, START "< \"tools/call\"\nh\n");
	i.settings.total_ms = 300;
	CHECK_RC("time over", agent_run(&i.settings, &result, &err), ERR_TRANSPORT, &err);
	CHECK_HAS("time over", err.text, "PREFECT_JANITOR_AI_TOTAL_SECONDS");
	agent_result_release(&result);
	(void)investigation_close(&i, "time over");

	/* So is it while the MCP server starts, whatever it is given for that. */
	investigation_open(&i, look, "< \"initialize\"\nh\n");
	i.settings.total_ms = 300;
	int64_t began_ms = clock_mono_ms();
	CHECK_RC("slow start", agent_run(&i.settings, &result, &err), ERR_TRANSPORT, &err);
	CHECK_HAS("slow start", err.text, "PREFECT_JANITOR_AI_TOTAL_SECONDS");
	CHECK("slow start", clock_mono_ms() - began_ms < 20000); /* its own limit is 30 s */
	agent_result_release(&result);
	CHECK_INT("slow start", investigation_close(&i, "slow start"), 0);

	/* Cancelled while it calls tools: the second is not called. */
	static const char *const two[ANSWERS_MAX] = {
		SAY(USE("a", "get_flows", "{}") "," USE("b", "get_flows", "{}"), "tool_use"), DECIDE(YES)};
	investigation_open(&i, two, START ANSWER(4, GOOD) ANSWER(5, GOOD));
	i.go_on = 2;
	CHECK_RC("told to stop at a tool", agent_run(&i.settings, &result, &err), ERR_STOPPED, &err);
	CHECK_INT("told to stop at a tool", result.investigated, 1);
	agent_result_release(&result);
	CHECK_INT("told to stop at a tool", investigation_close(&i, "told to stop at a tool"), 1);
}

static void writes_a_transcript(void)
{
	static const char *const answers[ANSWERS_MAX] = {
		SAY(TEXT("I *look*.") "," USE("a", "get_flows", "{\"limit\": 5}"), "tool_use"), DECIDE("{\"approved\": \"yes\"}"), DECIDE(YES)};
	struct investigation i;
	struct agent_result result;
	struct error err;

	investigation_open(&i, answers, START ANSWER(4, "{\\\"success\\\":true,\\\"x\\\":\\\"" PREFECT_KEY " " MODEL_KEY "\\\"}"));
	CHECK_RC("transcript", agent_run(&i.settings, &result, &err), 0, &err);
	const json_t *t = result.transcript;
	CHECK_JSON("tools", json_object_get(t, "tools"), "[\"get_identity\", \"get_flows\"]");
	CHECK_INT("tokens", json_integer_value(json_object_get(t, "input_tokens")), 300);
	CHECK_JSON("outcome", json_object_get(t, "outcome"), "{\"decided\": {\"approved\": true}}");
	CHECK_INT("turns", json_array_size(json_object_get(t, "turns")), 3);
	const json_t *call = json_array_get(json_object_get(json_array_get(json_object_get(t, "turns"), 0), "calls"), 0);
	CHECK_JSON("arguments", json_object_get(call, "arguments"), "{\"limit\": 5}");
	CHECK_HAS("result", json_string_value(json_object_get(call, "result")), "***");

	AUTO_FREE char *json = json_write(t, 0);
	AUTO_FREE char *markdown = transcript_markdown(t);
	static const char *const parts[] = {"test-model", "get\\_flows", "I \\*look\\*.", "req\\_7", "approved\\: has to be a boolean",
	                                    "May I?", "Be careful.", "decided", "300 in, 30 out"};
	EACH(part, parts)
		CHECK_HAS("markdown", markdown, *part);
	CHECK_LACKS("markdown", markdown, "topsecret");
	CHECK_LACKS("json", json, "topsecret");
	AUTO_FREE char *sent = json_write(i.requests, 0);
	CHECK_LACKS("sent", sent, "topsecret");
	CHECK_LACKS("told", text_str(&i.told), "topsecret");
	CHECK_HAS("told", text_str(&i.told), "the model calls get_flows {\"limit\":5}: answered");
	agent_result_release(&result);
	(void)investigation_close(&i, "transcript");
}

static void cuts_long_answers(void)
{
	static const char *const answers[ANSWERS_MAX] = {LOOK("get_flows"), DECIDE(YES)};
	AUTO_TEXT script = {.max = 100000};
	AUTO_TEXT big = {.max = 50000};
	struct investigation i;
	struct agent_result result;
	struct error err;

	for (int n = 0; n < 40000; n++)
		text_add(&big, "y", 1);
	text_addf(&script, "%s< \"tools/call\"\n> {\"jsonrpc\":\"2.0\",\"id\":4,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"%s\"}]}}\n",
	          START, text_str(&big));
	investigation_open(&i, answers, text_str(&script));
	CHECK_RC("cut", agent_run(&i.settings, &result, &err), 0, &err);
	AUTO_FREE char *last = json_write(json_array_get(i.requests, 1), 0);
	CHECK_HAS("cut", last, "yyy ... [cut: the answer is longer");
	CHECK("cut", strlen(last) > TOOLBOX_ANSWER_MAX && strlen(last) < TOOLBOX_ANSWER_MAX + 2500);
	agent_result_release(&result);
	(void)investigation_close(&i, "cut");
}

static void shows_what_would_be_sent(void)
{
	static const char *const none[ANSWERS_MAX] = {NULL};
	struct investigation i;
	struct error err;
	AUTO_JSON *request = NULL;

	investigation_open(&i, none, START);
	CHECK_RC("request", agent_first_request(&i.settings, &request, &err), 0, &err);
	CHECK_STR("system", json_string_value(json_object_get(request, "system")), "Be careful.");
	CHECK_INT("tools", json_array_size(json_object_get(request, "tools")), 3);
	CHECK_STR("the last one", json_string_value(json_object_get(json_array_get(json_object_get(request, "tools"), 2), "name")), "decide");
	CHECK_INT("nothing was sent", investigation_close(&i, "request"), 0);
}

/* Whatever the model says, the rule that stops it can be stored: it is UTF-8, and not too long. */
static int check_long(const json_t *arguments, char **ret_problems, struct error *err)
{
	AUTO_TEXT problems = {.max = 20000};

	(void)arguments;
	for (int n = 0; n < 1000; n++)
		text_addf(&problems, "\xc3\xa9t\xc3\xa9: wrong\n");
	*ret_problems = text_take(&problems);
	return error_set(err, ERR_INVALID, "no decision");
}

static void cuts_what_the_model_says(void)
{
	AUTO_TEXT refusal = {.max = 4000};
	struct agent_result result;
	struct investigation i;
	struct error err;

	text_addf(&refusal, "{\"content\": [{\"type\": \"text\", \"text\": \"a");
	for (int n = 0; n < 300; n++)
		text_addf(&refusal, "\xc3\xa9");
	text_addf(&refusal, "\"}], \"stop_reason\": \"refusal\"}");
	const char *const refuses[ANSWERS_MAX] = {text_str(&refusal)};
	investigation_open(&i, refuses, START);
	CHECK_RC("refusal", agent_run(&i.settings, &result, &err), 0, &err);
	CHECK_HAS("refusal", result.unsure, "refused to answer: a\xc3\xa9");
	CHECK("refusal", text_is_utf8(result.unsure));
	CHECK("refusal", json_object_get(json_object_get(result.transcript, "outcome"), "unsure") != NULL);
	agent_result_release(&result);
	CHECK_INT("refusal", investigation_close(&i, "refusal"), 1);

	static const char *const wrong[ANSWERS_MAX] = {DECIDE(YES), DECIDE(YES)};
	investigation_open(&i, wrong, START);
	i.settings.check = check_long;
	CHECK_RC("problems", agent_run(&i.settings, &result, &err), 0, &err);
	CHECK_HAS("problems", result.unsure != NULL ? result.unsure : "(none)", "when it was asked once more: \xc3\xa9t\xc3\xa9: wrong");
	CHECK("problems", result.unsure != NULL && text_is_utf8(result.unsure));
	agent_result_release(&result);
	CHECK_INT("problems", investigation_close(&i, "problems"), 2);
}

/* Secrets that the MCP server was given, wherever it repeats them. */
static void hides_secrets_everywhere(void)
{
	static const struct {
		const char *name, *script, *shown;
	} leaks[] = {
		{"an error of the protocol", START "< \"tools/call\"\n> {\"jsonrpc\":\"2.0\",\"id\":4,\"error\":{\"code\":-32602,"
		 "\"message\":\"401 for " PREFECT_KEY "\"}}\n", "401 for ***"},
		{"last words before it hangs", START "< \"tools/call\"\n! 401 for " PREFECT_KEY "\nh\n", ""},
		{"last words before it ends", START "< \"tools/call\"\n! 401 for " PREFECT_KEY "\nx3\n", "401 for ***"},
		{"last words at the start", "! 401 for " PREFECT_KEY "\nx3\n", "401 for ***"},
		{"who it is", HELLO TOOLS "< \"get_identity\"\n> " TOOL_RESULT(3, "{\\\"success\\\":false,\\\"error\\\":\\\"401 for "
		 PREFECT_KEY "\\\"}") "\n", "401 for ***"},
		{"a short one", START ANSWER(4, "{\\\"success\\\":true,\\\"x\\\":\\\"" SHORT_SECRET " 401 for ***\\\"}"), "401 for ***"},
	};
	static const char *const answers[ANSWERS_MAX] = {LOOK("get_flows"), DECIDE(YES)};

	EACH(leak, leaks)
	{
		struct agent_result result;
		struct investigation i;
		struct error err = {.text = ""};

		investigation_open(&i, answers, leak->script);
		i.settings.tool_ms = 300;
		int rc = agent_run(&i.settings, &result, &err);
		AUTO_FREE char *sent = json_write(i.requests, 0);
		AUTO_FREE char *transcript = json_write(result.transcript, 0);
		const char *places[] = {sent, transcript, text_str(&i.told), rc != 0 ? err.text : ""};
		EACH(place, places)
		{
			CHECK_LACKS(leak->name, *place, "topsecret");
			CHECK_LACKS(leak->name, *place, SHORT_SECRET);
		}
		CHECK_HAS(leak->name, transcript, leak->shown);
		agent_result_release(&result);
		(void)investigation_close(&i, leak->name);
	}
}

#define MCP_ANSWER(what, json) {.method = "POST", .path = "/mcp", .body = what, \
	.reply = {.headers = "Content-Type: application/json\r\nmcp-session-id: s\r\n", .body = json}}
#define BEGIN_SESSION(id) MCP_ANSWER("\"initialize\"", "{\"jsonrpc\":\"2.0\",\"id\":" id ",\"result\":{\"protocolVersion\":\"2025-06-18\"}}"), \
	{.method = "POST", .path = "/mcp", .body = "notifications/initialized", .reply = {.status = 202}}
#define WHO(id, url) MCP_ANSWER("get_identity", TOOL_RESULT(id, "{\\\"success\\\":true,\\\"identity\\\":{\\\"api_url\\\":\\\"" url "\\\"}}"))

/* A server that forgets the session may be another one afterwards: it has to say again which Prefect it is connected to. */
static void asks_a_new_session_who_it_is(void)
{
	static const char *const answers[ANSWERS_MAX] = {LOOK("get_flows"), DECIDE(YES)};
	struct http_step steps[] = {
		BEGIN_SESSION("1"),
		MCP_ANSWER("tools/list", "{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"tools\":[" TOOL("get_flows", "true") "]}}"),
		WHO(3, PREFECT_URL),
		{.method = "POST", .path = "/mcp", .body = "get_flows", .reply = {.status = 404, .headers = "Content-Type: application/json\r\n",
		 .body = "{\"jsonrpc\":\"2.0\",\"id\":\"server-error\",\"error\":{\"code\":-32600,\"message\":\"Session not found\"}}"}},
		BEGIN_SESSION("5"),
		MCP_ANSWER("get_flows", TOOL_RESULT(4, GOOD)),
		WHO(6, "http://elsewhere/api"),
		{.method = "DELETE", .path = "/mcp"},
	};
	struct http_server *server = api_script(steps, COUNT_OF(steps));
	struct agent_result result;
	struct investigation i;
	char url[100];
	struct error err = {.text = ""};

	(void)snprintf(url, sizeof url, "%s/mcp", http_server_url(server));
	investigation_open(&i, answers, "");
	i.settings.tools.mcp.url = url;
	CHECK_RC("session", agent_run(&i.settings, &result, &err), ERR_CONFLICT, &err);
	CHECK_HAS("session", err.text, "another Prefect (http://elsewhere/api)");
	agent_result_release(&result);
	CHECK_INT("session", investigation_close(&i, "session"), 1);
	CHECK_INT("session", api_stop_server(server, "session"), COUNT_OF(steps));
}

static void shows_no_address_with_a_key(void)
{
	static const char *const addresses[] = {"https://user:sk-topsecret@models.example/v1", "https://models.example/v1?api-key=sk-topsecret"};
	static const char *const none[ANSWERS_MAX] = {NULL};

	EACH(address, addresses)
	{
		struct agent_result result;
		struct investigation i;
		struct error err;

		investigation_open(&i, none, START);
		i.settings.llm.base_url = *address;
		CHECK_RC(*address, agent_run(&i.settings, &result, &err), ERR_USAGE, &err);
		AUTO_FREE char *transcript = json_write(result.transcript, 0);
		CHECK_LACKS("transcript", transcript, "topsecret");
		CHECK_LACKS("error", err.text, "topsecret");
		agent_result_release(&result);
		(void)investigation_close(&i, *address);
	}
}

UNIT_SUITE("client/agent/agent", TEST(cuts_what_the_model_says), TEST(hides_secrets_everywhere), TEST(shows_no_address_with_a_key), TEST(asks_a_new_session_who_it_is), TEST(ends), TEST(says_what_is_broken), TEST(tells_only_the_program_of_a_command), TEST(keeps_to_its_limits), TEST(writes_a_transcript),
           TEST(cuts_long_answers), TEST(shows_what_would_be_sent))
