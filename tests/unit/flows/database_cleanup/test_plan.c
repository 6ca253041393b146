#include "flows/database_cleanup/plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/api.h"

#define NOW (INT64_C(1795242861) * US_PER_SEC + 123456) /* 2026-11-21T06:34:21.123456Z */
#define DAY_US (86400 * US_PER_SEC)

#define FILTER(not_started)                                                                                         \
	"{\"state\": {\"type\": {\"any_\": [\"COMPLETED\", \"FAILED\", \"CANCELLED\", \"CRASHED\"]}, "               \
	"\"name\": {\"any_\": [\"Completed\", \"Failed\"]}}, "                                                       \
	"\"start_time\": {\"before_\": \"2026-10-22T06:34:21.123456Z\", \"is_null_\": " not_started "}, "            \
	"\"end_time\": {\"before_\": \"2026-11-21T06:34:21.123456Z\"}}"
#define STORED_AS(version, subflows)                                                                                \
	"{\"version\": " version ", " subflows "\"planned_at\": \"2026-11-21T06:34:21.123456Z\", \"cutoff\": "                             \
	"\"2026-10-22T06:34:21.123456Z\", \"retention_period\": \"P30D\", \"states\": [\"Completed\", \"Failed\"], " \
	"\"dry_run\": false, \"slices\": [{\"filter\": " FILTER("false") ", \"count\": 5}, "                       \
	"{\"filter\": " FILTER("true") ", \"count\": 2}]}"
#define STORED STORED_AS("2", "\"age_by\": \"start\", \"top_level\": false, \"subflows\": 0, \"spared\": 0, ")
#define STORED_BY_0_1 STORED_AS("1", "")

static json_t *two_states(void)
{
	return json_pack("[s, s]", "Completed", "Failed");
}

/* A plan over @states (taken) with counts of its slices, by way of a scripted server. */
static int make(const char *row, const char *retention, int64_t retention_us, json_t *states, const char *first,
                const char *second, struct plan *ret_plan, struct error *err)
{
	AUTO_JSON *owned = states;
	AUTO_FREE char *name = text_dup(retention);
	struct policy policy = {.retention = name, .retention_us = retention_us, .states = owned};
	struct http_step steps[4] = {
		{.method = "POST", .path = "/flow_runs/count", .body = "\"is_null_\":false", .reply = {.body = first}},
		{.method = second != NULL ? "POST" : NULL, .path = "/flow_runs/count", .body = "\"is_null_\":true", .reply = {.body = second}},
	};
	struct api api;
	size_t count = second != NULL ? 2 : 1;

	/* Are there subflow runs among them? */
	for (int i = 0; second != NULL && atoi(second) >= 0 && i < 2; i++)
		if (atoi(i == 0 ? first : second) > 0)
			steps[count++] = (struct http_step){.method = "POST", .path = "/flow_runs/count",
			                                    .body = "\"parent_task_run_id\":{\"is_null_\":false}", .reply = {.body = "0"}};
	api_open(&api, steps, first != NULL ? COUNT_OF(steps) : 0);
	int rc = plan_make(api.prefect, &policy, NOW, ret_plan, err);
	(void)api_close(&api, row);
	return rc;
}

static void makes_the_predicate(void)
{
	struct plan plan;
	struct error err;

	if (!CHECK_RC("plan", make("plan", "P30D", 30 * DAY_US, two_states(), "5", "2", &plan, &err), 0, &err))
		return;
	CHECK_INT("planned at", plan.planned_at, NOW);
	CHECK_INT("cutoff", plan.cutoff, NOW - 30 * DAY_US);
	CHECK_INT("slices", plan.slice_count, 2);
	CHECK_JSON("started", plan.slices[0].filter, FILTER("false"));
	CHECK_JSON("never started", plan.slices[1].filter, FILTER("true"));
	CHECK_INT("started", plan.slices[0].count, 5);
	CHECK_INT("never started", plan.slices[1].count, 2);
	CHECK_INT("total", plan.total, 7);
	CHECK_INT("digest", strlen(plan.digest), DIGEST_SIZE - 1);
	CHECK_INT("digest", strspn(plan.digest, "0123456789abcdef"), DIGEST_SIZE - 1);
	AUTO_JSON *json = plan_encode(&plan);
	CHECK_JSON("stored", json, STORED);
	plan_release(&plan);
	CHECK("released", plan.states == NULL && plan.slice_count == 0);
}

/* Types and names in slices of their own, in which no run can be twice; the age by the end in one slice instead of two. */
static void chooses_by_types_names_and_ends(void)
{
	static const struct {
		const char *name;
		const char *states;
		bool by_end;
		int version;
		const char *filters; /* in this order: their states, then starts and ends */
	} rows[] = {
#define TYPES(types) "{\"type\":{\"any_\":[" types "]}}"
#define NAMES(types, names) "{\"name\":{\"any_\":[" names "]},\"type\":{\"any_\":[" types "]}}"
#define ALL "\"COMPLETED\",\"FAILED\",\"CANCELLED\",\"CRASHED\""
		{"names", "[\"A\", \"B\"]", false, 2, "[" NAMES(ALL, "\"A\",\"B\"") "," NAMES(ALL, "\"A\",\"B\"") "]"},
		{"a type", "[\"FAILED\"]", false, 2, "[" TYPES("\"FAILED\"") "," TYPES("\"FAILED\"") "]"},
		{"both", "[\"A\", \"CRASHED\", \"COMPLETED\"]", false, 2,
		 "[" NAMES("\"FAILED\",\"CANCELLED\"", "\"A\"") "," NAMES("\"FAILED\",\"CANCELLED\"", "\"A\"") ","
		 TYPES("\"CRASHED\",\"COMPLETED\"") "," TYPES("\"CRASHED\",\"COMPLETED\"") "]"},
		{"all types leave nothing to names", "[" ALL ", \"A\"]", false, 2, "[" TYPES(ALL) "," TYPES(ALL) "]"},
		{"by the end", "[\"A\", \"CRASHED\"]", true, 2,
		 "[" NAMES("\"COMPLETED\",\"FAILED\",\"CANCELLED\"", "\"A\"") "," TYPES("\"CRASHED\"") "]"},
		{"to version 0.1 all were names", "[\"CRASHED\"]", false, 1, "[" NAMES(ALL, "\"CRASHED\"") "," NAMES(ALL, "\"CRASHED\"") "]"},
	};

	EACH(row, rows)
	{
		AUTO_JSON *json = json_pack("{s:i, s:s, s:s, s:s, s:o, s:b}", "version", row->version, "planned_at", "2026-11-21T06:34:21.123456Z",
		                            "cutoff", "2026-10-22T06:34:21.123456Z", "retention_period", "P30D", "states", unit_json(row->states),
		                            "dry_run", 0);
		AUTO_JSON *want = unit_json(row->filters);
		AUTO_JSON *slices = json_array();
		struct plan plan;
		struct error err;
		size_t i;
		json_t *state;

		/* As it would be stored: the same states, starts and ends in each slice. */
		json_array_foreach(want, i, state)
		{
			json_t *start = row->by_end ? NULL : json_pack("{s:s, s:b}", "before_", "2026-10-22T06:34:21.123456Z", "is_null_", i % 2 == 1);
			(void)json_array_append_new(slices, json_pack("{s:{s:O, s:o*, s:{s:s}}, s:i}", "filter", "state", state, "start_time", start,
			                                              "end_time", "before_", row->by_end ? "2026-10-22T06:34:21.123456Z"
			                                                                                 : "2026-11-21T06:34:21.123456Z", "count", 3));
		}
		(void)json_object_set(json, "slices", slices);
		if (row->version > 1) {
			AUTO_JSON *more = json_pack("{s:s, s:b, s:i, s:i}", "age_by", row->by_end ? "end" : "start", "top_level", 0, "subflows", 0,
			                            "spared", 0);
			(void)json_object_update(json, more);
		}
		if (!CHECK_RC(row->name, plan_decode(json, &plan, &err), 0, &err))
			continue;
		CHECK_INT(row->name, plan.slice_count, json_array_size(want));
		AUTO_JSON *look = plan_look_filter(&plan);
		CHECK(row->name, json_object_get(json_object_get(look, "start_time"), "is_null_") == NULL);
		CHECK_STR(row->name, json_string_value(json_object_get(json_object_get(look, "state"), "operator")),
		          json_array_size(want) == 4 || (row->by_end && json_array_size(want) == 2) ? "or_" : NULL);
		plan_release(&plan);
	}
}

/* A run that waits for its approval while the worker is renewed goes on: its plan is read, and keeps its digest. */
static void reads_plans_of_version_0_1(void)
{
	AUTO_JSON *json = unit_json(STORED_BY_0_1);
	struct plan plan;
	struct error err;

	if (!CHECK_RC("version 1", plan_decode(json, &plan, &err), 0, &err))
		return;
	CHECK_STR("version 1", plan.digest, "5dcd19696729973596511c4ab228dedaeb5daa1c6a3d7e4b62fab279e2350334");
	CHECK_INT("version 1", plan.total, 7);
	CHECK_INT("subflow runs are looked for", plan.subflows, -1);
	AUTO_JSON *again = plan_encode(&plan);
	CHECK("the same to the letter", json_equal(again, json));
	plan_release(&plan);
}

static void comes_back_from_the_server(void)
{
	AUTO_JSON *json = unit_json(STORED);
	struct plan made;
	struct plan plan;
	struct error err;

	if (!CHECK_RC("make", make("make", "P30D", 30 * DAY_US, two_states(), "5", "2", &made, &err), 0, &err) ||
	    !CHECK_RC("decode", plan_decode(json, &plan, &err), 0, &err))
		return;
	CHECK_STR("digest", plan.digest, made.digest);
	CHECK_INT("total", plan.total, 7);
	CHECK_INT("cutoff", plan.cutoff, made.cutoff);
	CHECK_STR("retention", plan.retention, "P30D");
	AUTO_JSON *again = plan_encode(&plan);
	CHECK("the same to the letter", json_equal(again, json));
	plan_release(&plan);
	plan_release(&made);
}

/* The digest of STORED, also by `jq -cS . | sha256sum`: nothing but the content goes into it. */
static void has_a_stable_digest(void)
{
	static const struct {
		const char *name;
		const char *retention;
		int64_t retention_us;
		const char *states;
		const char *first, *second;
		bool same;
	} rows[] = {
		{"the same", "P30D", 30 * DAY_US, "[\"Completed\", \"Failed\"]", "5", "2", true},
		{"written in another way", "P1M", 30 * DAY_US, "[\"Completed\", \"Failed\"]", "5", "2", false},
		{"another cutoff", "P30D", 30 * DAY_US + 1, "[\"Completed\", \"Failed\"]", "5", "2", false},
		{"another order of states", "P30D", 30 * DAY_US, "[\"Failed\", \"Completed\"]", "5", "2", false},
		{"one state less", "P30D", 30 * DAY_US, "[\"Completed\"]", "5", "2", false},
		{"another count", "P30D", 30 * DAY_US, "[\"Completed\", \"Failed\"]", "6", "2", false},
		{"counts the other way round", "P30D", 30 * DAY_US, "[\"Completed\", \"Failed\"]", "2", "5", false},
	};
	AUTO_JSON *json = unit_json(STORED);
	struct plan stored;
	struct error err;

	if (!CHECK_RC("decode", plan_decode(json, &stored, &err), 0, &err))
		return;
	CHECK_STR("known", stored.digest,
	          "4459dd2e8fb98d82ddd2f5ee1aaae8f9e7db73929629dc4bb8c197455bc92506");
	EACH(row, rows)
	{
		struct plan plan;
		if (!CHECK_RC(row->name, make(row->name, row->retention, row->retention_us, unit_json(row->states), row->first,
		                              row->second, &plan, &err), 0, &err))
			continue;
		CHECK_INT(row->name, strcmp(plan.digest, stored.digest) == 0, row->same);
		plan_release(&plan);
	}
	plan_release(&stored);
}

/* Each row changes STORED at a path of keys (digits: indices); "-" removes. */
static const struct {
	const char *name;
	const char *path[5];
	const char *value;
} changes[] = {
	{"a later cutoff", {"cutoff"}, "\"2026-11-20T06:34:21.123456Z\""},
	{"the same cutoff, written in another way", {"cutoff"}, "\"2026-10-22T06:34:21.123456+00:00\""},
	{"no cutoff", {"cutoff"}, "-"},
	{"a cutoff that is no time", {"cutoff"}, "\"now\""},
	{"a later plan", {"planned_at"}, "\"2026-11-22T06:34:21.123456Z\""},
	{"a count of no number", {"slices", "0", "count"}, "\"5\""},
	{"a real count", {"slices", "0", "count"}, "5.0"},
	{"a negative count", {"slices", "0", "count"}, "-1"},
	{"no count", {"slices", "1", "count"}, "-"},
	{"one slice less", {"slices", "1"}, "-"},
	{"no slices", {"slices"}, "-"},
	{"slices that are no list", {"slices"}, "{}"},
	{"a slice that is no object", {"slices", "0"}, "7"},
	{"one key more", {"extra"}, "1"},
	{"one key more in a slice", {"slices", "0", "extra"}, "1"},
	{"one key more in a filter", {"slices", "0", "filter", "operator"}, "\"or_\""},
	{"a filter without its end", {"slices", "0", "filter", "end_time"}, "-"},
	{"a filter of all types", {"slices", "0", "filter", "state", "type"}, "-"},
	{"a filter with a later start", {"slices", "0", "filter", "start_time", "before_"}, "\"2026-11-20T06:34:21.123456Z\""},
	{"an empty filter", {"slices", "0", "filter"}, "{}"},
	{"one state more", {"states"}, "[\"Completed\", \"Failed\", \"Crashed\"]"},
	{"no states", {"states"}, "null"},
	{"another retention", {"retention_period"}, "1"},
	{"a dry run that is a number", {"dry_run"}, "0"},
	{"not said whether it is a dry run", {"dry_run"}, "-"},
	{"another version", {"version"}, "3"},
	{"the version before", {"version"}, "1"},
	{"no subflow runs, it is not said", {"subflows"}, "-"},
	{"subflow runs that are no number", {"subflows"}, "\"0\""},
	{"only top-level runs", {"top_level"}, "true"},
	{"no version", {"version"}, "-"},
};

static void change(json_t *at, const char *const *path, const char *value)
{
	while (path[1] != NULL) {
		at = json_is_array(at) ? json_array_get(at, (size_t)(path[0][0] - '0')) : json_object_get(at, path[0]);
		path++;
	}
	bool removes = strcmp(value, "-") == 0;
	if (json_is_array(at) && removes)
		CHECK_INT("change", json_array_remove(at, (size_t)(path[0][0] - '0')), 0);
	else if (json_is_array(at))
		CHECK_INT("change", json_array_set_new(at, (size_t)(path[0][0] - '0'), unit_json(value)), 0);
	else if (removes)
		CHECK_INT("change", json_object_del(at, path[0]), 0);
	else
		CHECK_INT("change", json_object_set_new(at, path[0], unit_json(value)), 0);
}

static void refuses_a_changed_plan(void)
{
	EACH(row, changes)
	{
		const char *path[6] = {row->path[0], row->path[1], row->path[2], row->path[3], row->path[4], NULL};
		AUTO_JSON *json = unit_json(STORED);
		struct plan plan = {.total = -7};
		struct error err;

		change(json, path, row->value);
		CHECK_RC(row->name, plan_decode(json, &plan, &err), ERR_DECODE, &err);
		CHECK_HAS(row->name, err.text, "the stored plan");
		CHECK_INT(row->name, plan.total, -7);
	}

	AUTO_JSON *list = unit_json("[]");
	struct plan plan;
	struct error err;
	CHECK_RC("a list", plan_decode(list, &plan, &err), ERR_DECODE, &err);
}

/* A plan that was changed everywhere alike still differs from what was shown: by its digest. */
static void shows_a_consistent_change(void)
{
	static const struct {
		const char *name;
		const char *path[4];
		const char *value;
	} rows[] = {{"count", {"slices", "0", "count"}, "6"}, {"dry run", {"dry_run"}, "true"}};
	AUTO_JSON *json = unit_json(STORED);
	struct plan plan;
	struct error err;

	if (!CHECK_RC("plan", plan_decode(json, &plan, &err), 0, &err))
		return;
	EACH(row, rows)
	{
		AUTO_JSON *other = unit_json(STORED);
		struct plan changed;

		change(other, row->path, row->value);
		if (CHECK_RC(row->name, plan_decode(other, &changed, &err), 0, &err)) {
			CHECK(row->name, strcmp(plan.digest, changed.digest) != 0);
			plan_release(&changed);
		}
	}
	plan_release(&plan);
}

static void survives_counts_that_overflow(void)
{
	AUTO_JSON *json = unit_json(STORED);
	static const char *const first[] = {"slices", "0", "count", NULL};
	static const char *const second[] = {"slices", "1", "count", NULL};
	struct plan plan;
	struct error err;

	change(json, first, "9223372036854775807");
	change(json, second, "9223372036854775807");
	CHECK_RC("too many", plan_decode(json, &plan, &err), ERR_DECODE, &err);
}

static void reaches_back_to_the_year_one(void)
{
	const int64_t most = NOW - TIME_MIN_US;
	struct plan plan;
	struct error err;

	if (CHECK_RC("the first moment", make("first", "P2026Y", most, two_states(), "0", "0", &plan, &err), 0, &err)) {
		CHECK_INT("the first moment", plan.cutoff, TIME_MIN_US);
		CHECK_INT("nothing matches", plan.total, 0);
		plan_release(&plan);
	}
	CHECK_RC("before it", make("before", "P2026Y", most + 1, two_states(), NULL, NULL, &plan, &err), ERR_INVALID, &err);
	CHECK_HAS("before it", err.text, "config.retention_period: 'P2026Y' before now is before the year 1");
	CHECK_RC("the longest", make("longest", "P", INT64_MAX, two_states(), NULL, NULL, &plan, &err), ERR_INVALID, &err);
}

static void fails_with_the_server(void)
{
	struct plan plan;
	struct error err;

	CHECK_RC("first count", make("first", "P30D", DAY_US, two_states(), "x", NULL, &plan, &err), ERR_DECODE, &err);
	CHECK_RC("second count", make("second", "P30D", DAY_US, two_states(), "1", "-1", &plan, &err), ERR_DECODE, &err);
}

static void counts_what_is_left(void)
{
	static const struct {
		const char *name;
		int64_t counts[2];
		struct http_step steps[3];
		int rc;
		int64_t left;
	} rows[] = {
		{"both slices", {5, 2},
		 {{.method = "POST", .body = "\"is_null_\":false", .reply = {.body = "3"}},
		  {.method = "POST", .body = "\"is_null_\":true", .reply = {.body = "1"}}}, 0, 4},
		{"an empty slice is not asked for", {5, 0}, {{.method = "POST", .body = "\"is_null_\":false", .reply = {.body = "3"}}}, 0, 3},
		{"nor the other", {0, 2}, {{.method = "POST", .body = "\"is_null_\":true", .reply = {.body = "0"}}}, 0, 0},
		{"nothing to ask", {0, 0}, {{0}}, 0, 0},
		{"an error", {5, 2}, {{.method = "POST", .reply = {.status = 401}}}, ERR_AUTH, -7},
	};

	EACH(row, rows)
	{
		AUTO_JSON *json = unit_json(STORED);
		struct plan plan;
		struct error err;
		struct api api;
		int64_t left = -7;

		if (!CHECK_RC(row->name, plan_decode(json, &plan, &err), 0, &err))
			continue;
		plan.slices[0].count = row->counts[0];
		plan.slices[1].count = row->counts[1];
		api_open(&api, row->steps, COUNT_OF(row->steps));
		CHECK_RC(row->name, plan_count(api.prefect, &plan, &left, &err), row->rc, &err);
		CHECK_INT(row->name, left, row->left);
		(void)api_close(&api, row->name);
		plan_release(&plan);
	}
}

static void narrows_a_slice_by_ids(void)
{
	AUTO_JSON *filter = unit_json("{\"a\": 1}");
	AUTO_JSON *ids = unit_json("[\"x\", \"y\"]");
	AUTO_JSON *none = json_array();
	const struct slice slice = {.filter = filter};
	const struct {
		const char *name;
		json_t *ids;
		bool only;
		const char *want;
	} rows[] = {
		{"only these", ids, true, "{\"a\": 1, \"id\": {\"any_\": [\"x\", \"y\"]}}"},
		{"all but these", ids, false, "{\"a\": 1, \"id\": {\"not_any_\": [\"x\", \"y\"]}}"},
		{"all but none", none, false, "{\"a\": 1}"},
		{"only none is nothing, not everything", none, true, "{\"a\": 1, \"id\": {\"any_\": []}}"},
	};

	EACH(row, rows)
	{
		AUTO_JSON *narrowed = slice_filter_ids(&slice, row->ids, row->only);
		CHECK_JSON(row->name, narrowed, row->want);
		CHECK_JSON(row->name, filter, "{\"a\": 1}");
	}
	CHECK("no list of ids is not everything", slice_filter_ids(&slice, NULL, true) == NULL);
	CHECK("nor all but none", slice_filter_ids(&slice, NULL, false) == NULL);
}

UNIT_SUITE("flows/database_cleanup/plan", TEST(makes_the_predicate), TEST(comes_back_from_the_server), TEST(chooses_by_types_names_and_ends), TEST(reads_plans_of_version_0_1),
           TEST(has_a_stable_digest), TEST(refuses_a_changed_plan), TEST(shows_a_consistent_change),
           TEST(survives_counts_that_overflow), TEST(reaches_back_to_the_year_one), TEST(fails_with_the_server),
           TEST(counts_what_is_left), TEST(narrows_a_slice_by_ids))
