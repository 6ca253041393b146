#include "flows/database_cleanup/spared.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/api.h"

#define RUN(n) "00000000-0000-4000-8000-00000000000" n
#define PLANNED_AT (INT64_C(1795242861) * US_PER_SEC) /* 2026-11-21T06:34:21Z */
#define BEFORE "2026-11-20T00:00:00Z"
#define AFTER "2026-11-22T00:00:00Z"

/* A family of runs; those with `old` match the plan. */
struct family {
	struct member {
		const char *id, *parent; /* NULL: none, or the end of the list */
		const char *type, *end;
		bool old;
	} members[9];
};

static bool is_in(const json_t *list, const char *text)
{
	size_t i;
	json_t *row;

	json_array_foreach(list, i, row)
		if (text != NULL && strcmp(json_string_value(row), text) == 0)
			return true;
	return false;
}

static bool has_children(const struct family *family, const char *id)
{
	for (const struct member *m = family->members; m->id != NULL; m++)
		if (m->parent != NULL && strcmp(m->parent, id) == 0)
			return true;
	return false;
}

static bool fits(const struct family *family, const struct member *m, const json_t *body)
{
	const json_t *filter = json_object_get(body, "flow_runs");
	const json_t *types = json_object_get(json_object_get(json_object_get(filter, "state"), "type"), "any_");
	const json_t *parents = json_object_get(json_object_get(filter, "parent_flow_run_id"), "any_");
	const char *after = json_string_value(json_object_get(json_object_get(filter, "end_time"), "after_"));

	return (types == NULL || is_in(types, m->type)) && (parents == NULL || is_in(parents, m->parent)) &&
	       (after == NULL || (m->end != NULL && strcmp(m->end, after) > 0)) &&
	       (json_object_get(body, "task_runs") == NULL || has_children(family, m->id)) &&
	       (json_object_get(filter, "old") == NULL || m->old) &&
	       !is_in(json_object_get(json_object_get(filter, "id"), "not_any_"), m->id);
}

static struct http_reply answer(void *arg, const struct http_seen *seen)
{
	const struct family *family = arg;
	AUTO_JSON *body = unit_json(seen->body);
	AUTO_JSON *list = json_array();

	for (const struct member *m = family->members; m->id != NULL; m++)
		if (fits(family, m, body))
			(void)json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "id", m->id, "flow_id", ID_A, "name", "run"));
	return (struct http_reply){.owned = json_dumps(list, 0)};
}

static void spares_the_children_of_the_living(void)
{
	static const struct {
		const char *name;
		struct family family;
		const char *spared;
	} rows[] = {
		{"no subflow runs", {{{RUN("1"), NULL, "RUNNING", NULL, false}, {RUN("2"), NULL, "COMPLETED", BEFORE, true}}}, "[]"},
		{"of a running parent",
		 {{{RUN("1"), NULL, "RUNNING", NULL, false}, {RUN("2"), RUN("1"), "COMPLETED", BEFORE, true}}}, "[\"" RUN("2") "\"]"},
		{"of one that is paused, and of one that is scheduled again",
		 {{{RUN("1"), NULL, "PAUSED", NULL, false}, {RUN("2"), RUN("1"), "FAILED", BEFORE, true},
		   {RUN("3"), NULL, "SCHEDULED", NULL, false}, {RUN("4"), RUN("3"), "COMPLETED", BEFORE, true}}},
		 "[\"" RUN("2") "\", \"" RUN("4") "\"]"},
		{"of one that has ended before",
		 {{{RUN("1"), NULL, "COMPLETED", BEFORE, true}, {RUN("2"), RUN("1"), "COMPLETED", BEFORE, true}}}, "[]"},
		{"of one that has ended since the plan",
		 {{{RUN("1"), NULL, "COMPLETED", AFTER, false}, {RUN("2"), RUN("1"), "COMPLETED", BEFORE, true}}}, "[\"" RUN("2") "\"]"},
		{"a young one is no business of the plan",
		 {{{RUN("1"), NULL, "RUNNING", NULL, false}, {RUN("2"), RUN("1"), "COMPLETED", BEFORE, false}}}, "[]"},
		{"at any depth, through parents that have ended",
		 {{{RUN("1"), NULL, "RUNNING", NULL, false}, {RUN("2"), RUN("1"), "COMPLETED", BEFORE, true},
		   {RUN("3"), RUN("2"), "COMPLETED", BEFORE, false}, {RUN("4"), RUN("3"), "CRASHED", BEFORE, true},
		   {RUN("5"), NULL, "COMPLETED", BEFORE, true}, {RUN("6"), RUN("5"), "COMPLETED", BEFORE, true}}},
		 "[\"" RUN("2") "\", \"" RUN("4") "\"]"},
		{"a circle has an end",
		 {{{RUN("1"), RUN("2"), "RUNNING", NULL, false}, {RUN("2"), RUN("1"), "COMPLETED", BEFORE, true}}}, "[\"" RUN("2") "\"]"},
	};
	AUTO_JSON *filters = unit_json("[{\"old\": true}]");

	EACH(row, rows)
	{
		struct api api;
		struct error err;
		bool too_many = true;
		AUTO_JSON *ids = json_array();

		api_open_handler(&api, answer, (void *)(uintptr_t)&row->family);
		CHECK_RC(row->name, spared_find(api.prefect, PLANNED_AT, filters, ids, &too_many, &err), 0, &err);
		CHECK_JSON(row->name, ids, row->spared);
		CHECK("not too many", !too_many);
		(void)api_close(&api, row->name);
	}
}

/* A server with so many: pages of 200, whatever is asked. */
static struct http_reply endless(void *arg, const struct http_seen *seen)
{
	AUTO_JSON *body = unit_json(seen->body);
	AUTO_JSON *list = json_array();
	size_t *made = arg;
	bool parents = json_object_get(body, "task_runs") != NULL;

	for (int i = 0; i < (parents ? 1 : 200) && (!parents || *made == 0); i++) {
		char id[UUID_SIZE];
		(void)snprintf(id, sizeof id, "00000000-0000-4000-8000-%012zu", ++*made);
		(void)json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "id", id, "flow_id", ID_A, "name", "run"));
	}
	return (struct http_reply){.owned = json_dumps(list, 0)};
}

static void gives_up_where_they_are_too_many(void)
{
	AUTO_JSON *filters = unit_json("[{\"old\": true}]");
	AUTO_JSON *ids = json_array();
	struct api api;
	struct error err;
	size_t made = 0;
	bool too_many = false;

	api_open_handler(&api, endless, &made);
	CHECK_RC("many", spared_find(api.prefect, PLANNED_AT, filters, ids, &too_many, &err), 0, &err);
	CHECK("many", too_many);
	CHECK("but no more pages than needed", json_array_size(ids) <= SPARED_MAX + 200);
	(void)api_close(&api, "many");
}

static void fails_with_the_server(void)
{
	static const struct http_step refused = {.method = "POST", .reply = {.status = 401}};
	AUTO_JSON *filters = unit_json("[{\"old\": true}]");
	AUTO_JSON *ids = json_array();
	struct api api;
	struct error err;
	bool too_many = false;

	api_open(&api, &refused, 1);
	CHECK_RC("refused", spared_find(api.prefect, PLANNED_AT, filters, ids, &too_many, &err), ERR_AUTH, &err);
	(void)api_close(&api, "refused");
}

UNIT_SUITE("flows/database_cleanup/spared", TEST(spares_the_children_of_the_living), TEST(gives_up_where_they_are_too_many),
           TEST(fails_with_the_server))
