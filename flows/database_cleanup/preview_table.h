/* The preview as artifact: a table of flow, deployment and state, with all that goes with their runs.
 *
 * Every number in it is the server's, or says that it is not: log lines cannot be counted by the API, so they are looked for
 * in some of the runs. At most PREVIEW_TABLE_ROWS rows and some two hundred small requests. Thread rule: no state. */
#ifndef FLOWS_DATABASE_CLEANUP_PREVIEW_TABLE_H
#define FLOWS_DATABASE_CLEANUP_PREVIEW_TABLE_H

#include "flows/database_cleanup/preview.h"
#include "flows/flow.h"

#define PREVIEW_TABLE_ROWS 25
#define PREVIEW_TABLE_KEY "cleanup-preview"

/* Fills in what goes with the runs of a preview that was collected: counted before anybody approves. That it cannot be read
 * is no error, and told in the preview. Reads only. */
void preview_measure(struct prefect *prefect, const struct plan *plan, struct preview *preview);

/* Collects the preview and its extent, and shows them as the step "preview": the artifact, and for the report the checkpoint
 * PREVIEW_KEY. Returns what preview_collect() returns; that something cannot be shown is no error. */
int preview_show(struct flow_ctx *ctx, const struct plan *plan, struct preview *ret_preview, struct error *err) MUST_CHECK;

/* The rows as JSON: a new array of objects, NULL without memory. Rows that cannot be read, or do not fit, are summed up. */
json_t *preview_table(struct prefect *prefect, const struct plan *plan, const struct preview *preview);

/* What the report wants to know: {"plan": digest, "flows": [{name, count, states}], "left_out": runs of other flows}. */
json_t *preview_summary(const struct preview *preview, const struct plan *plan);

#endif
