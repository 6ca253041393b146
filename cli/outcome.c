#include "cli/outcome.h"

#include <string.h>

#include "cli/history.h"

static json_t *text_or_null(const char *text)
{
	return text != NULL && *text != '\0' ? json_string(text) : json_null();
}

/* The report of the run's end; none where it is of an earlier question, as of a run that was retried. */
static int read_report(struct session *session, const struct cleanup_run *run, json_t **ret_report, struct error *err)
{
	AUTO_JSON *reports = NULL;
	time_us finished;

	if (!state_type_is_terminal((enum state_type)run->state.type))
		return 0;
	int rc = history_read(session->prefect, run->run.id, 1, &reports, err);
	if (rc != 0)
		return rc;
	json_t *report = json_array_get(reports, 0);
	if (time_parse(json_text_of(report, "finished_at"), &finished) && finished < run->asked_at)
		return 0;
	*ret_report = json_incref(report);
	return 0;
}

/* The answer to the form; *ret_decision stays NULL where there is none. */
static int read_answer(struct session *session, const struct cleanup_run *run, json_t **ret_decision, struct error *err)
{
	AUTO_JSON *answer = NULL;

	if (run->decided_at == 0)
		return 0;
	int rc = cleanup_run_answer(session, run, &answer, err);
	if (rc != 0)
		return rc == ERR_NOT_FOUND || rc == ERR_DECODE ? 0 : rc;
	*ret_decision = json_pack("{s:b, s:n, s:o, s:o}", "approved", json_is_true(json_object_get(answer, "approve")), "by", "notes",
	                          text_or_null(json_text_of(answer, "notes")), "decided_at", json_time(run->decided_at));
	return *ret_decision != NULL ? 0 : error_nomem(err);
}

int outcome_read(struct session *session, const struct cleanup_run *run, json_t **ret_outcome, struct error *err)
{
	AUTO_JSON *report = NULL;
	json_t *decision = NULL;

	int rc = read_report(session, run, &report, err);
	if (rc != 0)
		return rc;
	const json_t *told = json_object_get(report, "decision");
	if (json_is_object(told)) {
		const char *at = json_text_of(told, "decided_at");
		json_t *when = *at == '\0' && run->decided_at != 0 ? json_time(run->decided_at) : text_or_null(at);
		decision = json_pack("{s:b, s:o, s:o, s:o}", "approved", json_is_true(json_object_get(told, "approved")), "by",
		                     text_or_null(json_text_of(told, "by")), "notes", text_or_null(json_text_of(told, "notes")), "decided_at", when);
		rc = decision != NULL ? 0 : error_nomem(err);
	} else {
		rc = read_answer(session, run, &decision, err);
	}
	if (rc != 0)
		return rc;
	*ret_outcome = json_pack("{s:o, s:O}", "decision", decision != NULL ? decision : json_null(), "report",
	                         report != NULL ? report : json_null());
	return *ret_outcome != NULL ? 0 : error_nomem(err);
}
