#include "client/prefect/run_log.h"

int run_log_send(struct prefect *prefect, json_t *lines, struct error *err)
{
	return prefect_post(prefect, json_incref(lines), PREFECT_REPEATABLE, NULL, err, "/logs/");
}
