/* Whether a run was asked, and which number its question has, from the states it was in. */
#include "worker/question.h"

#include <string.h>

#include "tests/unit/api.h"

#define AT(second) "\"name\": \"x\", \"timestamp\": \"2026-11-21T06:34:" second "Z\""
#define PAUSED(second, key, schema)                                                                            \
	"{\"type\": \"PAUSED\", " AT(second) ", \"state_details\": {\"pause_key\": " key ", \"run_input_keyset\": " \
	"{\"schema\": \"" schema "\"}}}"
#define ASKED(second, number) PAUSED(second, "\"" number "\"", "paused-" number "-schema")
#define STATE(second, type) "{\"type\": \"" type "\", " AT(second) ", \"state_details\": {}}"

static const struct {
	const char *name;
	const char *states;
	const char *pause_keys; /* of the run; NULL: no policy */
	bool asked;
	int number;
} rows[] = {
	{"no states", "[]", NULL, false, 1},
	{"never paused", "[" STATE("01", "PENDING") "," STATE("02", "RUNNING") "]", "[]", false, 1},
	{"asked and waiting", "[" STATE("01", "RUNNING") "," ASKED("02", "1") "]", "[\"1\"]", true, 1},
	{"asked and resumed", "[" ASKED("02", "1") "," STATE("03", "RUNNING") "]", "[\"1\"]", true, 1},
	{"in another order", "[" STATE("03", "RUNNING") "," ASKED("02", "1") "," STATE("01", "PENDING") "]", "[\"1\"]", true, 1},
	{"scheduled on its way", "[" ASKED("02", "1") "," STATE("03", "SCHEDULED") "," STATE("04", "PENDING") "]", "[\"1\"]", true, 1},
	{"ended since", "[" ASKED("02", "1") "," STATE("03", "FAILED") "," STATE("04", "RUNNING") "]", "[\"1\"]", false, 2},
	{"ended since, the keys were forgotten", "[" ASKED("02", "1") "," STATE("03", "COMPLETED") "," STATE("04", "RUNNING") "]", "[]",
	 false, 2},
	{"ended before", "[" STATE("01", "CRASHED") "," ASKED("02", "2") "]", "[\"1\", \"2\"]", true, 2},
	{"ended at the same moment", "[" ASKED("02", "1") "," STATE("02", "FAILED") "]", "[\"1\"]", false, 2},
	{"asked anew", "[" ASKED("01", "1") "," STATE("02", "FAILED") "," ASKED("03", "2") "]", "[\"1\", \"2\"]", true, 2},
	{"the latest question counts", "[" ASKED("03", "2") "," ASKED("01", "1") "]", "[\"1\", \"2\"]", true, 2},
	{"being cancelled", "[" ASKED("02", "1") "," STATE("03", "CANCELLING") "]", "[\"1\"]", true, 1},
	{"was being cancelled", "[" ASKED("02", "1") "," STATE("03", "CANCELLING") "," STATE("04", "RUNNING") "]", "[\"1\"]", false, 2},
	{"a state of the future", "[" ASKED("02", "1") "," STATE("03", "DREAMING") "]", "[\"1\"]", true, 1},
	{"paused from the UI", "[" PAUSED("02", "\"" ID_A "\"", "") "]", "[\"" ID_A "\"]", false, 1},
	{"paused without a key", "[" PAUSED("02", "null", "paused-1-schema") "]", "[]", false, 1},
	{"paused without a form",
	 "[{\"type\": \"PAUSED\", " AT("02") ", \"state_details\": {\"pause_key\": \"1\"}}]", "[\"1\"]", false, 2},
	{"paused without details", "[{\"type\": \"PAUSED\", " AT("02") "}]", NULL, false, 1},
	{"the form of another question", "[" PAUSED("02", "\"2\"", "paused-1-schema") "]", "[\"2\"]", false, 3},
	{"a number with more after it", "[" PAUSED("02", "\"1x\"", "paused-1-schema") "]", "[\"1x\"]", false, 1},
	{"a number that is negative", "[" PAUSED("02", "\"-1\"", "paused--1-schema") "]", "[\"-1\"]", false, 1},
	{"a number that is too large", "[" PAUSED("02", "\"99999999999\"", "x") "]", "[\"99999999999\"]", false, 1},
	{"a key that fired is not used again", "[]", "[\"4\", \"2\", 7, null]", false, 5},
	{"a form that is asked by another type", "[{\"type\": \"RUNNING\", " AT("02") ", \"state_details\": {\"pause_key\": \"1\", "
	 "\"run_input_keyset\": {\"schema\": \"paused-1-schema\"}}}]", "[]", false, 2},
};

static struct flow_run run_of(const char *pause_keys)
{
	struct flow_run run = {.id = ID_A};

	if (pause_keys != NULL)
		run.policy = json_pack("{s:o}", "pause_keys", unit_json(pause_keys));
	return run;
}

static void goes_by_the_states(void)
{
	EACH(row, rows)
	{
		struct flow_run run = run_of(row->pause_keys);
		struct http_step step = {.method = "GET", .path = "/flow_run_states/?flow_run_id=" ID_A, .reply = {.body = row->states}};
		struct api api;
		struct question question;
		struct error err;

		api_open(&api, &step, 1);
		if (CHECK_RC(row->name, question_read(api.prefect, &run, &question, &err), 0, &err)) {
			CHECK_INT(row->name, question.asked, row->asked);
			CHECK_INT(row->name, question.number, row->number);
		}
		(void)api_close(&api, row->name);
		flow_run_release(&run);
	}
}

/* Reads the question of a run with these states; *@ret_begun: the second of 06:34 in which its attempt began, 0 for none. */
static struct question read_question(const char *row, const char *states, bool ended, int64_t *ret_begun)
{
	struct flow_run run = run_of(NULL);
	struct http_step step = {.method = "GET", .reply = {.body = states}};
	struct question question = {0};
	struct api api;
	struct error err;
	time_us minute = 0;

	CHECK(row, time_parse("2026-11-21T06:34:00Z", &minute));
	api_open(&api, &step, 1);
	int rc = (ended ? question_read_ended : question_read)(api.prefect, &run, &question, &err);
	CHECK_RC(row, rc, 0, &err);
	(void)api_close(&api, row);
	*ret_begun = question.begun_at != 0 ? (question.begun_at - minute) / US_PER_SEC : 0;
	return question;
}

/* The attempt that a stored plan and a stored decision belong to. */
static void knows_when_it_began(void)
{
	static const struct {
		const char *name;
		const char *states;
		int second; /* of 06:34, 0: never */
	} attempts[] = {
		{"no states", "[]", 0},
		{"not yet", "[" STATE("01", "PENDING") "]", 0},
		{"running", "[" STATE("01", "PENDING") "," STATE("02", "RUNNING") "]", 2},
		{"with another message since", "[" STATE("03", "RUNNING") "," STATE("02", "RUNNING") "]", 2},
		{"after a pause", "[" STATE("02", "RUNNING") "," ASKED("03", "1") "," STATE("05", "RUNNING") "]", 2},
		{"paused from the UI", "[" STATE("02", "RUNNING") "," PAUSED("03", "null", "") "," STATE("05", "RUNNING") "]", 2},
		{"again after its end", "[" STATE("02", "RUNNING") "," STATE("03", "FAILED") "," STATE("05", "RUNNING") "]", 5},
		{"ended, and not begun again", "[" STATE("02", "RUNNING") "," STATE("03", "FAILED") "," STATE("04", "SCHEDULED") "]", 0},
		{"being cancelled", "[" STATE("02", "RUNNING") "," STATE("03", "CANCELLING") "]", 2},
		{"was being cancelled", "[" STATE("02", "RUNNING") "," STATE("03", "CANCELLING") "," STATE("04", "RUNNING") "]", 4},
	};

	EACH(row, attempts)
	{
		int64_t begun;

		(void)read_question(row->name, row->states, false, &begun);
		CHECK_INT(row->name, begun, row->second);
	}
}

static void does_not_guess(void)
{
	static const struct {
		const char *name;
		struct http_reply reply;
		int rc;
	} answers[] = {
		{"no list", {.body = "{}"}, ERR_DECODE},
		{"a state without a time", {.body = "[{\"type\": \"PAUSED\", \"name\": \"x\"}]"}, ERR_DECODE},
		{"not allowed", {.status = 401}, ERR_AUTH},
		{"gone", GONE, ERR_NOT_FOUND},
	};

	EACH(row, answers)
	{
		struct flow_run run = run_of(NULL);
		struct http_step step = {.method = "GET", .reply = row->reply};
		struct question question = {.number = -7};
		struct api api;
		struct error err;

		api_open(&api, &step, 1);
		CHECK_RC(row->name, question_read(api.prefect, &run, &question, &err), row->rc, &err);
		CHECK_INT(row->name, question.number, -7);
		(void)api_close(&api, row->name);
	}
}

/* The question and the attempt of a run that has ended, for its report. */
static void knows_what_it_was_before_its_end(void)
{
	static const struct {
		const char *name;
		const char *states;
		bool asked;
		int begun; /* second of 06:34 */
	} ends[] = {
		{"asked, resumed, ended",
		 "[" STATE("05", "FAILED") "," STATE("01", "RUNNING") "," ASKED("02", "1") "," STATE("03", "RUNNING") "]", true, 1},
		{"ended twice", "[" STATE("01", "RUNNING") "," ASKED("02", "1") "," STATE("04", "CRASHED") "," STATE("05", "FAILED") "]", true, 1},
		{"cancelled", "[" STATE("01", "RUNNING") "," ASKED("02", "1") "," STATE("04", "CANCELLING") "," STATE("05", "CANCELLED") "]",
		 true, 1},
		{"another attempt",
		 "[" ASKED("01", "1") "," STATE("02", "FAILED") "," STATE("03", "RUNNING") "," STATE("04", "FAILED") "]", false, 3},
		{"never begun", "[" STATE("02", "CANCELLED") "]", false, 0},
		{"no states", "[]", false, 0},
	};

	EACH(row, ends)
	{
		int64_t begun;
		struct question question = read_question(row->name, row->states, true, &begun);

		CHECK_INT(row->name, question.asked, row->asked);
		CHECK_INT(row->name, begun, row->begun);
	}
}

static void names_its_inputs(void)
{
	const struct question question = {.number = 12};
	char key[QUESTION_KEY_SIZE];

	CHECK_STR("key", question_pause_key(&question, key), "12");
	CHECK_STR("schema", question_input_key(&question, "schema", key), "paused-12-schema");
}

UNIT_SUITE("worker/question", TEST(goes_by_the_states), TEST(knows_when_it_began), TEST(does_not_guess),
           TEST(knows_what_it_was_before_its_end), TEST(names_its_inputs))
