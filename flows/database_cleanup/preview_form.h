/* The text above the fields of the approval form: ten lines at most, so that the fields are seen when the dialog opens.
 * Thread rule: no state. */
#ifndef FLOWS_DATABASE_CLEANUP_PREVIEW_FORM_H
#define FLOWS_DATABASE_CLEANUP_PREVIEW_FORM_H

#include "flows/database_cleanup/preview.h"

/* What the form says besides the preview. */
struct preview_form {
	time_us until;        /* when the question ends; 0: not said */
	const char *page;     /* borrowed: the id of the artifact with the whole preview; "": there is none */
	const json_t *advice; /* borrowed: agent_verdict_advice(); NULL: no AI agent was asked */
};

/* The Markdown. The caller frees it; NULL without memory. */
char *preview_form_markdown(const struct preview *preview, const struct plan *plan, const struct preview_form *form);

#endif
