#include "worker/timeline.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/base/text.h"
#include "client/prefect/flow_run.h"

#define KEY_PREFIX "janitor."
/* After a request that failed. */
#define QUIET_MS 10000

void timeline_init(struct timeline *timeline, const struct http_settings *http, struct server_clock *clock,
                   const char *flow_run_id, time_us attempt)
{
	*timeline = (struct timeline){.http = http, .clock = clock, .attempt = attempt};
	(void)snprintf(timeline->flow_run_id, UUID_SIZE, "%s", flow_run_id);
}

void timeline_release(struct timeline *timeline)
{
	for (size_t i = 0; i < timeline->count; i++)
		free(timeline->steps[i].message);
	free(timeline->steps);
	prefect_free(timeline->prefect);
	*timeline = (struct timeline){0};
}

/* May a request be made now? */
static bool is_quiet(struct timeline *timeline)
{
	if (timeline->quiet_until_ms != 0 && clock_mono_ms() < timeline->quiet_until_ms)
		return true;
	if (timeline->prefect == NULL)
		timeline->prefect = prefect_new(timeline->http, timeline->clock);
	return timeline->prefect == NULL;
}

/* Takes note of how a request went; returns @rc. */
static int note(struct timeline *timeline, int rc, const struct error *err)
{
	if (rc == 0) {
		timeline->quiet_until_ms = 0;
		return 0;
	}
	timeline->trouble = *err;
	timeline->quiet_until_ms = clock_mono_ms() + QUIET_MS;
	return rc;
}

/* --- steps ---------------------------------------------------------------------------------------------------- */

static struct timeline_step *find_step(const struct timeline *timeline, const char *name)
{
	for (size_t i = 0; i < timeline->count; i++)
		if (strcmp(timeline->steps[i].name, name) == 0)
			return &timeline->steps[i];
	return NULL;
}

/* The step of this name, a new one where there is none; NULL without memory or room. */
static struct timeline_step *get_step(struct timeline *timeline, const char *name)
{
	struct timeline_step *step = find_step(timeline, name);

	if (step != NULL || timeline->count == TIMELINE_STEPS_MAX)
		return step;
	if (timeline->steps == NULL)
		timeline->steps = calloc(TIMELINE_STEPS_MAX, sizeof *timeline->steps);
	if (timeline->steps == NULL)
		return NULL;
	step = &timeline->steps[timeline->count++];
	(void)snprintf(step->name, sizeof step->name, "%s", name);
	return step;
}

static bool is_ours(const struct task_run *run)
{
	return run->task_key != NULL && strncmp(run->task_key, KEY_PREFIX, sizeof KEY_PREFIX - 1) == 0;
}

/* What the server has of a step, in place of what is not known here. */
static void take_over(struct timeline *timeline, const struct task_run *run)
{
	if (!is_ours(run))
		return;
	struct timeline_step *step = get_step(timeline, run->task_key + sizeof KEY_PREFIX - 1);
	if (step == NULL || step->id[0] != '\0')
		return;
	memcpy(step->id, run->id, UUID_SIZE);
	step->is = (enum state_type)run->state_type;
	/* It may have ended in an earlier start of the body: it does not begin again. */
	if (step->wanted == STATE_UNKNOWN || (step->wanted == STATE_RUNNING && state_type_is_terminal(step->is)))
		step->wanted = step->is;
}

/* Reads the steps of an earlier start of the body, once. */
static int read_steps(struct timeline *timeline, struct error *err)
{
	AUTO_JSON *flow_runs = json_pack("{s:{s:[s]}}", "id", "any_", timeline->flow_run_id);
	AUTO_JSON *task_runs = json_pack("{s:{s:[s]}}", "tags", "all_", TIMELINE_TAG);
	struct task_run *runs;
	size_t count;
	char attempt[24];

	if (timeline->known)
		return 0;
	if (flow_runs == NULL || task_runs == NULL)
		return error_nomem(err);
	int rc = task_run_filter(timeline->prefect, &(struct task_run_query){.task_runs = task_runs, .flow_runs = flow_runs},
	                         &runs, &count, err);
	if (rc != 0)
		return rc;
	(void)snprintf(attempt, sizeof attempt, "%" PRId64, timeline->attempt);
	for (size_t i = 0; i < count; i++)
		if (strcmp(runs[i].dynamic_key, attempt) == 0 && strcmp(runs[i].flow_run_id, timeline->flow_run_id) == 0)
			take_over(timeline, &runs[i]);
	task_runs_release(runs, count);
	timeline->known = true;
	return 0;
}

static int create_step(struct timeline *timeline, struct timeline_step *step, struct error *err)
{
	const struct timeline_step *before = find_step(timeline, step->after);
	const char *upstream[] = {before != NULL && before->id[0] != '\0' ? before->id : NULL, NULL};
	char key[sizeof KEY_PREFIX + TIMELINE_NAME_SIZE];
	char attempt[24];
	struct task_run made;

	(void)snprintf(key, sizeof key, KEY_PREFIX "%s", step->name);
	(void)snprintf(attempt, sizeof attempt, "%" PRId64, timeline->attempt);
	int rc = task_run_create(timeline->prefect,
	                         &(struct task_run_new){.flow_run_id = timeline->flow_run_id, .name = step->name, .task_key = key,
	                                                .dynamic_key = attempt, .tag = TIMELINE_TAG, .upstream = upstream,
	                                                .state = step->wanted, .message = step->message},
	                         &made, err);
	if (rc != 0)
		return rc;
	memcpy(step->id, made.id, UUID_SIZE);
	/* One that was there keeps its state. */
	step->is = made.state_type != STATE_UNKNOWN ? (enum state_type)made.state_type : step->wanted;
	if (step->is == STATE_COMPLETED && step->wanted == STATE_RUNNING)
		step->wanted = step->is;
	task_run_release(&made);
	return 0;
}

/* Will it never be otherwise, whatever is tried? */
static bool is_settled(int rc)
{
	return rc == ERR_CONFLICT || rc == ERR_INVALID || rc == ERR_NOT_FOUND;
}

static int write_step(struct timeline *timeline, struct timeline_step *step, struct error *err)
{
	int rc = step->id[0] == '\0' ? create_step(timeline, step, err) : 0;

	if (rc == 0 && step->is != step->wanted)
		rc = task_run_set_state(timeline->prefect, step->id, step->wanted, step->message, err);
	if (is_settled(rc)) { /* the run has ended, or is gone */
		timeline->trouble = *err;
		rc = 0;
	}
	if (rc == 0)
		step->is = step->wanted;
	return rc;
}

bool timeline_flush(struct timeline *timeline)
{
	struct error err;

	if (timeline->count == 0)
		return true;
	if (is_quiet(timeline) || note(timeline, read_steps(timeline, &err), &err) != 0)
		return false;
	for (size_t i = 0; i < timeline->count; i++) {
		struct timeline_step *step = &timeline->steps[i];
		if (step->is != step->wanted && note(timeline, write_step(timeline, step, &err), &err) != 0)
			return false;
	}
	return true;
}

static void want(struct timeline_step *step, enum state_type type, const char *message)
{
	step->wanted = type;
	free(step->message);
	step->message = text_dup(message);
}

void timeline_begin(struct timeline *timeline, const char *name, const char *after)
{
	struct timeline_step *step = get_step(timeline, name);

	if (step == NULL)
		return;
	(void)snprintf(step->after, sizeof step->after, "%s", after != NULL ? after : "");
	if (step->is != STATE_COMPLETED && step->is != STATE_RUNNING)
		want(step, STATE_RUNNING, NULL);
	(void)timeline_flush(timeline);
}

void timeline_end(struct timeline *timeline, const char *name, enum state_type type, const char *message)
{
	struct timeline_step *step = get_step(timeline, name);

	if (step == NULL || state_type_is_terminal(step->is))
		return;
	want(step, type, message);
	(void)timeline_flush(timeline);
}

/* The steps of an earlier start of the body too. */
static void know_steps(struct timeline *timeline)
{
	struct error err;

	if (!timeline->known && !is_quiet(timeline))
		(void)note(timeline, read_steps(timeline, &err), &err);
}

void timeline_end_all(struct timeline *timeline, enum state_type type, const char *message)
{
	know_steps(timeline);
	for (size_t i = 0; i < timeline->count; i++)
		if (!state_type_is_terminal(timeline->steps[i].wanted) && !timeline->steps[i].left)
			want(&timeline->steps[i], type, message);
	(void)timeline_flush(timeline);
}

void timeline_end_like(struct timeline *timeline, const char *prefix, enum state_type type, const char *message)
{
	know_steps(timeline);
	for (size_t i = 0; i < timeline->count; i++) {
		struct timeline_step *step = &timeline->steps[i];
		if (strncmp(step->name, prefix, strlen(prefix)) == 0 && !state_type_is_terminal(step->wanted))
			want(step, type, message);
	}
	(void)timeline_flush(timeline);
}

void timeline_leave(struct timeline *timeline, const char *name)
{
	struct timeline_step *step = find_step(timeline, name);

	if (step != NULL)
		step->left = true;
}

enum state_type timeline_step_state(struct timeline *timeline, const char *name)
{
	know_steps(timeline);
	const struct timeline_step *step = find_step(timeline, name);

	return step != NULL ? step->is : STATE_UNKNOWN;
}

const char *timeline_step_id(const struct timeline *timeline, const char *name)
{
	const struct timeline_step *step = find_step(timeline, name);

	return step != NULL ? step->id : "";
}

/* --- artifacts ------------------------------------------------------------------------------------------------ */

static int quiet_error(const struct timeline *timeline, struct error *err)
{
	if (timeline->trouble.code == 0)
		return error_nomem(err);
	*err = timeline->trouble;
	return err->code = ERR_BUSY;
}

int timeline_put(struct timeline *timeline, const struct artifact_text *text, char ret_id[UUID_SIZE], struct error *err)
{
	if (is_quiet(timeline))
		return quiet_error(timeline, err);
	return note(timeline, artifact_put(timeline->prefect, text, ret_id, err), err);
}

int timeline_update(struct timeline *timeline, const char *id, const char *description, const json_t *data,
                    struct error *err)
{
	if (is_quiet(timeline))
		return quiet_error(timeline, err);
	return note(timeline, artifact_update(timeline->prefect, id, description, data, err), err);
}

/* --- runs that ended while nobody drew them --------------------------------------------------------------------- */

/* A new TaskRunFilter: steps that have not ended. */
static json_t *open_steps(void)
{
	return json_pack("{s:{s:[s]}, s:{s:{s:[s,s]}}}", "tags", "all_", TIMELINE_TAG, "state", "type", "any_", "PENDING",
	                 "RUNNING");
}

/* Those of @flow_runs (a FlowRunFilter, taken). */
static int find_open_steps(struct prefect *prefect, json_t *flow_runs, struct task_run **ret_steps, size_t *ret_count,
                           struct error *err)
{
	AUTO_JSON *owned = flow_runs;
	AUTO_JSON *task_runs = open_steps();

	if (flow_runs == NULL || task_runs == NULL)
		return error_nomem(err);
	return task_run_filter(prefect, &(struct task_run_query){.task_runs = task_runs, .flow_runs = flow_runs}, ret_steps,
	                       ret_count, err);
}

int timeline_close(struct prefect *prefect, const char *flow_run_id, enum state_type type, const char *message,
                   struct error *err)
{
	struct task_run *steps;
	size_t count;

	int rc = find_open_steps(prefect, json_pack("{s:{s:[s]}}", "id", "any_", flow_run_id), &steps, &count, err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < count; i++) {
		/* Somebody else may have a tag of this name. */
		if (strcmp(steps[i].flow_run_id, flow_run_id) == 0 && is_ours(&steps[i]))
			rc = task_run_set_state(prefect, steps[i].id, type, message, err);
		rc = is_settled(rc) ? 0 : rc;
	}
	task_runs_release(steps, count);
	return rc;
}

int timeline_find_open(struct prefect *prefect, time_us since, time_us until, json_t **ret_flow_run_ids, struct error *err)
{
	json_t *ended = json_pack("{s:{s:{s:o}}, s:{s:o, s:o}}", "state", "type", "any_", state_terminal_types(), "end_time",
	                          "after_", json_time(since), "before_", json_time(until));
	AUTO_JSON *seen = json_object();
	struct task_run *steps;
	size_t count;
	const char *id;
	json_t *value;

	int rc = find_open_steps(prefect, ended, &steps, &count, err);
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < count; i++)
		if (is_ours(&steps[i]))
			(void)json_object_set_new(seen, steps[i].flow_run_id, json_true());
	task_runs_release(steps, count);
	*ret_flow_run_ids = json_array();
	json_object_foreach(seen, id, value)
		(void)json_array_append_new(*ret_flow_run_ids, json_string(id));
	return 0;
}
