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
