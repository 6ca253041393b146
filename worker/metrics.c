#include "worker/metrics.h"

#include <inttypes.h>
#include <string.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Also the values of the label. */
static const char *const outcome_names[OUTCOME_COUNT] = {
	[OUTCOME_COMPLETED] = "completed", [OUTCOME_NO_ACTION] = "no_action", [OUTCOME_REJECTED] = "rejected",
	[OUTCOME_DRY_RUN] = "dry_run",     [OUTCOME_FAILED] = "failed",       [OUTCOME_CANCELLED] = "cancelled",
	[OUTCOME_CRASHED] = "crashed",     [OUTCOME_EXPIRED] = "expired",     [OUTCOME_PARKED] = "parked",
	[OUTCOME_LEFT] = "left",
};

/* Milliseconds, and the same as the label has it. */
static const struct {
	int64_t ms;
	const char *le;
} bounds[] = {
	{5, "0.005"}, {10, "0.01"}, {25, "0.025"}, {50, "0.05"}, {100, "0.1"},  {250, "0.25"},       {500, "0.5"},
	{1000, "1"},  {2500, "2.5"}, {5000, "5"},  {10000, "10"}, {30000, "30"}, {60000, "60"}, {INT64_MAX / 1000, "+Inf"},
};
_Static_assert(COUNT_OF(bounds) == LATENCY_BUCKETS, "one bucket for each bound");

/* The service whose loop this thread runs. */
static _Thread_local enum metrics_service own_service = SERVICE_COUNT;

static void count(_Atomic int64_t *counter, int64_t more)
{
	(void)atomic_fetch_add_explicit(counter, more, memory_order_relaxed);
}

static int64_t read_counter(_Atomic int64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void metrics_begin(struct metrics *metrics)
{
	for (int i = 0; i < SERVICE_COUNT; i++)
		atomic_store(&metrics->beat_ms[i], clock_mono_ms());
	atomic_store(&metrics->joined, true);
}

void metrics_beat(struct metrics *metrics, enum metrics_service service)
{
	own_service = service;
	if (metrics != NULL)
		atomic_store(&metrics->beat_ms[service], clock_mono_ms());
}

void metrics_count_poll(struct metrics *metrics, bool succeeded)
{
	count(&metrics->polls[succeeded], 1);
	if (succeeded) {
		atomic_store(&metrics->poll_success, clock_now_us());
		atomic_store(&metrics->poll_success_ms, clock_mono_ms());
	}
	atomic_store(&metrics->poll_works, succeeded);
}

void metrics_count_outcome(struct metrics *metrics, enum run_outcome outcome)
{
	count(&metrics->outcomes[outcome], 1);
	/* A night on which there was nothing to delete is no reason for an alarm. */
	if (outcome == OUTCOME_COMPLETED || outcome == OUTCOME_NO_ACTION)
		atomic_store(&metrics->cleanup_success, clock_now_us());
}

void metrics_count_final(struct metrics *metrics, enum state_type type, const json_t *result)
{
	const char *status = json_string_value(json_object_get(result, "status"));
	enum run_outcome outcome = type == STATE_CANCELLED ? OUTCOME_CANCELLED
	                       : type == STATE_CRASHED ? OUTCOME_CRASHED
	                       : type == STATE_FAILED  ? OUTCOME_FAILED
	                                               : OUTCOME_COMPLETED;

	for (int i = OUTCOME_NO_ACTION; outcome == OUTCOME_COMPLETED && status != NULL && i <= OUTCOME_DRY_RUN; i++)
		if (strcmp(status, outcome_names[i]) == 0)
			outcome = (enum run_outcome)i;
	metrics_count_outcome(metrics, outcome);
}

void metrics_count_deletions(struct metrics *metrics, int64_t deleted, int64_t refused)
{
	count(&metrics->deleted, deleted);
	count(&metrics->delete_failures, refused);
}

void metrics_count_try(void *arg, const struct http_try *seen)
{
	struct metrics *metrics = arg;
	size_t bucket = 0;
	int digit = seen->status / 100;

	count(&metrics->answers[digit >= 1 && digit <= 5 ? digit : 0], 1);
	count(&metrics->retries, seen->again);
	while (seen->took_us > bounds[bucket].ms * 1000)
		bucket++;
	count(&metrics->latency[bucket], 1);
	count(&metrics->latency_sum_us, seen->took_us);
	if (own_service != SERVICE_COUNT)
		metrics_beat(metrics, own_service);
}

/* --- rendering --------------------------------------------------------------------------------------- */

#define PREFIX "prefect_janitor_"

static void head(struct text *out, const char *name, const char *type, const char *help)
{
	text_addf(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
}

static void one(struct text *out, const char *name, const char *type, int64_t value, const char *help)
{
	head(out, name, type, help);
	text_addf(out, PREFIX "%s %" PRId64 "\n", name, value);
}

/* A value that is kept in millionths. */
static void one_micro(struct text *out, const char *name, int64_t micro, const char *help)
{
	head(out, name, "gauge", help);
	text_addf(out, PREFIX "%s %" PRId64 ".%06" PRId64 "\n", name, micro / US_PER_SEC, micro % US_PER_SEC);
}

static void render_polls(struct metrics *m, struct text *out)
{
	head(out, "polls_total", "counter", "Looks for scheduled flow runs.");
	text_addf(out, PREFIX "polls_total{result=\"success\"} %" PRId64 "\n", read_counter(&m->polls[true]));
	text_addf(out, PREFIX "polls_total{result=\"failure\"} %" PRId64 "\n", read_counter(&m->polls[false]));
	one_micro(out, "last_poll_success_timestamp_seconds", atomic_load(&m->poll_success),
	          "When a poll last succeeded, by this machine's clock; 0 before the first.");
}

static void render_runs(struct metrics *m, const struct metrics_now *now, struct text *out)
{
	head(out, "runs_total", "counter", "Flow run bodies by how they ended; parked ones are started again when resumed.");
	for (int i = 0; i < OUTCOME_COUNT; i++)
		text_addf(out, PREFIX "runs_total{outcome=\"%s\"} %" PRId64 "\n", outcome_names[i], read_counter(&m->outcomes[i]));
	one(out, "running_runs", "gauge", (int64_t)now->runs.active, "Flow runs whose body is running.");
	one(out, "parked_runs", "gauge", (int64_t)now->runs.parked, "Paused flow runs that this worker watches.");
	one(out, "waiting_runs", "gauge", (int64_t)now->runs.waiting, "Flow runs whose time has come and that wait for a slot.");
	one_micro(out, "backlog_age_seconds", now->runs.longest_ms * 1000, "How long the first of the waiting flow runs has waited.");
}

static void render_deletions(struct metrics *m, struct text *out)
{
	one(out, "deleted_flow_runs_total", "counter", read_counter(&m->deleted),
	    "Flow runs deleted, by the server's answers.");
	one(out, "delete_failures_total", "counter", read_counter(&m->delete_failures),
	    "Flow runs that the server refused to delete.");
	one_micro(out, "last_cleanup_success_timestamp_seconds", atomic_load(&m->cleanup_success),
	          "When a cleanup last completed, by this machine's clock; 0 before the first.");
}

static void render_requests(struct metrics *m, struct text *out)
{
	static const char *const codes[COUNT_OF(m->answers)] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
	int64_t sum_us = read_counter(&m->latency_sum_us);
	int64_t total = 0;

	head(out, "requests_total", "counter", "Tries of requests to the Prefect API by status; none: no whole answer.");
	for (size_t i = 0; i < COUNT_OF(codes); i++)
		text_addf(out, PREFIX "requests_total{code=\"%s\"} %" PRId64 "\n", codes[i], read_counter(&m->answers[i]));
	one(out, "request_retries_total", "counter", read_counter(&m->retries), "Tries that repeated an earlier one.");

	head(out, "request_duration_seconds", "histogram", "How long tries of requests took.");
	for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
		total += read_counter(&m->latency[i]);
		text_addf(out, PREFIX "request_duration_seconds_bucket{le=\"%s\"} %" PRId64 "\n", bounds[i].le, total);
	}
	text_addf(out, PREFIX "request_duration_seconds_sum %" PRId64 ".%06" PRId64 "\n", sum_us / US_PER_SEC, sum_us % US_PER_SEC);
	text_addf(out, PREFIX "request_duration_seconds_count %" PRId64 "\n", total);
}

void metrics_render(struct metrics *metrics, const struct metrics_now *now, struct text *out)
{
	head(out, "build_info", "gauge", "1, with the version as a label.");
	text_addf(out, PREFIX "build_info{version=\"" JANITOR_VERSION "\"} 1\n");
	one(out, "ready", "gauge", now->ready, "1 while /readyz says yes.");
	render_polls(metrics, out);
	render_runs(metrics, now, out);
	render_deletions(metrics, out);
	render_requests(metrics, out);
}
