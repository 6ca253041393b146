/* Answers that no Prefect server gives, read as an executor reads them: with its small stack. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "client/base/text.h"
#include "client/prefect/flow_run.h"
#include "tests/unit/api.h"

#define EXECUTOR_STACK (512 * 1024) /* STACK_SIZE in worker/executor.c */
#define LEVELS 100000
#define NAME_BYTES (1024 * 1024)

/* A run up to a point inside it, and a whole one. */
#define RUN_UP_TO(name, more) "{\"id\": \"" ID_A "\", \"flow_id\": \"" ID_B "\", \"name\": " name more
#define RUN_WITH(name, more) RUN_UP_TO(name, more) "}"

/* What a row's body is made of: @before, @times times @unit, @middle, @times times @after_unit, @after. */
struct hostile {
	const char *name;
	const char *before, *unit;
	size_t times;
	const char *middle, *after_unit, *after;
	int rc;
	const char *read_name; /* of the run that was read */
};

static char *make_body(const struct hostile *row)
{
	struct text body = {.max = 8 * 1024 * 1024};

	text_addf(&body, "%s", row->before);
	for (size_t i = 0; i < row->times; i++)
		text_addf(&body, "%s", row->unit);
	text_addf(&body, "%s", row->middle);
	for (size_t i = 0; i < row->times; i++)
		text_addf(&body, "%s", row->after_unit);
	text_addf(&body, "%s", row->after);
	return text_take(&body);
}

struct reading {
	struct prefect *prefect;
	struct flow_run run;
	struct error err;
	int rc;
};

static void *read_and_use(void *arg)
{
	struct reading *r = arg;

	r->rc = flow_run_read(r->prefect, ID_A, &r->run, &r->err);
	if (r->rc != 0)
		return NULL;
	/* What bodies do with what they were given. */
	AUTO_JSON *copy = json_deep_copy(r->run.parameters);
	AUTO_FREE char *text = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	if (!json_equal(copy, r->run.parameters) && copy != NULL)
		r->rc = 1;
	return NULL;
}

static void reads_hostile_runs(void)
{
	static const struct hostile rows[] = {
		{"lists without end", RUN_UP_TO("\"n\"", ", \"parameters\": {\"a\": "), "[", LEVELS, "1", "]", "}}", 0, "n"},
		{"objects without end", RUN_UP_TO("\"n\"", ", \"parameters\": "), "{\"a\":", LEVELS, "1", "}", "}", 0, "n"},
		{"brackets in texts do not count", RUN_UP_TO("\"n\"", ", \"parameters\": {\"a\": \""), "[{\\\"", LEVELS, "", "]", "\"}}", 0, "n"},
		{"nothing but lists", "", "[", LEVELS, "", "]", "", ERR_DECODE, NULL},
		{"lists that do not end", "", "[", LEVELS, "", "", "", ERR_DECODE, NULL},
		{"lists that only end", "", "", LEVELS, "", "]", "", ERR_DECODE, NULL},
		{"objects that do not end", RUN_UP_TO("\"n\"", ", \"parameters\": "), "{\"a\":", LEVELS, "", "", "", ERR_DECODE, NULL},
		{"a text that does not end below", RUN_UP_TO("\"n\"", ", \"parameters\": "), "{\"a\":", LEVELS, "\"", "}", "}", ERR_DECODE, NULL},
		{"a name of a megabyte", RUN_UP_TO("\"", ""), "n", NAME_BYTES, "", "", "\"}", 0, "nnn"},
		{"a control character in a name", RUN_WITH("\"a\\u001b[31m\\nb\\u0000c\"", ""), "", 0, "", "", "", 0, "a?[31m?b?c"},
		{"direction marks in a name", RUN_WITH("\"a\\u202eb\"", ""), "", 0, "", "", "", 0, "a?b"},
		{"not UTF-8", RUN_WITH("\"\xff\xfe\"", ""), "", 0, "", "", "", ERR_DECODE, NULL},
		{"half a surrogate", RUN_WITH("\"\\ud800\"", ""), "", 0, "", "", "", ERR_DECODE, NULL},
		{"a repeated key", RUN_WITH("\"a\"", ", \"name\": \"b\""), "", 0, "", "", "", ERR_DECODE, NULL},
		{"an integer of 100,000 digits", RUN_UP_TO("\"n\"", ", \"parameters\": {\"a\": "), "9", LEVELS, "", "", "}}", ERR_DECODE, NULL},
		{"a large integer", RUN_WITH("\"n\"", ", \"parameters\": {\"a\": 99999999999999999999999}"), "", 0, "", "", "", 0, "n"},
		{"a real that is too large", RUN_WITH("\"n\"", ", \"parameters\": {\"a\": 1e999}"), "", 0, "", "", "", ERR_DECODE, NULL},
	};
	pthread_attr_t attr;

	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, EXECUTOR_STACK);
	EACH(row, rows)
	{
		AUTO_FREE char *body = make_body(row);
		const struct http_step step = {.method = "GET", .reply = {.body = body}};
		struct api api;
		struct reading reading = {0};
		pthread_t thread;

		api_open(&api, &step, 1);
		reading.prefect = api.prefect;
		if (!CHECK(row->name, pthread_create(&thread, &attr, read_and_use, &reading) == 0))
			abort();
		(void)pthread_join(thread, NULL);
		CHECK_RC(row->name, reading.rc, row->rc, &reading.err);
		if (reading.rc == 0) {
			CHECK_INT(row->name, strncmp(reading.run.name, row->read_name, strlen(row->read_name)), 0);
			CHECK(row->name, strlen(reading.run.name) < JSON_LABEL_SIZE && text_is_utf8(reading.run.name));
		} else {
			CHECK(row->name, text_is_utf8(reading.err.text) && strpbrk(reading.err.text, "\n\x1b") == NULL);
		}
		flow_run_release(&reading.run);
		(void)api_close(&api, row->name);
	}
	(void)pthread_attr_destroy(&attr);
}

/* The words of a refusal end up in errors, logs and states. */
static void quotes_hostile_refusals(void)
{
	static const struct hostile rows[] = {
		{"escapes", "{\"detail\": \"", "\\u001b[2J\\n\\u202e", 1, "", "", "\"}", ERR_INVALID, NULL},
		{"a megabyte", "{\"detail\": \"", "x", NAME_BYTES, "", "", "\"}", ERR_INVALID, NULL},
		{"a megabyte of details", "{\"exception_detail\": [{\"msg\": \"", "x", NAME_BYTES, "", "", "\"}]}", ERR_INVALID, NULL},
		{"details of all kinds", "{\"exception_detail\": [1, null, {\"msg\": 2}, [], {\"loc\": 3}]}", "", 0, "", "", "", ERR_INVALID, NULL},
		{"details without end", "{\"exception_detail\": ", "[", LEVELS, "", "]", "}", ERR_INVALID, NULL},
		{"HTML", "<html>", "<b>", 1000, "", "", "", ERR_INVALID, NULL},
		{"bytes", "", "\xff\x01", 1000, "", "", "", ERR_INVALID, NULL},
	};

	EACH(row, rows)
	{
		AUTO_FREE char *body = make_body(row);
		const struct http_step step = {.method = "GET", .reply = {.status = 422, .body = body}};
		struct api api;
		struct flow_run run;
		struct error err;

		api_open(&api, &step, 1);
		CHECK_RC(row->name, flow_run_read(api.prefect, ID_A, &run, &err), row->rc, &err);
		CHECK(row->name, text_is_utf8(err.text) && strlen(err.text) < sizeof err.text);
		for (const char *c = err.text; *c != '\0'; c++)
			CHECK(row->name, (unsigned char)*c >= ' ' && *c != 0x7f);
		(void)api_close(&api, row->name);
	}
}

UNIT_SUITE("client/prefect/hostile", TEST(reads_hostile_runs), TEST(quotes_hostile_refusals))
