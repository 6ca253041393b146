/* Which deployment of database-cleanup a command is about. Reads only. Thread rule: no state. */
#ifndef CLI_TARGET_H
#define CLI_TARGET_H

#include "cli/commands.h"

/* The one that --deployment names, else the only one of --pool, else the only one of the server: an object as the server
 * describes it (a new reference). NULL, and no error, where neither is named and the server has none. ERR_USAGE where there
 * is none as named, or several. */
int target_find(struct session *session, json_t **ret_deployment, struct error *err) MUST_CHECK;

/* All that --deployment, --pool or neither name, as an array (a new reference). */
int target_list(struct session *session, json_t **ret_deployments, struct error *err) MUST_CHECK;

#endif
