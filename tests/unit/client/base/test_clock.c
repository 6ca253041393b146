#include "client/base/clock.h"

#include "tests/unit/unit.h"

#define BAD INT64_MIN
#define S(seconds) ((int64_t)(seconds) * US_PER_SEC)

static void parses_times(void)
{
	static const struct {
		const char *text;
		time_us us;
	} rows[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"1970-01-01 00:00:00z", 0},
		{"2026-11-21T06:34:21Z", S(1795242861)},
		{"2026-11-21T06:34:21.123456Z", S(1795242861) + 123456},
		{"2026-11-21T06:34:21.1Z", S(1795242861) + 100000},
		{"2026-11-21T06:34:21.000001+00:00", S(1795242861) + 1},
		{"2026-11-21T06:34:21.123456789Z", S(1795242861) + 123456},
		{"2026-11-21T06:34:21.9999999Z", S(1795242861) + 999999},
		{"2026-11-21T08:34:21+02:00", S(1795242861)},
		{"2026-11-21T01:04:21-05:30", S(1795242861)},
		{"2026-11-21T06:34:21-00:00", S(1795242861)},
		{"1969-12-31T23:59:59.999999Z", -1},
		{"2024-02-29T00:00:00Z", S(1709164800)},
		{"2000-02-29T00:00:00Z", S(951782400)},
		{"0001-01-01T00:00:00Z", TIME_MIN_US},
		{"9999-12-31T23:59:59.999999Z", TIME_MAX_US},
		/* not times */
		{"", BAD},
		{"2026-11-21", BAD},
		{"2026-11-21T06:34:21", BAD},
		{"2026-11-21T06:34Z", BAD},
		{"2026-11-21T06:34:21.Z", BAD},
		{"2026-11-21T06:34:21,5Z", BAD},
		{"2026-11-21T06:34:21Z ", BAD},
		{" 2026-11-21T06:34:21Z", BAD},
		{"2026-11-21T06:34:21+0200", BAD},
		{"2026-11-21T06:34:21+02", BAD},
		{"2026-11-21T06:34:21+24:00", BAD},
		{"2026-11-21T06:34:21+02:60", BAD},
		{"2026-11-21T24:00:00Z", BAD},
		{"2026-11-21T06:60:00Z", BAD},
		{"2026-11-21T06:34:60Z", BAD},
		{"2026-00-21T06:34:21Z", BAD},
		{"2026-13-21T06:34:21Z", BAD},
		{"2026-11-00T06:34:21Z", BAD},
		{"2026-11-31T06:34:21Z", BAD},
		{"2026-02-29T06:34:21Z", BAD},
		{"1900-02-29T06:34:21Z", BAD},
		{"2024-02-30T06:34:21Z", BAD},
		{"0000-01-01T00:00:00Z", BAD},
		{"-001-01-01T00:00:00Z", BAD},
		{"26-11-21T06:34:21Z", BAD},
		{"2026/11/21T06:34:21Z", BAD},
		{"now", BAD},
	};

	EACH(row, rows)
	{
		time_us us = BAD;

		CHECK_INT(row->text, time_parse(row->text, &us), row->us != BAD);
		CHECK_INT(row->text, us, row->us);
	}
}

static void formats_times(void)
{
	static const struct {
		time_us us;
		const char *text;
		const char *human;
	} rows[] = {
		{0, "1970-01-01T00:00:00Z", "1970-01-01 00:00:00 UTC"},
		{1, "1970-01-01T00:00:00.000001Z", "1970-01-01 00:00:00 UTC"},
		{-1, "1969-12-31T23:59:59.999999Z", "1969-12-31 23:59:59 UTC"},
		{S(1795242861) + 120000, "2026-11-21T06:34:21.120000Z", "2026-11-21 06:34:21 UTC"},
		{TIME_MIN_US, "0001-01-01T00:00:00Z", "0001-01-01 00:00:00 UTC"},
		{TIME_MAX_US, "9999-12-31T23:59:59.999999Z", "9999-12-31 23:59:59 UTC"},
	};
	char buf[TIME_TEXT_SIZE];

	EACH(row, rows)
	{
		time_us back = BAD;

		CHECK_STR(row->text, time_format(row->us, buf), row->text);
		CHECK(row->text, time_parse(buf, &back));
		CHECK_INT(row->text, back, row->us);
		CHECK_STR(row->text, time_format_human(row->us, buf), row->human);
	}
}

/* Every day of 400 years, which is a whole turn of the calendar, there and back. */
static void agrees_with_itself(void)
{
	int wrong = 0;
	char buf[TIME_TEXT_SIZE];

	for (int64_t day = -146097; day <= 146097; day += 7) {
		time_us back = BAD;
		time_us t = S(day * 86400 + 12345) + 678901;
		wrong += !time_parse(time_format(t, buf), &back) || back != t;
	}
	CHECK_INT("days", wrong, 0);
}

static void formats_spans(void)
{
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = {
		{0, "0 ms"},
		{45, "45 ms"},
		{999, "999 ms"},
		{1000, "1.0 s"},
		{3249, "3.2 s"},
		{59999, "60.0 s"},
		{60000, "1 min 00 s"},
		{125000, "2 min 05 s"},
		{3599999, "59 min 59 s"},
		{3600000, "1 h 00 min"},
		{7500000, "2 h 05 min"},
		{172799999, "47 h 59 min"},
		{172800000, "2 days 0 h"},
		{INT64_C(2592000000), "30 days 0 h"},
	};
	char buf[TIME_TEXT_SIZE];

	EACH(row, rows)
		CHECK_STR(row->text, span_format(row->ms, buf), row->text);
}

static void can_be_faked(void)
{
	unit_clock_ms = 1000;
	unit_clock_step_ms = 1;
	clock_fake(unit_mono_ms, unit_now_us);
	CHECK_INT("monotonic", clock_mono_ms(), 1001);
	CHECK_INT("wall", clock_now_us(), 1002000);
	clock_fake(NULL, NULL);
	CHECK("real again", clock_now_us() > S(1700000000));
}

UNIT_SUITE("client/base/clock", TEST(parses_times), TEST(formats_times), TEST(agrees_with_itself), TEST(formats_spans),
           TEST(can_be_faked))
