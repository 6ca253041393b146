/* What was decided on a run of database-cleanup, and what came of it. Reads only. Thread rule: no state. */
#ifndef CLI_OUTCOME_H
#define CLI_OUTCOME_H

#include "cli/cleanup_run.h"

/* An object (a new reference) with
 *   decision   {approved, by, notes, decided_at}, each of the last three null where it is not known; null where nobody decided
 *   report     the report as history_read() gives it; null where there is none of this question
 * Once the run has ended the decision is the report's, else the answer that is stored with the run. */
int outcome_read(struct session *session, const struct cleanup_run *run, json_t **ret_outcome, struct error *err) MUST_CHECK;

#endif
