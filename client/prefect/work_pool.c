#include "client/prefect/work_pool.h"

#include <string.h>

#include "client/base/text.h"

static const struct json_field pool_fields[] = {
	{"id", JSON_KIND_UUID, offsetof(struct work_pool, id), true, NULL},
	{"name", JSON_KIND_TEXT, offsetof(struct work_pool, name), true, NULL},
	{"type", JSON_KIND_TEXT, offsetof(struct work_pool, type), true, NULL},
	{"is_paused", JSON_KIND_BOOL, offsetof(struct work_pool, is_paused), false, NULL},
	{"concurrency_limit", JSON_KIND_ANY, offsetof(struct work_pool, limit), false, NULL},
	{"base_job_template", JSON_KIND_OBJECT, offsetof(struct work_pool, template), false, NULL},
};

void work_pool_release(struct work_pool *pool)
{
	json_release(JSON_TABLE(pool_fields), pool);
	*pool = (struct work_pool){0};
}

int work_pool_read(struct prefect *prefect, const char *name, struct work_pool *ret_pool, struct error *err)
{
	AUTO_FREE char *escaped = http_escape(name);
	AUTO_JSON *answer = NULL;

	if (escaped == NULL)
		return error_nomem(err);
	int rc = prefect_get(prefect, &answer, err, "/work_pools/%s", escaped);
	return rc != 0 ? rc : json_decode(answer, JSON_TABLE(pool_fields), ret_pool, sizeof *ret_pool, err);
}

int work_pool_ensure(struct prefect *prefect, const char *name, const char *type, const char *description,
                     const json_t *template, struct work_pool *ret_pool, bool *ret_created, struct error *err)
{
	struct work_pool pool;
	bool created = false;

	int rc = work_pool_read(prefect, name, &pool, err);
	if (rc == ERR_NOT_FOUND) {
		json_t *body = json_pack("{s:s, s:s, s:s, s:O}", "name", name, "type", type, "description", description,
		                         "base_job_template", template);
		rc = prefect_post(prefect, body, PREFECT_REPEATABLE, NULL, err, "/work_pools/");
		created = rc == 0;
		if (rc == 0 || rc == ERR_CONFLICT) /* another worker was faster: fine */
			rc = work_pool_read(prefect, name, &pool, err);
	}
	if (rc != 0)
		return rc;

	if (strcmp(pool.type, type) != 0) {
		rc = error_set(err, ERR_USAGE, "work pool '%s' has type '%s', but this worker takes pools of type '%s': name "
		               "another pool with --pool; it is created if it does not exist", name, pool.type, type);
		work_pool_release(&pool);
		return rc;
	}
	*ret_pool = pool;
	if (ret_created != NULL)
		*ret_created = created;
	return 0;
}

int work_pool_names(struct prefect *prefect, const char *type, int max, json_t **ret_names, struct error *err)
{
	AUTO_JSON *pools = NULL;
	AUTO_JSON *names = json_array();
	size_t i;
	json_t *pool;

	if (names == NULL)
		return error_nomem(err);
	int rc = prefect_post(prefect, json_pack("{s:{s:{s:[s]}}, s:i}", "work_pools", "type", "any_", type, "limit", max),
	                      PREFECT_REPEATABLE, &pools, err, "/work_pools/filter");
	if (rc != 0)
		return rc;
	if (!json_is_array(pools))
		return error_set(err, ERR_DECODE, "POST /work_pools/filter: the answer is not a list");
	json_array_foreach(pools, i, pool)
	{
		json_t *name = json_object_get(pool, "name");
		if (!json_is_string(name))
			return error_set(err, ERR_DECODE, "POST /work_pools/filter: a work pool without a name");
		if (json_array_append(names, name) != 0)
			return error_nomem(err);
	}
	*ret_names = json_incref(names);
	return 0;
}

int work_pool_heartbeat(struct prefect *prefect, const char *name, const char *worker, int interval_s,
                        const json_t *metadata, struct error *err)
{
	AUTO_FREE char *escaped = http_escape(name);

	if (escaped == NULL)
		return error_nomem(err);
	return prefect_post(prefect,
	                    json_pack("{s:s, s:i, s:O}", "name", worker, "heartbeat_interval_seconds", interval_s,
	                              "metadata", metadata),
	                    PREFECT_REPEATABLE, NULL, err, "/work_pools/%s/workers/heartbeat", escaped);
}

/* One page, put into @by_name; *ret_fresh is raised by the names that were not there. */
static int read_workers(struct prefect *prefect, const char *escaped, size_t offset, json_t *by_name, size_t *ret_count,
                        size_t *ret_fresh, struct error *err)
{
	AUTO_JSON *page = NULL;
	size_t i;
	json_t *worker;

	int rc = prefect_post(prefect, json_pack("{s:I}", "offset", (json_int_t)offset), PREFECT_REPEATABLE, &page, err,
	                      "/work_pools/%s/workers/filter", escaped);
	if (rc != 0)
		return rc;
	if (!json_is_array(page))
		return error_set(err, ERR_DECODE, "POST /work_pools/{name}/workers/filter: the answer is not a list");
	json_array_foreach(page, i, worker)
	{
		const char *name = json_string_value(json_object_get(worker, "name"));
		if (name == NULL || !json_is_string(json_object_get(worker, "status")))
			return error_set(err, ERR_DECODE, "POST /work_pools/{name}/workers/filter: a worker without name or status");
		*ret_fresh += json_object_get(by_name, name) == NULL;
		if (json_object_set(by_name, name, worker) != 0)
			return error_nomem(err);
	}
	*ret_count = json_array_size(page);
	return 0;
}

int work_pool_workers(struct prefect *prefect, const char *name, json_t **ret_workers, struct error *err)
{
	AUTO_FREE char *escaped = http_escape(name);
	AUTO_JSON *by_name = json_object();
	AUTO_JSON *workers = json_array();
	size_t fresh;
	size_t pages;
	const char *key;
	json_t *worker;

	if (escaped == NULL || by_name == NULL || workers == NULL)
		return error_nomem(err);
	/* The latest heartbeat comes first: one that comes between two pages moves its worker past the second. Where there are
	 * several pages they are read again until nobody new shows. */
	do {
		size_t offset = 0;
		size_t count = 0;

		fresh = 0;
		for (pages = 0; pages == 0 || count > 0; pages++, offset += count) {
			int rc = read_workers(prefect, escaped, offset, by_name, &count, &fresh, err);
			if (rc != 0)
				return rc;
		}
	} while (fresh > 0 && pages > 2); /* the last one is empty */
	json_object_foreach(by_name, key, worker)
		if (json_array_append(workers, worker) != 0)
			return error_nomem(err);
	*ret_workers = json_incref(workers);
	return 0;
}

int work_pool_online_workers(struct prefect *prefect, const char *name, json_t **ret_names, struct error *err)
{
	AUTO_JSON *workers = NULL;
	AUTO_JSON *names = json_array();
	size_t i;
	json_t *worker;

	int rc = names != NULL ? work_pool_workers(prefect, name, &workers, err) : error_nomem(err);
	if (rc != 0)
		return rc;
	json_array_foreach(workers, i, worker)
	{
		/* A word that is not known is not OFFLINE. */
		if (strcmp(json_string_value(json_object_get(worker, "status")), "OFFLINE") != 0 &&
		    json_array_append(names, json_object_get(worker, "name")) != 0)
			return error_nomem(err);
	}
	*ret_names = json_incref(names);
	return 0;
}

static int read_is_paused(const json_t *queue, bool *ret_paused, struct error *err)
{
	const json_t *paused = json_object_get(queue, "is_paused");

	if (!json_is_boolean(paused))
		return error_set(err, ERR_DECODE, "GET a work queue: the answer does not say whether it is paused");
	*ret_paused = json_is_true(paused);
	return 0;
}

int work_queue_is_paused(struct prefect *prefect, const char *id, bool *ret_paused, struct error *err)
{
	AUTO_JSON *answer = NULL;

	int rc = prefect_get(prefect, &answer, err, "/work_queues/%s", id);
	return rc != 0 ? rc : read_is_paused(answer, ret_paused, err);
}

bool work_pool_limit_is_zero(const json_t *limit)
{
	return json_is_number(limit) && json_number_value(limit) <= 0;
}

int work_pool_queue_is_paused(struct prefect *prefect, const char *pool, const char *queue, bool *ret_paused,
                              struct error *err)
{
	bool zero;

	return work_pool_queue_is_held(prefect, pool, queue, ret_paused, &zero, err);
}

int work_pool_queue_is_held(struct prefect *prefect, const char *pool, const char *queue, bool *ret_paused, bool *ret_zero,
                            struct error *err)
{
	AUTO_FREE char *in_pool = http_escape(pool);
	AUTO_FREE char *escaped = http_escape(queue);
	AUTO_JSON *answer = NULL;

	if (in_pool == NULL || escaped == NULL)
		return error_nomem(err);
	int rc = prefect_get(prefect, &answer, err, "/work_pools/%s/queues/%s", in_pool, escaped);
	*ret_zero = rc == 0 && work_pool_limit_is_zero(json_object_get(answer, "concurrency_limit"));
	return rc != 0 ? rc : read_is_paused(answer, ret_paused, err);
}

int work_pool_scheduled_runs(struct prefect *prefect, const char *name, const json_t *queues, time_us before,
                             struct flow_run **ret_runs, size_t *ret_count, struct error *err)
{
	AUTO_FREE char *escaped = http_escape(name);
	AUTO_JSON *answer = NULL;

	if (escaped == NULL)
		return error_nomem(err);
	int rc = prefect_post(prefect,
	                      json_pack("{s:O, s:o}", "work_queue_names", queues, "scheduled_before", json_time(before)),
	                      PREFECT_REPEATABLE, &answer, err, "/work_pools/%s/get_scheduled_flow_runs", escaped);
	if (rc != 0)
		return rc;

	AUTO_JSON *runs = json_array();
	size_t i;
	json_t *row;
	json_array_foreach(answer, i, row)
		if (json_array_append(runs, json_object_get(row, "flow_run")) != 0)
			return error_set(err, ERR_DECODE, "get_scheduled_flow_runs: row %zu has no flow run", i);

	rc = json_is_array(answer) ? flow_runs_decode(runs, ret_runs, ret_count, err)
	                           : error_set(err, ERR_DECODE, "the answer is not a list");
	return rc != 0 ? error_prefix(err, rc, "get_scheduled_flow_runs") : 0;
}

const json_t *job_variable(const json_t *run_variables, const json_t *deployment_variables, const json_t *template,
                           const char *name)
{
	const json_t *variables = json_object_get(json_object_get(template, "variables"), "properties");
	const json_t *candidates[] = {
		json_object_get(run_variables, name),
		json_object_get(deployment_variables, name),
		json_object_get(json_object_get(variables, name), "default"),
	};

	for (size_t i = 0; i < sizeof candidates / sizeof candidates[0]; i++)
		if (candidates[i] != NULL && !json_is_null(candidates[i]))
			return candidates[i];
	return NULL;
}
