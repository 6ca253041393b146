#include "tests/unit/flows/database_cleanup/server_of_runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/base/json.h"
#include "tests/unit/worker/flow_run.h"

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
	server->checkpoint = NULL;
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

static bool matches(const struct server_run *run, const json_t *filter)
{
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
		total += matches(&server->runs[i], filter);
	return reply_json(json_integer((json_int_t)total));
}

/* Up to @limit runs, the largest id first, as both kinds of call take them. */
static json_t *first_runs(struct server_of_runs *server, const json_t *filter, size_t limit, bool *ret_bad)
{
	json_t *list = json_array();

	for (size_t i = server->count; i-- > 0 && json_array_size(list) < limit;)
		if (matches(&server->runs[i], filter)) {
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
	json_array_foreach(found, i, at)
		(void)json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "id", server->runs[json_integer_value(at)].id,
		                                            "flow_id", ID_A, "name", "run"));
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
	if (server->cancel_after > 0 && server->deleted >= server->cancel_after)
		state = "CANCELLING";
	(void)snprintf(body, sizeof body, "{\"id\": \"" OWN_ID "\", \"flow_id\": \"" ID_B "\", \"name\": \"own\", \"state_type\": \"%s\", "
	               "\"labels\": " OWN_LABELS "}", state);
	return (struct http_reply){.owned = strdup(body)};
}

static struct http_reply checkpoint(struct server_of_runs *server, const struct http_seen *seen, const json_t *body)
{
	if (strcmp(seen->method, "GET") == 0)
		return server->checkpoint != NULL ? reply_json(json_incref(server->checkpoint)) : (struct http_reply)GONE;
	json_decref(server->checkpoint);
	server->checkpoint = NULL;
	if (strcmp(seen->method, "POST") == 0)
		server->checkpoint = unit_json(json_string_value(json_object_get(body, "value")));
	return (struct http_reply){.status = 204};
}

struct http_reply server_of_runs_handle(void *arg, const struct http_seen *seen)
{
	struct server_of_runs *server = arg;
	AUTO_JSON *body = seen->body[0] != '\0' ? unit_json(seen->body) : NULL;
	const json_t *filter = json_object_get(body, "flow_runs");
	int limit = (int)json_integer_value(json_object_get(body, "limit"));

	if (strncmp(seen->path, "/flow_runs/" OWN_ID "/input", strlen("/flow_runs/" OWN_ID "/input")) == 0)
		return checkpoint(server, seen, body);
	if (strcmp(seen->path, "/flow_runs/" OWN_ID "/labels") == 0) {
		server->progress = json_integer_value(json_object_get(body, "janitor.progress"));
		return (struct http_reply){.status = 204};
	}
	if (strcmp(seen->path, "/flow_runs/" OWN_ID) == 0)
		return look(server);
	if (strcmp(seen->path, "/flow_runs/count") == 0)
		return count(server, filter);
	if (strcmp(seen->path, "/flow_runs/filter") == 0)
		return list_runs(server, filter, (size_t)limit);
	if (strcmp(seen->path, "/flow_runs/bulk_delete") == 0)
		return bulk_delete(server, filter, limit);
	if (strcmp(seen->method, "DELETE") == 0)
		return delete_one(server, seen->path + strlen("/flow_runs/"));
	return (struct http_reply){.status = 418};
}
