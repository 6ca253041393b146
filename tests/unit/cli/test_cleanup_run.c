/* What a run is to somebody who wants to decide it; who finds which one is in tests/integration/test_cli_decide.py. */
#include "cli/cleanup_run.h"

#include "tests/unit/api.h"

#define PAUSED(details) "{\"type\": \"PAUSED\", \"name\": \"Paused\", \"timestamp\": \"2026-11-21T06:34:21Z\", \"state_details\": {" details "}}"
#define QUESTION "\"pause_key\": \"1\", \"run_input_keyset\": {\"schema\": \"paused-1-schema\"}"

/* The server fails a run some seconds after its deadline: until then it is still Paused. */
static void knows_what_can_be_decided(void)
{
	static const struct {
		const char *name, *state;
		const char *error; /* NULL: it can be decided */
	} rows[] = {
		{"in time", PAUSED(QUESTION ", \"pause_timeout\": \"2999-01-01T00:00:00Z\""), NULL},
		{"no deadline", PAUSED(QUESTION), NULL},
		{"too late, and still Paused", PAUSED(QUESTION ", \"pause_timeout\": \"2020-01-01T00:00:00Z\""),
		 "'n' has expired: it could be decided until 2020-01-01 00:00:00 UTC; start a new one with prefect-janitor run"},
		{"paused by hand", PAUSED("\"pause_timeout\": \"2999-01-01T00:00:00Z\""), "'n' is Paused without a question: somebody paused it"},
		{"being cancelled", "{\"type\": \"CANCELLING\", \"name\": \"Cancelling\", \"timestamp\": \"2026-11-21T06:34:21Z\"}",
		 "'n' is being cancelled: there is nothing to decide"},
		{"not yet", "{\"type\": \"RUNNING\", \"name\": \"Running\", \"timestamp\": \"2026-11-21T06:34:21Z\"}",
		 "'n' has not asked yet: it is Running; it can be decided once it is Paused"},
	};

	EACH(row, rows)
	{
		struct settings settings = {0};
		struct api api;
		struct error err;
		struct cleanup_run run;
		struct flow_run flow_run = {.name = text_dup("n"), .state = unit_json(row->state)};

		api_open(&api, NULL, 0);
		struct session session = {.settings = &settings, .prefect = api.prefect};
		if (CHECK_RC(row->name, cleanup_run_from(&flow_run, &run, &err), 0, &err)) {
			CHECK_RC(row->name, cleanup_run_check_open(&session, &run, &err), row->error != NULL ? ERR_USAGE : 0, &err);
			if (row->error != NULL)
				CHECK_HAS(row->name, err.text, row->error);
			cleanup_run_release(&run);
		}
		CHECK_INT(row->name, api_close(&api, row->name), 0);
	}
}

UNIT_SUITE("cli/cleanup_run", TEST(knows_what_can_be_decided))
