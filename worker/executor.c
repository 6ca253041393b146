/* Executors: one thread for each running flow body, from claiming the run to its outcome. */
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "client/base/log.h"
#include "client/base/text.h"
#include "client/prefect/concurrency.h"
#include "client/prefect/deployment.h"
#include "worker/pool.h"
#include "worker/supersede.h"
#include "worker/turn.h"
#include "worker/worker.h"

/* A body needs little stack; the default of 8 MB would only be reserved. */
#define STACK_SIZE (512 * 1024)
/* The server rounds a WAIT to whole seconds. */
#define WAIT_MAX_MS 60000
/* A body that had to leave its run is started again after this. */
#define AGAIN_US (5 * US_PER_SEC)

struct execution {
	struct execution *next; /* in worker->executions; guarded by worker->lock, as is `finished` */
	bool finished;
	pthread_t thread;
	struct worker *worker;
	struct prefect *prefect;
	struct run handle;      /* as the registry knows it */
	int64_t wait_ms;        /* before the next try, where the last one failed; else 0 */
	struct flow_run run;    /* as the server knows it */
	const struct flow_spec *flow;
	json_t *job_variables;  /* of the deployment; may be NULL */
	bool pool_paused;
	json_t *template;       /* of the pool, as it is now: its defaults can be edited in the UI */
	struct question question;
	struct run_form form;   /* of a run that its body has parked */
	char behind[UUID_SIZE]; /* whose turn it was when the body returned FLOW_QUEUED */
};

/* What a step says about the rest of the execution. */
enum step { STEP_ON, STEP_DROP, STEP_LATER, STEP_PARK };

static enum step on_error(struct execution *e, const char *what, const struct error *err)
{
	if (err->code == ERR_NOT_FOUND) {
		log_run(LOG_LEVEL_WARNING, NULL, e->handle.id, "it was deleted, dropping it");
		return STEP_DROP;
	}
	(void)worker_tell_run(e->worker, &e->handle.trouble, e->handle.id, what, err->code, err);
	e->wait_ms = trouble_wait_ms(&e->handle.trouble, err);
	return STEP_LATER;
}

/* What is missing is something else than the run: a pool or a flow that was deleted. The run is looked at again. */
static enum step on_error_beside(struct execution *e, const char *what, struct error *err)
{
	err->code = err->code == ERR_NOT_FOUND ? ERR_BUSY : err->code;
	return on_error(e, what, err);
}

/* What the server says of the run now: a remembered state is worth nothing. */
static enum step read_run(struct execution *e)
{
	struct error err;

	flow_run_release(&e->run);
	if (flow_run_read(e->prefect, e->handle.id, &e->run, &err) != 0)
		return on_error(e, "it cannot be read", &err);
	return STEP_ON;
}

static enum step find_flow(struct execution *e)
{
	struct deployment deployment;
	struct error err;

	if (worker_find_flow(e->worker, e->prefect, e->run.flow_id, &e->flow, &err) != 0)
		return on_error_beside(e, "its flow cannot be read", &err);
	if (e->flow == NULL)
		return STEP_DROP;
	if (e->run.deployment_id[0] == '\0')
		return STEP_ON;

	int rc = deployment_read(e->prefect, e->run.deployment_id, &deployment, &err);
	if (rc == ERR_NOT_FOUND)
		return STEP_ON; /* deleted meanwhile: the pool's defaults hold */
	if (rc != 0)
		return on_error(e, "its deployment cannot be read", &err);
	e->job_variables = json_incref(deployment.job_variables);
	deployment_release(&deployment);
	return STEP_ON;
}

/* Proposes a state; STEP_ON where the run is in it now. *ret_wait_s: on WAIT, else 0. */
static enum step propose(struct execution *e, const struct state_proposal *proposal, int64_t *ret_wait_s)
{
	struct state_answer answer;
	struct error err;
	enum step step;

	*ret_wait_s = 0;
	if (state_propose(e->prefect, e->handle.id, proposal, &answer, &err) != 0)
		return on_error(e, "its state cannot be set", &err);

	switch (answer.status) {
	case STATE_ACCEPT:
		step = STEP_ON;
		break;
	case STATE_WAIT:
		*ret_wait_s = answer.wait_s;
		step = STEP_LATER;
		break;
	case STATE_REJECT:
	case STATE_ABORT:
	default:
		if (e->handle.ours && answer.state.type == STATE_CANCELLING) {
			step = STEP_ON; /* ours to end: the body does it */
			break;
		}
		/* Another worker was faster, a concurrency limit holds it back, it was cancelled: not ours now. Where the
		 * server scheduled it anew, the poll brings it again. */
		log_run(LOG_LEVEL_INFO, e->run.name, e->handle.id, "not started: %s",
		        answer.reason != NULL ? answer.reason : "the server gives no reason");
		step = STEP_DROP;
		break;
	}
	state_answer_release(&answer);
	return step;
}

int executor_sign(struct worker *worker, struct prefect *prefect, const char *id, struct error *err)
{
	char host[200] = "unknown";
	char pid[256];
	struct work_pool pool;

	int rc = work_pool_read(prefect, worker->settings->pool, &pool, err);
	if (rc != 0)
		return rc;
	(void)gethostname(host, sizeof host - 1);
	(void)snprintf(pid, sizeof pid, "%s:%ld", host, (long)getpid());
	rc = flow_run_set_labels(prefect, id,
	                         json_pack("{s:s, s:s, s:s, s:s, s:s}", LABEL_WORKER_NAME, worker->name, LABEL_INSTANCE,
	                                   worker->instance, "prefect.worker.type", WORKER_TYPE, LABEL_POOL_NAME,
	                                   pool.name, "prefect.work-pool.id", pool.id),
	                         err);
	work_pool_release(&pool);
	return rc != 0 ? rc : flow_run_set_pid(prefect, id, pid, err);
}

int executor_owns(struct worker *worker, struct prefect *prefect, const struct flow_run *run, bool *ret_owns,
                  struct error *err)
{
	struct owner self = worker_owner(worker);
	struct taking latest;

	*ret_owns = ownership_is(run, &self);
	if (*ret_owns)
		return 0;
	int rc = ownership_read(prefect, run->id, "", &latest, err);
	*ret_owns = rc == 0 && latest.number > 0 && strcmp(latest.instance, self.instance) == 0;
	if (!*ret_owns)
		return rc;
	/* Ours by the record that counts: the labels did not arrive, although the answer said so. Where the server refuses
	 * them, the record alone has to do. */
	rc = executor_sign(worker, prefect, run->id, err);
	return rc != 0 && trouble_is_refusal(err) ? 0 : rc;
}

/* The server refuses what has to be noted of a run of ours, and would for ever: the run ends, and says why. */
static enum step end_refused(struct execution *e, const char *what, struct error *err)
{
	/* The server takes nothing else after Cancelling. */
	bool cancelling = e->run.state_type == STATE_CANCELLING;
	AUTO_TEXT message = {.max = sizeof err->text + 200};
	struct state_answer answer;

	text_addf(&message, "%s: %s; nothing was deleted since", what, err->text);
	struct state_proposal proposal = {.type = cancelling ? STATE_CANCELLED : STATE_FAILED,
	                                  .name = cancelling ? "Cancelled" : "Failed", .message = text_str(&message)};
	if (state_propose(e->prefect, e->handle.id, &proposal, &answer, err) != 0)
		return on_error(e, "its state cannot be set", err);
	bool ended = answer.status == STATE_ACCEPT;
	state_answer_release(&answer);
	if (!ended)
		return STEP_LATER;
	log_run(LOG_LEVEL_ERROR, e->run.name, e->handle.id, "%s: %s", proposal.name, text_str(&message));
	run_logs_add(&e->worker->logs, e->handle.id, LOG_LEVEL_ERROR, text_str(&message));
	metrics_count_final(&e->worker->metrics, proposal.type, NULL);
	return STEP_DROP;
}

/* After a note about a run of ours could not be written. */
static enum step on_note_error(struct execution *e, const char *what, struct error *err)
{
	return trouble_is_refusal(err) ? end_refused(e, what, err) : on_error_beside(e, what, err);
}

/* Takes a run that was just claimed: the first owner, or the next one of a run that is done again. */
static enum step sign(struct execution *e)
{
	struct owner self = worker_owner(e->worker);
	struct error err;
	struct taking latest;

	int rc = ownership_read(e->prefect, e->handle.id, "claimed", &latest, &err);
	if (rc == 0)
		rc = ownership_take(e->prefect, e->handle.id, &self, &latest, "claimed", &err);
	if (rc == ERR_CONFLICT)
		return STEP_DROP;
	if (rc == 0)
		rc = executor_sign(e->worker, e->prefect, e->handle.id, &err);
	return rc == 0 ? STEP_ON : on_note_error(e, "it cannot be marked", &err);
}

static enum step read_template(struct execution *e)
{
	struct work_pool pool;
	struct error err;

	if (work_pool_read(e->prefect, e->worker->settings->pool, &pool, &err) != 0)
		return on_error_beside(e, "its work pool cannot be read", &err);
	e->template = json_incref(pool.template);
	e->pool_paused = pool.is_paused;
	work_pool_release(&pool);
	return STEP_ON;
}

/* A pool or a queue that was paused after its runs were fetched: they stay where they are. */
static enum step obey_pauses(struct execution *e)
{
	struct error err;
	bool paused = e->pool_paused;

	if (!paused && e->run.work_queue_id[0] != '\0') {
		int rc = work_queue_is_paused(e->prefect, e->run.work_queue_id, &paused, &err);
		if (rc != 0 && rc != ERR_NOT_FOUND) /* a queue that was deleted pauses nothing */
			return on_error(e, "its work queue cannot be read", &err);
	}
	if (paused)
		log_run(LOG_LEVEL_INFO, e->run.name, e->handle.id,
		        "its work pool or work queue is paused, leaving it for later");
	return paused ? STEP_DROP : STEP_ON;
}

/* A newer run of the deployment is there: this one is not begun. */
static enum step make_way(struct execution *e)
{
	struct error err;
	bool superseded;

	if (supersede_late(e->worker, e->prefect, &e->run, &superseded, &err) != 0)
		return on_error(e, "whether a newer run takes its place cannot be told", &err);
	return superseded ? STEP_DROP : STEP_ON;
}

/* Is the run Pending by the claim of this very handle? */
static bool is_our_claim(const struct execution *e)
{
	const char *id =
		json_string_value(json_object_get(json_object_get(e->run.state, "state_details"), "transition_id"));

	return e->run.state_type == STATE_PENDING && id != NULL && strcmp(id, e->handle.claim) == 0;
}

/* From Scheduled to Pending: whoever gets the server's ACCEPT has the run. */
static enum step claim(struct execution *e)
{
	int64_t wait_s;

	if (is_our_claim(e)) {
		e->handle.ours = true; /* the answer to an earlier try was lost */
		return STEP_ON;
	}
	if (e->run.state_type != STATE_SCHEDULED)
		return STEP_DROP; /* started by another worker, or cancelled */
	time_us due = e->run.next_scheduled_start != 0 ? e->run.next_scheduled_start : e->run.expected_start;
	if (due > prefect_now(e->prefect) + US_PER_SEC)
		return STEP_DROP; /* moved to a later time: the poll brings it again */

	enum step step = obey_pauses(e);
	if (step == STEP_ON)
		step = make_way(e);
	if (step != STEP_ON)
		return step;
	struct owner self = worker_owner(e->worker);
	char message[OWNER_NAME_SIZE + 32];
	ownership_claim_message(&self, message);
	step = propose(e, &(struct state_proposal){.type = STATE_PENDING, .name = "Pending", .message = message,
	                                                     .transition_id = e->handle.claim}, &wait_s);
	if (step == STEP_ON) {
		e->handle.ours = true;
		log_run(LOG_LEVEL_INFO, e->run.name, e->handle.id, "claimed");
	}
	return step;
}

/* From Pending to Running, as soon as the server's clock says so. */
static enum step begin(struct execution *e)
{
	const struct state_proposal running = {.type = STATE_RUNNING, .name = "Running", .transition_id = e->handle.start};
	enum step step;
	int64_t wait_s;

	while ((step = propose(e, &running, &wait_s)) == STEP_LATER && wait_s > 0) {
		log_run(LOG_LEVEL_DEBUG, e->run.name, e->handle.id, "due in %lld s", (long long)wait_s);
		if (stop_wait(&e->worker->stop, wait_s * 1000 < WAIT_MAX_MS ? wait_s * 1000 : WAIT_MAX_MS))
			return STEP_LATER;
	}
	return step;
}

/* A run that is ours already: resumed, taken up, or tried again. */
static enum step go_on(struct execution *e)
{
	struct error err;
	bool owns;

	if (executor_owns(e->worker, e->prefect, &e->run, &owns, &err) != 0)
		return on_error(e, "whose it is cannot be read", &err);
	if (!owns && is_our_claim(e)) {
		enum step step = sign(e); /* the record could not be made the first time */
		if (step != STEP_ON)
			return step;
	} else if (!owns) {
		log_run(LOG_LEVEL_WARNING, e->run.name, e->handle.id, "worker '%s' has taken it, letting go",
		        ownership_worker(&e->run) != NULL ? ownership_worker(&e->run) : "?");
		return STEP_DROP;
	}
	switch ((enum state_type)e->run.state_type) {
	case STATE_RUNNING:
	case STATE_CANCELLING: /* the body sees it and ends the run */
		return STEP_ON;
	case STATE_PENDING: {
		enum step step = begin(e);
		return step == STEP_ON ? read_run(e) : step;
	}
	case STATE_PAUSED: /* again: the watch sees to it */
		return STEP_PARK;
	case STATE_SCHEDULED: /* anew: the poll brings it */
		return STEP_DROP;
	default:
		log_run(LOG_LEVEL_INFO, e->run.name, e->handle.id, "it was set to %s from outside, letting go",
		        state_type_name((enum state_type)e->run.state_type));
		run_logs_add(&e->worker->logs, e->handle.id, LOG_LEVEL_WARNING,
		             "the run was set to a final state from outside: nothing is deleted from now on");
		return STEP_DROP;
	}
}

/* Brings the run to Running by our doing; e->run is what the server says then. */
static enum step prepare(struct execution *e)
{
	enum step step = read_run(e);

	if (step == STEP_ON)
		step = find_flow(e);
	if (step == STEP_ON)
		step = read_template(e);
	if (step == STEP_ON && e->handle.ours)
		return go_on(e);
	if (step == STEP_ON)
		step = claim(e);
	if (step == STEP_ON)
		step = sign(e);
	if (step == STEP_ON)
		step = begin(e);
	if (step == STEP_ON)
		step = read_run(e);
	return step;
}

/* A run that was taken over: from here on it may be what kills its worker. */
static enum step note_begin(struct execution *e)
{
	struct owner self = worker_owner(e->worker);
	struct error err;

	if (e->handle.taking == 0)
		return STEP_ON;
	if (ownership_begin(e->prefect, e->handle.id, &self, e->handle.taking, &err) != 0)
		return trouble_is_refusal(&err) ? end_refused(e, "its begin cannot be noted", &err)
		                                : on_error(e, "its begin cannot be noted", &err);
	registry_note_taking(&e->worker->registry, e->handle.id, 0);
	return STEP_ON;
}

static enum step read_question(struct execution *e)
{
	struct error err;

	if (question_read(e->prefect, &e->run, &e->question, &err) != 0)
		return on_error(e, "its history cannot be read", &err);
	/* Its place in the queue is of an earlier attempt: this one has not been approved. */
	if (!e->question.asked && turn_is_of_before(&e->run, e->question.begun_at) &&
	    turn_leave(e->prefect, e->handle.id, &err) != 0)
		return trouble_is_refusal(&err) ? end_refused(e, "it cannot leave the queue of deletions", &err)
		                                : on_error(e, "it cannot leave the queue of deletions", &err);
	return STEP_ON;
}

/* The run stays in hand, and its body is started again later. */
static void postpone(struct execution *e)
{
	int64_t wait_us = e->wait_ms > 0 ? e->wait_ms * 1000 : AGAIN_US;

	registry_postpone(&e->worker->registry, e->handle.id, e->handle.ours, server_clock_now(&e->worker->clock) + wait_us,
	                  &e->handle.trouble);
}

/* What a body that was started came to; a final state was counted when it was set. */
static void count_outcome(struct execution *e, enum step step, enum flow_outcome outcome)
{
	if (step == STEP_ON && outcome != FLOW_DONE)
		metrics_count_outcome(&e->worker->metrics, outcome == FLOW_PARKED ? OUTCOME_PARKED : OUTCOME_LEFT);
}

/* It waits for a person. What cannot be ended of older questions now, the sync service ends. */
static void park(struct execution *e)
{
	struct error err;

	registry_park(&e->worker->registry, e->handle.id, &e->form);
	if (e->run.deployment_id[0] != '\0' && supersede_older(e->worker, e->prefect, e->run.deployment_id, &err) != 0)
		log_debug("flow run %s: older questions of its deployment cannot be ended yet: %s", e->handle.id, err.text);
}

static void execute(struct execution *e)
{
	struct registry *registry = &e->worker->registry;
	enum flow_outcome outcome = FLOW_LEFT;
	enum step step = prepare(e);

	if (step == STEP_ON)
		step = read_question(e);
	if (step == STEP_ON)
		step = note_begin(e);
	if (step == STEP_ON) {
		char lease[UUID_SIZE];
		if (concurrency_lease_of(&e->run, lease))
			registry_hold_lease(registry, e->handle.id, lease, !e->question.asked);
		(void)worker_tell_run(e->worker, &e->handle.trouble, e->handle.id, "going on with it", 0, NULL);
		e->wait_ms = 0;
		struct flow_ctx *ctx = flow_ctx_new(e->worker, e->prefect, &e->run, e->job_variables, e->template,
		                                    &e->question);
		if (ctx != NULL)
			outcome = e->flow->body(ctx);
		if (outcome == FLOW_QUEUED)
			flow_ctx_behind(ctx, e->behind);
		if (outcome == FLOW_PARKED)
			e->form = flow_ctx_form(ctx);
		flow_ctx_free(ctx);
	}

	count_outcome(e, step, outcome);
	if (step == STEP_DROP || outcome == FLOW_DONE)
		registry_drop(registry, e->handle.id);
	else if (step == STEP_PARK || outcome == FLOW_PARKED)
		park(e);
	else if (outcome == FLOW_QUEUED)
		registry_queue(registry, e->handle.id, e->behind);
	else
		postpone(e);
}

static void *executor_thread(void *arg)
{
	struct execution *e = arg;

	e->prefect = prefect_new(&e->worker->http.executors, &e->worker->clock);
	if (e->prefect != NULL)
		execute(e);
	else
		postpone(e);
	prefect_free(e->prefect);
	flow_run_release(&e->run);
	json_decref(e->job_variables);
	json_decref(e->template);

	(void)pthread_mutex_lock(&e->worker->lock);
	e->finished = true;
	(void)pthread_mutex_unlock(&e->worker->lock);
	return NULL;
}

void executor_start(struct worker *worker, const struct run *run)
{
	struct execution *e = calloc(1, sizeof *e);
	pthread_attr_t attr;
	int rc = -1;

	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setstacksize(&attr, STACK_SIZE);
	if (e != NULL) {
		e->worker = worker;
		e->handle = *run;
		(void)pthread_mutex_lock(&worker->lock);
		rc = pthread_create(&e->thread, &attr, executor_thread, e);
		if (rc == 0) {
			e->next = worker->executions;
			worker->executions = e;
		}
		(void)pthread_mutex_unlock(&worker->lock);
	}
	(void)pthread_attr_destroy(&attr);
	if (rc != 0) {
		log_run(LOG_LEVEL_ERROR, NULL, run->id, "no memory for another executor, trying again");
		registry_postpone(&worker->registry, run->id, run->ours, server_clock_now(&worker->clock) + AGAIN_US,
		                  &run->trouble);
		free(e);
	}
}

/* Takes one execution out of the list: a finished one, or any where @all. */
static struct execution *next_to_join(struct worker *worker, bool all)
{
	(void)pthread_mutex_lock(&worker->lock);
	struct execution **link = &worker->executions;
	while (*link != NULL && !(*link)->finished && !all)
		link = &(*link)->next;
	struct execution *e = *link;
	if (e != NULL)
		*link = e->next;
	(void)pthread_mutex_unlock(&worker->lock);
	return e;
}

void executor_join(struct worker *worker, bool all)
{
	struct execution *e;

	while ((e = next_to_join(worker, all)) != NULL) {
		(void)pthread_join(e->thread, NULL);
		free(e);
	}
}
