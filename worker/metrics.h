/* What the worker counts, for /metrics, and what its health is computed from (health.h).
 *
 * One struct of atomics: counting never blocks and never fails. All counters start at 0 with the process.
 * Thread rule: every function may be called from any thread. */
#ifndef WORKER_METRICS_H
#define WORKER_METRICS_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/base/clock.h"
#include "client/base/http.h"
#include "client/base/text.h"
#include "client/prefect/state.h"
#include "worker/registry.h"

enum metrics_service { SERVICE_SYNC, SERVICE_POLL, SERVICE_WATCH, SERVICE_LOGS, SERVICE_COUNT };

/* How a start of a flow body, or what it left, ended. */
enum run_outcome {
	OUTCOME_COMPLETED,
	OUTCOME_NO_ACTION, /* Completed: this and the next two by the status in the run's result */
	OUTCOME_REJECTED,
	OUTCOME_DRY_RUN,
	OUTCOME_FAILED,
	OUTCOME_CANCELLED,
	OUTCOME_CRASHED,   /* given up: it ended one worker after the other */
	OUTCOME_EXPIRED,   /* failed by the server: nobody answered in time */
	OUTCOME_PARKED,    /* it waits for a person */
	OUTCOME_LEFT,      /* stopped on the way, to be started again */
	OUTCOME_COUNT,
};

/* The upper bounds are in metrics.c; the last bucket has none. */
#define LATENCY_BUCKETS 14

struct metrics {
	_Atomic int64_t beat_ms[SERVICE_COUNT]; /* when the loop last came round or got an answer */
	atomic_bool joined;                     /* the work pool is known and knows this worker */

	atomic_bool poll_works;                 /* the last poll succeeded */
	_Atomic int64_t poll_success_ms;        /* by clock_mono_ms() */
	_Atomic time_us poll_success;           /* by clock_now_us(); 0: none yet */
	_Atomic int64_t polls[2];               /* [succeeded] */

	_Atomic int64_t outcomes[OUTCOME_COUNT];
	_Atomic int64_t deleted;
	_Atomic int64_t delete_failures;
	_Atomic time_us cleanup_success;        /* 0: none yet */

	_Atomic int64_t answers[6];             /* tries of requests by the first digit of the status; [0]: no answer */
	_Atomic int64_t retries;
	_Atomic int64_t latency[LATENCY_BUCKETS];
	_Atomic int64_t latency_sum_us;
};

/* What is not counted but looked up when it is asked for. */
struct metrics_now {
	struct registry_figures runs;
	bool ready;
};

/* The pool is joined, and the services are started: each has to beat from now on. */
void metrics_begin(struct metrics *metrics);

/* The service of the calling thread came round its loop. From then on each of its requests counts as progress too:
 * a look at a thousand runs may take long, but not without answers. @metrics may be NULL. */
void metrics_beat(struct metrics *metrics, enum metrics_service service);

void metrics_count_poll(struct metrics *metrics, bool succeeded);

/* A run got its final state. @result (may be NULL) is its data; a "status" in it that is the name of an outcome says more
 * than the state. */
void metrics_count_final(struct metrics *metrics, enum state_type type, const json_t *result);
void metrics_count_outcome(struct metrics *metrics, enum run_outcome outcome);

/* Flow runs that the server says it deleted, and that it refused to delete. */
void metrics_count_deletions(struct metrics *metrics, int64_t deleted, int64_t refused);

/* An http_observer; @metrics is a struct metrics. */
void metrics_count_try(void *metrics, const struct http_try *seen);

/* Appends all of it in Prometheus' text format, version 0.0.4. */
void metrics_render(struct metrics *metrics, const struct metrics_now *now, struct text *out);

#endif
