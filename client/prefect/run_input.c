#include "client/prefect/run_input.h"

#include "client/base/text.h"

int run_input_read(struct prefect *prefect, const char *flow_run_id, const char *key, json_t **ret_value,
                   struct error *err)
{
	/* The server answers with the stored text as text/plain. */
	return prefect_get(prefect, ret_value, err, "/flow_runs/%s/input/%s", flow_run_id, key);
}

int run_input_create(struct prefect *prefect, const char *flow_run_id, const char *key, const json_t *value,
                     struct error *err)
{
	AUTO_FREE char *text = json_write(value, JSON_SORT_KEYS);

	if (text == NULL)
		return error_nomem(err);
	int rc = prefect_post(prefect, json_pack("{s:s, s:s}", "key", key, "value", text), PREFECT_REPEATABLE, NULL, err,
	                      "/flow_runs/%s/input", flow_run_id);
	if (rc != ERR_CONFLICT)
		return rc;

	AUTO_JSON *stored = NULL;
	rc = run_input_read(prefect, flow_run_id, key, &stored, err);
	if (rc == 0 && !json_equal(stored, value))
		rc = error_set(err, ERR_CONFLICT, "input '%s' was written by somebody else at the same time", key);
	return rc;
}

int run_input_list(struct prefect *prefect, const char *flow_run_id, const char *prefix, json_t **ret_inputs,
                   struct error *err)
{
	AUTO_JSON *answer = NULL;

	int rc = prefect_post(prefect, json_pack("{s:s, s:i}", "prefix", prefix, "limit", PREFECT_PAGE_MAX),
	                      PREFECT_REPEATABLE, &answer, err, "/flow_runs/%s/input/filter", flow_run_id);
	if (rc != 0)
		return rc;
	if (!json_is_array(answer))
		return error_set(err, ERR_DECODE, "POST /flow_runs/{id}/input/filter: the answer is not a list");
	*ret_inputs = json_incref(answer);
	return 0;
}

int run_input_delete(struct prefect *prefect, const char *flow_run_id, const char *key, struct error *err)
{
	int rc = prefect_call(prefect, (struct prefect_request){.method = "DELETE", .repeat = PREFECT_REPEATABLE}, NULL,
	                      err, "/flow_runs/%s/input/%s", flow_run_id, key);

	return rc == ERR_NOT_FOUND ? 0 : rc;
}

int run_input_replace(struct prefect *prefect, const char *flow_run_id, const char *key, const json_t *value,
                      struct error *err)
{
	int rc = run_input_delete(prefect, flow_run_id, key, err);

	return rc != 0 ? rc : run_input_create(prefect, flow_run_id, key, value, err);
}
