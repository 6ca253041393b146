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

int run_log_look(struct prefect *prefect, const json_t *flow_run_ids, int64_t *ret_lines, int64_t *ret_runs,
                 struct error *err)
{
	AUTO_JSON *answer = NULL;
	AUTO_JSON *runs = json_object();
	size_t i;
	json_t *line;

	int rc = prefect_post(prefect, json_pack("{s:{s:{s:O}}, s:i}", "logs", "flow_run_id", "any_", flow_run_ids, "limit",
	                                         PREFECT_PAGE_MAX), PREFECT_REPEATABLE, &answer, err, "/logs/filter");
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
	*ret_lines = (int64_t)json_array_size(answer);
	if (ret_runs != NULL)
		*ret_runs = (int64_t)json_object_size(runs);
	return 0;
}
