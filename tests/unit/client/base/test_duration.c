#include "client/base/duration.h"

#include "tests/unit/unit.h"

#define BAD INT64_MIN

/* What pydantic 2.13.4 makes of each text (TypeAdapter(timedelta).validate_json), in microseconds. */
static void reads_as_pydantic_does(void)
{
	static const struct {
		const char *text;
		int64_t us;
	} rows[] = {
		{"P30D", 2592000000000},
		{"P1Y", 31536000000000},
		{"P1M", 2592000000000},
		{"P2W", 1209600000000},
		{"P1D", 86400000000},
		{"PT1H", 3600000000},
		{"PT1M", 60000000},
		{"PT1S", 1000000},
		{"P1Y2M3W4DT5H6M7S", 38898367000000},
		{"P1Y1M1W1D", 34819200000000},
		{"PT1H2M3.4S", 3723400000},
		{"PT36H", 129600000000},
		{"PT90M", 5400000000},
		{"P00000030D", 2592000000000},
		/* signs and zero */
		{"+P1D", 86400000000},
		{"-P1D", -86400000000},
		{"-P1DT1H", -90000000000},
		{"-PT0.5S", -500000},
		{"P0D", 0},
		{"-P0D", 0},
		{"PT0S", 0},
		/* fractions: of the last number, with a point or a comma */
		{"P1.5D", 129600000000},
		{"P1,5D", 129600000000},
		{"P0.5Y", 15768000000000},
		{"P1.5M", 3888000000000},
		{"PT1.5H", 5400000000},
		{"PT0.5M", 30000000},
		{"PT1,5S", 1500000},
		{"PT1.S", 1000000},
		{"P1YT1.5S", 31536001500000},
		{"PT0.123456S", 123456},
		{"PT0.3333333M", 19999998},
		{"P0.1234567D", 10666658880},
		/* rounding: half up */
		{"PT0.1234564S", 123456},
		{"PT0.1234565S", 123457},
		{"PT0.0000004S", 0},
		{"PT0.0000005S", 1},
		{"PT0.0000015S", 2},
		{"PT0.0000025S", 3},
		{"PT0.0000035S", 4},
		{"PT1.0000025S", 1000003},
		{"PT0.00000149S", 1},
		{"PT0.00000003M", 2},
		{"P0.0000000001W", 60},
		{"-PT0.0000005S", -1},
		{"PT0.99999951S", 1000000},
		{"PT1.9999999S", 2000000},
		{"PT1.12345678901234567890S", 1123457},
		{"PT1.0000000000000001S", 1000000},
		{"P0.00000000001D", 1},
		{"P0.000000000005D", 0},
		/* any order, repeated */
		{"P1D1D", 172800000000},
		{"P1D1Y", 31622400000000},
		{"P1M1Y", 34128000000000},
		{"PT1S1H", 3601000000},
		{"PT1H1H", 7200000000},
		{"P1DT1H1H", 93600000000},
		{"P1DT", 86400000000},
		{"P1DT00H", 86400000000},
		/* large */
		{"P99999D", 8639913600000000},
		{"P99999Y", 3153568464000000000},
		{"P290000Y", 9145440000000000000},
		{"PT4294967295S", 4294967295000000},
		/* not durations */
		{"", BAD},
		{"P", BAD},
		{"PT", BAD},
		{"X", BAD},
		{"PD", BAD},
		{"PTS", BAD},
		{"P1", BAD},
		{"P1T", BAD},
		{"P1H", BAD},
		{"P1S", BAD},
		{"PT1D", BAD},
		{"PT1H1D", BAD},
		{"P1D1H", BAD},
		{"PT.5S", BAD},
		{"P.5D", BAD},
		{"P1.5D1H", BAD},
		{"P1.5D1D", BAD},
		{"P1.5DT1H", BAD},
		{"PT1.5H30M", BAD},
		{"P1DT1HT1M", BAD},
		{"p1d", BAD},
		{"P1d", BAD},
		{"P 1D", BAD},
		{" P1D", BAD},
		{"P1D ", BAD},
		{"P1D\n", BAD},
		{"P-1D", BAD},
		{"P+1D", BAD},
		{"--P1D", BAD},
		{"+-P1D", BAD},
		{"P1D-", BAD},
		{"P1YX", BAD},
		{"P\xef\xbc\x91" "D", BAD}, /* a full-width one */
		{"PT99999999999999999999S", BAD},
		{"P1000000000D", BAD},
	};

	EACH(row, rows)
	{
		struct error err = {0};
		int64_t us = BAD;

		CHECK_RC(row->text, duration_parse(row->text, &us, &err), row->us == BAD ? ERR_DECODE : 0, &err);
		CHECK_INT(row->text, us, row->us);
	}
}

/* Where this reader is narrower than pydantic's on purpose. */
static void refuses_more_than_pydantic(void)
{
	static const struct {
		const char *name;
		const char *text;
	} rows[] = {
		{"more than 290,000 years", "P290001Y"},
		{"pydantic's longest", "P999999999D"},
		{"the sum is too long", "P290000Y1D"},
		{"the sum of time parts is too long", "P289999Y366DT9999999999S"},
		{"a bare number of days", "1D"},
	};

	EACH(row, rows)
	{
		struct error err = {0};
		int64_t us = BAD;

		CHECK_RC(row->name, duration_parse(row->text, &us, &err), ERR_DECODE, &err);
		CHECK_INT(row->name, us, BAD);
	}
}

/* pydantic takes no number above 2^32 - 1; there is no reason for that here. */
static void accepts_more_than_pydantic(void)
{
	struct error err = {0};
	int64_t us = BAD;

	CHECK_RC("seconds", duration_parse("PT4294967296S", &us, &err), 0, &err);
	CHECK_INT("seconds", us, 4294967296000000);
}

static void says_why(void)
{
	static const struct {
		const char *text;
		const char *why;
	} rows[] = {
		{"30 days", "it does not start with P"},
		{"P", "it has no number"},
		{"PxD", "a number was expected"},
		{"P1.5D1D", "only the last number may have a fraction"},
		{"P1H", "in the wrong part"},
		{"P999999Y", "too large"},
	};

	EACH(row, rows)
	{
		struct error err = {0};
		int64_t us;

		CHECK_RC(row->text, duration_parse(row->text, &us, &err), ERR_DECODE, &err);
		CHECK_HAS(row->text, err.text, row->why);
		CHECK_HAS(row->text, err.text, row->text);
		CHECK_HAS(row->text, err.text, "write it like P30D");
	}
}

static void reads_seconds(void)
{
	static const struct {
		const char *name;
		double seconds;
		int64_t us;
	} rows[] = {
		{"none", 0, 0},
		{"a whole number", 3600, 3600000000},
		{"a fraction", 1.5, 1500000},
		{"a tenth", 0.1, 100000},
		{"rounded up", 0.0000015, 2},
		{"rounded down", 0.0000004, 0},
		{"negative", -1.5, -1500000},
		{"the most", 9145440000000.0, 9145440000000000000},
		{"too many", 9145440000001.0, BAD},
		{"far too many", 1e300, BAD},
		{"far too few", -1e300, BAD},
		{"no number", __builtin_nan(""), BAD},
		{"no end", __builtin_inf(), BAD},
	};

	EACH(row, rows)
	{
		struct error err = {0};
		int64_t us = BAD;

		CHECK_RC(row->name, duration_from_seconds(row->seconds, &us, &err), row->us == BAD ? ERR_DECODE : 0, &err);
		CHECK_INT(row->name, us, row->us);
	}
}

static void reads_words(void)
{
	static const struct {
		const char *name, *iso; /* NULL: none */
	} rows[] = {
		{"30", "P30D"},         {"30 days", "P30D"}, {"30d", "P30D"},      {"1 day", "P1D"},   {"2 weeks", "P2W"}, {"12 hours", "PT12H"},
		{"6 months", "P6M"},    {"1 year", "P1Y"},   {"0", "P0D"},         {"", NULL},         {"days", NULL},     {"30 ", NULL},
		{"30  days", NULL},     {"-30", NULL},       {"30.5", NULL},       {"30m", NULL},      {"P30D", NULL},     {"30 days ago", NULL},
		{"1234567890123", NULL},
	};

	EACH(row, rows)
	{
		char iso[DURATION_ISO_SIZE] = "";

		CHECK_INT(row->name, duration_from_words(row->name, iso), row->iso != NULL);
		CHECK_STR(row->name, iso, row->iso != NULL ? row->iso : "");
	}
}

UNIT_SUITE("client/base/duration", TEST(reads_as_pydantic_does), TEST(refuses_more_than_pydantic),
           TEST(accepts_more_than_pydantic), TEST(says_why), TEST(reads_seconds), TEST(reads_words))
