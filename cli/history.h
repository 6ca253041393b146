/* Past cleanups, as their reports tell them: the artifacts of the key REPORT_KEY (flows/database_cleanup/report.h), which
 * stay when the flow runs are gone. Thread rule: no state. */
#ifndef CLI_HISTORY_H
#define CLI_HISTORY_H

#include "client/prefect/prefect.h"

/* The latest @limit reports, the latest first: an array (a new reference) of the objects for programs, each with
 * `artifact_id` besides; of one that cannot be read `artifact_id`, `flow_run_id` and `unreadable`, which says why.
 * Source: POST /artifacts/filter. */
int history_read(struct prefect *prefect, int64_t limit, json_t **ret_reports, struct error *err) MUST_CHECK;

#endif
