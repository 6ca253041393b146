#include "client/prefect/run_log.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/api.h"

struct logs {
	int lines;    /* there are so many, of two runs by turns */
	int page_max; /* a larger limit is 422 */
	int largest;  /* that was taken */
};

static struct http_reply answer(void *arg, const struct http_seen *seen)
{
	struct logs *logs = arg;
	AUTO_JSON *body = unit_json(seen->body);
	int limit = (int)json_integer_value(json_object_get(body, "limit"));
	int offset = (int)json_integer_value(json_object_get(body, "offset"));
	AUTO_JSON *page = json_array();

	if (limit > logs->page_max)
		return (struct http_reply){.status = 422};
	logs->largest = limit;
	for (int i = offset; i < logs->lines && i < offset + limit; i++)
		(void)json_array_append_new(page, json_pack("{s:s}", "flow_run_id", i % 2 == 0 ? ID_A : ID_B));
	return (struct http_reply){.owned = json_write(page, 0)};
}

/* Also where the server's limit is another one. */
static void looks_for_lines(void)
{
	static const struct {
		const char *name;
		struct logs logs;
		int64_t lines, runs;
		int largest;
	} rows[] = {
		{"none", {0, 200, 0}, 0, 0, 200}, {"some", {3, 200, 0}, 3, 2, 200}, {"a page", {300, 200, 0}, 200, 2, 200},
		{"a small limit", {130, 60, 0}, 130, 2, 50}, {"more, and a small limit", {300, 60, 0}, 200, 2, 50},
		{"one at a time", {2, 1, 0}, 2, 2, 1}, {"a large limit", {300, 1000, 0}, 200, 2, 200},
	};

	EACH(row, rows)
	{
		struct logs logs = row->logs;
		AUTO_JSON *ids = json_pack("[s, s]", ID_A, ID_B);
		int64_t lines = -1;
		int64_t runs = -1;
		struct api api;
		struct error err;

		api_open_handler(&api, answer, &logs);
		CHECK_RC(row->name, run_log_look(api.prefect, ids, &lines, &runs, &err), 0, &err);
		CHECK_INT(row->name, lines, row->lines);
		CHECK_INT(row->name, runs, row->runs);
		CHECK_INT(row->name, logs.largest, row->largest);
		(void)api_close(&api, row->name);
	}
}

static void gives_up_where_it_is_refused(void)
{
	struct logs logs = {.lines = 3, .page_max = 0};
	AUTO_JSON *ids = json_pack("[s]", ID_A);
	int64_t lines;
	struct api api;
	struct error err;

	api_open_handler(&api, answer, &logs);
	CHECK_RC("refused", run_log_look(api.prefect, ids, &lines, NULL, &err), ERR_INVALID, &err);
	(void)api_close(&api, "refused");
}

UNIT_SUITE("client/prefect/run_log", TEST(looks_for_lines), TEST(gives_up_where_it_is_refused))
