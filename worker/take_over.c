/* Taking over: runs of this pool that nobody runs any more are found, and taken by one worker. */
#include <string.h>

#include "client/base/log.h"
#include "client/base/text.h"
#include "worker/supersede.h"
#include "worker/timeline.h"
#include "worker/turn.h"
#include "worker/worker.h"

/* Drawing what runs have left, of a round, which has heartbeats to send: what is left over is for the next one. */
#define DRAWING_MS 10000
/* Claimed (Pending, or cancelled right after) for so long, and nothing says by whom. */
#define UNMARKED_US (60 * US_PER_SEC)

/* What is known while one look goes on; the list of workers is only asked for when there is a run to decide on. */
struct take_over {
	struct worker *worker;
	struct prefect *prefect;
	bool restarted;
	bool incomplete; /* a run could not be dealt with */
	int64_t beat_ms; /* when the last heartbeat was sent */
	int64_t begun_ms;
	json_t *asking; /* by deployment: how many of its runs ask a question */
	json_t *online; /* names of the workers that are not OFFLINE; NULL until it is asked for */
};

static int is_online(struct take_over *t, const char *name, bool *ret_online, struct error *err)
{
	size_t i;
	json_t *online;

	if (t->online == NULL) {
		int rc = work_pool_online_workers(t->prefect, t->worker->settings->pool, &t->online, err);
		if (rc != 0)
			return rc;
	}
	*ret_online = false;
	json_array_foreach(t->online, i, online)
		if (strcmp(json_string_value(online), name) == 0)
			*ret_online = true;
	return 0;
}

/* Is the worker of this name gone? One of our own name was before us, or is another process that is named like this
 * one: only the start of this one tells that it has ended. */
static int is_gone(struct take_over *t, const char *name, bool *ret_gone, struct error *err)
{
	bool online = false;

	if (strcmp(name, t->worker->name) == 0) {
		*ret_gone = t->restarted;
		return 0;
	}
	int rc = is_online(t, name, &online, err);
	*ret_gone = rc == 0 && !online;
	return rc;
}

static time_us state_since(const struct flow_run *run)
{
	time_us since = state_time(run->state);

	return since != 0 ? since : INT64_MAX;
}

/* Who has a run: the claim of a Pending one goes before its labels, which may be those of an earlier attempt.
 * False where nothing says. */
static bool holder(const struct flow_run *run, char name[OWNER_NAME_SIZE])
{
	if (ownership_claimed_by(run, name))
		return true;
	(void)snprintf(name, OWNER_NAME_SIZE, "%s", ownership_worker(run) != NULL ? ownership_worker(run) : "");
	return *name != '\0';
}

/* Does nobody run this, going by what the run itself says? */
static int is_abandoned(struct take_over *t, const struct flow_run *run, bool *ret_abandoned, struct error *err)
{
	struct owner self = worker_owner(t->worker);
	char name[OWNER_NAME_SIZE];

	*ret_abandoned = false;
	if (registry_has(&t->worker->registry, run->id))
		return 0;
	bool held = holder(run, name);
	/* Ours by its marks, but not in hand: cancelled while it was scheduled anew, or set to Running by somebody. */
	if (ownership_is(run, &self) && strcmp(name, self.worker) == 0) {
		*ret_abandoned = true;
		return 0;
	}
	if (held)
		return is_gone(t, name, ret_abandoned, err);
	*ret_abandoned = (run->state_type == STATE_PENDING || run->state_type == STATE_CANCELLING) &&
	                 state_since(run) < server_clock_now(&t->worker->clock) - UNMARKED_US;
	return 0;
}

/* The labels may be behind: whoever took the run last, and is there, has it. */
static int is_free(struct take_over *t, const struct flow_run *run, const char *progress, const struct taking *latest,
                   bool *ret_free, struct error *err)
{
	char claimed[OWNER_NAME_SIZE];

	*ret_free = true;
	if (latest->number == 0 || strcmp(latest->instance, t->worker->instance) == 0)
		return 0;
	/* Claimed by somebody who did not come to take it: the latest taking is of an earlier attempt of the run. */
	if (ownership_claimed_by(run, claimed) && strcmp(latest->worker, claimed) != 0 && strcmp(latest->noted, progress) != 0)
		return 0;
	return is_gone(t, latest->worker, ret_free, err);
}

/* A run that killed its workers again and again at the same place. */
static int give_up(struct take_over *t, const struct flow_run *run, int stalled, struct error *err)
{
	char message[160];
	struct state_answer answer;

	(void)snprintf(message, sizeof message, "%d workers ended without a word while they ran this flow run, and none of them "
	               "came any further: given up", stalled);
	log_run(LOG_LEVEL_ERROR, run->name, run->id, "%s", message);
	run_logs_add(&t->worker->logs, run->id, LOG_LEVEL_ERROR, message);
	/* The server takes nothing else after Cancelling. */
	bool cancelling = run->state_type == STATE_CANCELLING;
	struct state_proposal proposal = {.type = cancelling ? STATE_CANCELLED : STATE_CRASHED,
	                                  .name = cancelling ? "Cancelled" : "Crashed", .message = message};
	int rc = state_propose(t->prefect, run->id, &proposal, &answer, err);
	if (rc == 0 && answer.status == STATE_ACCEPT)
		metrics_count_outcome(&t->worker->metrics, OUTCOME_CRASHED);
	if (rc == 0)
		state_answer_release(&answer);
	return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* In the run's own log too: it goes on where another process stopped or was killed. @let_go: it said so; @known: whether it did. */
static void tell_taken(struct take_over *t, const struct flow_run *run, const char *before, bool let_go, bool known)
{
	AUTO_TEXT line = {.max = 3 * OWNER_NAME_SIZE};

	text_addf(&line, "taken up again by worker '%s', after worker '%s'", t->worker->name, before);
	if (known)
		text_addf(&line, "%s", let_go ? " stopped" : " ended without a word");
	char clean[3 * OWNER_NAME_SIZE];
	text_clean(clean, sizeof clean, text_str(&line), line.len);
	run_logs_add(&t->worker->logs, run->id, let_go || !known ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, clean);
}

static int take_run(struct take_over *t, const struct flow_run *run, struct error *err)
{
	bool parked = run->state_type == STATE_PAUSED;
	bool waiting = parked || turn_is_waiting(run);
	struct owner self = worker_owner(t->worker);
	char before[OWNER_NAME_SIZE];
	struct taking latest;
	char progress[OWNER_PROGRESS_SIZE];
	bool is_ours = false;

	ownership_progress(run, progress);
	int rc = ownership_read(t->prefect, run->id, progress, &latest, err);
	if (rc == 0)
		rc = is_free(t, run, progress, &latest, &is_ours, err);
	if (rc != 0 || !is_ours)
		return rc;
	/* Taken at an earlier try, after which the marks did not arrive: that taking counts. */
	bool taken = latest.number > 0 && strcmp(latest.instance, self.instance) == 0 && !ownership_is(run, &self);
	int number = latest.number + (taken ? 0 : 1);
	if (!taken)
		rc = ownership_take(t->prefect, run->id, &self, &latest, progress, err);
	if (rc == ERR_CONFLICT)
		return 0; /* another worker was faster */
	if (rc == 0)
		rc = executor_sign(t->worker, t->prefect, run->id, err);
	if (rc != 0 && !trouble_is_refusal(err)) /* else the record alone has to do */
		return rc;
	/* Being restarted while a run waits, for a person or for its turn, is no fault of the run. */
	if (!waiting && latest.stalled >= OWNERSHIP_STALLED_MAX)
		return give_up(t, run, latest.stalled, err);
	if (registry_add(&t->worker->registry, run->id, parked ? RUN_PARKED : RUN_DUE, /* ours= */ true, /* due= */ 0)) {
		registry_note_taking(&t->worker->registry, run->id, waiting ? 0 : number);
		const char *last = holder(run, before) ? before : "unknown";
		log_run(LOG_LEVEL_INFO, run->name, run->id, "taking it up again, it is %s; before: worker %s",
		        state_type_name((enum state_type)run->state_type), last);
		if (run->state_type == STATE_RUNNING && !waiting)
			tell_taken(t, run, last, latest.let_go, /* known= */ !taken);
	}
	return 0;
}

/* Counts the questions of each deployment. */
static void note_question(struct take_over *t, const struct flow_run *run)
{
	const json_t *before = json_object_get(t->asking, run->deployment_id);
	int number = 0;

	if (run->state_type == STATE_PAUSED && run->deployment_id[0] != '\0' && question_of_run(run, &number, NULL) == 0 && number != 0)
		(void)json_object_set_new(t->asking, run->deployment_id, json_integer(json_integer_value(before) + 1));
}

/* Ends the older questions where a deployment has more than one: whoever asked last did not come to it. */
static int end_older_questions(struct take_over *t, struct error *err)
{
	const char *deployment;
	json_t *count;
	int rc = 0;

	json_object_foreach(t->asking, deployment, count)
		if (rc == 0 && json_integer_value(count) > 1)
			rc = supersede_older(t->worker, t->prefect, deployment, err);
	return rc;
}

/* Decides on one run of the list, and again on the run as it is now: the list is a moment old. */
static int look_at(struct take_over *t, const struct flow_run *listed, struct error *err)
{
	const struct flow_spec *flow;
	struct flow_run now;
	bool abandoned;

	note_question(t, listed);
	int rc = is_abandoned(t, listed, &abandoned, err);
	if (rc != 0 || !abandoned)
		return rc;
	rc = worker_find_flow(t->worker, t->prefect, listed->flow_id, &flow, err);
	if (rc == 0 && flow == NULL)
		return 0;
	if (rc == 0)
		rc = flow_run_read(t->prefect, listed->id, &now, err);
	if (rc != 0)
		return rc == ERR_NOT_FOUND ? 0 : rc;

	rc = state_type_is_live((enum state_type)now.state_type) ? is_abandoned(t, &now, &abandoned, err) : 0;
	if (rc == 0 && abandoned && state_type_is_live((enum state_type)now.state_type))
		rc = take_run(t, &now, err);
	flow_run_release(&now);
	return rc == ERR_NOT_FOUND ? 0 : rc; /* deleted meanwhile */
}

/* --- runs whose question expired ------------------------------------------------------------------------ */

/* The server failed the run for want of an answer while nobody watched it: the run's own log says what that means. */
static int tell_expired(struct take_over *t, const struct flow_run *run, struct error *err)
{
	char name[OWNER_NAME_SIZE];
	bool gone = false;

	if (!flow_run_pause_expired(run) || ownership_ended(run) || ownership_worker(run) == NULL ||
	    registry_has(&t->worker->registry, run->id))
		return 0;
	(void)holder(run, name);
	int rc = strcmp(name, t->worker->name) == 0 ? 0 : is_gone(t, name, &gone, err);
	if (rc != 0 || (strcmp(name, t->worker->name) != 0 && !gone))
		return rc;
	return watch_tell_ended(t->worker, t->prefect, run, clock_mono_ms() - t->begun_ms < DRAWING_MS, err);
}

/* --- going through the lists ----------------------------------------------------------------------------- */

typedef int each_run(struct take_over *t, const struct flow_run *run, struct error *err);

/* Many runs take a while, in the one thread that sends heartbeats: without them this worker would look OFFLINE itself. */
static void keep_alive(struct take_over *t)
{
	struct error err;

	if (clock_mono_ms() - t->beat_ms < t->worker->settings->heartbeat_ms)
		return;
	t->beat_ms = clock_mono_ms();
	if (sync_once(t->worker, t->prefect, &err) != 0)
		log_debug("a heartbeat between two runs was not answered, ignoring: %s", err.text);
}

/* Calls @each for every run of this pool that matches; one that fails is said and skipped. */
static int for_each(struct take_over *t, const json_t *flow_runs, each_run *each, const char *what, struct error *err)
{
	AUTO_JSON *pools = json_pack("{s:{s:[s]}}", "name", "any_", t->worker->settings->pool);
	struct flow_run_query query = {.flow_runs = flow_runs, .work_pools = pools, .sort = "EXPECTED_START_TIME_ASC"};
	AUTO_JSON *seen = json_object(); /* taking over is what makes runs leave the list */
	size_t count;
	int rc;

	do {
		struct flow_run *found;

		rc = seen != NULL ? flow_run_filter_unseen(t->prefect, &query, seen, &found, &count, err) : error_nomem(err);
		if (rc != 0)
			break;
		for (size_t i = 0; i < count; i++) {
			struct error one;
			if (each(t, &found[i], &one) != 0) {
				log_run(LOG_LEVEL_WARNING, found[i].name, found[i].id, "%s: %s", what, one.text);
				t->incomplete = true;
			}
			keep_alive(t);
		}
		flow_runs_release(found, count);
	} while (count > 0 && !stop_asked(&t->worker->stop));
	return rc;
}

int take_over_abandoned(struct worker *worker, struct prefect *prefect, bool restarted, struct error *err)
{
	AUTO_JSON *live = json_pack("{s:{s:{s:[s,s,s,s]}}}", "state", "type", "any_", "PENDING", "RUNNING", "PAUSED",
	                            "CANCELLING");
	struct take_over t = {.worker = worker, .prefect = prefect, .restarted = restarted, .beat_ms = clock_mono_ms(),
	                      .asking = json_object()};

	int rc = for_each(&t, live, look_at, "cannot be taken over yet", err);
	if (rc == 0)
		rc = end_older_questions(&t, err);
	json_decref(t.asking);
	json_decref(t.online);
	/* Runs of this name are only known to be free at a start: the next round looks once more as at a start. */
	worker->restart_incomplete = restarted && (rc != 0 || t.incomplete);
	return rc;
}

int take_over_expired(struct worker *worker, struct prefect *prefect, bool restarted, int64_t past_ms, struct error *err)
{
	AUTO_JSON *failed = json_pack("{s:{s:{s:[s]}}, s:{s:o}}", "state", "type", "any_", "FAILED", "end_time", "after_",
	                              json_time(prefect_now(prefect) - past_ms * 1000));
	struct take_over t = {.worker = worker, .prefect = prefect, .restarted = restarted, .beat_ms = clock_mono_ms(),
	                      .begun_ms = clock_mono_ms()};

	int rc = for_each(&t, failed, tell_expired, "its end cannot be told yet", err);
	json_decref(t.online);
	return rc;
}

/* --- timelines that go on after their run ---------------------------------------------------------------- */

/* Whoever ended the run may be about to end its steps. */
#define DRAWING_GRACE_US (15 * US_PER_SEC)

/* Of those that could, the one whose name comes first: two reports of a run are one too many. They are all ours, by the pool's
 * type. */
static int is_first(struct take_over *t, bool *ret_first, struct error *err)
{
	bool online;
	size_t i;
	json_t *name;

	int rc = is_online(t, t->worker->name, &online, err);
	*ret_first = rc == 0;
	json_array_foreach(t->online, i, name)
		*ret_first = *ret_first && strcmp(t->worker->name, json_string_value(name)) <= 0;
	return rc;
}

/* By the worker that had the run, or where that is gone. */
static int draw(struct take_over *t, const struct flow_run *run, struct error *err)
{
	char name[OWNER_NAME_SIZE];
	bool gone = true;
	bool first = true;
	struct error why;

	if (clock_mono_ms() - t->begun_ms > DRAWING_MS || registry_has(&t->worker->registry, run->id))
		return 0;
	bool known = holder(run, name);
	bool own = known && strcmp(name, t->worker->name) == 0;
	int rc = known && !own ? is_gone(t, name, &gone, err) : 0;
	if (rc == 0 && gone && !own)
		rc = is_first(t, &first, err);
	if (rc != 0 || !gone || !first)
		return rc;
	if (watch_draw_ended(t->worker, t->prefect, run->id, &why) != 0)
		log_debug("flow run %s: its timeline cannot be ended yet: %s", run->id, why.text);
	return 0;
}

int take_over_drawings(struct worker *worker, struct prefect *prefect, int64_t past_ms, struct error *err)
{
	struct take_over t = {.worker = worker, .prefect = prefect, .beat_ms = clock_mono_ms(), .begun_ms = clock_mono_ms()};
	time_us now = prefect_now(prefect);
	AUTO_JSON *ids = NULL;

	int rc = timeline_find_open(prefect, now - past_ms * 1000, now - DRAWING_GRACE_US, &ids, err);
	if (rc != 0 || json_array_size(ids) == 0)
		return rc;
	AUTO_JSON *runs = json_pack("{s:{s:O}}", "id", "any_", ids);
	rc = for_each(&t, runs, draw, "its timeline cannot be ended yet", err);
	json_decref(t.online);
	return rc;
}
