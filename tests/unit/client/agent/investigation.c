#include "tests/unit/client/agent/investigation.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "client/base/text.h"
#include "tests/unit/api.h"

static const char *const allowed[] = {"get_identity", "get_flows", "get_runs", NULL};
static const char *const secrets[] = {PREFECT_KEY, MODEL_KEY, SHORT_SECRET, NULL};

static struct http_reply reply(void *arg, const struct http_seen *seen)
{
	struct investigation *i = arg;
	size_t at = json_array_size(i->requests);

	if (at >= ANSWERS_MAX || i->answers[at] == NULL)
		return (struct http_reply){.status = 599};
	(void)json_array_append_new(i->requests, unit_json(seen->body));
	const char *answer = i->answers[at];
	return isdigit((unsigned char)*answer) ? (struct http_reply){.status = atoi(answer)}
	                                       : (struct http_reply){.body = answer, .headers = "request-id: req_7\r\n"};
}

static bool may_go_on(void *arg)
{
	struct investigation *i = arg;

	return i->go_on-- > 0;
}

static void tell(void *arg, int level, const char *line)
{
	struct investigation *i = arg;

	text_addf(&i->told, "%d %s\n", level, line);
}

/* The decision of these tests: {"approved": boolean} and nothing else. */
static int check(const json_t *arguments, char **ret_problems, struct error *err)
{
	if (json_object_size(arguments) == 1 && json_is_boolean(json_object_get(arguments, "approved")))
		return 0;
	*ret_problems = text_dup("approved: has to be a boolean");
	return error_set(err, ERR_INVALID, "no decision");
}

void investigation_open(struct investigation *i, const char *const answers[ANSWERS_MAX], const char *script)
{
	*i = (struct investigation){.requests = json_array(), .told = {.max = 20000}, .go_on = 100};
	memcpy(i->answers, answers, sizeof i->answers);
	i->server = http_server_handle(reply, i);
	i->environment = json_pack("{s:s}", CHILD_SCRIPT, script);
	i->schema = unit_json("{\"type\": \"object\"}");
	i->settings = (struct agent_settings){
		.llm = {.provider = LLM_ANTHROPIC, .base_url = http_server_url(i->server), .model = "test-model", .key = MODEL_KEY,
		        .call_timeout_ms = 30000, .retries = 1, .first_wait_ms = 1},
		.tools = {.mcp = {.command = scripted_child_command(), .environment = i->environment, .start_timeout_ms = 30000,
		                  .call_timeout_ms = 30000},
		          .api_url = PREFECT_URL, .allowed = allowed, .secrets = secrets},
		.system = "Be careful.",
		.proposal = "May I?",
		.decision = {"decide", "Your decision.", i->schema},
		.check = check,
		.max_turns = 6, .max_tool_calls = 4, .max_bytes = 100000, .tool_ms = 20000, .total_ms = 60000,
		.may_go_on = may_go_on, .tell = tell, .arg = i,
	};
}

size_t investigation_close(struct investigation *i, const char *row)
{
	json_decref(i->requests);
	json_decref(i->environment);
	json_decref(i->schema);
	text_release(&i->told);
	return api_stop_server(i->server, row);
}
