#include "worker/run_logs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "client/base/log.h"
#include "client/base/text.h"
#include "client/prefect/run_log.h"
#include "worker/trouble.h"

#define LOGGER_NAME "prefect.flow_runs.janitor"
#define BUDGET_MS 3000
/* Longer than a body may take to come to its end: its last line is to be sent too. */
#define STOP_GRACE_MS 6500
#define TROUBLE_WAIT_MS 5000

struct http_settings run_logs_http(const struct http_settings *base)
{
	struct http_settings http = *base;

	http.retry_budget_ms = BUDGET_MS;
	if (http.request_timeout_ms > BUDGET_MS)
		http.request_timeout_ms = BUDGET_MS;
	http.stop_grace_ms = STOP_GRACE_MS;
	http.tries_while_stopping = true;
	return http;
}

void run_logs_init(struct run_logs *logs, const struct http_settings *http, struct server_clock *clock)
{
	*logs = (struct run_logs){.http = http, .clock = clock, .queue = json_array()};
	(void)pthread_mutex_init(&logs->lock, NULL);
	cond_init(&logs->filled);
}

void run_logs_done(struct run_logs *logs)
{
	json_decref(logs->queue);
	(void)pthread_cond_destroy(&logs->filled);
	(void)pthread_mutex_destroy(&logs->lock);
}

/* The caller holds the lock. */
static void append(struct run_logs *logs, const char *flow_run_id, int level, const char *message)
{
	time_us now = server_clock_now(logs->clock);
	json_t *text = json_string(message);

	if (text == NULL) { /* not UTF-8: better a cleaned line than none */
		char cleaned[1000];
		text_clean(cleaned, sizeof cleaned, message, strlen(message));
		text = json_string(cleaned);
	}
	logs->last_time = now > logs->last_time ? now : logs->last_time + 1;
	(void)json_array_append_new(logs->queue, json_pack("{s:s, s:i, s:o, s:o, s:s}", "name", LOGGER_NAME, "level", level,
	                                                   "message", text, "timestamp", json_time(logs->last_time),
	                                                   "flow_run_id", flow_run_id));
}

void run_logs_add(struct run_logs *logs, const char *flow_run_id, int level, const char *message)
{
	(void)pthread_mutex_lock(&logs->lock);
	if (json_array_size(logs->queue) >= RUN_LOGS_QUEUE_MAX) {
		logs->dropped++;
	} else {
		if (logs->dropped > 0) {
			char note[80];
			(void)snprintf(note, sizeof note, "%zu log lines were dropped: the server did not take them", logs->dropped);
			append(logs, flow_run_id, LOG_LEVEL_WARNING, note);
			logs->dropped = 0;
		}
		append(logs, flow_run_id, level, message);
	}
	if (json_array_size(logs->queue) >= RUN_LOGS_BATCH)
		(void)pthread_cond_signal(&logs->filled);
	(void)pthread_mutex_unlock(&logs->lock);
}

/* Waits for lines and returns a batch of them (a new reference; may be empty). */
static json_t *next_batch(struct run_logs *logs, bool *ret_ending)
{
	struct timespec deadline;

	cond_deadline(RUN_LOGS_EVERY_MS, &deadline);
	(void)pthread_mutex_lock(&logs->lock);
	while (!logs->ending && json_array_size(logs->queue) < RUN_LOGS_BATCH)
		if (pthread_cond_timedwait(&logs->filled, &logs->lock, &deadline) == ETIMEDOUT)
			break;

	json_t *batch = json_array();
	while (json_array_size(logs->queue) > 0 && json_array_size(batch) < RUN_LOGS_BATCH) {
		(void)json_array_append(batch, json_array_get(logs->queue, 0));
		(void)json_array_remove(logs->queue, 0);
	}
	*ret_ending = logs->ending;
	(void)pthread_mutex_unlock(&logs->lock);
	return batch;
}

/* Puts a batch that could not be sent back to the front. */
static void put_back(struct run_logs *logs, json_t *batch)
{
	(void)pthread_mutex_lock(&logs->lock);
	if (json_array_extend(batch, logs->queue) == 0) {
		json_decref(logs->queue);
		logs->queue = json_incref(batch);
	}
	(void)pthread_mutex_unlock(&logs->lock);
}

/* Sends a refused batch line by line, and leaves out the lines at fault. What was sent is taken out of @batch: where a later
 * line fails, only the rest is sent again. */
static int send_lines(struct prefect *prefect, json_t *batch, struct error *err)
{
	for (; json_array_size(batch) > 0; (void)json_array_remove(batch, 0)) {
		AUTO_JSON *one = json_pack("[O]", json_array_get(batch, 0));
		int rc = run_log_send(prefect, one, err);

		if (rc != 0 && trouble_is_refusal(err))
			log_warning("the server refuses a log line, skipping it: %s", err->text);
		else if (rc != 0)
			return rc;
	}
	return 0;
}

/* Sends one batch. False where it has to be sent again. */
static bool send_batch(struct prefect *prefect, json_t *batch, bool *trouble)
{
	struct error err = {0};

	int rc = prefect != NULL ? run_log_send(prefect, batch, &err) : error_nomem(&err);
	if (rc != 0 && trouble_is_refusal(&err))
		rc = send_lines(prefect, batch, &err);
	if (rc != 0 && !*trouble)
		log_warning("run logs cannot be sent, keeping them: %s", err.text);
	*trouble = rc != 0;
	return rc == 0;
}

/* Waits before the next try, or until the end. */
static void wait_after_trouble(struct run_logs *logs)
{
	struct timespec deadline;

	cond_deadline(wait_jitter(TROUBLE_WAIT_MS), &deadline);
	(void)pthread_mutex_lock(&logs->lock);
	while (!logs->ending)
		if (pthread_cond_timedwait(&logs->filled, &logs->lock, &deadline) == ETIMEDOUT)
			break;
	(void)pthread_mutex_unlock(&logs->lock);
}

void *run_logs_thread(void *arg)
{
	struct run_logs *logs = arg;
	struct prefect *prefect = prefect_new(logs->http, logs->clock);
	bool ending = false;
	bool trouble = false;

	for (;;) {
		AUTO_JSON *batch = next_batch(logs, &ending);

		metrics_beat(logs->metrics, SERVICE_LOGS);
		if (json_array_size(batch) == 0) {
			if (ending)
				break;
			continue;
		}
		if (send_batch(prefect, batch, &trouble))
			continue;
		if (ending) {
			log_warning("the last run logs were not sent: the server does not answer");
			break;
		}
		put_back(logs, batch);
		wait_after_trouble(logs);
	}
	prefect_free(prefect);
	return NULL;
}

void run_logs_end(struct run_logs *logs)
{
	(void)pthread_mutex_lock(&logs->lock);
	logs->ending = true;
	(void)pthread_cond_signal(&logs->filled);
	(void)pthread_mutex_unlock(&logs->lock);
}
