#include "client/prefect/automation.h"

#include <string.h>

#include "client/base/text.h"

static int find_all(struct prefect *prefect, const char *name, json_t **ret_list, struct error *err)
{
	AUTO_JSON *answer = NULL;

	int rc = prefect_post(prefect, json_pack("{s:{s:{s:[s]}}}", "automations", "name", "any_", name), PREFECT_REPEATABLE,
	                      &answer, err, "/automations/filter");
	if (rc != 0)
		return rc;
	if (!json_is_array(answer))
		return error_set(err, ERR_DECODE, "POST /automations/filter: the answer is not a list");
	*ret_list = json_incref(answer);
	return 0;
}

static int id_of(const json_t *automation, char ret_id[UUID_SIZE], struct error *err)
{
	static const struct json_field fields[] = {{"id", JSON_KIND_UUID, 0, true, NULL}};

	int rc = json_decode(automation, fields, 1, ret_id, UUID_SIZE, err);
	return rc != 0 ? error_prefix(err, rc, "POST /automations/filter") : 0;
}

static bool is_so(const json_t *has, json_t *wanted);

static bool is_among(const json_t *list, json_t *wanted)
{
	size_t i;
	json_t *value;

	json_array_foreach(list, i, value)
		if (is_so(value, wanted))
			return true;
	return false;
}

/* Is @wanted what the server @has? It fills in fields that were not given, writes 0 as 0.0, and keeps lists of events as
 * sets, in any order. */
static bool is_so(const json_t *has, json_t *wanted)
{
	const char *key;
	json_t *value;
	size_t i;

	if (json_is_number(wanted))
		return json_is_number(has) && json_number_value(has) == json_number_value(wanted);
	if (json_is_object(wanted)) {
		json_object_foreach(wanted, key, value)
			if (!is_so(json_object_get(has, key), value))
				return false;
		return json_is_object(has);
	}
	if (json_is_array(wanted)) {
		json_array_foreach(wanted, i, value)
			if (!is_among(has, value))
				return false;
		return json_array_size(has) == json_array_size(wanted);
	}
	return json_equal(has, wanted);
}

int automation_ensure(struct prefect *prefect, json_t *body, enum automation_change *ret_change, struct error *err)
{
	AUTO_JSON *wanted = body;
	AUTO_JSON *list = NULL;
	char id[UUID_SIZE];

	if (body == NULL)
		return error_nomem(err);
	int rc = find_all(prefect, json_string_value(json_object_get(body, "name")), &list, err);
	if (rc != 0)
		return rc;
	const json_t *has = json_array_get(list, 0);
	if (has == NULL) {
		*ret_change = AUTOMATION_CREATED;
		return prefect_post(prefect, json_incref(wanted), PREFECT_ONCE, NULL, err, "/automations/");
	}
	if (json_is_false(json_object_get(has, "enabled")) && json_object_set_new(wanted, "enabled", json_false()) != 0)
		return error_nomem(err);
	if (is_so(has, wanted)) {
		*ret_change = AUTOMATION_SAME;
		return 0;
	}
	rc = id_of(has, id, err);
	if (rc != 0)
		return rc;
	*ret_change = AUTOMATION_UPDATED;
	return prefect_call(prefect,
	                    (struct prefect_request){.method = "PUT", .body = json_incref(wanted), .repeat = PREFECT_REPEATABLE},
	                    NULL, err, "/automations/%s", id);
}

int automation_delete(struct prefect *prefect, const char *name, size_t *ret_count, struct error *err)
{
	AUTO_JSON *list = NULL;
	char id[UUID_SIZE];
	size_t i;
	json_t *automation;

	int rc = find_all(prefect, name, &list, err);
	json_array_foreach(list, i, automation)
	{
		if (rc == 0)
			rc = id_of(automation, id, err);
		if (rc == 0)
			rc = prefect_call(prefect, (struct prefect_request){.method = "DELETE", .repeat = PREFECT_REPEATABLE}, NULL, err,
			                  "/automations/%s", id);
		if (rc == ERR_NOT_FOUND) /* someone else was faster */
			rc = 0;
	}
	*ret_count = json_array_size(list);
	return rc;
}

int event_emit(struct prefect *prefect, const char *event, const char *resource, const char *related, const char *role,
               struct error *err)
{
	char id[UUID_SIZE];

	uuid_make(id);
	return prefect_post(prefect, json_pack("[{s:s, s:s, s:o, s:{s:s}, s:[{s:s, s:s}], s:{}}]", "id", id, "event", event,
	                                       "occurred", json_time(prefect_now(prefect)), "resource", "prefect.resource.id",
	                                       resource, "related", "prefect.resource.id", related, "prefect.resource.role",
	                                       role, "payload"),
	                    PREFECT_REPEATABLE, NULL, err, "/events");
}
