/* What is counted under which name. The format as a whole is parsed in tests/integration/test_health.py. */
#include "worker/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

/* Is @line one of the lines? */
static void check_line(const char *row, struct metrics *metrics, const struct metrics_now *now, const char *line)
{
	AUTO_TEXT out = {.max = 64 * 1024};
	char whole[200];

	text_addf(&out, "\n");
	metrics_render(metrics, now != NULL ? now : &(struct metrics_now){.ready = false}, &out);
	(void)snprintf(whole, sizeof whole, "\nprefect_janitor_%s\n", line);
	CHECK(row, !out.failed);
	CHECK_HAS(row, text_str(&out), whole);
}

static void counts_final_states(void)
{
	static const struct {
		const char *name;
		enum state_type type;
		const char *result;
		const char *outcome;
		bool cleanup;
	} rows[] = {
		{"deleted", STATE_COMPLETED, "{\"status\": \"completed\"}", "completed", true},
		{"nothing to do", STATE_COMPLETED, "{\"status\": \"no_action\"}", "no_action", true},
		{"rejected", STATE_COMPLETED, "{\"status\": \"rejected\"}", "rejected", false},
		{"dry run", STATE_COMPLETED, "{\"status\": \"dry_run\"}", "dry_run", false},
		{"nothing could be deleted", STATE_FAILED, "{\"status\": \"failed\"}", "failed", false},
		{"failed", STATE_FAILED, NULL, "failed", false},
		{"cancelled", STATE_CANCELLED, NULL, "cancelled", false},
		{"crashed", STATE_CRASHED, NULL, "crashed", false},
		{"the state goes before the result", STATE_FAILED, "{\"status\": \"no_action\"}", "failed", false},
		{"a status that is no outcome of a completed run", STATE_COMPLETED, "{\"status\": \"parked\"}", "completed", true},
		{"a status unknown here", STATE_COMPLETED, "{\"status\": \"x\\\"} 1\"}", "completed", true},
		{"no status", STATE_COMPLETED, "[]", "completed", true},
		{"no result", STATE_COMPLETED, NULL, "completed", true},
	};

	clock_fake(unit_mono_ms, unit_now_us);
	unit_clock_ms = 1500;
	EACH(row, rows)
	{
		struct metrics metrics = {.joined = false};
		AUTO_JSON *result = row->result != NULL ? unit_json(row->result) : NULL;
		char line[80];

		metrics_count_final(&metrics, row->type, result);
		(void)snprintf(line, sizeof line, "runs_total{outcome=\"%s\"} 1", row->outcome);
		check_line(row->name, &metrics, NULL, line);
		(void)snprintf(line, sizeof line, "last_cleanup_success_timestamp_seconds %s", row->cleanup ? "1.500000" : "0.000000");
		check_line(row->name, &metrics, NULL, line);
		int64_t sum = 0;
		for (int i = 0; i < OUTCOME_COUNT; i++)
			sum += metrics.outcomes[i];
		CHECK_INT(row->name, sum, 1);
	}
	clock_fake(NULL, NULL);
}

static void sorts_tries_into_buckets(void)
{
	static const struct {
		const char *name;
		struct http_try seen;
		const char *code;
		const char *below, *from; /* the bucket before the first that counts it, and that one */
	} rows[] = {
		{"at once", {200, 0, false}, "2xx", NULL, "0.005"},
		{"at a bound", {200, 5000, false}, "2xx", NULL, "0.005"},
		{"over it", {201, 5001, false}, "2xx", "0.005", "0.01"},
		{"a second", {404, 1000000, false}, "4xx", "0.5", "1"},
		{"a minute", {503, 60000000, true}, "5xx", "30", "60"},
		{"longer", {0, 60000001, true}, "none", "60", "+Inf"},
		{"for ever", {0, INT64_MAX / 2, false}, "none", "60", "+Inf"},
		{"no status of HTTP", {999, 1, false}, "none", NULL, "0.005"},
	};

	EACH(row, rows)
	{
		struct metrics metrics = {.joined = false};
		char line[120];

		metrics_count_try(&metrics, &row->seen);
		(void)snprintf(line, sizeof line, "requests_total{code=\"%s\"} 1", row->code);
		check_line(row->name, &metrics, NULL, line);
		(void)snprintf(line, sizeof line, "request_retries_total %d", row->seen.again);
		check_line(row->name, &metrics, NULL, line);
		if (row->below != NULL) {
			(void)snprintf(line, sizeof line, "request_duration_seconds_bucket{le=\"%s\"} 0", row->below);
			check_line(row->name, &metrics, NULL, line);
		}
		(void)snprintf(line, sizeof line, "request_duration_seconds_bucket{le=\"%s\"} 1", row->from);
		check_line(row->name, &metrics, NULL, line);
		check_line(row->name, &metrics, NULL, "request_duration_seconds_bucket{le=\"+Inf\"} 1");
		check_line(row->name, &metrics, NULL, "request_duration_seconds_count 1");
		(void)snprintf(line, sizeof line, "request_duration_seconds_sum %" PRId64 ".%06" PRId64,
		               row->seen.took_us / US_PER_SEC, row->seen.took_us % US_PER_SEC);
		check_line(row->name, &metrics, NULL, line);
	}
}

static void tells_what_is_now(void)
{
	struct metrics metrics = {.joined = false};
	const struct metrics_now now = {
		.runs = {.active = 3, .parked = 1000, .waiting = 2, .longest_ms = 61250}, .ready = true};
	static const char *const lines[] = {"ready 1", "running_runs 3", "parked_runs 1000", "waiting_runs 2",
	                                    "backlog_age_seconds 61.250000", "build_info{version=\"" JANITOR_VERSION "\"} 1"};

	EACH(line, lines)
		check_line(*line, &metrics, &now, *line);
	check_line("nothing", &metrics, NULL, "ready 0");
	check_line("nothing", &metrics, NULL, "backlog_age_seconds 0.000000");
}

static void counts_polls_and_deletions(void)
{
	struct metrics metrics = {.joined = false};
	static const char *const lines[] = {
		"polls_total{result=\"success\"} 2", "polls_total{result=\"failure\"} 1", "deleted_flow_runs_total 57",
		"delete_failures_total 1", "last_poll_success_timestamp_seconds 2.000250"};

	clock_fake(unit_mono_ms, unit_now_us);
	unit_clock_ms = 0;
	metrics_count_poll(&metrics, true);
	metrics_count_deletions(&metrics, 50, 0);
	metrics_count_poll(&metrics, true);
	metrics_count_deletions(&metrics, 7, 0);
	metrics_count_deletions(&metrics, 0, 1);
	unit_clock_ms = 9000;
	metrics_count_poll(&metrics, false);
	metrics.poll_success = 2 * US_PER_SEC + 250;
	EACH(line, lines)
		check_line(*line, &metrics, NULL, *line);
	clock_fake(NULL, NULL);
}

#define THREADS 4
#define TIMES 2000

static void *count_much(void *arg)
{
	struct metrics *metrics = arg;

	metrics_beat(metrics, SERVICE_LOGS);
	for (int i = 0; i < TIMES; i++) {
		metrics_count_try(metrics, &(struct http_try){.status = 200, .took_us = 1000});
		metrics_count_deletions(metrics, 1, 1);
		metrics_count_poll(metrics, true);
	}
	return NULL;
}

static void counts_from_many_threads(void)
{
	struct metrics metrics = {.joined = false};
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		CHECK_INT("create", pthread_create(&threads[i], NULL, count_much, &metrics), 0);
	for (int i = 0; i < THREADS; i++)
		CHECK_INT("join", pthread_join(threads[i], NULL), 0);
	check_line("polls", &metrics, NULL, "polls_total{result=\"success\"} 8000");
	check_line("deleted", &metrics, NULL, "deleted_flow_runs_total 8000");
	check_line("failures", &metrics, NULL, "delete_failures_total 8000");
	check_line("tries", &metrics, NULL, "request_duration_seconds_count 8000");
	check_line("sum", &metrics, NULL, "request_duration_seconds_sum 8.000000");
}

UNIT_SUITE("worker/metrics", TEST(counts_final_states), TEST(sorts_tries_into_buckets), TEST(tells_what_is_now),
           TEST(counts_polls_and_deletions), TEST(counts_from_many_threads))
