/* What is said about trouble, and how long it is waited for. */
#include "worker/trouble.h"

#include <stdio.h>

#include "client/base/clock.h"
#include "tests/unit/unit.h"

static struct error failure(int code, int status)
{
	struct error err = {0};

	(void)error_set(&err, code, "x");
	err.http_status = status;
	return err;
}

static void says_what_is_new(void)
{
	static const struct {
		const char *name;
		int code, status;
		bool over; /* it worked before this failure */
		bool news;
	} rows[] = {
		{"the first", ERR_TRANSPORT, 0, false, true},
		{"the same again", ERR_TRANSPORT, 0, false, false},
		{"another kind", ERR_BUSY, 503, false, true},
		{"another status", ERR_BUSY, 502, false, true},
		{"the same status again", ERR_BUSY, 502, false, false},
		{"after it worked", ERR_BUSY, 502, true, true},
	};
	struct trouble trouble = {0};
	int64_t lasted;

	CHECK("nothing is over at first", !trouble_over(&trouble, &lasted));
	EACH(row, rows)
	{
		struct error err = failure(row->code, row->status);

		if (row->over)
			CHECK(row->name, trouble_over(&trouble, &lasted) && !trouble_over(&trouble, &lasted));
		CHECK_INT(row->name, trouble_note(&trouble, &err), row->news);
	}
}

static void knows_a_refusal(void)
{
	static const struct {
		const char *name;
		int code, status;
		bool refusal;
	} rows[] = {
		{"as it is", ERR_INVALID, 422, true}, {"too large", ERR_HTTP, 413, true}, {"the server's fault", ERR_HTTP, 500, false},
		{"a redirect", ERR_HTTP, 302, false}, {"busy", ERR_BUSY, 429, false},     {"a password", ERR_AUTH, 403, false},
		{"a conflict", ERR_CONFLICT, 409, false}, {"no answer", ERR_TRANSPORT, 0, false},
	};

	EACH(row, rows)
	{
		struct error err = failure(row->code, row->status);

		CHECK_INT(row->name, trouble_is_refusal(&err), row->refusal);
	}
}

static void knows_how_long_it_lasted(void)
{
	struct trouble trouble = {0};
	struct error err = failure(ERR_TRANSPORT, 0);
	int64_t lasted;

	unit_clock_step_ms = 0;
	unit_clock_ms = 5000;
	clock_fake(unit_mono_ms, unit_now_us);
	(void)trouble_note(&trouble, &err);
	unit_clock_ms = 8000;
	(void)trouble_note(&trouble, &err);
	unit_clock_ms = 9500;
	CHECK("over", trouble_over(&trouble, &lasted));
	CHECK_INT("since the first failure", lasted, 4500);
	clock_fake(NULL, NULL);
}

static void waits_longer_each_time(void)
{
	static const struct {
		const char *name;
		int code;
		int64_t wished;
		int tries;
		int64_t least, most;
	} rows[] = {
		{"first", ERR_TRANSPORT, 0, 1, 600, 1000},
		{"second", ERR_TRANSPORT, 0, 2, 1200, 2000},
		{"fifth", ERR_BUSY, 0, 5, 9600, 16000},
		{"twentieth", ERR_BUSY, 0, 20, 36000, 60000},
		{"thousandth", ERR_DECODE, 0, 1000, 36000, 60000},
		{"a wrong password", ERR_AUTH, 0, 1, 18000, 30000},
		{"a wrong password, for long", ERR_AUTH, 0, 20, 18000, 30000},
		{"the server's wish", ERR_BUSY, 45000, 1, 45000, 45000},
		{"a small wish", ERR_BUSY, 10, 1, 600, 1000},
	};

	EACH(row, rows)
	{
		struct error err = failure(row->code, 0);

		err.retry_after_ms = row->wished;
		for (int sample = 0; sample < 50; sample++) {
			struct trouble trouble = {.tries = row->tries};
			int64_t wait = trouble_wait_ms(&trouble, &err);
			if (!CHECK(row->name, wait >= row->least && wait <= row->most))
				break;
		}
	}
}

static void tells_what_may_pass(void)
{
	static const struct {
		const char *name;
		int code, status;
		bool passing, doubtful;
	} rows[] = {
		{"no answer", ERR_TRANSPORT, 0, true, false}, {"busy", ERR_BUSY, 503, true, false},
		{"wrong password", ERR_AUTH, 401, true, false}, {"a page", ERR_NO_ROUTE, 200, true, false},
		{"unknown shape", ERR_DECODE, 0, false, true}, {"server error", ERR_HTTP, 500, false, true},
		{"redirect", ERR_HTTP, 302, false, true}, {"teapot", ERR_HTTP, 418, false, false},
		{"no memory", ERR_NOMEM, 0, false, true},
		{"invalid", ERR_INVALID, 422, false, false}, {"gone", ERR_NOT_FOUND, 404, false, false},
		{"wrong setting", ERR_USAGE, 0, false, false}, {"stopped", ERR_STOPPED, 0, false, false},
	};

	EACH(row, rows)
	{
		struct error err = failure(row->code, row->status);

		CHECK_INT(row->name, trouble_is_passing(&err), row->passing);
		CHECK_INT(row->name, trouble_is_doubtful(&err), row->doubtful);
	}
}

UNIT_SUITE("worker/trouble", TEST(says_what_is_new), TEST(knows_a_refusal), TEST(knows_how_long_it_lasted), TEST(waits_longer_each_time),
           TEST(tells_what_may_pass))
