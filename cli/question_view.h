/* A run and its question, as `show` prints it and as approve and reject show what they are about. Thread rule: main thread. */
#ifndef CLI_QUESTION_VIEW_H
#define CLI_QUESTION_VIEW_H

#include <stdio.h>

#include "cli/cleanup_run.h"

/* Writes who asks, since when, until when, and the whole preview, as Markdown for a terminal; of a run that waits no longer also who
 * decided, the notes and the result. @description may be NULL. */
int question_view(struct session *session, const struct cleanup_run *run, const char *description, FILE *out,
                  struct error *err) MUST_CHECK;

/* The same for scripts, an object (a new reference) that always has the same keys: those of cleanup_run_json() and outcome_read(), and
 * `total`, `digest`, `description` (above the form), `preview` (the artifact), `plan`, `answer` (as it is stored), null where there is
 * none. @plan, @description and @page may be NULL. */
int question_view_json(struct session *session, const struct cleanup_run *run, const struct plan *plan, const char *description,
                       const char *page, json_t **ret_json, struct error *err) MUST_CHECK;

#endif
