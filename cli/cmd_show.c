/* `prefect-janitor show RUN`: the whole preview of a run, and what became of it. Reads only. */
#include <stdio.h>

#include "cli/question_view.h"

#define INTRO                                                                                   \
	"Shows a run of database-cleanup: its state, the whole preview with its tables, and once it was\n" \
	"decided who or what decided, when, with which notes, and the result.\n"                       \
	"\n"                                                                                          \
	"Usage: prefect-janitor show RUN [OPTIONS]\n"

#define OUTRO                                                                                   \
	"prefect-janitor approve RUN and prefect-janitor reject RUN decide it.\n"                       \
	"\n"                                                                                          \
	"With --output json it is an object that always has the same keys. decision: {approved, by, notes,\n" \
	"decided_at}, report: as history has it; each is null where there is none.\n"

static int show(struct session *session, const struct cleanup_run *run, struct error *err)
{
	struct plan plan = {0};
	AUTO_FREE char *description = NULL;
	AUTO_FREE char *page = NULL;
	json_t *json = NULL;

	int rc = cleanup_run_read(session, run, &plan, &description, err);
	bool planned = rc == 0;
	if (rc != 0 && rc != ERR_NOT_FOUND) /* nothing matched, or it has not come so far */
		return rc;
	rc = planned ? cleanup_run_preview(session, run, &plan, &page, err) : 0;
	if (rc != 0) {
		plan_release(&plan);
		return rc;
	}
	if (session->settings->output == OUTPUT_JSON) {
		rc = question_view_json(session, run, planned ? &plan : NULL, description, page, &json, err);
		if (rc == 0)
			rc = command_print_json(json, err);
	} else {
		rc = question_view(session, run, page != NULL ? page : planned ? description : "No preview: the run has made no plan.", stdout, err);
	}
	plan_release(&plan);
	return rc;
}

static int run_show(struct session *session, struct error *err)
{
	struct cleanup_run run;

	int rc = cleanup_run_find(session, session->settings->run, &run, err);
	if (rc != 0)
		return rc;
	rc = show(session, &run, err);
	cleanup_run_release(&run);
	return rc;
}

int command_show(int argc, char **argv)
{
	return command_client(
		&(struct client_command){.name = "show", .bit = COMMAND_SHOW, .intro = INTRO, .outro = OUTRO, .run = run_show}, argc,
		argv);
}
