/* The sync service: keeps the work pool and this worker known to the server. */
#include <stdlib.h>
#include <string.h>

#include "client/base/log.h"
#include "client/base/nearest.h"
#include "client/base/text.h"
#include "client/prefect/deployment.h"
#include "client/prefect/version.h"
#include "worker/pool.h"
#include "worker/skew.h"
#include "worker/worker.h"

/* Questions that expired while nobody watched are looked for in every so-manieth round: when a worker has become
 * OFFLINE, what expired in between lies some minutes back. */
#define EXPIRED_ROUNDS 10
#define EXPIRED_PAST_MS (60 * 60 * 1000)

/* Work pools that a warning names, about. */
#define POOLS_NAMED 8

static int heartbeat(struct worker *worker, struct prefect *prefect, struct error *err)
{
	AUTO_JSON *metadata =
		json_pack("{s:[{s:s, s:s}]}", "integrations", "name", "prefect-janitor", "version", JANITOR_VERSION);
	int interval_s = (int)((worker->settings->heartbeat_ms + 999) / 1000);

	return work_pool_heartbeat(prefect, worker->settings->pool, worker->name, interval_s, metadata, err);
}

/* A pool without a deployment may be one that is misspelt: a worker in it would wait for ever. */
static void tell_pool(struct prefect *prefect, const char *pool, bool created)
{
	AUTO_JSON *names = NULL;
	AUTO_TEXT others = {.max = 600};
	struct nearest nearest = {.to = pool};
	char hint[NEAREST_SIZE];
	char clean[JSON_LABEL_SIZE];
	int64_t count = -1;
	size_t i;
	int told = 0;
	json_t *name;

	if (created)
		log_info("created work pool '%s' (type " WORKER_TYPE ")", pool);
	if (deployment_count_in_pool(prefect, pool, &count, NULL) != 0 || count > 0)
		return;
	if (work_pool_names(prefect, WORKER_TYPE, POOLS_NAMED + 2, &names, NULL) == 0)
		json_array_foreach(names, i, name)
			if (strcmp(json_string_value(name), pool) != 0 && ++told <= POOLS_NAMED) {
				text_clean(clean, sizeof clean, json_string_value(name), json_string_length(name));
				text_addf(&others, "%s'%s'", others.len > 0 ? ", " : "", clean);
				nearest_offer(&nearest, json_string_value(name));
			}
	log_warning("nothing is deployed in work pool '%s': no run comes from it before prefect-janitor deploy --pool '%s'%s%s%s%s", pool, pool,
	            others.len > 0 ? "; there are others of this type: " : "", text_str(&others), told > POOLS_NAMED ? " and more" : "",
	            nearest_hint(&nearest, "", hint));
}

/* Once: a server that is newer than what was tested is used all the same. */
static void tell_version(struct worker *worker, struct prefect *prefect)
{
	char version[VERSION_SIZE];

	if (worker->version_told || version_read(prefect, version, NULL) != 0)
		return;
	worker->version_told = true;
	switch (version_stand(version)) {
	case VERSION_COVERED:
		log_info("the server is Prefect %s; this program was tested with %s", version, version_tested);
		break;
	case VERSION_NEWER:
		log_warning("the server is Prefect %s, newer than what this program was tested with (%s): try a dry run first, or look for "
		            "a newer prefect-janitor", version, version_tested);
		break;
	case VERSION_OLDER:
	case VERSION_BEFORE_3:
	case VERSION_UNKNOWN:
		log_warning("the server is Prefect %s; this program was tested with %s", *version != '\0' ? version : "of an unknown version",
		            version_tested);
		break;
	}
}

int sync_join(struct worker *worker, struct prefect *prefect, struct error *err)
{
	struct work_pool pool;
	bool created;

	int rc = pool_ensure(prefect, worker->settings->pool, &pool, &created, err);
	if (rc != 0)
		return rc;
	if (!atomic_load(&worker->metrics.joined)) /* at the start; the pool may also be made anew later */
		tell_pool(prefect, pool.name, created);
	work_pool_release(&pool);
	tell_version(worker, prefect);
	return heartbeat(worker, prefect, err);
}

int sync_once(struct worker *worker, struct prefect *prefect, struct error *err)
{
	int rc = heartbeat(worker, prefect, err);

	return rc == ERR_NOT_FOUND ? sync_join(worker, prefect, err) : rc;
}

/* One round: the heartbeat, then whoever is gone. */
static int sync_round(struct worker *worker, struct prefect *prefect, bool expired_too, struct error *err)
{
	int rc = sync_once(worker, prefect, err);

	if (rc == 0)
		tell_version(worker, prefect);
	if (rc == 0)
		rc = take_over_abandoned(worker, prefect, /* restarted= */ worker->restart_incomplete, err);
	if (rc == 0 && expired_too)
		rc = take_over_expired(worker, prefect, /* restarted= */ false, EXPIRED_PAST_MS, err);
	if (rc == 0 && expired_too)
		rc = take_over_drawings(worker, prefect, EXPIRED_PAST_MS, err);
	return rc;
}

/* Everything here goes by the server's clock; this is for those who compare it with this machine's. */
static void tell_skew(const struct worker *worker, struct skew *skew)
{
	int64_t ahead_us = atomic_load(&worker->clock.ahead_us);
	char span[TIME_TEXT_SIZE];

	switch (skew_note(skew, ahead_us)) {
	case SKEW_CHANGED:
		log_warning("this machine's clock is %s %s the server's; the worker goes by the server's, but set them right: "
		            "the times of this log are not those of the UI", span_format(llabs(ahead_us) / 1000, span),
		            ahead_us > 0 ? "behind" : "ahead of");
		break;
	case SKEW_AGREES:
		log_info("this machine's clock and the server's agree again");
		break;
	case SKEW_NO_NEWS:
		break;
	}
}

void *sync_thread(void *arg)
{
	struct worker *worker = arg;
	struct prefect *prefect = worker_service_session(worker);
	struct trouble trouble = {0};
	int64_t wait = worker->settings->heartbeat_ms;
	unsigned round = 0;
	struct skew skew = {0};
	struct error err;

	tell_skew(worker, &skew);
	/* A heartbeat that failed is tried again soon: three that are missing, and the server calls this worker OFFLINE. */
	while (prefect != NULL && worker_rest(worker, &trouble, wait)) {
		metrics_beat(&worker->metrics, SERVICE_SYNC);
		int rc = sync_round(worker, prefect, round % EXPIRED_ROUNDS == 0, &err);

		(void)worker_tell(worker, &trouble, "sending heartbeats", rc, &err);
		round += rc == 0;
		tell_skew(worker, &skew);
		wait = worker->settings->heartbeat_ms;
		if (rc != 0 && trouble_wait_ms(&trouble, &err) < wait)
			wait = trouble_wait_ms(&trouble, &err);
	}
	prefect_free(prefect);
	return NULL;
}
