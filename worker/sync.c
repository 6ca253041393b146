/* The sync service: keeps the work pool and this worker known to the server. */
#include <string.h>

#include "client/base/log.h"
#include "worker/pool.h"
#include "worker/worker.h"

int sync_once(struct worker *worker, struct prefect *prefect, struct error *err)
{
	struct work_pool pool;
	bool created;
	AUTO_JSON *metadata =
		json_pack("{s:[{s:s, s:s}]}", "integrations", "name", "prefect-janitor", "version", JANITOR_VERSION);

	int rc = pool_ensure(prefect, worker->settings->pool, &pool, &created, err);
	if (rc != 0)
		return rc;
	if (created)
		log_info("created work pool '%s' (type %s)", pool.name, pool.type);

	/* The template's defaults can be edited in the UI: what was just read holds from now on. */
	(void)pthread_mutex_lock(&worker->lock);
	json_decref(worker->template);
	worker->template = json_incref(pool.template);
	memcpy(worker->pool_id, pool.id, UUID_SIZE);
	(void)pthread_mutex_unlock(&worker->lock);
	work_pool_release(&pool);

	int64_t interval_s = (worker->settings->heartbeat_ms + 999) / 1000;
	return work_pool_heartbeat(prefect, worker->settings->pool, worker->name, (int)interval_s, metadata, err);
}

/* Is this run marked as this worker's? (labels, set between Pending and Running) */
static bool is_mine(const struct worker *worker, const struct flow_run *run)
{
	const char *name = json_string_value(json_object_get(run->labels, LABEL_WORKER_NAME));

	return name != NULL && strcmp(name, worker->name) == 0;
}

static void adopt_run(struct worker *worker, const struct flow_run *run)
{
	bool parked = run->state_type == STATE_PAUSED || run->state_type == STATE_CANCELLING;

	if (registry_add(&worker->registry, run->id, parked ? RUN_PARKED : RUN_DUE, /* ours= */ true, /* due= */ 0))
		log_info("%s (%s): taking it up again, it is %s", run->name, run->id,
		         state_type_name((enum state_type)run->state_type));
}

int sync_adopt(struct worker *worker, struct prefect *prefect, struct error *err)
{
	AUTO_JSON *pools = json_pack("{s:{s:[s]}}", "name", "any_", worker->settings->pool);
	AUTO_JSON *runs = json_pack("{s:{s:{s:[s,s,s,s]}}}", "state", "type", "any_", "PENDING", "RUNNING", "PAUSED",
	                            "CANCELLING");
	struct flow_run_query query = {.flow_runs = runs, .work_pools = pools, .sort = "EXPECTED_START_TIME_ASC"};
	struct flow_run *found;
	size_t count;

	do {
		int rc = flow_run_filter(prefect, &query, &found, &count, err);
		if (rc != 0)
			return rc;
		for (size_t i = 0; i < count; i++)
			if (is_mine(worker, &found[i]))
				adopt_run(worker, &found[i]);
		flow_runs_release(found, count);
		query.offset += (int64_t)count;
	} while (count > 0);
	return 0;
}

void *sync_thread(void *arg)
{
	struct worker *worker = arg;
	struct prefect *prefect = worker_service_session(worker);
	struct error err;
	bool trouble = false;

	while (prefect != NULL && !stop_wait(&worker->stop, worker->settings->heartbeat_ms)) {
		int rc = sync_once(worker, prefect, &err);

		if (rc == ERR_STOPPED)
			break;
		if (rc != 0 && !trouble)
			log_warning("no heartbeat: %s; trying again every %lld s", err.text,
			            (long long)(worker->settings->heartbeat_ms / 1000));
		else if (rc == 0 && trouble)
			log_info("heartbeats are answered again");
		trouble = rc != 0;
	}
	prefect_free(prefect);
	return NULL;
}
