/* Subflow runs that stay: their parent, or its parent, at any height, had not ended when the plan was made.
 *
 * A subflow's run is part of its parent's memory: a parent that is resumed or retried finds there that the subflow has run
 * already, and would run it again without (PrefectHQ/prefect#19280). Prefect's own vacuum leaves all subflow runs for that reason.
 * Sources: FlowRunFilter.parent_flow_run_id and TaskRunFilter.subflow_runs, Prefect 3.4.20 to 3.9.1.
 * Thread rule: no state. */
#ifndef FLOWS_DATABASE_CLEANUP_SPARED_H
#define FLOWS_DATABASE_CLEANUP_SPARED_H

#include "client/prefect/prefect.h"

/* So many can be named in a filter; where there are more, no subflow run is deleted at all. */
#define SPARED_MAX 1000

/* Adds to @ids (an array) the ids of the runs that match one of @filters (an array of FlowRunFilters) and are to stay, by a look at
 * the server now: two requests where no unfinished run has subflows. *ret_too_many: more than SPARED_MAX. */
int spared_find(struct prefect *prefect, time_us planned_at, const json_t *filters, json_t *ids, bool *ret_too_many,
                struct error *err) MUST_CHECK;

#endif
