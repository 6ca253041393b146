#include "tests/unit/flows/database_cleanup/server_of_runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/base/json.h"
#include "tests/unit/worker/flow_run.h"

/* After any plan. */
#define MOVED_AT "2100-01-01T00:00:00Z"

void server_of_runs_add(struct server_of_runs *server, int slice, size_t count)
{
	for (; count > 0 && server->count < SERVER_RUNS_MAX; count--) {
		struct server_run *run = &server->runs[server->count];

		(void)snprintf(run->id, sizeof run->id, "00000000-0000-4000-8000-%012zu", server->count);
		run->slice = slice;
		server->count++;
	}
}

void server_of_runs_release(struct server_of_runs *server)
{
	json_decref(server->checkpoint);
	json_decref(server->drawn);
	server->checkpoint = NULL;
	server->drawn = NULL;
}

static bool contains(const json_t *ids, const char *id)
{
	size_t i;
	json_t *row;

	json_array_foreach(ids, i, row)
		if (strcmp(json_string_value(row), id) == 0)
			return true;
	return false;
}

/* One clause with lists of names. */
static bool names_match(const char *name, const json_t *clause)
{
	const json_t *any = json_object_get(clause, "any_");

	return (any == NULL || contains(any, name)) && !contains(json_object_get(clause, "not_any_"), name);
}

/* One clause about a time. */
static bool time_matches(const char *text, const json_t *clause)
{
	const char *before = json_string_value(json_object_get(clause, "before_"));
	const char *after = json_string_value(json_object_get(clause, "after_"));
	const json_t *is_null = json_object_get(clause, "is_null_");
	time_us time = 0;
	time_us limit = 0;

	if (is_null != NULL && json_is_true(is_null) != (text == NULL))
		return false;
	if (text == NULL || !time_parse(text, &time)) /* an age is not looked at: all runs without a start are old */
		return is_null != NULL || (before == NULL && after == NULL);
	return (before == NULL || (time_parse(before, &limit) && time <= limit)) &&
	       (after == NULL || (time_parse(after, &limit) && time >= limit));
}

bool run_facts_match(const struct run_facts *facts, const json_t *filter)
{
	const json_t *state = json_object_get(filter, "state");

	return names_match(facts->type, json_object_get(state, "type")) && names_match(facts->name, json_object_get(state, "name")) &&
	       time_matches(facts->start, json_object_get(filter, "start_time")) &&
	       time_matches(facts->end, json_object_get(filter, "end_time"));
}

static bool matches(const struct server_of_runs *server, const struct server_run *run, const json_t *filter)
{
	/* None of the runs is a subflow's. */
	if (json_is_false(json_object_get(json_object_get(filter, "parent_task_run_id"), "is_null_")) ||
	    json_object_get(filter, "parent_flow_run_id") != NULL || server->deleted < run->joins)
		return false;
	const json_t *any = json_object_get(json_object_get(filter, "id"), "any_");
	const json_t *not_any = json_object_get(json_object_get(filter, "id"), "not_any_");

	const json_t *slice = json_object_get(filter, "slice");

	return !run->gone && (slice == NULL || run->slice == (int)json_integer_value(slice)) &&
	       (run->facts == NULL || run_facts_match(run->facts, filter)) &&
	       (any == NULL || contains(any, run->id)) && !contains(not_any, run->id) &&
	       !(run->leaves && any != NULL && json_array_size(any) == 1);
}

static struct http_reply reply_json(json_t *json)
{
	struct http_reply reply = {.owned = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY)};

	json_decref(json);
	return reply;
}

static struct http_reply count(const struct server_of_runs *server, const json_t *filter)
{
	size_t total = 0;

	for (size_t i = 0; i < server->count; i++)
		total += matches(server, &server->runs[i], filter);
	return reply_json(json_integer((json_int_t)total));
}

/* Up to @limit runs, the largest id first, as both kinds of call take them. */
static json_t *first_runs(struct server_of_runs *server, const json_t *filter, size_t limit, bool *ret_bad)
{
	json_t *list = json_array();

	for (size_t i = server->count; i-- > 0 && json_array_size(list) < limit;)
		if (matches(server, &server->runs[i], filter)) {
			*ret_bad = *ret_bad || server->runs[i].bad;
			(void)json_array_append_new(list, json_integer((json_int_t)i));
		}
	return list;
}

static struct http_reply list_runs(struct server_of_runs *server, const json_t *filter, size_t limit)
{
	bool bad = false;
	AUTO_JSON *found = first_runs(server, filter, limit, &bad);
	json_t *list = json_array();
	size_t i;
	json_t *at;

	server->lists++;
	if (server->refuses_lists) {
		json_decref(list);
		return (struct http_reply){.status = 501};
	}
	if (server->page_max > 0 && limit > (size_t)server->page_max) {
		json_decref(list);
		return (struct http_reply){.status = 422};
	}
	json_array_foreach(found, i, at)
		(void)json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:{s:s}}", "id", server->runs[json_integer_value(at)].id,
		                                            "flow_id", ID_A, "name", "run", "state", "timestamp",
		                                            server->runs[json_integer_value(at)].joins > 0 ? MOVED_AT : "1969-01-01T00:00:00Z"));
	return reply_json(list);
}

static struct http_reply bulk_delete(struct server_of_runs *server, const json_t *filter, int limit)
{
	bool bad = false;
	AUTO_JSON *found = first_runs(server, filter, (size_t)limit, &bad);
	json_t *deleted = json_array();
	size_t i;
	json_t *at;

	server->bulk_deletes++;
	server->largest_limit = limit > server->largest_limit ? limit : server->largest_limit;
	if (server->no_bulk || bad || (server->max_limit > 0 && limit > server->max_limit)) {
		json_decref(deleted);
		if (server->no_bulk || bad)
			return (struct http_reply){.status = server->no_bulk ? 404 : server->bad_status,
			                           .body = server->no_bulk ? "{\"detail\": \"Not Found\"}" : NULL};
		struct http_reply refusal = reply_json(json_pack("{s:[{s:[s, s], s:{s:i}}]}", "exception_detail", "loc", "body",
		                                                 "limit", "ctx", "le", server->max_limit));
		refusal.status = 422;
		return refusal;
	}
	json_array_foreach(found, i, at)
	{
		struct server_run *run = &server->runs[json_integer_value(at)];
		run->gone = true;
		if (run->taken)
			continue;
		server->deleted++;
		(void)json_array_append_new(deleted, json_string(run->id));
	}
	struct http_reply reply = reply_json(json_pack("{s:o}", "deleted", deleted));
	if (server->bulk_deletes == server->lose_answer)
		reply.trick = TRICK_CLOSE;
	return reply;
}

static struct http_reply delete_one(struct server_of_runs *server, const char *id)
{
	server->single_deletes++;
	for (size_t i = 0; i < server->count; i++) {
		struct server_run *run = &server->runs[i];

		if (strcmp(run->id, id) != 0 || run->gone)
			continue;
		if (run->bad)
			return (struct http_reply){.status = server->bad_status};
		run->gone = true;
		server->deleted++;
		return (struct http_reply){.status = run->vanishes ? 404 : 204};
	}
	return (struct http_reply)GONE;
}

static struct http_reply look(struct server_of_runs *server)
{
	char body[512];
	const char *state = server->own_state != NULL ? server->own_state : "RUNNING";

	server->looks++;
	server->looks_in_artifacts += server->artifacts_deleted > 0;
	if ((server->cancel_after > 0 && server->deleted >= server->cancel_after) ||
	    (server->cancel_after_artifacts > 0 && server->artifacts_deleted >= server->cancel_after_artifacts))
		state = "CANCELLING";
	(void)snprintf(body, sizeof body, "{\"id\": \"" OWN_ID "\", \"flow_id\": \"" ID_B "\", \"name\": \"own\", \"state_type\": \"%s\", "
	               "\"labels\": " OWN_LABELS "}", state);
	return (struct http_reply){.owned = strdup(body)};
}

/* Inputs of the run that deletes, by key. */
static struct http_reply checkpoint(struct server_of_runs *server, const struct http_seen *seen, const json_t *body)
{
	const char *key = seen->path + strlen("/flow_runs/" OWN_ID "/input/");

	if (server->checkpoint == NULL)
		server->checkpoint = json_object();
	if (strcmp(seen->method, "POST") == 0) {
		(void)json_object_set_new(server->checkpoint, json_string_value(json_object_get(body, "key")),
		                          unit_json(json_string_value(json_object_get(body, "value"))));
		return (struct http_reply){.status = 204};
	}
	json_t *value = json_object_get(server->checkpoint, key);
	if (value == NULL)
		return (struct http_reply)GONE;
	if (strcmp(seen->method, "GET") == 0)
		return reply_json(json_incref(value));
	(void)json_object_del(server->checkpoint, key);
	return (struct http_reply){.status = 204};
}

/* --- artifacts of the runs: "a0000000-RRRR-4000-8000-AAAAAAAAAAAA"; reports: "b0000000-..." ------------------- */

/* Those that match: of runs that match a filter, or of runs by id whether they are there or not. */
static json_t *find_artifacts(const struct server_of_runs *server, const json_t *body, bool reports_only)
{
	const json_t *of_runs = json_object_get(body, "flow_runs");
	const json_t *filter = json_object_get(body, "artifacts");
	const json_t *runs = json_object_get(json_object_get(filter, "flow_run_id"), "any_");
	const json_t *ids = json_object_get(json_object_get(filter, "id"), "any_");
	json_t *list = json_array();

	for (size_t i = 0; i < server->count; i++)
		for (int k = 0; k < server->runs[i].artifacts + server->runs[i].reports; k++) {
			char id[40];
			const struct server_run *run = &server->runs[i];
			bool report = k >= run->artifacts;

			(void)snprintf(id, sizeof id, "%c0000000-%04zx-4000-8000-%012x", report ? 'b' : 'a', i & 0xffff, (unsigned)k);
			if ((of_runs != NULL && !matches(server, run, of_runs)) || (runs != NULL && !contains(runs, run->id)) ||
			    (ids != NULL && !contains(ids, id)) || (reports_only && !report))
				continue;
			(void)json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "id", id, "flow_run_id", run->id, "key",
			                                            report ? "cleanup-report" : "kept"));
		}
	return list;
}

static struct http_reply list_artifacts(const struct server_of_runs *server, const json_t *body)
{
	AUTO_JSON *found = find_artifacts(server, body, false);
	size_t from = (size_t)json_integer_value(json_object_get(body, "offset"));
	json_int_t limit = json_integer_value(json_object_get(body, "limit"));
	json_t *page = json_array();

	if (server->page_max > 0 && limit > server->page_max) {
		json_decref(page);
		return server->page_garbage ? (struct http_reply){.body = "[{\"id\": "} : (struct http_reply){.status = 422};
	}
	for (size_t i = from; i < json_array_size(found) && i < from + (size_t)(limit > 0 ? limit : 200); i++)
		(void)json_array_append(page, json_array_get(found, i));
	return reply_json(page);
}

static struct http_reply delete_artifact(struct server_of_runs *server, const char *id)
{
	size_t i = (size_t)strtoul(id + strlen("a0000000-"), NULL, 16);

	int k = (int)strtoul(id + strlen("a0000000-RRRR-4000-8000-"), NULL, 16);

	server->reports_deleted += id[0] == 'b';
	if (server->refuse_artifacts > 0) {
		server->refuse_artifacts--;
		return (struct http_reply){.status = 400};
	}
	if (i >= server->count || k >= server->runs[i].artifacts)
		return (struct http_reply){.status = 404, .body = "{\"detail\": \"Artifact not found.\"}"};
	server->runs[i].artifacts--;
	server->artifacts_deleted++;
	server->artifacts_too_soon += !server->runs[i].gone;
	return (struct http_reply){.status = 204};
}

/* --- what is drawn of the run that deletes ---------------------------------------------------------------------- */

static struct http_reply draw(struct server_of_runs *server, const char *kind, const json_t *body)
{
	char id[40];
	json_t *drawn = json_deep_copy(body);

	if (server->drawn == NULL)
		server->drawn = json_object();
	(void)snprintf(id, sizeof id, "%s-0000-4000-8000-%012zu", kind, json_object_size(server->drawn));
	(void)json_object_set_new(drawn, "id", json_string(id));
	if (json_object_get(body, "state") != NULL)
		(void)json_object_set(drawn, "state_type", json_object_get(json_object_get(body, "state"), "type"));
	(void)json_object_set_new(server->drawn, id, drawn);
	struct http_reply reply = reply_json(json_incref(drawn));
	reply.status = 201;
	return reply;
}

/* Those of a kind, of this key where one is asked for. */
static json_t *find_drawn(const struct server_of_runs *server, const char *kind, const json_t *key)
{
	json_t *list = json_array();
	const char *id;
	json_t *drawn;

	json_object_foreach(server->drawn, id, drawn)
		if (strncmp(id, kind, strlen(kind)) == 0 && (key == NULL || json_equal(json_object_get(drawn, "key"), key)))
			(void)json_array_append(list, drawn);
	return list;
}

static struct http_reply task_runs(struct server_of_runs *server, const struct http_seen *seen, const json_t *body)
{
	char id[40];

	if (strcmp(seen->path, "/task_runs/") == 0)
		return draw(server, "cccccccc", body);
	if (strcmp(seen->path, "/task_runs/filter") == 0)
		return reply_json(find_drawn(server, "cccccccc", NULL));
	if (strcmp(seen->path, "/task_runs/count") == 0)
		return (struct http_reply){.body = "7"};
	(void)snprintf(id, sizeof id, "%.36s", seen->path + strlen("/task_runs/"));
	(void)json_object_set(json_object_get(server->drawn, id), "state_type", json_object_get(json_object_get(body, "state"), "type"));
	return (struct http_reply){.status = 201, .body = "{\"status\": \"ACCEPT\"}"};
}

static struct http_reply artifacts(struct server_of_runs *server, const struct http_seen *seen, const json_t *body)
{
	const char *id = seen->path + strlen("/artifacts/");
	json_t *key = json_array_get(json_object_get(json_object_get(json_object_get(body, "artifacts"), "key"), "any_"), 0);

	if (strcmp(seen->path, "/artifacts/") == 0)
		return draw(server, "dddddddd", body);
	if (strcmp(seen->path, "/artifacts/filter") == 0)
		return key != NULL ? reply_json(find_drawn(server, "dddddddd", key)) : list_artifacts(server, body);
	if (strcmp(seen->path, "/artifacts/count") == 0) {
		AUTO_JSON *found = find_artifacts(server, body, key != NULL);
		return reply_json(json_integer((json_int_t)json_array_size(found)));
	}
	if (strcmp(seen->method, "DELETE") == 0)
		return delete_artifact(server, id);
	(void)json_object_update(json_object_get(server->drawn, id), (json_t *)(uintptr_t)body);
	return (struct http_reply){.status = 204};
}

struct http_reply server_of_runs_handle(void *arg, const struct http_seen *seen)
{
	struct server_of_runs *server = arg;
	AUTO_JSON *body = seen->body[0] != '\0' ? unit_json(seen->body) : NULL;
	const json_t *filter = json_object_get(body, "flow_runs");
	int limit = (int)json_integer_value(json_object_get(body, "limit"));

	if (strncmp(seen->path, "/task_runs/", strlen("/task_runs/")) == 0)
		return task_runs(server, seen, body);
	if (strncmp(seen->path, "/artifacts/", strlen("/artifacts/")) == 0)
		return artifacts(server, seen, body);
	if (strcmp(seen->path, "/logs/filter") == 0)
		return (struct http_reply){.body = "[]"};
	if (strncmp(seen->path, "/flow_runs/" OWN_ID "/input", strlen("/flow_runs/" OWN_ID "/input")) == 0)
		return checkpoint(server, seen, body);
	if (strcmp(seen->path, "/flow_runs/" OWN_ID "/labels") == 0) {
		server->progress = json_integer_value(json_object_get(body, "janitor.progress"));
		server->notes++;
		return (struct http_reply){.status = server->refuse_notes ? 422 : 204};
	}
	if (strcmp(seen->path, "/flow_runs/" OWN_ID) == 0)
		return look(server);
	if (strcmp(seen->path, "/flow_runs/count") == 0)
		return count(server, filter);
	if (strcmp(seen->path, "/flow_runs/filter") == 0 && json_object_get(body, "task_runs") != NULL)
		return (struct http_reply){.body = "[]"};
	if (strcmp(seen->path, "/flow_runs/filter") == 0)
		return json_integer_value(json_object_get(body, "offset")) > 0 ? (struct http_reply){.body = "[]"}
		                                                               : list_runs(server, filter, limit > 0 ? (size_t)limit : 200);
	if (strcmp(seen->path, "/flow_runs/bulk_delete") == 0)
		return bulk_delete(server, filter, limit);
	if (strcmp(seen->method, "DELETE") == 0)
		return delete_one(server, seen->path + strlen("/flow_runs/"));
	return (struct http_reply){.status = 418};
}
