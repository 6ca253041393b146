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

/* A number that differs for different forms; never 0. It is no proof against somebody who wants two to be alike. */
uint64_t approval_form_print(const struct flow_form *form);

/* The same of the form that is stored now: one request. 0 where a part is missing or is not what a form has. */
int approval_form_stored(struct prefect *prefect, const char *flow_run_id, const struct question *question,
                         uint64_t *ret_print, struct error *err) MUST_CHECK;

/* Stores both parts, in place of what is there, and reads them back. ERR_CONFLICT where they are others then. */
int approval_form_store(struct prefect *prefect, const char *flow_run_id, const struct question *question,
                        const struct flow_form *form, struct error *err) MUST_CHECK;

#endif
