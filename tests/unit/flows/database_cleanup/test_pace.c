/* The pace of a deletion: when it goes down, how it comes back, and that it keeps to its bounds. */
#include "flows/database_cleanup/pace.h"

#include "tests/unit/unit.h"

#define GOOD {.took_ms = 50, .tries = 1}
#define SLOW {.took_ms = 1001, .tries = 1}

static const struct pace_settings defaults = {
	.target_ms = 1000, .batch_most = 100, .batch_least = 5, .pause_least_ms = 100, .pause_most_ms = 10000};

static void tells_slow_from_good(void)
{
	static const struct {
		const char *name;
		struct http_effort effort;
		bool failed;
		enum pace_step want;
	} rows[] = {
		{"good", GOOD, false, PACE_SAME},
		{"just in time", {.took_ms = 1000, .tries = 1}, false, PACE_SAME},
		{"too slow", SLOW, false, PACE_SLOWER},
		{"one 503 that the next try cures", {.took_ms = 120, .tries = 2, .busy = 1}, false, PACE_SAME},
		{"three of them", {.took_ms = 300, .tries = 4, .busy = 3}, false, PACE_SAME},
		{"one after the other", {.took_ms = 300, .tries = 5, .busy = 4}, false, PACE_SLOWER},
		{"too many requests", {.took_ms = 60, .tries = 2, .throttled = 1}, false, PACE_SLOWER},
		{"no answer", {.took_ms = 60, .tries = 1}, true, PACE_SLOWER},
	};

	EACH(row, rows)
	{
		struct pace pace;

		pace_init(&pace, &defaults);
		CHECK("at first", !pace_is_slowed(&pace));
		CHECK_INT(row->name, pace_note(&pace, &row->effort, row->failed), row->want);
		CHECK_INT(row->name, pace_is_slowed(&pace), row->want == PACE_SLOWER);
	}
}

static void goes_down_and_comes_back(void)
{
	static const struct {
		const char *name;
		bool slow;
		enum pace_step step;
		int batch;
		int64_t pause;
	} rows[] = {
		/* the server takes 50 in a call: the first step halves that */
		{"slow", true, PACE_SLOWER, 25, 200},  {"slow", true, PACE_SLOWER, 12, 400},  {"slow", true, PACE_SLOWER, 6, 800},
		{"slow", true, PACE_SLOWER, 5, 1600},  {"slow", true, PACE_SLOWER, 5, 3200},  {"slow", true, PACE_SLOWER, 5, 6400},
		{"slow", true, PACE_SLOWER, 5, 10000}, {"slow", true, PACE_SAME, 5, 10000},   {"good", false, PACE_SAME, 5, 10000},
		{"good", false, PACE_SAME, 5, 10000},  {"slow", true, PACE_SAME, 5, 10000},   {"good", false, PACE_SAME, 5, 10000},
		{"good", false, PACE_SAME, 5, 10000},  {"third", false, PACE_FASTER, 10, 5000}, {"good", false, PACE_SAME, 10, 5000},
		{"good", false, PACE_SAME, 10, 5000},  {"third", false, PACE_FASTER, 20, 2500}, {"slow", true, PACE_SLOWER, 10, 5000},
	};
	const struct http_effort good = GOOD;
	const struct http_effort slow = SLOW;
	struct pace pace;

	pace_init(&pace, &defaults);
	pace_limit_calls(&pace, 50);
	EACH(row, rows)
	{
		CHECK_INT(row->name, pace_note(&pace, row->slow ? &slow : &good, false), row->step);
		CHECK_INT(row->name, pace.batch, row->batch);
		CHECK_INT(row->name, pace.pause_ms, row->pause);
	}
	for (int i = 0; i < 60; i++)
		(void)pace_note(&pace, &good, false);
	CHECK("all the way back", !pace_is_slowed(&pace));
	CHECK_INT("batch", pace.batch, 100);
	CHECK_INT("pause", pace.pause_ms, 100);
	CHECK_INT("a call", pace_call(&pace, 100), 50);
	CHECK_INT("the rest of a batch", pace_call(&pace, 7), 7);
}

static void keeps_to_odd_bounds(void)
{
	static const struct {
		const char *name;
		struct pace_settings settings;
		int batch_slow;   /* after twenty slow calls */
		int64_t pause_slow;
	} rows[] = {
		{"without a pause", {1000, 100, 5, 0, 10000}, 5, 10000},
		{"never a pause", {1000, 100, 5, 0, 0}, 5, 0},
		{"smallest batch above what is asked for", {1000, 10, 50, 100, 1000}, 10, 1000},
		{"longest pause below the shortest", {1000, 10, 1, 500, 100}, 1, 500},
		{"nothing may change", {1000, 10, 10, 100, 100}, 10, 100},
	};
	const struct http_effort good = GOOD;
	const struct http_effort slow = SLOW;

	EACH(row, rows)
	{
		struct pace pace;

		pace_init(&pace, &row->settings);
		for (int i = 0; i < 20; i++)
			(void)pace_note(&pace, &slow, false);
		CHECK_INT(row->name, pace.batch, row->batch_slow);
		CHECK_INT(row->name, pace.pause_ms, row->pause_slow);
		for (int i = 0; i < 60; i++)
			(void)pace_note(&pace, &good, false);
		CHECK_INT(row->name, pace.batch, row->settings.batch_most);
		CHECK_INT(row->name, pace.pause_ms, row->settings.pause_least_ms);
	}
}

static void describes_itself(void)
{
	AUTO_TEXT text = {.max = 100};
	struct pace pace;

	pace_init(&pace, &defaults);
	pace_describe(&pace, &text);
	CHECK_STR("words", text_str(&text), "100 at a time, 100 ms between batches");
	/* What the server takes in a call is what counts. */
	pace_limit_calls(&pace, 50);
	CHECK("full speed", !pace_is_slowed(&pace));
	text_release(&text);
	text.max = 200;
	pace_describe(&pace, &text);
	CHECK_STR("words", text_str(&text), "50 at a time, 100 ms between batches");
}

static void describes_its_steps(void)
{
	static const struct {
		const char *name;
		enum pace_step step;
		int runs;
		struct http_effort effort;
		bool failed;
		const char *want;
	} rows[] = {
		{"slower", PACE_SLOWER, 50, {.took_ms = 3000, .tries = 1}, false,
		 "slowing down: deleting up to 50 flow runs took 3.0 s; now 25 at a time, 100 ms between batches"},
		{"with tries", PACE_SLOWER, 1, {.took_ms = 3000, .tries = 2}, false,
		 "slowing down: deleting up to 1 flow run took 3.0 s and 2 tries; now 25 at a time, 100 ms between batches"},
		{"failed", PACE_SLOWER, 50, {.took_ms = 20, .tries = 1}, true,
		 "slowing down: deleting up to 50 flow runs failed after 20 ms; now 25 at a time, 100 ms between batches"},
		{"faster", PACE_FASTER, 50, GOOD, false, "speeding up again: 25 at a time, 100 ms between batches"},
	};

	EACH(row, rows)
	{
		AUTO_TEXT text = {.max = 300};
		struct pace pace;

		pace_init(&pace, &defaults);
		pace.batch = 25;
		pace_describe_step(&pace, row->step, row->runs, &row->effort, row->failed, &text);
		CHECK_STR(row->name, text_str(&text), row->want);
	}
}

UNIT_SUITE("flows/database_cleanup/pace", TEST(tells_slow_from_good), TEST(goes_down_and_comes_back),
           TEST(keeps_to_odd_bounds), TEST(describes_itself), TEST(describes_its_steps))
