/* The watch service: asks which parked runs are no longer Paused, one request for 200 of them; whose turn it is, where
 * runs wait for theirs; whether the forms of parked runs are there; and renews leases. */
#include <string.h>

#include "client/base/log.h"
#include "client/base/text.h"
#include "client/prefect/concurrency.h"
#include "client/prefect/run_input.h"
#include "worker/approval_form.h"
#include "worker/reminder.h"
#include "worker/supersede.h"
#include "worker/timeline.h"
#include "worker/turn.h"
#include "worker/worker.h"

/* Runs that were deleted do not show among those that changed: they are counted this often. */
#define COUNT_EVERY_MS 30000
/* With many parked runs the looks are spread, so that the server sees two requests a second at most. */
#define CHUNK_SPREAD_MS 500
#define QUEUE_EVERY_MS 2000
/* Drawing what runs have left, of a look at them: the others are drawn by take_over_drawings(). */
#define DRAWING_MS 3000
/* Drawing one: less than from one heartbeat to the next, by default. */
#define DRAWING_ONE_MS 20000
/* Looking at forms, of a round, where many are due. */
#define FORMS_MS 500
/* How long a lease is asked for, as Prefect's own client does. */
#define LEASE_S 300

static int draw_ended(struct worker *worker, struct prefect *prefect, const char *id, struct error *err)
{
	const struct flow_spec *flow;
	struct question question;
	struct flow_run run;

	int rc = flow_run_read(prefect, id, &run, err);
	if (rc != 0)
		return rc == ERR_NOT_FOUND ? 0 : rc;
	enum state_type type = (enum state_type)run.state_type;
	bool expired = flow_run_pause_expired(&run);
	rc = worker_find_flow(worker, prefect, run.flow_id, &flow, err);
	if (rc == 0)
		rc = question_read_ended(prefect, &run, &question, err);
	bool ours = rc == 0 && flow != NULL;
	struct flow_ctx *ctx = rc == 0 && flow != NULL && flow->epilogue != NULL && state_type_is_terminal(type)
	                               ? flow_ctx_new(worker, prefect, &run, NULL, NULL, &question)
	                               : NULL;
	bool drawn = ctx == NULL || flow->epilogue(ctx, type, expired);
	flow_ctx_free(ctx);
	flow_run_release(&run);
	/* Its steps stay open: they bring a worker back (take_over_drawings()). */
	if (!drawn)
		return error_set(err, ERR_BUSY, "what is to be read of it cannot be written yet");
	if (ours && state_type_is_terminal(type))
		rc = timeline_close(prefect, id, type, expired ? "nobody answered in time" : "the run ended without it", err);
	return rc;
}

/* What is to be read of a run that ended without its body: the report, and its steps as ended. Services wait for it. */
int watch_draw_ended(struct worker *worker, struct prefect *prefect, const char *id, struct error *err)
{
	prefect_set_deadline(prefect, DRAWING_ONE_MS);
	int rc = draw_ended(worker, prefect, id, err);
	prefect_set_deadline(prefect, 0);
	return rc;
}

/* Ended by the server or by somebody else: the window of the approval has passed, or a state was forced. What was
 * deleted before a pause in the middle of a deletion stays deleted; without an answer nothing ever was. */
int watch_tell_ended(struct worker *worker, struct prefect *prefect, const struct flow_run *run, bool draw, struct error *err)
{
	const char *how = flow_run_pause_expired(run) ? "the time to answer is over" : "the run ended";
	char what[160];

	AUTO_JSON *inputs = NULL;
	bool answered = false;
	size_t i;
	json_t *input;

	int rc = run_input_list(prefect, run->id, "paused-", &inputs, err);
	if (rc != 0)
		return rc;
	json_array_foreach(inputs, i, input)
	{
		const char *key = json_string_value(json_object_get(input, "key"));
		answered = answered || (key != NULL && strstr(key, "-response") != NULL);
	}
	(void)snprintf(what, sizeof what, "%s%s", how,
	               answered ? " while it was paused: nothing was deleted since"
	                        : flow_run_pause_expired(run) ? ", nobody approved: nothing was deleted"
	                                                      : " while it waited for an approval: nothing was deleted");
	/* What cannot be drawn now is drawn later: it keeps nobody waiting here. */
	if (draw && watch_draw_ended(worker, prefect, run->id, err) != 0)
		log_debug("flow run %s: its timeline cannot be ended yet: %s", run->id, err->text);
	rc = flow_run_set_labels(prefect, run->id, ownership_ended_label(run), err);
	/* Refused for good: it is said by the worker that has the run in hand, and by nobody later, who would say it again and again. */
	if (rc != 0 && trouble_is_refusal(err))
		rc = registry_has(&worker->registry, run->id) ? 0 : ERR_NOT_FOUND;
	if (rc != 0)
		return rc == ERR_NOT_FOUND && !registry_has(&worker->registry, run->id) ? 0 : rc;
	if (flow_run_pause_expired(run))
		metrics_count_outcome(&worker->metrics, OUTCOME_EXPIRED);
	log_run(LOG_LEVEL_INFO, run->name, run->id, "%s: %s", run->state_name != NULL ? run->state_name : "?", what);
	run_logs_add(&worker->logs, run->id, LOG_LEVEL_WARNING, what);
	registry_drop(&worker->registry, run->id);
	return 0;
}

/* A parked run is not Paused any more: what now? */
static int on_change(struct worker *worker, struct prefect *prefect, const struct flow_run *run, bool draw, struct error *err)
{
	switch ((enum state_type)run->state_type) {
	case STATE_RUNNING:
	case STATE_PENDING:
		log_run(LOG_LEVEL_INFO, run->name, run->id, "resumed");
		registry_resume(&worker->registry, run->id);
		return 0;
	case STATE_CANCELLING: /* nobody but its worker ends it: the body says how far it had come */
		log_run(LOG_LEVEL_INFO, run->name, run->id, "cancelled");
		registry_resume(&worker->registry, run->id);
		return 0;
	case STATE_SCHEDULED: /* "Resuming" after a pause from the UI, or a retry: the poll brings it */
		registry_drop(&worker->registry, run->id);
		return 0;
	case STATE_COMPLETED:
	case STATE_FAILED:
	case STATE_CANCELLED:
	case STATE_CRASHED:
		return watch_tell_ended(worker, prefect, run, draw, err);
	case STATE_PAUSED:
	case STATE_UNKNOWN:
		break;
	}
	return 0;
}

static json_t *ids_filter(const struct run *parked, size_t count, const char *state_clause)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		(void)json_array_append_new(list, json_string(parked[i].id));
	if (state_clause == NULL)
		return json_pack("{s:{s:o}}", "id", "any_", list);
	return json_pack("{s:{s:o}, s:{s:{s:[s]}}}", "id", "any_", list, "state", "type", state_clause, "PAUSED");
}

static int look_for_changes(struct worker *worker, struct prefect *prefect, const struct run *parked, size_t count,
                            struct error *err)
{
	AUTO_JSON *filter = ids_filter(parked, count, "not_any_");
	int64_t begun_ms = clock_mono_ms();
	struct flow_run *runs;
	size_t changed;

	int rc = flow_run_filter(prefect, &(struct flow_run_query){.flow_runs = filter}, &runs, &changed, err);
	if (rc != 0)
		return rc;
	/* One run that cannot be dealt with must not keep the others waiting. */
	for (size_t i = 0; i < changed; i++) {
		struct error one;
		int failed = on_change(worker, prefect, &runs[i], clock_mono_ms() - begun_ms < DRAWING_MS, &one);
		if (failed != 0 && rc == 0) {
			*err = one;
			rc = error_prefix(err, failed, "flow run %s", runs[i].id);
		}
	}
	flow_runs_release(runs, changed);
	return rc;
}

/* Drops those that do not exist any more. */
static int look_for_deleted(struct worker *worker, struct prefect *prefect, const struct run *parked, size_t count,
                            struct error *err)
{
	AUTO_JSON *filter = ids_filter(parked, count, NULL);
	int64_t there;

	int rc = flow_run_count(prefect, &(struct flow_run_query){.flow_runs = filter}, &there, err);
	for (size_t i = 0; rc == 0 && there < (int64_t)count && i < count; i++) {
		struct flow_run run;

		rc = flow_run_read(prefect, parked[i].id, &run, err);
		if (rc == 0) {
			flow_run_release(&run);
		} else if (rc == ERR_NOT_FOUND) {
			log_run(LOG_LEVEL_WARNING, NULL, parked[i].id,
			        "it was deleted while it waited for an approval, dropping it");
			registry_drop(&worker->registry, parked[i].id);
			rc = 0;
		}
	}
	return rc;
}

/* One look at all parked runs; @ret_requests says how many requests it took. */
static int watch_once(struct worker *worker, struct prefect *prefect, bool count_too, size_t *ret_requests,
                      struct error *err)
{
	static struct run parked[PREFECT_PAGE_MAX]; /* only this thread uses it */
	size_t from = 0;
	int rc = 0;

	*ret_requests = 0;
	while (from != SIZE_MAX) {
		struct error one;
		size_t count = registry_list(&worker->registry, RUN_PARKED, &from, parked, PREFECT_PAGE_MAX);
		if (count == 0)
			break;
		++*ret_requests;
		int failed = look_for_changes(worker, prefect, parked, count, &one);
		if (failed == 0 && count_too)
			failed = look_for_deleted(worker, prefect, parked, count, &one);
		if (failed != 0 && rc == 0)
			*err = one;
		rc = failed != 0 && rc == 0 ? failed : rc;
		if (failed == ERR_STOPPED)
			break;
	}
	return rc;
}

/* --- forms ------------------------------------------------------------------------------------------------ */

/* What the form is and what it should be; puts it back where they differ. The run of @ctx is Paused with @question. */
static int put_form_back(struct prefect *prefect, struct flow_ctx *ctx, const struct flow_spec *flow, const char *deployment_id,
                         const struct question *question, uint64_t *ret_print, bool *ret_shown, struct error *err)
{
	struct flow_form shown;
	struct flow_form wanted;
	const char *id = flow_run_id(ctx);
	bool superseded = false;
	bool late = false;

	int rc = approval_form_read(prefect, id, question, &shown, err);
	if (rc != 0)
		return rc;
	uint64_t print = approval_form_print(&shown);
	*ret_shown = print != 0;
	rc = flow->form(ctx, &shown, &wanted, err);
	flow_form_release(&shown);
	if (rc != 0)
		return rc;
	*ret_print = approval_form_print(&wanted);
	/* It may have been removed so that nobody answers any more. */
	if (*ret_print != print)
		rc = supersede_is_due(prefect, id, deployment_id, flow_state(ctx), &superseded, err);
	if (rc == 0 && superseded) {
		*ret_print = 0;
	} else if (rc == 0 && *ret_print != print) {
		rc = approval_form_put_back(prefect, id, question, &wanted, &late, err);
		if (rc == 0 && !late)
			flow_log(ctx, LOG_LEVEL_WARNING, "the form of this approval was not there as it should be, and is put back");
	}
	flow_form_release(&wanted);
	return rc;
}

/* A run of the list, with what the server says of it now. *ret_form: what is known of its form. */
static int look_at_form(struct worker *worker, struct prefect *prefect, const struct run *parked, struct run_form *ret_form,
                        bool *ret_shown, struct error *err)
{
	const struct flow_spec *flow = NULL;
	char deployment_id[UUID_SIZE];
	struct question question;
	struct flow_run run;
	int number = 0;

	int rc = flow_run_read(prefect, parked->id, &run, err);
	if (rc != 0)
		return rc == ERR_NOT_FOUND ? 0 : rc; /* look_for_deleted() sees to it */
	rc = question_of_run(&run, &number, err);
	if (rc == 0 && number != 0)
		rc = worker_find_flow(worker, prefect, run.flow_id, &flow, err);
	if (rc == 0 && number != 0)
		rc = question_read(prefect, &run, &question, err);
	/* Paused by hand, there is nothing to answer; not Paused any more, it is another look's business. */
	if (rc == 0 && run.state_type == STATE_PAUSED && number == 0)
		ret_form->known = true;
	if (rc != 0 || flow == NULL || flow->form == NULL || !question.asked || question.number != number) {
		flow_run_release(&run);
		return rc;
	}
	ret_form->number = number;
	ret_form->remind_at = reminder_of_run(&run, number);
	memcpy(deployment_id, run.deployment_id, UUID_SIZE);
	struct flow_ctx *ctx = flow_ctx_new(worker, prefect, &run, NULL, NULL, &question);
	rc = ctx == NULL ? error_nomem(err)
	                 : put_form_back(prefect, ctx, flow, deployment_id, &question, &ret_form->print, ret_shown, err);
	flow_ctx_free(ctx);
	flow_run_release(&run);
	ret_form->known = rc == 0;
	return rc;
}

/* So many looks fail before it is said in the run's log, and so many come soon after each other. */
#define FORM_FAILURES_TOLD 3
#define FORM_SOON_TRIES 6

static void tell_form(struct worker *worker, const char *id, bool shown, const struct error *err)
{
	AUTO_TEXT line = {.max = 1500};

	if (shown)
		text_addf(&line, "whether the form of this approval is as it should be cannot be told: %s", err->text);
	else
		text_addf(&line, "nobody can answer: the form of this approval is not there, and cannot be put back now (%s); it is tried "
		          "again every minute; where that does not help, cancel this run and start another", err->text);
	log_run(LOG_LEVEL_WARNING, NULL, id, "%s", text_str(&line));
	run_logs_add(&worker->logs, id, LOG_LEVEL_WARNING, text_str(&line));
}

/* Reminds of a question whose time has come; what fails is tried again at the next look. */
static void remind(struct worker *worker, struct prefect *prefect, const char *id, struct run_form *form)
{
	struct error err;

	if (form->remind_at == 0 || server_clock_now(&worker->clock) < form->remind_at)
		return;
	if (reminder_give(worker, prefect, id, form->number, &err) == 0)
		form->remind_at = 0;
	else
		log_debug("flow run %s: no reminder can be given yet: %s", id, err.text);
}

static void watch_form(struct worker *worker, struct prefect *prefect, const struct run *run)
{
	int64_t every_ms = FORM_EVERY_ROUNDS * worker->settings->watch_ms;
	struct run_form form = run->form;
	uint64_t stored = 0;
	bool shown = false;
	struct error err;
	int rc = 0;

	if (form.print != 0)
		rc = approval_form_stored(prefect, run->id, &(struct question){.number = form.number}, &stored, &err);
	if (rc == 0 && (form.print == 0 || form.print != stored))
		rc = look_at_form(worker, prefect, run, &form, &shown, &err);
	if (rc == ERR_STOPPED)
		return;
	if (rc == 0)
		remind(worker, prefect, run->id, &form);
	form.failures = rc != 0 ? run->form.failures + 1 : 0;
	if (form.failures > 0 && form.failures < FORM_SOON_TRIES) /* after 1, 2, 4 ... rounds */
		every_ms = worker->settings->watch_ms << (form.failures - 1);
	/* A short wait is reminded of in time too. */
	int64_t remind_ms = (form.remind_at - server_clock_now(&worker->clock)) / 1000;
	if (form.remind_at != 0 && remind_ms > 0 && remind_ms < every_ms)
		every_ms = remind_ms;
	form.due_ms = clock_mono_ms() + every_ms;
	registry_note_form(&worker->registry, run->id, &form);
	if (form.failures == FORM_FAILURES_TOLD)
		tell_form(worker, run->id, shown, &err);
}

void watch_forms(struct worker *worker, struct prefect *prefect)
{
	int64_t until_ms = clock_mono_ms() + FORMS_MS;
	struct run run;

	while (!stop_asked(&worker->stop) && registry_next_form(&worker->registry, clock_mono_ms(), &run)) {
		watch_form(worker, prefect, &run);
		if (clock_mono_ms() >= until_ms)
			break;
	}
}

/* Whose turn is it? A queued run that has left the queue, or that stands behind somebody else now, looks for itself. */
static int watch_queue(struct worker *worker, struct prefect *prefect, struct error *err)
{
	static struct run queued[PREFECT_PAGE_MAX]; /* only this thread uses it */
	struct owner self = worker_owner(worker);
	struct turn turn;
	size_t from = 0;

	size_t count = registry_list(&worker->registry, RUN_QUEUED, &from, queued, PREFECT_PAGE_MAX);
	if (count == 0)
		return 0;
	int rc = turn_read(prefect, worker->settings->pool, &self, &turn, err);
	if (rc != 0)
		return rc;
	while (count > 0) {
		for (size_t i = 0; i < count; i++)
			if (strcmp(queued[i].behind, turn.first) != 0 || !turn_has(&turn, queued[i].id))
				registry_resume(&worker->registry, queued[i].id);
		count = from == SIZE_MAX ? 0 : registry_list(&worker->registry, RUN_QUEUED, &from, queued, PREFECT_PAGE_MAX);
	}
	turn_release(&turn);
	return 0;
}

/* A lease that was found gone twice is lost where its run is Running all the same: by any other state the server took
 * the slot back as it should. Said once; stops nothing that was approved. */
static int tell_lost_lease(struct worker *worker, struct prefect *prefect, const char *id, struct error *err)
{
	static const char lost[] = "the slot of the deployment's concurrency limit is lost (its lease was given back or has "
	                           "expired); going on: what was approved stays approved";
	struct flow_run run;

	int rc = flow_run_read(prefect, id, &run, err);
	if (rc != 0)
		return rc == ERR_NOT_FOUND ? 0 : rc;
	bool running = run.state_type == STATE_RUNNING;
	flow_run_release(&run);
	if (!running)
		return 0;
	log_run(LOG_LEVEL_WARNING, NULL, id, "%s", lost);
	run_logs_add(&worker->logs, id, LOG_LEVEL_WARNING, lost);
	return 0;
}

/* Renews the leases that are due. */
static int renew_leases(struct worker *worker, struct prefect *prefect, struct error *err)
{
	int64_t every_ms = 3 * worker->settings->heartbeat_ms;
	struct run run;

	if (every_ms > LEASE_S * 1000 / 3)
		every_ms = LEASE_S * 1000 / 3;
	while (registry_next_lease(&worker->registry, clock_mono_ms(), every_ms, &run)) {
		int rc = concurrency_lease_renew(prefect, run.lease, LEASE_S, err);
		if (rc == 0) {
			if (!run.lease_held)
				log_run(LOG_LEVEL_DEBUG, NULL, run.id,
				        "holds a slot of the deployment's concurrency limit");
			registry_lease_is_held(&worker->registry, run.id);
			continue;
		}
		if (rc != ERR_NOT_FOUND && rc != ERR_NO_ROUTE && rc != ERR_INVALID)
			return rc;
		bool lost = registry_miss_lease(&worker->registry, run.id, run.lease, clock_mono_ms() + QUEUE_EVERY_MS);
		if (lost && run.lease_held && (rc = tell_lost_lease(worker, prefect, run.id, err)) != 0) {
			/* To be told when the server answers again. */
			registry_hold_lease(&worker->registry, run.id, run.lease, /* held= */ true);
			return rc;
		}
	}
	return 0;
}

/* What is looked at beside the parked runs, less often. */
static int watch_others(struct worker *worker, struct prefect *prefect, int64_t *next_ms, struct error *err)
{
	if (clock_mono_ms() < *next_ms)
		return 0;
	*next_ms = clock_mono_ms() + QUEUE_EVERY_MS;
	int rc = watch_queue(worker, prefect, err);
	return rc != 0 ? rc : renew_leases(worker, prefect, err);
}

void *watch_thread(void *arg)
{
	struct worker *worker = arg;
	struct prefect *prefect = worker_service_session(worker);
	struct error err;
	int64_t next_count_ms = 0;
	int64_t next_others_ms = 0;
	struct trouble trouble = {0};
	int64_t wait = worker->settings->watch_ms;

	while (prefect != NULL && worker_rest(worker, &trouble, wait)) {
		metrics_beat(&worker->metrics, SERVICE_WATCH);
		size_t requests;
		bool count_too = clock_mono_ms() >= next_count_ms;
		int rc = watch_once(worker, prefect, count_too, &requests, &err);
		/* One parked run that cannot be dealt with must not keep the queue and the leases waiting. */
		struct error other;
		int failed = rc == ERR_STOPPED ? 0 : watch_others(worker, prefect, &next_others_ms, &other);
		if (rc == 0 && failed != 0) {
			err = other;
			rc = failed;
		}
		watch_forms(worker, prefect);

		(void)worker_tell(worker, &trouble, "looking at the paused runs", rc, &err);
		if (count_too)
			next_count_ms = clock_mono_ms() + COUNT_EVERY_MS;
		wait = worker->settings->watch_ms;
		if ((int64_t)requests * CHUNK_SPREAD_MS > wait)
			wait = (int64_t)requests * CHUNK_SPREAD_MS;
		if (rc != 0)
			wait = trouble_wait_ms(&trouble, &err);
	}
	prefect_free(prefect);
	return NULL;
}
