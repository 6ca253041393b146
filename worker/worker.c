#include "worker/worker.h"

#include <string.h>

#include "client/base/log.h"
#include "client/prefect/deployment.h"

/* Enough for a database that is locked for a moment; an outage is the business of the service's own loop. */
#define SERVICE_RETRY_BUDGET_MS 1500
/* The services' requests are small: one that hangs for so long is better made again. */
#define SERVICE_TIMEOUT_MS 20000
/* What is only for reading holds up a flow for so long at most, and then not again for a while. */
#define PICTURE_RETRY_BUDGET_MS 1000
#define PICTURE_TIMEOUT_MS 5000

void worker_http_init(struct worker *worker, const struct settings *settings, struct worker_http *http)
{
	http->executors = settings_http(settings, &worker->stop);
	http->executors.observer = metrics_count_try;
	http->executors.observer_arg = &worker->metrics;
	http->executors.gate = &worker->writes.http;
	http->logs = run_logs_http(&http->executors);
	http->services = http->executors;
	http->services.retry_budget_ms = SERVICE_RETRY_BUDGET_MS;
	http->services.few_tries = true;
	if (http->services.request_timeout_ms > SERVICE_TIMEOUT_MS)
		http->services.request_timeout_ms = SERVICE_TIMEOUT_MS;
	http->pictures = http->services;
	http->pictures.retry_budget_ms = PICTURE_RETRY_BUDGET_MS;
	if (http->pictures.request_timeout_ms > PICTURE_TIMEOUT_MS)
		http->pictures.request_timeout_ms = PICTURE_TIMEOUT_MS;
	http->probes = http->services;
	http->probes.gate = NULL;
}

/* A write hung, or the server answers again. */
static void tell_stall(void *arg, bool stalled, int64_t lasted_ms)
{
	struct worker *worker = arg;
	char span[TIME_TEXT_SIZE];

	if (stalled) {
		log_warning("the server stalls: it gave no answer to a write, and gives none to GET /health; nothing is written until it answers");
		return;
	}
	log_info("the server answers again, after %s", span_format(lasted_ms, span));
	worker_contact(worker);
}

void worker_init(struct worker *worker, const struct settings *settings)
{
	memset(worker, 0, sizeof *worker);
	atomic_store(&worker->settings, settings);
	uuid_make(worker->instance);
	stop_init(&worker->stop);
	write_gate_init(&worker->writes, settings->writes_at_once, &worker->http.probes);
	worker->writes.told = tell_stall;
	worker->writes.told_arg = worker;
	worker_http_init(worker, settings, &worker->http);
	registry_init(&worker->registry, (size_t)settings->limit);
	run_logs_init(&worker->logs, &worker->http.logs, &worker->clock);
	worker->logs.metrics = &worker->metrics;
	(void)pthread_mutex_init(&worker->lock, NULL);
}

void worker_done(struct worker *worker)
{
	run_logs_done(&worker->logs);
	registry_done(&worker->registry);
	write_gate_done(&worker->writes);
	worker_reload_done(worker);
	stop_done(&worker->stop);
	(void)pthread_mutex_destroy(&worker->lock);
}

struct prefect *worker_service_session(struct worker *worker)
{
	return prefect_new(&worker->http.services, &worker->clock);
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
		log_warning("leaving alone the runs of flow '%.200s': this worker does not know it; a Python worker on another work "
		            "pool can run it", flow.name);
	remember_flow(worker, flow_id, *ret_spec);
	flow_release(&flow);
	return 0;
}

bool worker_tell(struct worker *worker, struct trouble *trouble, const char *what, int rc, const struct error *err)
{
	return worker_tell_run(worker, trouble, NULL, what, rc, err);
}

bool worker_tell_run(struct worker *worker, struct trouble *trouble, const char *run_id, const char *what, int rc,
                     const struct error *err)
{
	char span[TIME_TEXT_SIZE];
	int64_t lasted_ms;

	if (rc == ERR_STOPPED)
		return false;
	if (rc == 0) {
		bool was = trouble_over(trouble, &lasted_ms);
		if (was)
			log_run(LOG_LEVEL_INFO, NULL, run_id, "%s: works again, after %s", what, span_format(lasted_ms, span));
		return was;
	}
	atomic_store(&worker->out_of_contact, true);
	bool news = trouble_note(trouble, err);
	if (news)
		log_run(LOG_LEVEL_WARNING, NULL, run_id, "%s: %s; trying again until it works", what, err->text);
	return news;
}

void worker_contact(struct worker *worker)
{
	if (!atomic_exchange(&worker->out_of_contact, false))
		return;
	registry_hurry(&worker->registry);
	stop_nudge(&worker->stop);
}

bool worker_rest(struct worker *worker, const struct trouble *trouble, int64_t ms)
{
	/* Who was asked to stay away for a while does so, whatever others hear. */
	return !(trouble->by_wish ? stop_wait(&worker->stop, ms) : stop_wait_nudged(&worker->stop, ms));
}

bool worker_retry(struct worker *worker, struct trouble *trouble, const char *what, const struct error *err)
{
	bool may_help = trouble_is_passing(err) || (trouble_is_doubtful(err) && trouble->doubtful < TROUBLE_DOUBTFUL_MAX);

	if (!may_help || stop_asked(&worker->stop))
		return false;
	(void)worker_tell(worker, trouble, what, err->code, err);
	return worker_rest(worker, trouble, trouble_wait_ms(trouble, err));
}
