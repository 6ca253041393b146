/* The rule of health, by a clock that the test sets. What is served: tests/integration/test_health.py. */
#include "worker/health.h"

#include "tests/unit/unit.h"

#define START 1000000
#define SECOND INT64_C(1000)
#define NEVER (-1)

static struct settings settings = {.limit = 1, .query_ms = 10 * SECOND, .heartbeat_ms = 30 * SECOND, .watch_ms = SECOND,
                                   .request_timeout_ms = 60 * SECOND};

static void open_worker(struct worker *worker)
{
	clock_fake(unit_mono_ms, unit_now_us);
	unit_clock_step_ms = 0;
	unit_clock_ms = START;
	settings.run_once = false;
	worker_init(worker, &settings);
}

static void close_worker(struct worker *worker)
{
	worker_done(worker);
	clock_fake(NULL, NULL);
}

static void is_ready_while_polls_succeed(void)
{
	static const struct {
		const char *name;
		int64_t success_s, failure_s; /* when polls ended, NEVER: none */
		int64_t asked_s;
		bool joined, stopping, once;
		bool polling, ready;
	} rows[] = {
		{"before the first poll", NEVER, NEVER, 0, true, false, false, false, false},
		{"after it", 0, NEVER, 0, true, false, false, true, true},
		{"the pool is not joined", 0, NEVER, 0, false, false, false, true, false},
		{"asked to stop", 0, NEVER, 0, true, true, false, true, false},
		{"one interval later", 0, NEVER, 10, true, false, false, true, true},
		{"with its jitter", 0, NEVER, 12, true, false, false, true, true},
		{"and the time of a retry", 0, NEVER, 14, true, false, false, true, true},
		{"the next poll hangs", 0, NEVER, 15, true, false, false, false, false},
		{"the next poll failed", 0, 10, 10, true, false, false, false, false},
		{"the first poll failed", NEVER, 0, 0, true, false, false, false, false},
		{"it failed before", 10, 0, 10, true, false, false, true, true},
		{"there is no next one", 0, NEVER, 60, true, false, true, true, true},
		{"the only one failed", NEVER, 0, 0, true, false, true, false, false},
	};

	EACH(row, rows)
	{
		struct worker worker;
		bool success_first = row->success_s < row->failure_s;

		open_worker(&worker);
		settings.run_once = row->once;
		for (int i = 0; i < 2; i++) {
			bool success = (i == 0) == success_first;
			int64_t at_s = success ? row->success_s : row->failure_s;
			unit_clock_ms = START + at_s * SECOND;
			if (at_s != NEVER)
				metrics_count_poll(&worker.metrics, success);
		}
		unit_clock_ms = START + row->asked_s * SECOND;
		if (row->joined)
			metrics_begin(&worker.metrics);
		if (row->stopping)
			stop_ask(&worker.stop);
		CHECK_INT(row->name, health_is_polling(&worker), row->polling);
		CHECK_INT(row->name, health_is_ready(&worker), row->ready);
		CHECK(row->name, health_is_live(&worker));
		close_worker(&worker);
	}
}

/* Each service is given its interval with jitter, one request, and the wait after trouble. */
static void is_live_while_every_service_goes_on(void)
{
	static const struct {
		const char *name;
		enum metrics_service stuck;
		int64_t bound_ms;
	} rows[] = {
		{"sync", SERVICE_SYNC, 37500 + 135000},
		{"poll", SERVICE_POLL, 12500 + 135000},
		{"watch", SERVICE_WATCH, 1250 + 135000},
		{"logs", SERVICE_LOGS, 1250 + 75000},
	};

	EACH(row, rows)
	{
		struct worker worker;

		open_worker(&worker);
		unit_clock_ms = START + 10 * row->bound_ms;
		CHECK("before the pool is joined", health_is_live(&worker));
		unit_clock_ms = START;
		metrics_begin(&worker.metrics); /* the stuck one does not even begin */
		for (int64_t ms = 0; ms <= row->bound_ms; ms += 250) {
			unit_clock_ms = START + ms;
			for (int i = 0; i < SERVICE_COUNT; i++)
				if (i != (int)row->stuck)
					metrics_beat(&worker.metrics, (enum metrics_service)i);
			if (!health_is_live(&worker))
				CHECK_INT(row->name, ms, -1);
		}
		unit_clock_ms++;
		metrics_count_poll(&worker.metrics, true);
		CHECK(row->name, !health_is_live(&worker));
		CHECK("not well either", !health_is_polling(&worker) && !health_is_ready(&worker));
		metrics_beat(&worker.metrics, row->stuck);
		CHECK(row->name, health_is_live(&worker) && health_is_ready(&worker));

		/* A request that ended is progress, of the service whose thread made it. */
		unit_clock_ms += row->bound_ms;
		for (int i = SERVICE_COUNT - 1; i >= 0; i--)
			metrics_beat(&worker.metrics, (enum metrics_service)i);
		metrics_beat(&worker.metrics, row->stuck);
		unit_clock_ms += row->bound_ms;
		metrics_count_try(&worker.metrics, &(struct http_try){.status = 0});
		CHECK_INT(row->name, worker.metrics.beat_ms[row->stuck], unit_clock_ms);
		CHECK_INT(row->name, worker.metrics.beat_ms[(row->stuck + 1) % SERVICE_COUNT], unit_clock_ms - row->bound_ms);

		unit_clock_ms += 10 * row->bound_ms;
		CHECK(row->name, !health_is_live(&worker));
		stop_ask(&worker.stop);
		CHECK("its services end", health_is_live(&worker) && !health_is_ready(&worker));
		close_worker(&worker);
	}
}

UNIT_SUITE("worker/health", TEST(is_ready_while_polls_succeed), TEST(is_live_while_every_service_goes_on))
