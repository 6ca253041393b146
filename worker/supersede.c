#include "worker/supersede.h"

#include <string.h>

#include "client/base/log.h"
#include "client/base/text.h"
#include "client/prefect/run_input.h"
#include "worker/approval_form.h"

/* An answer that the server had begun to take before the schema was removed is stored by then. */
#define SETTLE_MS 1000
/* From reading a run to having it cancelled: what was read is not older than that. */
#define CANCEL_MS 5000
/* Newer runs that are looked at. */
#define NEWER_MAX 20

/* A run that asks, of a page of runs. */
struct asking {
	const struct flow_run *run; /* borrowed */
	int number;                 /* of its question */
	time_us asked_at;
};

/* Proposes Cancelled; *ret_done: the run is in that state by it. */
static int cancel(struct worker *worker, struct prefect *prefect, const struct flow_run *run, const char *by, bool *ret_done,
                  struct error *err)
{
	AUTO_TEXT message = {.max = 300};
	AUTO_TEXT line = {.max = 400};
	struct state_answer answer;

	text_addf(&message, "superseded by %.200s", by);
	int rc = state_propose(prefect, run->id, &(struct state_proposal){.type = STATE_CANCELLED, .name = "Cancelled",
	                                                                  .message = text_str(&message)}, &answer, err);
	if (rc != 0)
		return rc;
	*ret_done = answer.status == STATE_ACCEPT;
	state_answer_release(&answer);
	if (!*ret_done)
		return 0;
	text_addf(&line, "%s, a newer run of the same deployment: nothing was deleted", text_str(&message));
	log_run(LOG_LEVEL_INFO, run->name, run->id, "%s", text_str(&line));
	run_logs_add(&worker->logs, run->id, LOG_LEVEL_INFO, text_str(&line));
	metrics_count_outcome(&worker->metrics, OUTCOME_CANCELLED);
	return 0;
}

/* --- late runs --------------------------------------------------------------------------------------------- */

/* Scheduled, and never begun: not a retry, nor a run that goes on after a pause. */
static bool waits_to_begin(const struct flow_run *run)
{
	static const char *const names[] = {"Scheduled", "Late", "AwaitingConcurrencySlot"};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (run->state_type == STATE_SCHEDULED && run->state_name != NULL && strcmp(run->state_name, names[i]) == 0)
			return run->start_time == 0;
	return false;
}

static bool is_newer(const struct flow_run *run, const struct flow_run *than)
{
	if (run->expected_start != than->expected_start)
		return run->expected_start > than->expected_start;
	return strcmp(run->id, than->id) > 0;
}

/* The newest run of the same deployment that is due or works; "" in @ret_name for none. */
static int find_newer(struct prefect *prefect, const struct flow_run *run, char ret_name[JSON_LABEL_SIZE], struct error *err)
{
	time_us now = prefect_now(prefect);
	AUTO_JSON *filter = json_pack("{s:{s:[s]}, s:{s:{s:[s,s,s,s]}}, s:{s:o, s:o}}", "deployment_id", "any_", run->deployment_id,
	                              "state", "type", "any_", "SCHEDULED", "PENDING", "RUNNING", "PAUSED", "expected_start_time",
	                              "after_", json_time(run->expected_start), "before_", json_time(now));
	const struct flow_run *newest = run;
	struct flow_run *runs;
	size_t count;

	if (filter == NULL)
		return error_nomem(err);
	int rc = flow_run_filter(prefect, &(struct flow_run_query){.flow_runs = filter, .sort = "EXPECTED_START_TIME_DESC",
	                                                           .limit = NEWER_MAX}, &runs, &count, err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < count; i++) {
		/* Moved to a later time, it does not work now. */
		bool later = runs[i].state_type == STATE_SCHEDULED && runs[i].next_scheduled_start > now;
		if (!later && strcmp(runs[i].id, run->id) != 0 && is_newer(&runs[i], newest))
			newest = &runs[i];
	}
	(void)snprintf(ret_name, JSON_LABEL_SIZE, "%s", newest == run ? "" : newest->name);
	flow_runs_release(runs, count);
	return 0;
}

/* The run as it is now, and no older than CANCEL_MS when the server takes the proposal. */
static int cancel_if_waiting(struct worker *worker, struct prefect *prefect, const struct flow_run *run, const char *by,
                             bool *ret_done, struct error *err)
{
	struct flow_run now;

	int rc = flow_run_read(prefect, run->id, &now, err);
	if (rc != 0)
		return rc;
	rc = waits_to_begin(&now) ? cancel(worker, prefect, &now, by, ret_done, err) : 0;
	flow_run_release(&now);
	return rc;
}

int supersede_late(struct worker *worker, struct prefect *prefect, const struct flow_run *run, bool *ret_superseded,
                   struct error *err)
{
	char by[JSON_LABEL_SIZE];

	*ret_superseded = false;
	if (run->deployment_id[0] == '\0' || !waits_to_begin(run) || run->expected_start == 0)
		return 0;
	int rc = find_newer(prefect, run, by, err);
	if (rc != 0 || by[0] == '\0')
		return rc;
	prefect_set_deadline(prefect, CANCEL_MS);
	rc = cancel_if_waiting(worker, prefect, run, by, ret_superseded, err);
	prefect_set_deadline(prefect, 0);
	return rc;
}

/* --- open questions ----------------------------------------------------------------------------------------- */

/* What @run asks; false where it asks nothing, or that cannot be read. */
static bool read_asking(const struct flow_run *run, struct asking *ret_asking)
{
	*ret_asking = (struct asking){.run = run, .asked_at = state_time(run->state)};
	return question_of_run(run, &ret_asking->number, NULL) == 0 && ret_asking->number != 0 && ret_asking->asked_at != 0;
}

static bool asked_later(const struct asking *asking, const char *than_id, time_us than_asked_at)
{
	if (asking->asked_at != than_asked_at)
		return asking->asked_at > than_asked_at;
	return strcmp(asking->run->id, than_id) > 0;
}

static int list_paused(struct prefect *prefect, const char *deployment_id, struct flow_run **ret_runs, size_t *ret_count,
                       struct error *err)
{
	AUTO_JSON *filter = json_pack("{s:{s:[s]}, s:{s:{s:[s]}}}", "deployment_id", "any_", deployment_id, "state", "type", "any_",
	                              "PAUSED");

	if (filter == NULL)
		return error_nomem(err);
	return flow_run_filter(prefect, &(struct flow_run_query){.flow_runs = filter, .sort = "START_TIME_DESC"}, ret_runs,
	                       ret_count, err);
}

/* The schema was removed, and the run was answered all the same: before that. */
static int restore(struct prefect *prefect, const struct asking *old, const struct flow_form *form, struct error *err)
{
	char key[QUESTION_KEY_SIZE];

	if (form->schema == NULL)
		return 0;
	return run_input_replace(prefect, old->run->id,
	                         question_input_key(&(struct question){.number = old->number}, "schema", key), form->schema, err);
}

/* The form is gone: is the run still Paused for its question? Then nobody can answer it any more. */
static int cancel_if_asking(struct worker *worker, struct prefect *prefect, const struct asking *old, const struct flow_form *form,
                            const char *by, struct error *err)
{
	struct flow_run now;
	bool done = false;
	int number = 0;

	int rc = flow_run_read(prefect, old->run->id, &now, err);
	if (rc != 0)
		return rc == ERR_NOT_FOUND ? 0 : rc;
	rc = question_of_run(&now, &number, err);
	if (rc == 0 && number == old->number)
		rc = cancel(worker, prefect, &now, by, &done, err);
	else if (rc == 0 && !state_type_is_terminal((enum state_type)now.state_type))
		rc = restore(prefect, old, form, err);
	flow_run_release(&now);
	return rc;
}

static int supersede(struct worker *worker, struct prefect *prefect, const struct asking *old, const char *by, struct error *err)
{
	const struct question question = {.number = old->number};
	char key[QUESTION_KEY_SIZE];
	struct flow_form form;

	int rc = approval_form_read(prefect, old->run->id, &question, &form, err);
	if (rc != 0)
		return rc;
	rc = run_input_delete(prefect, old->run->id, question_input_key(&question, "schema", key), err);
	if (rc == 0 && stop_wait(&worker->stop, SETTLE_MS))
		rc = error_set(err, ERR_STOPPED, "stopped");
	prefect_set_deadline(prefect, CANCEL_MS);
	if (rc == 0)
		rc = cancel_if_asking(worker, prefect, old, &form, by, err);
	prefect_set_deadline(prefect, 0);
	flow_form_release(&form);
	return rc;
}

int supersede_older(struct worker *worker, struct prefect *prefect, const char *deployment_id, struct error *err)
{
	struct asking asking[PREFECT_PAGE_MAX];
	struct flow_run *runs;
	size_t newest = 0;
	size_t count;
	size_t asked = 0;

	int rc = list_paused(prefect, deployment_id, &runs, &count, err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < count && asked < PREFECT_PAGE_MAX; i++)
		asked += read_asking(&runs[i], &asking[asked]);
	for (size_t i = 1; i < asked; i++)
		if (asked_later(&asking[i], asking[newest].run->id, asking[newest].asked_at))
			newest = i;
	for (size_t i = 0; i < asked && rc == 0; i++)
		if (i != newest)
			rc = supersede(worker, prefect, &asking[i], asking[newest].run->name, err);
	flow_runs_release(runs, count);
	return rc;
}

int supersede_is_due(struct prefect *prefect, const char *id, const char *deployment_id, const json_t *state, bool *ret_due,
                     struct error *err)
{
	const time_us asked_at = state_time(state);
	struct asking other;
	struct flow_run *runs;
	size_t count;

	*ret_due = false;
	if (deployment_id[0] == '\0' || asked_at == 0)
		return 0;
	int rc = list_paused(prefect, deployment_id, &runs, &count, err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < count; i++)
		*ret_due = *ret_due || (strcmp(runs[i].id, id) != 0 && read_asking(&runs[i], &other) && asked_later(&other, id, asked_at));
	flow_runs_release(runs, count);
	return 0;
}
