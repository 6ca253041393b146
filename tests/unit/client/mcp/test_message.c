/* JSON-RPC messages and the results of our requests, as they are read. */
#include "client/mcp/message.h"

#include <string.h>

#include "client/base/text.h"
#include "tests/unit/unit.h"

static void tells_messages_apart(void)
{
	static const struct {
		const char *text;
		int rc;
		enum message_kind kind;
		bool answers_2;
		const char *reason;
	} rows[] = {
		{"{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}", 0, MESSAGE_RESULT, true, NULL},
		{"{\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{},\"new\":1}", 0, MESSAGE_RESULT, false, NULL},
		{"{\"jsonrpc\":\"2.0\",\"id\":\"2\",\"result\":{}}", 0, MESSAGE_RESULT, false, NULL},
		{"{\"jsonrpc\":\"2.0\",\"id\":2.0,\"result\":{}}", 0, MESSAGE_RESULT, false, NULL},
		{"{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{},\"error\":null}", 0, MESSAGE_RESULT, true, NULL},
		{"{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{\"code\":-1,\"message\":\"a\\nb\"}}", 0, MESSAGE_REFUSAL, true, "a?b (code -1)"},
		{"{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":{}}", 0, MESSAGE_UNREADABLE, true, "an error without code and message"},
		{"{\"jsonrpc\":\"2.0\",\"id\":2,\"error\":\"x\"}", 0, MESSAGE_UNREADABLE, true, "an error without code and message"},
		{"{\"jsonrpc\":\"2.0\",\"id\":2}", 0, MESSAGE_UNREADABLE, true, "neither result nor error, or both"},
		{"{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{},\"error\":{}}", 0, MESSAGE_UNREADABLE, true, "neither result nor error, or both"},
		{"{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":\"x\"}", 0, MESSAGE_UNREADABLE, true, "the result is not an object"},
		{"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"ping\"}", 0, MESSAGE_REQUEST, false, NULL},
		{"{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":[]}", 0, MESSAGE_NOTIFICATION, false, NULL},
		{"{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":1,\"message\":\"\"}}", ERR_DECODE, 0, false, NULL},
		{"{\"jsonrpc\":\"2.0\",\"result\":{}}", ERR_DECODE, 0, false, NULL},
		{"{\"jsonrpc\":\"1.0\",\"id\":2,\"result\":{}}", ERR_DECODE, 0, false, NULL},
		{"{\"id\":2,\"result\":{}}", ERR_DECODE, 0, false, NULL},
		{"{\"jsonrpc\":\"2.0\",\"id\":2,\"id\":2,\"result\":{}}", ERR_DECODE, 0, false, NULL},
		{"{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}", ERR_DECODE, 0, false, NULL},
		{"[{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{}}]", ERR_DECODE, 0, false, NULL},
		{"{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":5}", ERR_DECODE, 0, false, NULL},
		{"Starting up", ERR_DECODE, 0, false, NULL},
		{"", ERR_DECODE, 0, false, NULL},
	};

	EACH(row, rows)
	{
		struct message message = {0};
		struct error err;

		CHECK_RC(row->text, message_read(row->text, strlen(row->text), &message, &err), row->rc, &err);
		CHECK_INT(row->text, message.kind, row->kind);
		CHECK_INT(row->text, message_answers(&message, 2), row->answers_2);
		CHECK_STR(row->text, message.reason, row->reason);
		message_release(&message);
	}
}

static void makes_messages(void)
{
	AUTO_JSON *request = message_make(5, "tools/list", NULL);
	AUTO_JSON *notification = message_make(0, "n", unit_json("{\"a\": 1}"));

	CHECK_JSON("request", request, "{\"jsonrpc\": \"2.0\", \"id\": 5, \"method\": \"tools/list\"}");
	CHECK_JSON("notification", notification, "{\"jsonrpc\": \"2.0\", \"method\": \"n\", \"params\": {\"a\": 1}}");
}

static void reads_results(void)
{
#define ALL_TEXT(text) "{\"content\": [{\"type\": \"text\", \"text\": \"" text "\"}]}"
	static const struct {
		const char *result;
		int rc;
		bool is_error;
		const char *text; /* of the result or of the error */
	} rows[] = {
		{ALL_TEXT("yes"), 0, false, "yes"},
		{"{\"content\": [{\"type\": \"text\", \"text\": \"Unknown tool: 'x'\"}], \"isError\": true}", 0, true, "Unknown tool: 'x'"},
		{"{\"content\": []}", 0, false, ""},
		{"{\"content\": [{\"type\": \"text\", \"text\": \"a\"}, {\"type\": \"text\", \"text\": \"b\"}]}", 0, false, "a\nb"},
		{"{\"content\": [{\"type\": \"image\", \"data\": \"AAAA\", \"mimeType\": \"image/png\"}, {\"type\": \"text\", \"text\": \"b\"}]}", 0,
		 false, "[a part of type 'image' is left out]\nb"},
		{"{\"content\": [{\"type\": \"\\u001b[31m\", \"text\": \"x\"}]}", 0, false, "[a part of type '?[31m' is left out]"},
		{ALL_TEXT("a\\nb\\tc"), 0, false, "a\nb c"},
		{ALL_TEXT("a\\u0000b\\u001b\\u202ec\\r"), 0, false, "a?b??c?"},
		{ALL_TEXT("\\u00e4\\ud83d\\ude00"), 0, false, "\xc3\xa4\xf0\x9f\x98\x80"},
		{"{\"content\": null}", ERR_DECODE, false, "'content'"},
		{"{\"content\": \"yes\"}", ERR_DECODE, false, "not a JSON array"},
		{"{\"content\": [\"yes\"]}", ERR_DECODE, false, "not a JSON object"},
		{"{\"content\": [{\"text\": \"yes\"}]}", ERR_DECODE, false, "'type'"},
		{"{\"content\": [{\"type\": \"text\"}]}", ERR_DECODE, false, "has no text"},
		{"{\"content\": [{\"type\": \"text\", \"text\": 5}]}", ERR_DECODE, false, "'text'"},
		{"{\"content\": [], \"isError\": \"no\"}", ERR_DECODE, false, "'isError'"},
		{"{\"content\": [], \"structuredContent\": 5}", ERR_DECODE, false, "'structuredContent'"},
	};

	EACH(row, rows)
	{
		AUTO_JSON *json = unit_json(row->result);
		struct mcp_result result = {0};
		struct error err;

		CHECK_RC(row->result, message_read_result(json, &result, &err), row->rc, &err);
		CHECK_INT(row->result, result.is_error, row->is_error);
		if (row->rc == 0)
			CHECK_STR(row->result, result.text, row->text);
		else
			CHECK_HAS(row->result, err.text, row->text);
		mcp_result_release(&result);
	}
}

static void keeps_what_is_structured(void)
{
	AUTO_JSON *json = unit_json("{\"content\": [], \"structuredContent\": {\"success\": true}}");
	struct mcp_result result;
	struct error err;

	if (CHECK_RC("structured", message_read_result(json, &result, &err), 0, &err)) {
		CHECK_JSON("structured", result.structured, "{\"success\": true}");
		mcp_result_release(&result);
	}
}

/* At the limit nothing is lost; beyond it no character is cut in two. */
static void cuts_results_at_a_character(void)
{
	for (size_t extra = 0; extra < 6; extra++) {
		AUTO_TEXT text = {.max = 1000000};
		struct mcp_result result;
		struct error err;

		for (size_t i = 0; i < extra; i++)
			text_add(&text, "x", 1);
		while (text.len + 4 <= MCP_RESULT_MAX + (extra > 0 ? 4 : 0))
			text_add(&text, "\xf0\x9f\x98\x80", 4);
		AUTO_JSON *json = json_pack("{s:[{s:s, s:s}]}", "content", "type", "text", "text", text_str(&text));
		if (!CHECK_RC("cut", message_read_result(json, &result, &err), 0, &err))
			continue;
		AUTO_JSON *valid = json_string(result.text);
		CHECK("UTF-8", valid != NULL);
		CHECK("length", strlen(result.text) <= MCP_RESULT_MAX);
		CHECK_INT("cut", result.cut, text.len > MCP_RESULT_MAX);
		CHECK_INT("cut", strstr(result.text, "[cut here: ") != NULL, result.cut);
		mcp_result_release(&result);
	}
}

static void reads_tools(void)
{
#define TOOL(more) "{\"tools\": [{\"name\": \"a\", \"inputSchema\": {}" more "}]}"
	static const struct {
		const char *result;
		int rc;
		bool read_only;
	} rows[] = {
		{TOOL(""), 0, false},
		{TOOL(", \"annotations\": {}"), 0, false},
		{TOOL(", \"annotations\": null, \"_meta\": {}"), 0, false},
		{TOOL(", \"annotations\": {\"readOnlyHint\": true, \"title\": \"A\"}"), 0, true},
		{TOOL(", \"annotations\": {\"readOnlyHint\": false}"), 0, false},
		{TOOL(", \"annotations\": {\"readOnlyHint\": \"true\"}"), ERR_DECODE, false},
		{TOOL(", \"annotations\": true"), ERR_DECODE, false},
		{TOOL(", \"description\": 5"), ERR_DECODE, false},
		{TOOL("}, {\"name\": \"b\""), ERR_DECODE, false},
		{"{\"tools\": [{\"inputSchema\": {}}]}", ERR_DECODE, false},
		{"{\"tools\": {}}", ERR_DECODE, false},
		{"{}", ERR_DECODE, false},
		{"{\"tools\": [], \"nextCursor\": 5}", ERR_DECODE, false},
	};

	EACH(row, rows)
	{
		AUTO_JSON *json = unit_json(row->result);
		AUTO_FREE char *cursor = NULL;
		struct mcp_tool *tools;
		struct error err;
		size_t count;

		if (CHECK_RC(row->result, message_read_tools(json, &tools, &count, &cursor, &err), row->rc, &err) && row->rc == 0) {
			CHECK_INT(row->result, count, 1);
			CHECK_INT(row->result, tools[0].read_only, row->read_only);
			mcp_tools_free(tools, count);
		}
	}
}

UNIT_SUITE("client/mcp/message", TEST(tells_messages_apart), TEST(makes_messages), TEST(reads_results),
           TEST(keeps_what_is_structured), TEST(cuts_results_at_a_character), TEST(reads_tools))
