#include "tests/unit/worker/flow_run.h"

#include <stdio.h>
#include <string.h>

void unit_flow_open(struct unit_flow *flow, struct http_server *server, const char *run, const struct question *question)
{
	static const struct question first = {.number = 1};
	AUTO_JSON *json = unit_json(run != NULL ? run : OWN_RUN("RUNNING", ""));
	struct flow_run decoded;
	struct error err;

	memset(flow, 0, sizeof *flow);
	flow->server = server;
	(void)snprintf(flow->url, sizeof flow->url, "%s", http_server_url(server));
	flow->settings = (struct settings){.api_url = flow->url, .request_timeout_ms = 30000, .limit = 1, .writes_at_once = 1};
	worker_init(&flow->worker, &flow->settings);
	(void)snprintf(flow->worker.name, sizeof flow->worker.name, "me");
	(void)snprintf(flow->worker.instance, sizeof flow->worker.instance, OWN_INSTANCE);
	flow->prefect = prefect_new(&flow->worker.http.executors, &flow->worker.clock);
	if (flow_run_decode(json, &decoded, &err) != 0 || flow->prefect == NULL)
		abort();
	flow->ctx = flow_ctx_new(&flow->worker, flow->prefect, &decoded, NULL, NULL, question != NULL ? question : &first);
}

void unit_flow_open_steps(struct unit_flow *flow, const struct http_step *steps, size_t max, const char *run,
                          const struct question *question)
{
	size_t count = 0;

	while (count < max && steps[count].method != NULL)
		count++;
	unit_flow_open(flow, http_server_script(steps, count), run, question);
}

size_t unit_flow_close(struct unit_flow *flow, const char *row)
{
	flow_ctx_free(flow->ctx);
	prefect_free(flow->prefect);
	worker_done(&flow->worker);
	return api_stop_server(flow->server, row);
}

bool unit_flow_logged(struct unit_flow *flow, const char *part)
{
	size_t i;
	json_t *line;

	json_array_foreach(flow->worker.logs.queue, i, line)
		if (strstr(json_string_value(json_object_get(line, "message")), part) != NULL)
			return true;
	return false;
}
