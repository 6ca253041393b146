#include "client/prefect/run_log.h"

int run_log_send(struct prefect *prefect, json_t *lines, struct error *err)
{
	return prefect_post(prefect, json_incref(lines), PREFECT_REPEATABLE, NULL, err, "/logs/");
}

int run_log_read(struct prefect *prefect, const char *flow_run_id, time_us since, json_t **ret_lines, struct error *err)
{
	AUTO_JSON *answer = NULL;

	int rc = prefect_post(prefect,
	                      json_pack("{s:{s:{s:[s]}, s:{s:o}}, s:s, s:i}", "logs", "flow_run_id", "any_", flow_run_id,
	                                "timestamp", "after_", json_time(since), "sort", "TIMESTAMP_ASC", "limit",
	                                PREFECT_PAGE_MAX),
	                      PREFECT_REPEATABLE, &answer, err, "/logs/filter");
	if (rc != 0)
		return rc;
	if (!json_is_array(answer))
		return error_set(err, ERR_DECODE, "POST /logs/filter: the answer is not a list");
	*ret_lines = json_incref(answer);
	return 0;
}

/* One page of log lines: adds their runs to @runs (an object). */
static int look_at_page(struct prefect *prefect, const json_t *flow_run_ids, int limit, int64_t offset, json_t *runs,
                        size_t *ret_count, struct error *err)
{
	AUTO_JSON *answer = NULL;
	size_t i;
	json_t *line;

	int rc = prefect_post(prefect, json_pack("{s:{s:{s:O}}, s:i, s:I}", "logs", "flow_run_id", "any_", flow_run_ids, "limit",
	                                         limit, "offset", (json_int_t)offset), PREFECT_REPEATABLE, &answer, err, "/logs/filter");
	if (rc != 0)
		return rc;
	if (!json_is_array(answer))
		return error_set(err, ERR_DECODE, "POST /logs/filter: the answer is not a list");
	json_array_foreach(answer, i, line)
	{
		const char *run = json_string_value(json_object_get(line, "flow_run_id"));
		if (run != NULL)
			(void)json_object_set_new(runs, run, json_true());
	}
	*ret_count = json_array_size(answer);
	return 0;
}

int run_log_look(struct prefect *prefect, const json_t *flow_run_ids, int64_t *ret_lines, int64_t *ret_runs,
                 struct error *err)
{
	AUTO_JSON *runs = json_object();
	int64_t lines = 0;
	size_t count = 0;
	int limit = PREFECT_PAGE_MAX;

	do {
		int rc = look_at_page(prefect, flow_run_ids, limit, lines, runs, &count, err);
		if (rc == ERR_INVALID && limit > 1) {
			limit /= 2; /* a server with another PREFECT_SERVER_API_DEFAULT_LIMIT */
			count = (size_t)limit;
			continue;
		}
		if (rc != 0)
			return rc;
		lines += (int64_t)count;
	} while (count >= (size_t)limit && lines < PREFECT_PAGE_MAX);
	*ret_lines = lines < PREFECT_PAGE_MAX ? lines : PREFECT_PAGE_MAX;
	if (ret_runs != NULL)
		*ret_runs = (int64_t)json_object_size(runs);
	return 0;
}
