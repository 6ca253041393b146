/* Every shape of an answer, in both dialects: what is taken from it, and what is no answer. */
#include <string.h>

#include "client/base/text.h"
#include "tests/unit/client/llm/model_server.h"

#define A(content, stop) "{\"id\": \"msg_1\", \"type\": \"message\", \"content\": " content ", \"stop_reason\": " stop "}"
#define A_TEXT(text) "{\"type\": \"text\", \"text\": " text "}"
#define A_CALL(id, name, input) "{\"type\": \"tool_use\", \"id\": " id ", \"name\": " name ", \"input\": " input "}"
#define O(message, finish) "{\"id\": \"c_1\", \"choices\": [{\"message\": " message ", \"finish_reason\": " finish "}]}"
#define O_CALLS(calls) "{\"content\": null, \"tool_calls\": [" calls "]}"
#define O_CALL(id, name, arguments) "{\"id\": " id ", \"type\": \"function\", \"function\": {\"name\": " name \
	", \"arguments\": " arguments "}}"
#define DECISION "{\"approved\": true, \"confidence\": 1}"
#define DECISION_TEXT "\"{\\\"approved\\\": true, \\\"confidence\\\": 1}\""

struct row {
	const char *name;
	enum llm_provider provider;
	const char *body;
	enum llm_stop stop;
	const char *text;
	/* "name arguments", or "name!bad arguments!complaint", one call a line */
	const char *calls;
	const char *raw; /* NULL: not looked at */
};

static const struct row rows[] = {
	{"a call", LLM_ANTHROPIC, A("[" A_CALL("\"t1\"", "\"final_result\"", DECISION) "]", "\"tool_use\""), LLM_STOP_TOOL, "",
	 "final_result {\"approved\":true,\"confidence\":1}\n",
	 "{\"role\": \"assistant\", \"content\": [" A_CALL("\"t1\"", "\"final_result\"", DECISION) "]}"},
	{"text and two calls", LLM_ANTHROPIC, A("[" A_TEXT("\"I \\u00e4m\"") ", " A_CALL("\"t1\"", "\"a\"", "{}") ", " A_TEXT("\"and\"")
	 ", " A_CALL("\"t2\"", "\"b\"", "{\"x\": [1]}") "]", "\"tool_use\""), LLM_STOP_TOOL, "I \303\244m\nand",
	 "a {}\nb {\"x\":[1]}\n", NULL},
	{"decided twice", LLM_ANTHROPIC, A("[" A_CALL("\"t1\"", "\"d\"", "{\"approved\": false}") ", "
	 A_CALL("\"t2\"", "\"d\"", "{\"approved\": true}") "]", "\"tool_use\""), LLM_STOP_TOOL, "",
	 "d {\"approved\":false}\nd {\"approved\":true}\n", NULL},
	{"text only", LLM_ANTHROPIC, A("[" A_TEXT("\"Looks fine.\"") "]", "\"end_turn\""), LLM_STOP_END, "Looks fine.", "",
	 "{\"role\": \"assistant\", \"content\": [" A_TEXT("\"Looks fine.\"") "]}"},
	{"says tool_use, calls nothing", LLM_ANTHROPIC, A("[" A_TEXT("\"x\"") "]", "\"tool_use\""), LLM_STOP_END, "x", "", NULL},
	{"says end_turn, calls", LLM_ANTHROPIC, A("[" A_CALL("\"t1\"", "\"a\"", "{}") "]", "\"end_turn\""), LLM_STOP_TOOL, "",
	 "a {}\n", NULL},
	{"stop_sequence", LLM_ANTHROPIC, A("[" A_TEXT("\"x\"") "]", "\"stop_sequence\""), LLM_STOP_END, "x", "", NULL},
	{"refusal", LLM_ANTHROPIC, A("[" A_TEXT("\"I can't help.\"") "]", "\"refusal\""), LLM_STOP_REFUSED, "I can't help.", "", NULL},
	{"refusal with a call", LLM_ANTHROPIC, A("[" A_CALL("\"t1\"", "\"a\"", "{}") "]", "\"refusal\""), LLM_STOP_REFUSED, "",
	 "a {}\n", NULL},
	{"cut", LLM_ANTHROPIC, A("[" A_CALL("\"t1\"", "\"a\"", "{\"approved\": true}") "]", "\"max_tokens\""), LLM_STOP_CUT, "",
	 "a {\"approved\":true}\n", NULL},
	{"no room", LLM_ANTHROPIC, A("[]", "\"model_context_window_exceeded\""), LLM_STOP_CUT, "", "", NULL},
	{"pause", LLM_ANTHROPIC, A("[" A_TEXT("\"x\"") "]", "\"pause_turn\""), LLM_STOP_OTHER, "x", "", NULL},
	{"a reason to come, with a call", LLM_ANTHROPIC, A("[" A_CALL("\"t1\"", "\"a\"", "{}") "]", "\"tired\""), LLM_STOP_OTHER, "",
	 "a {}\n", NULL},
	{"no reason", LLM_ANTHROPIC, A("[" A_TEXT("\"x\"") "]", "null"), LLM_STOP_OTHER, "x", "", NULL},
	{"empty content", LLM_ANTHROPIC, A("[]", "\"end_turn\""), LLM_STOP_END, "", "", NULL},
	{"empty content, no reason", LLM_ANTHROPIC, "{\"content\": []}", LLM_STOP_END, "", "", NULL},
	{"blank text", LLM_ANTHROPIC, A("[" A_TEXT("\"\"") "]", "\"end_turn\""), LLM_STOP_END, "", "", NULL},
	{"a block to come", LLM_ANTHROPIC, A("[{\"type\": \"song\", \"text\": 5}, " A_TEXT("\"x\"") "]", "\"end_turn\""), LLM_STOP_END,
	 "x", "", "{\"role\": \"assistant\", \"content\": [{\"type\": \"song\", \"text\": 5}, " A_TEXT("\"x\"") "]}"},
	{"fields to come", LLM_ANTHROPIC, "{\"content\": [{\"type\": \"text\", \"text\": \"x\", \"citations\": 1}], \"stop_reason\": "
	 "\"end_turn\", \"container\": {}, \"usage\": {\"input_tokens\": 1, \"service_tier\": \"s\"}}", LLM_STOP_END, "x", "", NULL},
	{"NUL", LLM_ANTHROPIC, A("[" A_TEXT("\"a\\u0000b\"") ", " A_CALL("\"t1\"", "\"d\\u0000x\"", "{}") "]", "\"tool_use\""),
	 LLM_STOP_TOOL, "a?b", "d?x {}\n", NULL},
	{"input is text", LLM_ANTHROPIC, A("[" A_CALL("\"t1\"", "\"d\"", "\"{}\"") "]", "\"tool_use\""), LLM_STOP_TOOL, "",
	 "d!{}!not a JSON object", "{\"role\": \"assistant\", \"content\": [" A_CALL("\"t1\"", "\"d\"", "{}") "]}"},
	{"input is a number", LLM_ANTHROPIC, A("[" A_CALL("\"t1\"", "\"d\"", "17") "]", "\"tool_use\""), LLM_STOP_TOOL, "",
	 "d!17!not a JSON object", "{\"role\": \"assistant\", \"content\": [" A_CALL("\"t1\"", "\"d\"", "{}") "]}"},
	{"input is null", LLM_ANTHROPIC, A("[" A_CALL("\"t1\"", "\"d\"", "null") "]", "\"tool_use\""), LLM_STOP_TOOL, "",
	 "d!null!not a JSON object", "{\"role\": \"assistant\", \"content\": [" A_CALL("\"t1\"", "\"d\"", "{}") "]}"},
	{"input is an array", LLM_ANTHROPIC, A("[" A_CALL("\"t1\"", "\"d\"", "[1]") "]", "\"tool_use\""), LLM_STOP_TOOL, "",
	 "d![1]!not a JSON object", "{\"role\": \"assistant\", \"content\": [" A_CALL("\"t1\"", "\"d\"", "{}") "]}"},
	{"a key twice", LLM_ANTHROPIC, A("[" A_CALL("\"t1\"", "\"d\"", "{\"approved\": false, \"approved\": true}") "]", "\"tool_use\""), LLM_STOP_TOOL, "",
	 "d!{\"approved\": false, \"approved\": true}!not JSON: duplicate object key", "{\"role\": \"assistant\", \"content\": [" A_CALL("\"t1\"", "\"d\"", "{}") "]}"},
	{"a key twice, deep", LLM_ANTHROPIC, A("[" A_CALL("\"t1\"", "\"d\"", "{\"x\": [{\"a\": 1, \"a\": \"}\"}]}") "]", "\"tool_use\""), LLM_STOP_TOOL, "",
	 "d!{\"x\": [{\"a\": 1, \"a\": \"}\"}]}!not JSON: duplicate object key", "{\"role\": \"assistant\", \"content\": [" A_CALL("\"t1\"", "\"d\"", "{}") "]}"},
	{"NaN", LLM_ANTHROPIC, A("[" A_CALL("\"t1\"", "\"d\"", "{\"confidence\": NaN}") "]", "\"tool_use\""), LLM_STOP_TOOL, "",
	 "d!{\"confidence\": NaN}!not JSON", "{\"role\": \"assistant\", \"content\": [" A_CALL("\"t1\"", "\"d\"", "{}") "]}"},
	{"NaN alone", LLM_ANTHROPIC, A("[" A_CALL("\"t1\"", "\"d\"", "NaN") "]", "\"tool_use\""), LLM_STOP_TOOL, "",
	 "d!NaN!not JSON", "{\"role\": \"assistant\", \"content\": [" A_CALL("\"t1\"", "\"d\"", "{}") "]}"},
	{"Infinity", LLM_ANTHROPIC, A("[" A_CALL("\"t1\"", "\"d\"", "{\"confidence\": Infinity}") "]", "\"tool_use\""), LLM_STOP_TOOL, "",
	 "d!{\"confidence\": Infinity}!not JSON", "{\"role\": \"assistant\", \"content\": [" A_CALL("\"t1\"", "\"d\"", "{}") "]}"},
	{"1e999", LLM_ANTHROPIC, A("[" A_CALL("\"t1\"", "\"d\"", "{\"confidence\": 1e999}") "]", "\"tool_use\""), LLM_STOP_TOOL, "",
	 "d!{\"confidence\": 1e999}!not JSON", "{\"role\": \"assistant\", \"content\": [" A_CALL("\"t1\"", "\"d\"", "{}") "]}"},
	{"input is missing", LLM_ANTHROPIC, A("[{\"type\": \"tool_use\", \"id\": \"t1\", \"name\": \"d\"}]", "\"tool_use\""), LLM_STOP_TOOL, "",
	 "d!null!not a JSON object", "{\"role\": \"assistant\", \"content\": [" A_CALL("\"t1\"", "\"d\"", "{}") "]}"},
	{"a key twice beside a good call", LLM_ANTHROPIC, A("[" A_TEXT("\"\\\"input\\\": NaN\"") ", " A_CALL("\"t1\"", "\"a\"", "{\"x\": [{\"input\": 1}]}") ", "
	 A_CALL("\"t2\"", "\"d\"", "{\"a\":1,\"a\":2}") "]", "\"tool_use\""), LLM_STOP_TOOL, "\"input\": NaN",
	 "a {\"x\":[{\"input\":1}]}\nd!{\"a\":1,\"a\":2}!not JSON: duplicate", "{\"role\": \"assistant\", \"content\": ["
	 A_TEXT("\"\\\"input\\\": NaN\"") ", " A_CALL("\"t1\"", "\"a\"", "{\"x\": [{\"input\": 1}]}") ", " A_CALL("\"t2\"", "\"d\"", "{}") "]}"},

	{"a call", LLM_OPENAI, O(O_CALLS(O_CALL("\"c1\"", "\"final_result\"", DECISION_TEXT)), "\"tool_calls\""), LLM_STOP_TOOL, "",
	 "final_result {\"approved\":true,\"confidence\":1}\n", "{\"role\": \"assistant\", \"content\": null, \"tool_calls\": ["
	 O_CALL("\"c1\"", "\"final_result\"", DECISION_TEXT) "]}"},
	{"text and two calls", LLM_OPENAI, O("{\"content\": \"hm\", \"tool_calls\": [" O_CALL("\"c1\"", "\"a\"", "\"{}\"") ", "
	 O_CALL("\"c2\"", "\"b\"", "\"{\\\"x\\\": 1}\"") "]}", "\"tool_calls\""), LLM_STOP_TOOL, "hm", "a {}\nb {\"x\":1}\n", NULL},
	{"decided twice", LLM_OPENAI, O(O_CALLS(O_CALL("\"c1\"", "\"d\"", "\"{\\\"approved\\\": false}\"") ", "
	 O_CALL("\"c2\"", "\"d\"", DECISION_TEXT)), "\"tool_calls\""), LLM_STOP_TOOL, "",
	 "d {\"approved\":false}\nd {\"approved\":true,\"confidence\":1}\n", NULL},
	{"the object itself", LLM_OPENAI, O(O_CALLS(O_CALL("\"c1\"", "\"d\"", "{\"limit\": 2}")), "\"tool_calls\""), LLM_STOP_TOOL, "",
	 "d {\"limit\":2}\n", "{\"role\": \"assistant\", \"content\": null, \"tool_calls\": ["
	 O_CALL("\"c1\"", "\"d\"", "\"{\\\"limit\\\":2}\"") "]}"},
	{"says stop, calls", LLM_OPENAI, O(O_CALLS(O_CALL("\"c1\"", "\"a\"", "\"{}\"")), "\"stop\""), LLM_STOP_TOOL, "", "a {}\n", NULL},
	{"no arguments", LLM_OPENAI, O(O_CALLS("{\"id\": \"c1\", \"function\": {\"name\": \"a\"}}, " O_CALL("\"c2\"", "\"b\"", "null") ", "
	 O_CALL("\"c3\"", "\"c\"", "\"\"")), "\"tool_calls\""), LLM_STOP_TOOL, "", "a {}\nb {}\nc {}\n", NULL},
	{"cut arguments", LLM_OPENAI, O(O_CALLS(O_CALL("\"c1\"", "\"d\"", "\"{\\\"approved\\\": true, \\\"conf\"")), "\"length\""),
	 LLM_STOP_CUT, "", "d!{\"approved\": true, \"conf!not JSON", "{\"role\": \"assistant\", \"content\": null, \"tool_calls\": ["
	 O_CALL("\"c1\"", "\"d\"", "\"{}\"") "]}"},
	{"a key twice", LLM_OPENAI, O(O_CALLS(O_CALL("\"c1\"", "\"d\"", "\"{\\\"approved\\\":false,\\\"approved\\\":true}\"")),
	 "\"tool_calls\""), LLM_STOP_TOOL, "", "d!{\"approved\":false,\"approved\":true}!duplicate", NULL},
	{"NaN", LLM_OPENAI, O(O_CALLS(O_CALL("\"c1\"", "\"d\"", "\"{\\\"confidence\\\":NaN}\"")), "\"tool_calls\""), LLM_STOP_TOOL, "",
	 "d!{\"confidence\":NaN}!not JSON", NULL},
	{"in a fence", LLM_OPENAI, O(O_CALLS(O_CALL("\"c1\"", "\"d\"", "\"```{}```\"")), "\"tool_calls\""), LLM_STOP_TOOL, "",
	 "d!```{}```!not JSON", NULL},
	{"an array", LLM_OPENAI, O(O_CALLS(O_CALL("\"c1\"", "\"d\"", "\"[1]\"")), "\"tool_calls\""), LLM_STOP_TOOL, "",
	 "d![1]!not a JSON object", NULL},
	{"a number", LLM_OPENAI, O(O_CALLS(O_CALL("\"c1\"", "\"d\"", "17")), "\"tool_calls\""), LLM_STOP_TOOL, "",
	 "d!17!not a JSON object", NULL},
	{"text only", LLM_OPENAI, O("{\"role\": \"assistant\", \"content\": \"Looks fine.\"}", "\"stop\""), LLM_STOP_END, "Looks fine.", "",
	 "{\"role\": \"assistant\", \"content\": \"Looks fine.\"}"},
	{"text, tool_calls null", LLM_OPENAI, O("{\"content\": \"x\", \"tool_calls\": null}", "\"stop\""), LLM_STOP_END, "x", "", NULL},
	{"says tool_calls, calls nothing", LLM_OPENAI, O("{\"content\": \"x\", \"tool_calls\": []}", "\"tool_calls\""), LLM_STOP_END, "x",
	 "", NULL},
	{"refusal", LLM_OPENAI, O("{\"content\": null, \"refusal\": \"No.\"}", "\"stop\""), LLM_STOP_REFUSED, "No.", "",
	 "{\"role\": \"assistant\", \"content\": \"No.\"}"},
	{"filtered", LLM_OPENAI, O("{\"content\": \"half\"}", "\"content_filter\""), LLM_STOP_REFUSED, "half", "", NULL},
	{"cut text", LLM_OPENAI, O("{\"content\": \"half\"}", "\"length\""), LLM_STOP_CUT, "half", "", NULL},
	{"cut while thinking", LLM_OPENAI, O("{\"content\": \"\", \"reasoning\": \"hm\"}", "\"length\""), LLM_STOP_CUT, "", "", NULL},
	{"no reason", LLM_OPENAI, O("{\"content\": \"x\"}", "null"), LLM_STOP_OTHER, "x", "", NULL},
	{"an older reason", LLM_OPENAI, O("{\"content\": \"x\"}", "\"function_call\""), LLM_STOP_OTHER, "x", "", NULL},
	{"empty content", LLM_OPENAI, O("{\"content\": null}", "\"stop\""), LLM_STOP_END, "", "",
	 "{\"role\": \"assistant\", \"content\": \"\"}"},
	{"no choices", LLM_OPENAI, "{\"choices\": []}", LLM_STOP_END, "", "", NULL},
	{"two choices", LLM_OPENAI, "{\"choices\": [{\"message\": {\"content\": \"first\"}, \"finish_reason\": \"stop\"}, 5]}",
	 LLM_STOP_END, "first", "", NULL},
};

static void check_calls(const struct row *row, const struct llm_turn *turn)
{
	const char *at = row->calls;

	for (size_t i = 0; i < turn->call_count; i++) {
		const struct llm_tool_call *call = &turn->calls[i];
		AUTO_TEXT line = {.max = 4096};

		CHECK(row->name, call->id[0] != '\0');
		if (call->arguments != NULL) {
			AUTO_FREE char *arguments = json_dumps(call->arguments, JSON_COMPACT);
			text_addf(&line, "%s %s\n", call->name, arguments);
			CHECK(row->name, call->bad_arguments == NULL && call->complaint == NULL);
		} else {
			text_addf(&line, "%s!%s!", call->name, call->bad_arguments);
			CHECK_HAS(row->name, call->complaint, at + (strlen(at) < line.len ? strlen(at) : line.len));
		}
		if (!CHECK(row->name, strncmp(at, text_str(&line), line.len) == 0)) {
			CHECK_STR(row->name, text_str(&line), at);
			return;
		}
		at += call->arguments != NULL ? line.len : strlen(at);
	}
	CHECK_STR(row->name, at, "");
}

static void reads_every_shape(void)
{
	EACH(row, rows)
	{
		struct llm_turn turn;
		struct error err;

		if (!CHECK_RC(row->name, llm_read_answer(row->provider, row->body, strlen(row->body), &turn, &err), 0, &err))
			continue;
		CHECK_INT(row->name, turn.stop, row->stop);
		CHECK_STR(row->name, turn.text, row->text);
		check_calls(row, &turn);
		if (row->raw != NULL)
			CHECK_JSON(row->name, turn.raw, row->raw);
		llm_turn_release(&turn);
	}
}

/* Nothing but an empty message is kept from the conversation: Anthropic's API refuses those. */
static void keeps_nothing_of_an_empty_message(void)
{
	static const char *const bodies[] = {A("[]", "\"end_turn\""), A("[" A_TEXT("\" \\n\"") "]", "\"end_turn\"")};

	EACH(body, bodies)
	{
		struct llm_turn turn;
		struct error err;

		if (!CHECK_RC(*body, llm_read_answer(LLM_ANTHROPIC, *body, strlen(*body), &turn, &err), 0, &err))
			continue;
		CHECK(*body, turn.raw == NULL);
		llm_turn_release(&turn);
	}
}

static void refuses_what_is_no_answer(void)
{
	static const struct {
		const char *name;
		enum llm_provider provider;
		const char *body;
		const char *text;
	} bad[] = {
		{"HTML", LLM_ANTHROPIC, "<html>Sign in</html>", "not JSON"},
		{"nothing", LLM_ANTHROPIC, "", "not JSON"},
		{"cut off", LLM_ANTHROPIC, "{\"content\": [{\"type\": \"te", "not JSON"},
		{"two of them", LLM_ANTHROPIC, "{\"content\": []} {}", "not JSON"},
		{"an event stream", LLM_ANTHROPIC, "event: message_start\ndata: {}\n\n", "not JSON"},
		{"an array", LLM_ANTHROPIC, "[]", "not a JSON object"},
		{"null", LLM_ANTHROPIC, "null", "not a JSON object"},
		{"an error", LLM_ANTHROPIC, "{\"type\": \"error\", \"error\": {\"message\": \"m\"}}", "'content'"},
		{"the other dialect", LLM_ANTHROPIC, "{\"choices\": []}", "'content'"},
		{"content is text", LLM_ANTHROPIC, A("\"hi\"", "\"end_turn\""), "'content' of the answer should be an array"},
		{"content is null", LLM_ANTHROPIC, A("null", "\"end_turn\""), "'content'"},
		{"a block is text", LLM_ANTHROPIC, A("[\"hi\"]", "\"end_turn\""), "not a JSON object"},
		{"a block without type", LLM_ANTHROPIC, A("[{\"text\": \"x\"}]", "\"end_turn\""), "'type'"},
		{"text is a number", LLM_ANTHROPIC, A("[" A_TEXT("5") "]", "\"end_turn\""), "'text'"},
		{"a call without id", LLM_ANTHROPIC, A("[{\"type\": \"tool_use\", \"name\": \"a\", \"input\": {}}]", "\"tool_use\""), "'id'"},
		{"a call without name", LLM_ANTHROPIC, A("[{\"type\": \"tool_use\", \"id\": \"t\", \"input\": {}}]", "\"tool_use\""),
		 "'name'"},
		{"an id twice", LLM_ANTHROPIC, A("[" A_CALL("\"t\"", "\"a\"", "{}") ", " A_CALL("\"t\"", "\"b\"", "{}") "]", "\"tool_use\""),
		 "have the id 't'"},
		{"content twice", LLM_ANTHROPIC, "{\"content\": [], \"content\": []}", "duplicate"},
		{"NaN elsewhere", LLM_ANTHROPIC, "{\"content\": [{\"type\": \"text\", \"text\": NaN}]}", "not JSON"},
		{"NaN in an input elsewhere", LLM_ANTHROPIC, "{\"usage\": {\"input\": NaN}, \"content\": []}", "not JSON"},
		{"input twice", LLM_ANTHROPIC, A("[" A_CALL("\"t\"", "\"d\"", "{}, \"input\": {\"approved\": true}") "]", "\"tool_use\""),
		 "duplicate"},
		{"an input without an end", LLM_ANTHROPIC, A("[" A_CALL("\"t\"", "\"d\"", "{\"reasoning\": \"hal") "]", "\"tool_use\""),
		 "not JSON"},
		{"an input that is not UTF-8", LLM_ANTHROPIC, A("[" A_CALL("\"t\"", "\"d\"", "{\"x\": \"\377\"}") "]", "\"tool_use\""), "not JSON"},
		{"half a surrogate", LLM_ANTHROPIC, A("[" A_TEXT("\"\\ud800\"") "]", "\"end_turn\""), "not JSON"},
		{"not UTF-8", LLM_ANTHROPIC, A("[" A_TEXT("\"\377\"") "]", "\"end_turn\""), "not JSON"},
		{"stop_reason is a number", LLM_ANTHROPIC, A("[]", "5"), "'stop_reason'"},
		{"usage is text", LLM_ANTHROPIC, "{\"content\": [], \"usage\": \"much\"}", "'usage'"},
		{"tokens are text", LLM_ANTHROPIC, "{\"content\": [], \"usage\": {\"input_tokens\": \"5\"}}", "'input_tokens'"},
		{"id is a number", LLM_ANTHROPIC, "{\"id\": 1, \"content\": []}", "'id'"},

		{"HTML", LLM_OPENAI, "<html>Sign in</html>", "not JSON"},
		{"cut off", LLM_OPENAI, "{\"choices\": [{\"mess", "not JSON"},
		{"an error", LLM_OPENAI, "{\"error\": {\"message\": \"m\"}}", "'choices'"},
		{"the other dialect", LLM_OPENAI, "{\"content\": []}", "'choices'"},
		{"choices is an object", LLM_OPENAI, "{\"choices\": {}}", "'choices' of the answer should be an array"},
		{"a choice is null", LLM_OPENAI, "{\"choices\": [null]}", "not a JSON object"},
		{"no message", LLM_OPENAI, "{\"choices\": [{\"finish_reason\": \"stop\"}]}", "'message'"},
		{"message is text", LLM_OPENAI, O("\"hi\"", "\"stop\""), "'message'"},
		{"content is a number", LLM_OPENAI, O("{\"content\": 5}", "\"stop\""), "'content'"},
		{"tool_calls is an object", LLM_OPENAI, O("{\"tool_calls\": {}}", "\"stop\""), "'tool_calls'"},
		{"a call is text", LLM_OPENAI, O(O_CALLS("\"a()\""), "\"tool_calls\""), "not a JSON object"},
		{"a call without function", LLM_OPENAI, O(O_CALLS("{\"id\": \"c\"}"), "\"tool_calls\""), "'function'"},
		{"a call without name", LLM_OPENAI, O(O_CALLS("{\"id\": \"c\", \"function\": {}}"), "\"tool_calls\""), "'name'"},
		{"id is a number", LLM_OPENAI, O(O_CALLS(O_CALL("1", "\"a\"", "\"{}\"")), "\"tool_calls\""), "'id'"},
		{"a key twice", LLM_OPENAI, "{\"choices\": [], \"choices\": []}", "duplicate"},
		{"NaN", LLM_OPENAI, "{\"choices\": [], \"usage\": {\"prompt_tokens\": NaN}}", "not JSON"},
		{"tokens are half", LLM_OPENAI, "{\"choices\": [], \"usage\": {\"prompt_tokens\": 0.5}}", "'prompt_tokens'"},
	};

	EACH(row, bad)
	{
		struct llm_turn turn = {.text = NULL};
		struct error err = {0};

		CHECK_RC(row->name, llm_read_answer(row->provider, row->body, strlen(row->body), &turn, &err), ERR_DECODE, &err);
		CHECK_HAS(row->name, err.text, row->text);
		CHECK(row->name, turn.text == NULL && turn.raw == NULL);
		llm_turn_release(&turn);
	}
}

/* Ids that are missing, empty or there twice would let two results be taken for each other. */
static void makes_up_missing_ids(void)
{
	static const char body[] = O(O_CALLS("{\"function\": {\"name\": \"a\"}}, " O_CALL("\"\"", "\"b\"", "\"{}\"") ", "
	                             O_CALL("\"c\"", "\"c\"", "\"{}\"") ", " O_CALL("\"c\"", "\"d\"", "\"{}\"") ", "
	                             O_CALL("null", "\"e\"", "\"{}\"")), "\"tool_calls\"");
	struct llm_turn turn;
	struct error err;

	if (!CHECK_RC("ids", llm_read_answer(LLM_OPENAI, body, strlen(body), &turn, &err), 0, &err))
		return;
	CHECK_INT("calls", turn.call_count, 5);
	CHECK_STR("its own id", turn.calls[2].id, "c");
	for (size_t i = 0; i < turn.call_count; i++) {
		const json_t *back = json_array_get(json_object_get(turn.raw, "tool_calls"), i);
		CHECK_STR("sent back", json_string_value(json_object_get(back, "id")), turn.calls[i].id);
		for (size_t k = 0; k < i; k++)
			CHECK(turn.calls[i].id, strcmp(turn.calls[i].id, turn.calls[k].id) != 0);
	}
	llm_turn_release(&turn);
}

static void takes_only_so_many_calls(void)
{
	static const struct {
		const char *name;
		enum llm_provider provider;
		const char *head, *call, *tail;
	} dialects[] = {
		{"Anthropic", LLM_ANTHROPIC, "{\"content\": [", A_CALL("\"t%zu\"", "\"a\"", "{}"), "]}"},
		{"OpenAI", LLM_OPENAI, "{\"choices\": [{\"message\": {\"tool_calls\": [", O_CALL("\"t%zu\"", "\"a\"", "\"{}\""), "]}}]}"},
	};

	EACH(row, dialects)
		for (size_t calls = LLM_CALLS_MAX; calls <= LLM_CALLS_MAX + 1; calls++) {
			AUTO_TEXT body = {.max = 100000};
			struct llm_turn turn;
			struct error err;

			text_addf(&body, "%s", row->head);
			for (size_t i = 0; i < calls; i++) {
				const char *number = strstr(row->call, "%zu");
				text_addf(&body, "%s%.*s%zu%s", i > 0 ? ", " : "", (int)(number - row->call), row->call, i, number + 3);
			}
			text_addf(&body, "%s", row->tail);
			int rc = llm_read_answer(row->provider, text_str(&body), body.len, &turn, &err);
			CHECK_RC(row->name, rc, calls > LLM_CALLS_MAX ? ERR_DECODE : 0, &err);
			if (rc == 0)
				llm_turn_release(&turn);
			else
				CHECK_HAS(row->name, err.text, "more than 64 tools");
		}
}

UNIT_SUITE("client/llm/llm_answers", TEST(reads_every_shape), TEST(keeps_nothing_of_an_empty_message),
           TEST(refuses_what_is_no_answer), TEST(makes_up_missing_ids), TEST(takes_only_so_many_calls))
