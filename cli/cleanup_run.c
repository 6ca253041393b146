#include "cli/cleanup_run.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "client/prefect/artifact.h"
#include "client/prefect/deployment.h"
#include "client/prefect/run_input.h"
#include "flows/database_cleanup/database_cleanup.h"
#include "flows/database_cleanup/preview_page.h"
#include "worker/question.h"

/* Runs of one name that are told apart in an error. */
#define SAME_NAME_MAX 6
/* Pages of runs that are looked through for the first digits of an id. */
#define PREFIX_PAGES_MAX 10

void cleanup_run_release(struct cleanup_run *run)
{
	flow_run_release(&run->run);
	state_release(&run->state);
	*run = (struct cleanup_run){0};
}

bool cleanup_run_is_open(const struct cleanup_run *run)
{
	return run->state.type == STATE_PAUSED && question_in_state(&run->state) != 0;
}

static void take_question(const struct state *state, struct cleanup_run *run)
{
	const char *timeout = json_string_value(json_object_get(state->details, "pause_timeout"));

	run->question = question_in_state(state);
	run->asked_at = state->timestamp;
	if (timeout == NULL || !time_parse(timeout, &run->deadline))
		run->deadline = 0;
}

int cleanup_run_from(struct flow_run *run, struct cleanup_run *ret_run, struct error *err)
{
	struct cleanup_run made = {.run = *run};

	*run = (struct flow_run){0};
	int rc = made.run.state != NULL ? state_decode(made.run.state, &made.state, err)
	                                : error_set(err, ERR_DECODE, "flow run %s has no state", made.run.id);
	if (rc != 0) {
		cleanup_run_release(&made);
		return rc;
	}
	if (cleanup_run_is_open(&made))
		take_question(&made.state, &made);
	*ret_run = made;
	return 0;
}

/* The latest question among the states that the run was in, and when it was answered. */
static int read_history(struct prefect *prefect, struct cleanup_run *run, struct error *err)
{
	struct state *states;
	size_t count;
	const struct state *asked = NULL;

	int rc = state_history(prefect, run->run.id, &states, &count, err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < count; i++)
		if (question_in_state(&states[i]) != 0 && (asked == NULL || states[i].timestamp > asked->timestamp))
			asked = &states[i];
	if (asked != NULL)
		take_question(asked, run);
	for (size_t i = 0; asked != NULL && i < count; i++)
		if (states[i].type == STATE_RUNNING && states[i].timestamp > asked->timestamp &&
		    (run->decided_at == 0 || states[i].timestamp < run->decided_at))
			run->decided_at = states[i].timestamp;
	states_release(states, count);
	return 0;
}

/* --- finding it -------------------------------------------------------------------------------------- */

static int refuse_other_flow(struct session *session, const char *name, const struct flow_run *run, struct error *err)
{
	struct flow flow;
	char label[JSON_LABEL_SIZE];

	int rc = flow_read(session->prefect, run->flow_id, &flow, err);
	if (rc != 0)
		return rc;
	if (strcmp(flow.name, DATABASE_CLEANUP_FLOW) == 0) {
		flow_release(&flow);
		return 0;
	}
	text_clean(label, sizeof label, flow.name, strlen(flow.name));
	flow_release(&flow);
	return error_set(err, ERR_USAGE, "'%.80s' is a run of the flow '%s', not of " DATABASE_CLEANUP_FLOW
	                 "; prefect-janitor pending lists those that wait", name, label);
}

static int read_by_id(struct session *session, const char *id, struct flow_run *ret_run, struct error *err)
{
	int rc = flow_run_read(session->prefect, id, ret_run, err);

	if (rc == ERR_NOT_FOUND)
		return error_set(err, ERR_USAGE, "there is no flow run '%s' at %s; prefect-janitor pending lists those that wait", id,
		                 session->settings->api_url);
	if (rc != 0)
		return rc;
	rc = refuse_other_flow(session, id, ret_run, err);
	if (rc != 0)
		flow_run_release(ret_run);
	return rc;
}

/* Runs of this name, @ours: of our flow only. */
static int filter_name(struct session *session, const char *name, bool ours, struct flow_run **ret_runs, size_t *ret_count,
                       struct error *err)
{
	AUTO_JSON *flow_runs = json_pack("{s:{s:[s]}}", "name", "any_", name);
	AUTO_JSON *flows = ours ? json_pack("{s:{s:[s]}}", "name", "any_", DATABASE_CLEANUP_FLOW) : NULL;

	if (flow_runs == NULL || (ours && flows == NULL))
		return error_nomem(err);
	return flow_run_filter(session->prefect,
	                       &(struct flow_run_query){
							   .flow_runs = flow_runs, .flows = flows, .sort = "START_TIME_DESC", .limit = SAME_NAME_MAX},
	                       ret_runs, ret_count, err);
}

static int refuse_unknown(struct session *session, const char *name, struct error *err)
{
	struct flow_run *runs;
	size_t count;

	int rc = filter_name(session, name, /* ours= */ false, &runs, &count, err);
	if (rc != 0)
		return rc;
	rc = count > 0 ? refuse_other_flow(session, name, &runs[0], err) : 0;
	flow_runs_release(runs, count);
	return rc != 0 ? rc
	               : error_set(err, ERR_USAGE, "there is no flow run with the id or name '%.80s' at %s; prefect-janitor "
	                           "pending lists those that wait", name, session->settings->api_url);
}

static int refuse_ambiguous(const char *name, const struct flow_run *runs, size_t count, struct error *err)
{
	AUTO_TEXT list = {.max = 800};

	for (size_t i = 0; i < count; i++)
		text_addf(&list, "%s%s (%s)", i > 0 ? ", " : "", runs[i].id, runs[i].state_name != NULL ? runs[i].state_name : "");
	return error_set(err, ERR_USAGE, "'%.80s' is the name of %s%zu flow runs, give the id: %s", name,
	                 count == SAME_NAME_MAX ? "at least " : "", count, text_str(&list));
}

/* The first digits of an id. */
static bool is_prefix(const char *text)
{
	size_t len = strlen(text);

	return len >= CLEANUP_RUN_PREFIX_MIN && len < UUID_SIZE && strspn(text, "0123456789abcdefABCDEF-") == len;
}

/* Adds the runs of a page whose ids begin with @prefix to @found, as far as there is room. */
static void keep_matching(const char *prefix, struct flow_run *runs, size_t count, struct flow_run found[SAME_NAME_MAX], size_t *found_count)
{
	for (size_t i = 0; i < count && *found_count < SAME_NAME_MAX; i++) {
		if (strncasecmp(runs[i].id, prefix, strlen(prefix)) != 0)
			continue;
		found[(*found_count)++] = runs[i];
		runs[i] = (struct flow_run){0};
	}
}

/* The server finds no run by a part of its id: the latest ones of our flow are looked through. *ret_count: how many there are. */
static int find_prefix(struct session *session, const char *prefix, struct flow_run found[SAME_NAME_MAX], size_t *ret_count,
                       struct error *err)
{
	AUTO_JSON *any = json_object();
	AUTO_JSON *flows = json_pack("{s:{s:[s]}}", "name", "any_", DATABASE_CLEANUP_FLOW);
	AUTO_JSON *seen = json_object();
	size_t count = PREFECT_PAGE_MAX;

	*ret_count = 0;
	if (any == NULL || flows == NULL || seen == NULL)
		return error_nomem(err);
	for (int page = 0; page < PREFIX_PAGES_MAX && count == PREFECT_PAGE_MAX && *ret_count < SAME_NAME_MAX; page++) {
		struct flow_run *runs;
		int rc = flow_run_filter_unseen(session->prefect,
		                                &(struct flow_run_query){.flow_runs = any, .flows = flows, .sort = "EXPECTED_START_TIME_DESC"},
		                                seen, &runs, &count, err);
		if (rc != 0)
			return rc;
		keep_matching(prefix, runs, count, found, ret_count);
		flow_runs_release(runs, count);
	}
	return 0;
}

static int refuse_several_ids(const char *prefix, const struct flow_run *runs, size_t count, struct error *err)
{
	AUTO_TEXT list = {.max = 800};

	for (size_t i = 0; i < count; i++)
		text_addf(&list, "%s%s (%s)", i > 0 ? ", " : "", runs[i].id, runs[i].name);
	return error_set(err, ERR_USAGE, "'%.40s' begins the ids of %s%zu flow runs: %s", prefix, count == SAME_NAME_MAX ? "at least " : "",
	                 count, text_str(&list));
}

/* ERR_NOT_FOUND, without a text, where no id begins so. */
static int read_by_prefix(struct session *session, const char *prefix, struct flow_run *ret_run, struct error *err)
{
	struct flow_run found[SAME_NAME_MAX] = {0};
	size_t count = 0;

	int rc = find_prefix(session, prefix, found, &count, err);
	if (rc == 0 && count == 1) {
		*ret_run = found[0];
		return 0;
	}
	if (rc == 0)
		rc = count > 1 ? refuse_several_ids(prefix, found, count, err) : ERR_NOT_FOUND;
	for (size_t i = 0; i < count; i++)
		flow_run_release(&found[i]);
	return rc;
}

static int read_by_name(struct session *session, const char *name, struct flow_run *ret_run, struct error *err)
{
	struct flow_run *runs;
	size_t count;

	int rc = filter_name(session, name, /* ours= */ true, &runs, &count, err);
	if (rc != 0)
		return rc;
	if (count == 1) {
		*ret_run = runs[0];
		runs[0] = (struct flow_run){0};
	} else if (count > 1) {
		rc = refuse_ambiguous(name, runs, count, err);
	} else {
		rc = is_prefix(name) ? read_by_prefix(session, name, ret_run, err) : ERR_NOT_FOUND;
		rc = rc == ERR_NOT_FOUND ? refuse_unknown(session, name, err) : rc;
	}
	flow_runs_release(runs, count);
	return rc;
}

int cleanup_run_find(struct session *session, const char *id_or_name, struct cleanup_run *ret_run, struct error *err)
{
	struct flow_run run;
	struct cleanup_run made;
	char id[UUID_SIZE];

	int rc = uuid_parse_text(id_or_name, id) ? read_by_id(session, id, &run, err)
	                                         : read_by_name(session, id_or_name, &run, err);
	if (rc == 0)
		rc = cleanup_run_from(&run, &made, err);
	if (rc != 0)
		return rc;
	if (made.question == 0)
		rc = read_history(session->prefect, &made, err);
	if (rc != 0) {
		cleanup_run_release(&made);
		return rc;
	}
	*ret_run = made;
	return 0;
}

/* --- those that wait ----------------------------------------------------------------------------------- */

/* Pages of runs that are looked at: more questions than anybody answers. */
#define PAGES_MAX 50

/* A page of Paused runs of our flow that are not in @seen. */
static int each_of_page(struct session *session, const char *pool, json_t *seen, cleanup_run_each *each, void *arg, size_t *ret_count,
                        struct error *err)
{
	AUTO_JSON *flow_runs = json_pack("{s:{s:{s:[s]}}}", "state", "type", "any_", "PAUSED");
	AUTO_JSON *flows = json_pack("{s:{s:[s]}}", "name", "any_", DATABASE_CLEANUP_FLOW);
	AUTO_JSON *pools = pool != NULL ? json_pack("{s:{s:[s]}}", "name", "any_", pool) : NULL;
	struct flow_run *runs;

	if (flow_runs == NULL || flows == NULL || (pool != NULL && pools == NULL))
		return error_nomem(err);
	int rc = flow_run_filter_unseen(session->prefect,
	                                &(struct flow_run_query){
										.flow_runs = flow_runs, .flows = flows, .work_pools = pools, .sort = "START_TIME_ASC"},
	                                seen, &runs, ret_count, err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < *ret_count; i++) {
		struct cleanup_run run;
		rc = cleanup_run_from(&runs[i], &run, err);
		if (rc != 0)
			break;
		if (cleanup_run_is_open(&run))
			rc = each(session, &run, arg, err);
		cleanup_run_release(&run);
	}
	flow_runs_release(runs, *ret_count);
	return rc;
}

int cleanup_run_for_each_open(struct session *session, const char *pool, cleanup_run_each *each, void *arg, struct error *err)
{
	AUTO_JSON *seen = json_object();
	size_t count = PREFECT_PAGE_MAX;
	int rc = seen != NULL ? 0 : error_nomem(err);

	for (int page = 0; rc == 0 && count == PREFECT_PAGE_MAX && page < PAGES_MAX; page++)
		rc = each_of_page(session, pool, seen, each, arg, &count, err);
	return rc;
}

/* --- can it be decided? ------------------------------------------------------------------------------- */

/* What was decided, as far as it is stored. */
static const char *decided_how(struct session *session, const struct cleanup_run *run)
{
	AUTO_JSON *answer = NULL;

	if (cleanup_run_answer(session, run, &answer, NULL) != 0)
		return "resumed without an answer";
	return json_is_true(json_object_get(answer, "approve")) ? "approved" : "rejected";
}

static int refuse_ended(struct session *session, const struct cleanup_run *run, struct error *err)
{
	char when[TIME_TEXT_SIZE];
	const char *message = run->state.message != NULL ? run->state.message : "";

	if (run->decided_at != 0)
		return error_set(err, ERR_USAGE, "'%s' was decided already: %s at %s, and it is %s now (%.200s)", run->run.name,
		                 decided_how(session, run), time_format_human(run->decided_at, when), run->state.name, message);
	if (flow_run_pause_expired(&run->run))
		return error_set(err, ERR_USAGE, "'%s' has expired: nobody decided by %s, and nothing was deleted; start a new one "
		                 "with prefect-janitor run", run->run.name,
		                 run->deadline != 0 ? time_format_human(run->deadline, when) : "its deadline");
	return error_set(err, ERR_USAGE, "'%s' has ended %s: it is %s (%.200s); start a new one with prefect-janitor run",
	                 run->run.name, run->question != 0 ? "without a decision" : "without asking", run->state.name, message);
}

static int refuse_on_its_way(struct session *session, const struct cleanup_run *run, struct error *err)
{
	char when[TIME_TEXT_SIZE];

	if (run->decided_at != 0)
		return error_set(err, ERR_USAGE, "'%s' was decided already: %s at %s, and it is %s now", run->run.name,
		                 decided_how(session, run), time_format_human(run->decided_at, when), run->state.name);
	if (run->state.type == STATE_CANCELLING)
		return error_set(err, ERR_USAGE, "'%s' is being cancelled: there is nothing to decide", run->run.name);
	if (run->state.type == STATE_PAUSED)
		return error_set(err, ERR_USAGE, "'%s' is %s without a question: somebody paused it by hand; resume it in the UI",
		                 run->run.name, run->state.name);
	return error_set(err, ERR_USAGE, "'%s' has not asked yet: it is %s; it can be decided once it is Paused", run->run.name,
	                 run->state.name);
}

int cleanup_run_check_open(struct session *session, const struct cleanup_run *run, struct error *err)
{
	char when[TIME_TEXT_SIZE];

	if (cleanup_run_is_open(run)) {
		if (run->deadline == 0 || run->deadline > prefect_now(session->prefect))
			return 0;
		return error_set(err, ERR_USAGE, "'%s' has expired: it could be decided until %s; start a new one with "
		                 "prefect-janitor run", run->run.name, time_format_human(run->deadline, when));
	}
	return state_type_is_terminal((enum state_type)run->state.type) ? refuse_ended(session, run, err)
	                                                                : refuse_on_its_way(session, run, err);
}

/* --- what it shows ------------------------------------------------------------------------------------ */

int cleanup_run_read(struct session *session, const struct cleanup_run *run, struct plan *ret_plan, char **ret_description,
                     struct error *err)
{
	struct question question = {.number = run->question};
	char key[QUESTION_KEY_SIZE];
	AUTO_JSON *plan = NULL;
	AUTO_JSON *description = NULL;

	*ret_description = NULL;
	int rc = run_input_read(session->prefect, run->run.id, PLAN_KEY, &plan, err);
	if (rc == 0 && run->question != 0) {
		rc = run_input_read(session->prefect, run->run.id, question_input_key(&question, "description", key), &description,
		                    err);
		rc = rc == ERR_NOT_FOUND ? 0 : rc;
	}
	if (rc == 0)
		rc = plan_decode(plan, ret_plan, err);
	if (rc != 0)
		return rc;
	if (json_is_string(description)) {
		*ret_description = text_dup(json_string_value(description));
		if (*ret_description == NULL) {
			plan_release(ret_plan);
			return error_nomem(err);
		}
	}
	return 0;
}

/* One for each attempt of the run; its digest tells which is of this plan. */
#define PAGES_READ 20

int cleanup_run_preview(struct session *session, const struct cleanup_run *run, const struct plan *plan, char **ret_page,
                        struct error *err)
{
	struct artifact *found;
	size_t count;

	*ret_page = NULL;
	int rc = artifact_of_run(session->prefect, run->run.id, PREVIEW_PAGE_KEY, PAGES_READ, &found, &count, err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < count && *ret_page == NULL; i++) {
		const char *markdown = json_string_value(found[i].data);
		if (markdown != NULL && preview_shows_plan(markdown, plan))
			*ret_page = text_dup(markdown);
	}
	artifacts_release(found, count);
	return 0;
}

int cleanup_run_answer(struct session *session, const struct cleanup_run *run, json_t **ret_answer, struct error *err)
{
	struct question question = {.number = run->question};
	char key[QUESTION_KEY_SIZE];

	return run_input_read(session->prefect, run->run.id, question_input_key(&question, "response", key), ret_answer, err);
}

char *cleanup_run_page(const struct session *session, const char *id)
{
	char path[UUID_SIZE + 20];

	(void)snprintf(path, sizeof path, "/runs/flow-run/%s", id);
	return prefect_ui_url(session->settings->api_url, path);
}

json_t *cleanup_run_json(const struct session *session, const struct cleanup_run *run)
{
	AUTO_FREE char *page = cleanup_run_page(session, run->run.id);

	return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s, s:o, s:o, s:o}", "id", run->run.id, "name", run->run.name, "state_type",
	                 state_type_name((enum state_type)run->state.type), "state_name", run->state.name, "message",
	                 run->state.message, "page", page != NULL ? page : "", "asked_at",
	                 json_time_or_null(run->question != 0 ? run->asked_at : 0), "deadline", json_time_or_null(run->deadline), "decided_at",
	                 json_time_or_null(run->decided_at));
}
