/* Ships run logs to the server, in order, without ever holding up a flow: lines wait in a bounded queue that
 * a thread of its own empties every second, or as soon as a hundred are there. What does not fit is
 * counted, and the count is logged in its place.
 * Thread rule: run_logs_add() may be called from any thread. */
#ifndef WORKER_RUN_LOGS_H
#define WORKER_RUN_LOGS_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>

#include "client/base/http.h"
#include "client/prefect/prefect.h"
#include "worker/metrics.h"

#define RUN_LOGS_BATCH 100
#define RUN_LOGS_QUEUE_MAX 5000
#define RUN_LOGS_EVERY_MS 1000

struct run_logs {
	const struct http_settings *http;
	struct server_clock *clock;
	struct metrics *metrics; /* told of every turn of the loop; NULL for none */
	pthread_mutex_t lock;  /* guards the members below */
	pthread_cond_t filled; /* a batch is there, or the end */
	json_t *queue;         /* array of LogCreate */
	size_t dropped;        /* lines that did not fit, since the last one that did */
	time_us last_time;     /* timestamps only grow, which is what keeps the order */
	bool ending;
};

/* How the logs' requests are made, beside those of @base: briefly, and also while the worker stops. */
struct http_settings run_logs_http(const struct http_settings *base);

/* @http and @clock are borrowed until run_logs_done(). */
void run_logs_init(struct run_logs *logs, const struct http_settings *http, struct server_clock *clock);
void run_logs_done(struct run_logs *logs);

/* Queues a line of a run's log. Does not block. */
void run_logs_add(struct run_logs *logs, const char *flow_run_id, int level, const char *message);

/* The thread: runs until run_logs_end(), then sends what is left, for a few seconds at most. */
void *run_logs_thread(void *logs);
void run_logs_end(struct run_logs *logs);

#endif
