/* Past cleanups, as their reports tell them: the artifacts of the key REPORT_KEY (flows/database_cleanup/report.h), which
 * stay when the flow runs are gone. Thread rule: no state. */
#ifndef CLI_HISTORY_H
#define CLI_HISTORY_H

#include "client/prefect/prefect.h"

/* The latest @limit reports, the latest first: an array (a new reference) of the objects for programs, each with
 * `artifact_id` besides, and `unreadable`, which says why it cannot be read (null: it can). All have the same keys, and so has
 * their `deletion` (report.h); what a report does not know, or calls -1, is null; a run that deleted nothing has 0 `deleted` and
 * `failed`. @flow_run_id: of this run only; NULL: of all. Source: POST /artifacts/filter. */
int history_read(struct prefect *prefect, const char *flow_run_id, int64_t limit, json_t **ret_reports, struct error *err) MUST_CHECK;

#endif
