/* An investigation over a scripted model server and a scripted MCP server. */
#ifndef TESTS_UNIT_CLIENT_AGENT_INVESTIGATION_H
#define TESTS_UNIT_CLIENT_AGENT_INVESTIGATION_H

#include "client/agent/agent.h"
#include "client/base/text.h"
#include "tests/unit/client/mcp/scripted_child.h"
#include "tests/unit/http_server.h"
#include "tests/unit/unit.h"

#define MODEL_KEY "sk-test-topsecret-0123456789"
#define PREFECT_KEY "pnu_topsecret_0123456789"
#define SHORT_SECRET "admin:pass"
#define PREFECT_URL "http://127.0.0.1:4200/api"
#define ANSWERS_MAX 8

/* What the model says, as Anthropic's API gives it. */
#define SAY(content, stop)                                                                                            \
	"{\"id\": \"msg_1\", \"type\": \"message\", \"role\": \"assistant\", \"content\": [" content "], \"stop_reason\": \"" stop \
	"\", \"usage\": {\"input_tokens\": 100, \"output_tokens\": 10}}"
#define TEXT(text) "{\"type\": \"text\", \"text\": \"" text "\"}"
#define USE(id, name, input) "{\"type\": \"tool_use\", \"id\": \"" id "\", \"name\": \"" name "\", \"input\": " input "}"
#define DECIDE(input) SAY(USE("d", "decide", input), "tool_use")
#define YES "{\"approved\": true}"
#define LOOK(name) SAY(USE("l", name, "{}"), "tool_use")

/* What the MCP server says before the first call of the model, and after it (ids from 4 on). */
#define TOOL(name, read_only)                                                                      \
	"{\"name\":\"" name "\",\"description\":\"About " name ".\",\"inputSchema\":{\"type\":\"object\"}," \
	"\"annotations\":{\"readOnlyHint\":" read_only "}}"
#define TOOLS "< \"tools/list\"\n> {\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{\"tools\":[" TOOL("get_identity", "true") "," \
	TOOL("get_flows", "true") "," TOOL("get_runs", "false") "," TOOL("other", "true") "]}}\n"
#define IDENTITY(url) "< \"get_identity\"\n> " TOOL_RESULT(3, "{\\\"success\\\":true,\\\"identity\\\":{\\\"api_url\\\":\\\"" url "\\\"}}") "\n"
#define START HELLO TOOLS IDENTITY(PREFECT_URL "/")
#define ANSWER(id, text) "< \"tools/call\"\n> " TOOL_RESULT(id, text) "\n"
#define GOOD "{\\\"success\\\":true,\\\"flows\\\":[]}"
#define BAD "{\\\"success\\\":false,\\\"error\\\":\\\"no\\\"}"

struct investigation {
	const char *answers[ANSWERS_MAX]; /* of the model; one request more gets 599. A text of digits is a status */
	json_t *requests;
	struct text told;                 /* one line each */
	int go_on;                        /* how often may_go_on() says yes */
	struct http_server *server;
	json_t *environment;
	json_t *schema;
	struct agent_settings settings;
};

void investigation_open(struct investigation *i, const char *const answers[ANSWERS_MAX], const char *script);
/* The number of requests to the model. */
size_t investigation_close(struct investigation *i, const char *row);

#endif
