#include "worker/pool.h"

#include "client/base/embed.h"

#define DESCRIPTION "Runs database-cleanup flow runs with prefect-janitor, a native worker."

EMBED_DECLARE(worker_base_job_template_json);

int pool_ensure(struct prefect *prefect, const char *name, struct work_pool *ret_pool, bool *ret_created,
                struct error *err)
{
	AUTO_JSON *template = NULL;

	int rc = json_read(EMBED_DATA(worker_base_job_template_json), EMBED_SIZE(worker_base_job_template_json), &template, err);
	return rc != 0 ? rc : work_pool_ensure(prefect, name, WORKER_TYPE, DESCRIPTION, template, ret_pool, ret_created, err);
}
