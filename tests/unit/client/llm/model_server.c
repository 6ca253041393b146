#include "tests/unit/client/llm/model_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/base/text.h"
#include "tests/unit/api.h"

static struct http_reply reply(void *arg, const struct http_seen *seen)
{
	struct model_server *model = arg;
	size_t at = json_array_size(model->bodies);

	if (at >= model->reply_count || at >= REQUESTS_MAX)
		return (struct http_reply){.status = 599};
	(void)json_array_append_new(model->bodies, unit_json(seen->body));
	model->paths[at] = text_dup(seen->path);
	model->headers[at] = text_dup(seen->headers);
	return model->replies[at];
}

void model_open(struct model_server *model, enum llm_provider provider, const struct http_reply *replies, size_t count)
{
	AUTO_JSON *none = unit_json("{\"type\": \"object\", \"properties\": {}}");
	AUTO_JSON *decision = unit_json("{\"type\": \"object\", \"required\": [\"approved\"]}");
	const struct llm_tool tools[] = {{"get_dashboard", "The dashboard.", none}, {"final_result", NULL, decision}};
	struct error err;

	*model = (struct model_server){.replies = replies, .reply_count = count, .bodies = json_array()};
	model->server = http_server_handle(reply, model);
	(void)snprintf(model->url, sizeof model->url, "%s%s", http_server_url(model->server),
	               provider == LLM_OPENAI ? "/v1/" : "");
	model->settings = (struct llm_settings){.provider = provider, .base_url = model->url, .model = "test-model", .key = KEY,
	                                        .call_timeout_ms = 30000, .retries = 2, .first_wait_ms = 1};
	if (llm_new(&model->settings, &model->llm, &err) != 0)
		abort();
	model->conversation = llm_conversation_new(&model->settings, "Be careful.", tools, COUNT_OF(tools));
	if (model->conversation == NULL || llm_add_user(model->conversation, "May I?", &err) != 0)
		abort();
}

size_t model_close(struct model_server *model, const char *row)
{
	llm_conversation_free(model->conversation);
	llm_free(model->llm);
	size_t requests = api_stop_server(model->server, row);
	for (size_t i = 0; i < REQUESTS_MAX; i++) {
		free(model->paths[i]);
		free(model->headers[i]);
	}
	json_decref(model->bodies);
	return requests;
}

bool model_ask(struct model_server *model, const char *row, struct llm_turn *ret_turn)
{
	struct error err;

	return CHECK_RC(row, llm_ask(model->llm, model->conversation, true, ret_turn, &err), 0, &err);
}
