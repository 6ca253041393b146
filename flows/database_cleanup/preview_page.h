/* The whole preview to be read at leisure, as artifact PREVIEW_PAGE_KEY: the counts, what stays, tables of flows, deployments and
 * states with all that goes with their runs, the oldest runs, and what an AI agent said.
 *
 * Every number in it is the server's, or says that it is not: log lines cannot be counted by the API, so they are looked for
 * in some of the runs. At most PREVIEW_TABLE_ROWS rows and some two hundred small requests. Thread rule: no state. */
#ifndef FLOWS_DATABASE_CLEANUP_PREVIEW_PAGE_H
#define FLOWS_DATABASE_CLEANUP_PREVIEW_PAGE_H

#include "flows/database_cleanup/preview.h"
#include "flows/flow.h"

#define PREVIEW_TABLE_ROWS 25
#define PREVIEW_PAGE_KEY "cleanup-preview"

/* Fills in what goes with the runs of a preview that was collected, what stays, and the pace of the last cleanup: read before anybody
 * approves. That it cannot be read is no error, and told in the preview. Reads only. */
void preview_measure(struct prefect *prefect, const struct plan *plan, struct preview *preview);

/* Collects the preview and all that is measured, and shows it as the step "preview": the artifact, whose id goes to @ret_page ("" where
 * it is not there), and for the report the checkpoint PREVIEW_KEY. @advice: as agent_verdict_advice(), NULL for none. Returns what
 * preview_collect() returns; that something cannot be shown is no error. */
int preview_show(struct flow_ctx *ctx, const struct plan *plan, const json_t *advice, struct preview *ret_preview,
                 char ret_page[UUID_SIZE], struct error *err) MUST_CHECK;

/* The artifact's Markdown; @rows: as preview_table(). The caller frees it; NULL without memory. */
char *preview_page(const struct preview *preview, const struct plan *plan, const json_t *rows, const json_t *advice);

/* The rows as JSON: a new array of objects, NULL without memory. Rows that cannot be read, or do not fit, are summed up. */
json_t *preview_table(struct prefect *prefect, const struct plan *plan, const struct preview *preview);

/* What the report wants to know: {"plan": digest, "flows": [{name, count, states}], "left_out": runs of other flows}. */
json_t *preview_summary(const struct preview *preview, const struct plan *plan);

#endif
