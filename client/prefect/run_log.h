/* Log lines of flow runs. Source: /logs/, Prefect 3.4.20 to 3.9.1. */
#ifndef PREFECT_RUN_LOG_H
#define PREFECT_RUN_LOG_H

#include "client/prefect/prefect.h"

/* Sends @lines, a JSON array of LogCreate (borrowed). A try whose answer was lost is repeated: a line
 * may then stand twice in the UI, which is better than a line that is missing. */
int run_log_send(struct prefect *prefect, json_t *lines, struct error *err) MUST_CHECK;

/* POST /logs/filter: one page of the lines of a flow run from @since on, the oldest first, as an array of objects (a new
 * reference). */
int run_log_read(struct prefect *prefect, const char *flow_run_id, time_us since, json_t **ret_lines,
                 struct error *err) MUST_CHECK;

/* POST /logs/filter: looks for the log lines of these flow runs (an array of ids), also of such that do not exist any more.
 * A page at most: @ret_lines is PREFECT_PAGE_MAX where there may be more. @ret_runs (may be NULL): how many of the runs those
 * lines are of. */
int run_log_look(struct prefect *prefect, const json_t *flow_run_ids, int64_t *ret_lines, int64_t *ret_runs,
                 struct error *err) MUST_CHECK;

#endif
