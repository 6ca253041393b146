/* The form of a question on the server: two inputs of the run, paused-N-description and paused-N-schema, which the UI shows
 * when somebody opens Resume.
 *
 * They are stored after the run is Paused: from 3.9 on the server deletes them when it enters that state. The schema goes
 * last: without one the server refuses every answer ("Run input schema not found."), so that nobody can answer half a form.
 * Source: /flow_runs/{id}/input and HandlePausingFlows, Prefect 3.4.20 to 3.9.1. Thread rule: no state. */
#ifndef WORKER_APPROVAL_FORM_H
#define WORKER_APPROVAL_FORM_H

#include "flows/flow.h"
#include "worker/question.h"

/* A number that differs for different forms; 0 for half a form, or none. It is no proof against somebody who wants two to be
 * alike. */
uint64_t approval_form_print(const struct flow_form *form);

/* What is stored now: one request. A part that is missing, or is not what a form has, is NULL. */
int approval_form_read(struct prefect *prefect, const char *flow_run_id, const struct question *question,
                       struct flow_form *ret_form, struct error *err) MUST_CHECK;
/* The print of that alone. */
int approval_form_stored(struct prefect *prefect, const char *flow_run_id, const struct question *question,
                         uint64_t *ret_print, struct error *err) MUST_CHECK;

/* Stores both parts, in place of what is there, and reads them back. ERR_CONFLICT where they are others then. */
int approval_form_store(struct prefect *prefect, const char *flow_run_id, const struct question *question,
                        const struct flow_form *form, struct error *err) MUST_CHECK;

/* The same for a run that may have been answered meanwhile: the schema is removed first, so that the server takes no answer, then
 * the run is looked at again. *ret_late: it is not Paused with this question any more, and nothing was stored. */
int approval_form_put_back(struct prefect *prefect, const char *flow_run_id, const struct question *question,
                           const struct flow_form *form, bool *ret_late, struct error *err) MUST_CHECK;

#endif
