#include "tests/unit/api.h"

#include <stdlib.h>

struct http_settings api_settings(const char *url)
{
	return (struct http_settings){
		.url = url,
		.connect_timeout_ms = 30000,
		.request_timeout_ms = 30000,
		.retry_budget_ms = 30000,
	};
}

static void open_session(struct api *api, struct http_server *server)
{
	*api = (struct api){.server = server, .settings = api_settings(http_server_url(server))};
	api->prefect = prefect_new(&api->settings, &api->clock);
	if (api->prefect == NULL)
		abort();
}

struct http_server *api_script(const struct http_step *steps, size_t count)
{
	size_t used = 0;

	while (used < count && steps[used].method != NULL)
		used++;
	return http_server_script(steps, used);
}

void api_open(struct api *api, const struct http_step *steps, size_t count)
{
	open_session(api, api_script(steps, count));
}

void api_open_handler(struct api *api, http_handler *handler, void *arg)
{
	open_session(api, http_server_handle(handler, arg));
}

size_t api_stop_server(struct http_server *server, const char *row)
{
	size_t requests;
	char *problems = http_server_stop(server, &requests);

	CHECK_STR(row, problems, "");
	free(problems);
	return requests;
}

size_t api_close(struct api *api, const char *row)
{
	prefect_free(api->prefect);
	return api_stop_server(api->server, row);
}
