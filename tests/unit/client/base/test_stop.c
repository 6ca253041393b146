#include "client/base/stop.h"

#include "client/base/clock.h"
#include "tests/unit/unit.h"

static void ends_every_wait(void)
{
	struct stop stop;

	stop_init(&stop);
	CHECK("not asked", !stop_asked(&stop));
	CHECK_INT("not asked", stop_asked_ago_ms(&stop), -1);
	CHECK("a wait of nothing", !stop_wait(&stop, 0));
	CHECK("without a flag", !stop_wait(NULL, 0) && !stop_asked(NULL) && stop_asked_ago_ms(NULL) == -1);

	unit_clock_ms = 0;
	unit_clock_step_ms = 100;
	clock_fake(unit_mono_ms, NULL);
	stop_ask(&stop);
	stop_ask(&stop);
	CHECK("asked", stop_asked(&stop));
	CHECK_INT("counted from the first time", stop_asked_ago_ms(&stop), 100);
	clock_fake(NULL, NULL);
	CHECK("returns at once", stop_wait(&stop, 3600000));
	stop_done(&stop);
}

static void *wait_an_hour(void *stop)
{
	return stop_wait(stop, 3600000) ? stop : NULL;
}

static void wakes_other_threads(void)
{
	struct stop stop;
	pthread_t threads[4];

	stop_init(&stop);
	EACH(thread, threads)
		CHECK_INT("create", pthread_create(thread, NULL, wait_an_hour, &stop), 0);
	stop_ask(&stop);
	EACH(thread, threads)
	{
		void *result = NULL;
		CHECK_INT("join", pthread_join(*thread, &result), 0);
		CHECK("woken", result == &stop);
	}
	stop_done(&stop);
}

static void spreads_waits(void)
{
	static const int64_t rows[] = {0, 1, 50, 1000, 60000, 3600000};

	EACH(row, rows)
		for (int i = 0; i < 100; i++) {
			int64_t ms = wait_jitter(*row);
			if (ms < *row * 3 / 4 || ms > *row * 5 / 4)
				CHECK_INT("within a quarter", ms, *row);
		}
}

UNIT_SUITE("client/base/stop", TEST(ends_every_wait), TEST(wakes_other_threads), TEST(spreads_waits))
