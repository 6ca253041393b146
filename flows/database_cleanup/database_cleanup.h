/* The flow `database-cleanup`: deletes old flow runs after somebody approved the plan. */
#ifndef FLOWS_DATABASE_CLEANUP_H
#define FLOWS_DATABASE_CLEANUP_H

#include "flows/flow.h"

#define DATABASE_CLEANUP_FLOW "database-cleanup"

enum flow_outcome database_cleanup(struct flow_ctx *ctx);
/* The form of a run that is Paused, as flow_form_maker. */
int database_cleanup_form(struct flow_ctx *ctx, const struct flow_form *shown, struct flow_form *ret_form,
                          struct error *err) MUST_CHECK;
/* The report of a run that ended without its body, or whose body could not write it. */
bool database_cleanup_ended(struct flow_ctx *ctx, enum state_type type, bool expired);

/* What `deploy` puts on the server: the schema of the parameters (drawn as a form in the UI), their
 * defaults, and the description. New references or strings of the caller; NULL without memory. */
json_t *database_cleanup_schema(void);
json_t *database_cleanup_defaults(void);
char *database_cleanup_description(void);

#endif
