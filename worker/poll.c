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
		if (rc != 0 && first == 0)
			first = error_set(err, rc, "%s", one.text);
		if (rc == 0 && flow != NULL && registry_add(&worker->registry, runs[i].id, RUN_DUE, /* ours= */ false, due))
			log_debug("%s (%s): fetched", runs[i].name, runs[i].id);
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

static void poll_and_tell(struct worker *worker, struct prefect *prefect, bool *trouble)
{
	struct error err;

	int rc = poll_once(worker, prefect, &err);
	if (rc == ERR_STOPPED)
		return;
	if (rc != 0 && !*trouble)
		log_warning("cannot look for scheduled runs: %s; trying again at every interval", err.text);
	else if (rc == 0 && *trouble)
		log_info("looking for scheduled runs works again");
	*trouble = rc != 0;
}

void *poll_thread(void *arg)
{
	struct worker *worker = arg;
	struct prefect *prefect = worker_service_session(worker);
	int64_t next_poll_ms = 0;
	bool trouble = false;
	bool polled = false;

	while (prefect != NULL && !stop_asked(&worker->stop)) {
		if (clock_mono_ms() >= next_poll_ms && !(worker->settings->run_once && polled)) {
			poll_and_tell(worker, prefect, &trouble);
			polled = !trouble;
			next_poll_ms = clock_mono_ms() + wait_jitter(worker->settings->query_ms);
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
