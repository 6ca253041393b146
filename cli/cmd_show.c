/* `prefect-janitor show RUN`: the whole preview of a run, and what became of it. Reads only. */
#include <stdio.h>

#include "cli/question_view.h"

#define INTRO                                                                                   \
	"Shows a run of database-cleanup: its state, and the whole preview as its form shows it.\n"  \
	"\n"                                                                                          \
	"Usage: prefect-janitor show RUN [OPTIONS]\n"

#define OUTRO                                                                                   \
	"prefect-janitor approve RUN and prefect-janitor reject RUN decide it.\n"

static int show(struct session *session, const struct cleanup_run *run, struct error *err)
{
	struct plan plan;
	AUTO_FREE char *description = NULL;

	int rc = cleanup_run_read(session, run, &plan, &description, err);
	if (rc == ERR_NOT_FOUND) { /* nothing matched, or it has not come so far */
		if (session->settings->output == OUTPUT_JSON)
			return command_print_json(cleanup_run_json(session, run), err);
		return question_view(session, run, "No preview: the run has made no plan.", stdout, err);
	}
	if (rc != 0)
		return rc;
	if (session->settings->output == OUTPUT_JSON)
		rc = command_print_json(question_view_json(session, run, &plan, description), err);
	else
		rc = question_view(session, run, description, stdout, err);
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
