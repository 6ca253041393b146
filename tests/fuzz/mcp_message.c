/* What an MCP server sends: as a message, and as the result of each request that we make. */
#include "client/mcp/message.h"

#include <stdlib.h>
#include <string.h>

#include "client/base/json.h"
#include "client/base/text.h"
#include "tests/fuzz/fuzz.h"

static void read_tools(const json_t *result)
{
	AUTO_FREE char *cursor = NULL;
	struct mcp_tool *tools;
	struct error err;
	size_t count;

	if (message_read_tools(result, &tools, &count, &cursor, &err) != 0) {
		fuzz_must_be_clean(err.text, /* lines= */ false);
		return;
	}
	for (size_t i = 0; i < count; i++)
		MUST(tools[i].name != NULL && json_is_object(tools[i].input_schema));
	mcp_tools_free(tools, count);
}

static void read_result(const json_t *result)
{
	struct mcp_result read;
	struct error err;

	if (message_read_result(result, &read, &err) != 0) {
		fuzz_must_be_clean(err.text, /* lines= */ false);
		return;
	}
	MUST(strlen(read.text) <= MCP_RESULT_MAX);
	fuzz_must_be_clean(read.text, /* lines= */ true);
	mcp_result_release(&read);
}

static void read_version(const json_t *result)
{
	const char *version;
	struct error err;

	if (message_read_version(result, &version, &err) != 0)
		fuzz_must_be_clean(err.text, /* lines= */ false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = fuzz_string(data, size);
	AUTO_JSON *reply = NULL;
	struct message message;
	struct error err;

	if (message_read(text, size, &message, &err) != 0) {
		fuzz_must_be_clean(err.text, /* lines= */ false);
		return 0;
	}
	MUST(!message_answers(&message, 2) || json_integer_value(message.id) == 2);
	if (message.reason != NULL)
		fuzz_must_be_clean(message.reason, /* lines= */ false);
	if (message.kind == MESSAGE_REQUEST)
		MUST((reply = message_reply(&message)) != NULL);
	if (message.kind == MESSAGE_RESULT) {
		read_version(message.result);
		read_tools(message.result);
		read_result(message.result);
	}
	message_release(&message);
	return 0;
}
