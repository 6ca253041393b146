/* The MCP client as a command, for tests: reads {"command" or "url", "environment", "do": [step, ...]} from stdin, and
 * writes one line a step. A step is "list" or [tool, arguments]; a failure is {"error": code, "text": ...}. */
#include "client/mcp/mcp.h"

#include <signal.h>
#include <stdio.h>

#include "client/base/http.h"
#include "client/base/json.h"

#define TIMEOUT_MS 120000 /* other tests load the machine too */

static void tell(json_t *line)
{
	(void)json_dumpf(line, stdout, JSON_COMPACT);
	(void)fputs("\n", stdout);
	(void)fflush(stdout);
	json_decref(line);
}

static void tell_error(const struct error *err)
{
	tell(json_pack("{s:i, s:s}", "error", err->code, "text", err->text));
}

static void list(struct mcp *mcp)
{
	struct mcp_tool *tools;
	struct error err;
	size_t count;

	if (mcp_list_tools(mcp, &tools, &count, &err) != 0) {
		tell_error(&err);
		return;
	}
	json_t *rows = json_array();
	for (size_t i = 0; i < count; i++)
		(void)json_array_append_new(rows, json_pack("{s:s, s:s?, s:O, s:b}", "name", tools[i].name, "description",
		                                            tools[i].description, "input_schema", tools[i].input_schema,
		                                            "read_only", tools[i].read_only));
	tell(rows);
	mcp_tools_free(tools, count);
}

static void call(struct mcp *mcp, const char *name, const json_t *arguments)
{
	struct mcp_result result;
	struct error err;

	if (mcp_call_tool(mcp, name, arguments, &result, &err) != 0) {
		tell_error(&err);
		return;
	}
	tell(json_pack("{s:b, s:b, s:s, s:O?}", "is_error", result.is_error, "cut", result.cut, "text", result.text,
	               "structured", result.structured));
	mcp_result_release(&result);
}

int main(void)
{
	AUTO_JSON *input = json_loadf(stdin, 0, NULL);
	struct mcp_settings settings = {
		.command = json_string_value(json_object_get(input, "command")),
		.url = json_string_value(json_object_get(input, "url")),
		.environment = json_object_get(input, "environment"),
		.start_timeout_ms = TIMEOUT_MS,
		.call_timeout_ms = TIMEOUT_MS,
	};
	struct mcp *mcp = NULL;
	struct error err;
	json_t *step;
	size_t i;

	(void)signal(SIGPIPE, SIG_IGN);
	if (input == NULL || http_init(&err) != 0)
		return 2;
	if (mcp_open(&settings, &mcp, &err) != 0) {
		tell_error(&err);
	} else {
		json_array_foreach(json_object_get(input, "do"), i, step)
		{
			if (json_is_array(step))
				call(mcp, json_string_value(json_array_get(step, 0)), json_array_get(step, 1));
			else
				list(mcp);
		}
	}
	mcp_close(mcp);
	http_cleanup();
	return 0;
}
