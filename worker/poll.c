/* The poll service: fetches scheduled runs before they are due, and starts each at its time. */
#include "client/base/log.h"
#include "worker/worker.h"

/* Notes the runs of flows that are known here; each at most once, whatever the server repeats. */
static int note_runs(struct worker *worker, struct prefect *prefect, const struct flow_run *runs, size_t count,
                     struct error *err)
{
	int first = 0;

	for (size_t i = 0; i < count; i++) {
		struct error one;
		const struct flow_spec *flow = NULL;
		time_us due = runs[i].next_scheduled_start != 0 ? runs[i].next_scheduled_start : runs[i].expected_start;

		int rc = worker_find_flow(worker, prefect, runs[i].flow_id, &flow, &one);
		if (rc != 0 && first == 0) {
			*err = one;
			first = rc;
		}
		if (rc == 0 && flow != NULL && registry_add(&worker->registry, runs[i].id, RUN_DUE, /* ours= */ false, due))
			log_run(LOG_LEVEL_DEBUG, runs[i].name, runs[i].id, "fetched");
	}
	return first;
}

static int poll_once(struct worker *worker, struct prefect *prefect, struct error *err)
{
	struct flow_run *runs;
	size_t count;
	time_us before = server_clock_now(&worker->clock) + worker->settings->prefetch_ms * 1000;

	int rc = work_pool_scheduled_runs(prefect, worker->settings->pool, worker->settings->work_queues, before, &runs, &count,
	                                  err);
	if (rc != 0)
		return rc;
	rc = note_runs(worker, prefect, runs, count, err);
	flow_runs_release(runs, count);
	return rc;
}

/* Starts what is due and has a slot; returns when the next one is due (server's clock). */
static time_us start_due(struct worker *worker)
{
	struct run run;
	time_us next;

	while (registry_take(&worker->registry, server_clock_now(&worker->clock), &run, &next))
		executor_start(worker, &run);
	executor_join(worker, /* all= */ false);
	return next;
}

/* Waits until the next poll or the next run's time, or until the registry changed. */
static void wait_for_next(struct worker *worker, int64_t next_poll_ms, time_us next_due)
{
	int64_t wait = next_poll_ms - clock_mono_ms();

	if (next_due != INT64_MAX) {
		int64_t until_due = (next_due - server_clock_now(&worker->clock)) / 1000 + 1;
		if (until_due < wait)
			wait = until_due;
	}
	if (wait > 0)
		registry_wait(&worker->registry, wait);
}

/* How long until the next look. A server that is away is asked at every interval all the same: that is how its return
 * is noticed; one that refuses us, or wants to be left alone for a while, is asked less often. */
static int64_t next_wait_ms(const struct worker *worker, const struct trouble *trouble, const struct error *err)
{
	int64_t wait = wait_jitter(worker->settings->query_ms);

	if (trouble->tries == 0 || (err->code != ERR_AUTH && err->retry_after_ms == 0))
		return wait;
	int64_t slow = trouble_wait_ms(trouble, err);
	return slow > wait ? slow : wait;
}

void *poll_thread(void *arg)
{
	struct worker *worker = arg;
	struct prefect *prefect = worker_service_session(worker);
	struct trouble trouble = {0};
	struct error err;
	const struct settings *settings = NULL;
	int64_t next_poll_ms = 0;
	bool polled = false;

	while (prefect != NULL && !stop_asked(&worker->stop)) {
		metrics_beat(&worker->metrics, SERVICE_POLL);
		const struct settings *latest = worker->settings;
		if (settings != latest) /* read again: maybe that is what the server was waiting for */
			next_poll_ms = 0;
		settings = latest;
		if (clock_mono_ms() >= next_poll_ms && !(worker->settings->run_once && polled)) {
			int rc = poll_once(worker, prefect, &err);
			if (rc != ERR_STOPPED)
				metrics_count_poll(&worker->metrics, rc == 0);
			(void)worker_tell(worker, &trouble, "looking for scheduled runs", rc, &err);
			if (rc == 0)
				worker_contact(worker);
			polled = rc == 0;
			next_poll_ms = clock_mono_ms() + next_wait_ms(worker, &trouble, &err);
		}
		time_us next_due = start_due(worker);
		if (worker->settings->run_once && polled) {
			if (registry_count(&worker->registry) == 0) {
				stop_ask(&worker->stop);
				break;
			}
			next_poll_ms = clock_mono_ms() + worker->settings->query_ms;
		}
		wait_for_next(worker, next_poll_ms, next_due);
	}
	prefect_free(prefect);
	return NULL;
}
