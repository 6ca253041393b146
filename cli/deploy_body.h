/* What `deploy` asks the server for: what the settings name, over what the deployment has already. Thread rule: no state. */
#ifndef CLI_DEPLOY_BODY_H
#define CLI_DEPLOY_BODY_H

#include "worker/settings.h"

/* Every deployment has these tags. */
#define DEPLOY_TAG_AREA "database-maintenance"
#define DEPLOY_TAG_KIND "cleanup"

/* A DeploymentCreate without the flow's id, a new reference. @existing: the deployment as the server describes it, or NULL; what
 * nobody named (flag, environment, file) stays as it is there. Source: POST /deployments/ replaces schedules, parameters and tags as a
 * whole and leaves what is not in the body, Prefect 3.4.20 to 3.9.1. Returns 0, ERR_USAGE or ERR_NOMEM. */
int deploy_body(const struct settings *settings, const json_t *existing, json_t **ret_body, struct error *err) MUST_CHECK;

/* Is what the settings name right by itself? Before the server is asked anything. */
int deploy_body_check(const struct settings *settings, struct error *err) MUST_CHECK;

/* How many fields a cron expression has; five are right. */
size_t deploy_cron_fields(const char *cron);

#endif
