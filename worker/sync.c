/* The sync service: keeps the work pool and this worker known to the server. */
#include <string.h>

#include "client/base/log.h"
#include "worker/pool.h"
#include "worker/worker.h"

/* Claimed (Pending) for so long without a mark of its worker: that worker died between the two. */
#define UNMARKED_US (60 * US_PER_SEC)

static int heartbeat(struct worker *worker, struct prefect *prefect, struct error *err)
{
	AUTO_JSON *metadata =
		json_pack("{s:[{s:s, s:s}]}", "integrations", "name", "prefect-janitor", "version", JANITOR_VERSION);
	int interval_s = (int)((worker->settings->heartbeat_ms + 999) / 1000);

	return work_pool_heartbeat(prefect, worker->settings->pool, worker->name, interval_s, metadata, err);
}

int sync_join(struct worker *worker, struct prefect *prefect, struct error *err)
{
	struct work_pool pool;
	bool created;

	int rc = pool_ensure(prefect, worker->settings->pool, &pool, &created, err);
	if (rc != 0)
		return rc;
	if (created)
		log_info("created work pool '%s' (type %s)", pool.name, pool.type);
	work_pool_release(&pool);
	return heartbeat(worker, prefect, err);
}

int sync_once(struct worker *worker, struct prefect *prefect, struct error *err)
{
	int rc = heartbeat(worker, prefect, err);

	return rc == ERR_NOT_FOUND ? sync_join(worker, prefect, err) : rc;
}

/* What taking over needs to know; the list of workers is only asked for when there is a run to decide on. */
struct take_over {
	struct worker *worker;
	struct prefect *prefect;
	bool restarted;
	json_t *online; /* names of the workers that are not OFFLINE; NULL until it is asked for */
};

static int read_online(struct take_over *t, struct error *err)
{
	return t->online != NULL ? 0 : work_pool_online_workers(t->prefect, t->worker->settings->pool, &t->online, err);
}

static bool is_online(const struct take_over *t, const char *name)
{
	size_t i;
	json_t *online;

	json_array_foreach(t->online, i, online)
		if (strcmp(json_string_value(online), name) == 0)
			return true;
	return false;
}

static time_us state_since(const struct flow_run *run)
{
	const char *text = json_string_value(json_object_get(run->state, "timestamp"));
	time_us since = 0;

	return text != NULL && time_parse(text, &since) ? since : INT64_MAX;
}

/* Is the worker of this name gone? */
static int is_gone(struct take_over *t, const char *name, bool *ret_gone, struct error *err)
{
	if (strcmp(name, t->worker->name) == 0) {
		*ret_gone = t->restarted;
		return 0;
	}
	int rc = read_online(t, err);
	*ret_gone = rc == 0 && !is_online(t, name);
	return rc;
}

/* Does nobody run this, going by its labels? */
static int is_abandoned(struct take_over *t, const struct flow_run *run, bool *ret_abandoned, struct error *err)
{
	const char *name = ownership_worker(run);

	*ret_abandoned = false;
	if (registry_has(&t->worker->registry, run->id))
		return 0;
	if (name != NULL)
		return is_gone(t, name, ret_abandoned, err);
	*ret_abandoned = run->state_type == STATE_PENDING &&
	                 state_since(run) < server_clock_now(&t->worker->clock) - UNMARKED_US;
	return 0;
}

/* A run that killed its workers again and again at the same place. */
static int give_up(struct take_over *t, const struct flow_run *run, int stalled, struct error *err)
{
	char message[160];
	struct state_answer answer;

	(void)snprintf(message, sizeof message, "%d workers ended without a word while they ran this flow run, and none of them "
	               "came any further: given up", stalled);
	log_error("%s (%s): %s", run->name, run->id, message);
	run_logs_add(&t->worker->logs, run->id, LOG_LEVEL_ERROR, message);
	int rc = state_propose(t->prefect, run->id, &(struct state_proposal){
							   .type = STATE_CRASHED, .name = "Crashed", .message = message}, &answer, err);
	if (rc == 0)
		state_answer_release(&answer);
	return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* The labels may be behind: whoever took the run last, and is there, has it. */
static int is_free(struct take_over *t, const struct taking *latest, bool *ret_free, struct error *err)
{
	*ret_free = true;
	if (latest->number == 0 || strcmp(latest->instance, t->worker->instance) == 0)
		return 0;
	return is_gone(t, latest->worker, ret_free, err);
}

static int take_run(struct take_over *t, const struct flow_run *run, struct error *err)
{
	bool parked = run->state_type == STATE_PAUSED;
	struct owner self = worker_owner(t->worker);
	struct taking latest;
	char progress[160];
	bool is_ours = false;

	ownership_progress(run, progress, sizeof progress);
	int rc = ownership_read(t->prefect, run->id, progress, &latest, err);
	if (rc == 0)
		rc = is_free(t, &latest, &is_ours, err);
	if (rc != 0 || !is_ours)
		return rc;
	rc = ownership_take(t->prefect, run->id, &self, &latest, progress, err);
	if (rc == ERR_CONFLICT || rc == ERR_NOT_FOUND)
		return 0; /* another worker was faster, or it was deleted */
	if (rc == 0)
		rc = executor_sign(t->worker, t->prefect, run->id, err);
	if (rc != 0)
		return rc;
	/* Being restarted while a run waits for a person is no fault of the run. */
	if (!parked && latest.stalled >= OWNERSHIP_STALLED_MAX)
		return give_up(t, run, latest.stalled, err);
	if (registry_add(&t->worker->registry, run->id, parked ? RUN_PARKED : RUN_DUE, /* ours= */ true, /* due= */ 0))
		log_info("%s (%s): taking it up again, it is %s; before: worker %s", run->name, run->id,
		         state_type_name((enum state_type)run->state_type),
		         ownership_worker(run) != NULL ? ownership_worker(run) : "unknown");
	return 0;
}

static int look_at(struct take_over *t, const struct flow_run *run, struct error *err)
{
	const struct flow_spec *flow;
	bool abandoned;

	int rc = is_abandoned(t, run, &abandoned, err);
	if (rc != 0 || !abandoned)
		return rc;
	rc = worker_find_flow(t->worker, t->prefect, run->flow_id, &flow, err);
	return rc != 0 || flow == NULL ? rc : take_run(t, run, err);
}

int sync_take_over(struct worker *worker, struct prefect *prefect, bool restarted, struct error *err)
{
	AUTO_JSON *pools = json_pack("{s:{s:[s]}}", "name", "any_", worker->settings->pool);
	AUTO_JSON *runs = json_pack("{s:{s:{s:[s,s,s,s]}}}", "state", "type", "any_", "PENDING", "RUNNING", "PAUSED",
	                            "CANCELLING");
	struct flow_run_query query = {.flow_runs = runs, .work_pools = pools, .sort = "EXPECTED_START_TIME_ASC"};
	struct take_over t = {.worker = worker, .prefect = prefect, .restarted = restarted};
	size_t count;
	int rc;

	do {
		struct flow_run *found;

		rc = flow_run_filter(prefect, &query, &found, &count, err);
		if (rc != 0)
			break;
		for (size_t i = 0; i < count; i++) {
			struct error one;
			if (look_at(&t, &found[i], &one) != 0)
				log_warning("%s (%s): cannot be taken over yet: %s", found[i].name, found[i].id, one.text);
		}
		flow_runs_release(found, count);
		query.offset += (int64_t)count;
	} while (count > 0 && !stop_asked(&worker->stop));
	json_decref(t.online);
	return rc;
}

void *sync_thread(void *arg)
{
	struct worker *worker = arg;
	struct prefect *prefect = worker_service_session(worker);
	struct error err;
	bool trouble = false;

	while (prefect != NULL && !stop_wait(&worker->stop, worker->settings->heartbeat_ms)) {
		int rc = sync_once(worker, prefect, &err);
		if (rc == 0)
			rc = sync_take_over(worker, prefect, /* restarted= */ false, &err);

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
