#include "worker/worker.h"

#include <string.h>

#include "client/base/log.h"
#include "client/prefect/deployment.h"

/* Enough for a database that is locked for a moment; an outage is the business of the service's own loop. */
#define SERVICE_RETRY_BUDGET_MS 1500
#define RETRY_FIRST_MS 1000
#define RETRY_MAX_MS 60000
/* About four minutes. */
#define DOUBTFUL_TRIES 8
/* A wrong password is not cured by asking often. */
#define RETRY_AUTH_MS 30000

void worker_init(struct worker *worker, const struct settings *settings)
{
	memset(worker, 0, sizeof *worker);
	worker->settings = settings;
	uuid_make(worker->instance);
	stop_init(&worker->stop);
	worker->http = settings_http(settings, &worker->stop);
	worker->service_http = worker->http;
	worker->service_http.retry_budget_ms = SERVICE_RETRY_BUDGET_MS;
	registry_init(&worker->registry, (size_t)settings->limit);
	run_logs_init(&worker->logs, &worker->http, &worker->clock);
	(void)pthread_mutex_init(&worker->lock, NULL);
}

void worker_done(struct worker *worker)
{
	run_logs_done(&worker->logs);
	registry_done(&worker->registry);
	stop_done(&worker->stop);
	(void)pthread_mutex_destroy(&worker->lock);
}

struct prefect *worker_service_session(struct worker *worker)
{
	return prefect_new(&worker->service_http, &worker->clock);
}

struct owner worker_owner(const struct worker *worker)
{
	return (struct owner){.worker = worker->name, .instance = worker->instance};
}

static bool lookup_flow(struct worker *worker, const char *flow_id, const struct flow_spec **ret_spec)
{
	bool found = false;

	(void)pthread_mutex_lock(&worker->lock);
	for (size_t i = 0; i < worker->flow_count && !found; i++) {
		found = strcmp(worker->flows[i].id, flow_id) == 0;
		if (found)
			*ret_spec = worker->flows[i].spec;
	}
	(void)pthread_mutex_unlock(&worker->lock);
	return found;
}

static void remember_flow(struct worker *worker, const char *flow_id, const struct flow_spec *spec)
{
	(void)pthread_mutex_lock(&worker->lock);
	if (worker->flow_count == KNOWN_FLOWS_MAX)
		worker->flow_count = 0; /* forget them all: they are asked for again */
	(void)snprintf(worker->flows[worker->flow_count].id, UUID_SIZE, "%s", flow_id);
	worker->flows[worker->flow_count++].spec = spec;
	(void)pthread_mutex_unlock(&worker->lock);
}

int worker_find_flow(struct worker *worker, struct prefect *prefect, const char *flow_id,
                     const struct flow_spec **ret_spec, struct error *err)
{
	struct flow flow;

	if (lookup_flow(worker, flow_id, ret_spec))
		return 0;

	int rc = flow_read(prefect, flow_id, &flow, err);
	if (rc != 0)
		return rc;
	*ret_spec = flow_find(flow.name);
	if (*ret_spec == NULL)
		log_warning("leaving alone the runs of flow '%s': this worker does not know it; a Python worker on another work "
		            "pool can run it", flow.name);
	remember_flow(worker, flow_id, *ret_spec);
	flow_release(&flow);
	return 0;
}

bool worker_is_passing(const struct error *err)
{
	return err->code == ERR_TRANSPORT || err->code == ERR_BUSY || err->code == ERR_AUTH || err->code == ERR_NO_ROUTE;
}

/* A server error, or something that is not Prefect's answer: it may pass, as when a proxy restarts, or it may not. */
static bool is_doubtful(const struct error *err)
{
	return err->code == ERR_DECODE || (err->code == ERR_HTTP && err->http_status >= 500);
}

bool worker_retry(struct worker *worker, const char *what, const struct error *err, int *tries)
{
	int64_t wait = RETRY_FIRST_MS;

	bool may_help = worker_is_passing(err) || (is_doubtful(err) && *tries < DOUBTFUL_TRIES);
	if (!may_help || stop_asked(&worker->stop))
		return false;
	for (int i = 0; i < *tries && wait < RETRY_MAX_MS; i++)
		wait *= 2;
	if (err->code == ERR_AUTH && wait < RETRY_AUTH_MS)
		wait = RETRY_AUTH_MS;
	if (wait > RETRY_MAX_MS)
		wait = RETRY_MAX_MS;
	if ((*tries)++ == 0)
		log_warning("%s: %s; trying again until it works", what, err->text);
	return !stop_wait(&worker->stop, wait_jitter(wait));
}
