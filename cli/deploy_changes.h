/* What `deploy` tells of a deployment: its schedule, and what is another than before. Thread rule: no state. */
#ifndef CLI_DEPLOY_CHANGES_H
#define CLI_DEPLOY_CHANGES_H

#include <jansson.h>
#include <stdio.h>

#include "client/base/text.h"

/* Appends "0 2 * * * (Europe/Berlin)" or "every 12 hours (UTC)" for @entry, a schedule of a deployment as the server describes it;
 * cleaned. */
void deploy_schedule_add(struct text *text, const json_t *entry);

/* Writes to @out a line on the schedules in @body (DeploymentCreate) and one for each thing of @existing (the deployment as the server
 * described it before, or NULL) that @body changes, as OLD -> NEW. Texts of the server are cleaned. */
void deploy_changes_print(const json_t *existing, const json_t *body, FILE *out);

#endif
