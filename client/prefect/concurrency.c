#include "client/prefect/concurrency.h"

bool concurrency_lease_of(const struct flow_run *run, char ret_lease[UUID_SIZE])
{
	const json_t *details = json_object_get(run->state, "state_details");
	const char *lease = json_string_value(json_object_get(details, "deployment_concurrency_lease_id"));

	return lease != NULL && uuid_parse_text(lease, ret_lease);
}

int concurrency_lease_renew(struct prefect *prefect, const char *lease, int duration_s, struct error *err)
{
	return prefect_post(prefect, json_pack("{s:i}", "lease_duration", duration_s), PREFECT_REPEATABLE, NULL, err,
	                    "/v2/concurrency_limits/leases/%s/renew", lease);
}
