/* The timeline: what a run's page shows of a flow's steps, as task runs (one for each step) and artifacts.
 *
 * All of it is for reading, so nothing of it stops or slows a flow: a session of its own with short limits makes the
 * requests, and after one that failed it keeps quiet for a while. What a step should look like is remembered here meanwhile,
 * and written when the server is back; what this process can no longer write (it was killed, the run was ended by
 * somebody else) any worker puts right later: timeline_find_open().
 *
 * A step is the task run with task_key "janitor.STEP" and the attempt of the run as its dynamic_key (flow_begun_at(), in
 * microseconds): a body that is started again finds its steps there and adds none; a run that is done again gets new ones.
 * Thread rule: a struct timeline belongs to the thread of its flow body. */
#ifndef WORKER_TIMELINE_H
#define WORKER_TIMELINE_H

#include "client/prefect/artifact.h"
#include "client/prefect/task_run.h"
#include "flows/flow.h"

/* On every task run of ours. */
#define TIMELINE_TAG "prefect-janitor"
#define TIMELINE_STEPS_MAX 48
#define TIMELINE_NAME_SIZE 32

struct timeline_step {
	char name[TIMELINE_NAME_SIZE];
	char after[TIMELINE_NAME_SIZE]; /* the step that an arrow comes from; "" for none */
	char id[UUID_SIZE];             /* "" where the server does not have it yet */
	enum state_type is;             /* on the server */
	enum state_type wanted;
	char *message;                  /* owned: of the wanted state; may be NULL */
	bool left;                      /* it does not end with the run */
};

struct timeline {
	const struct http_settings *http; /* borrowed */
	struct server_clock *clock;       /* borrowed */
	struct prefect *prefect;          /* NULL until it is needed */
	char flow_run_id[UUID_SIZE];
	time_us attempt;
	struct timeline_step *steps;      /* owned */
	size_t count;
	bool known;                       /* the steps of an earlier start of the body were read */
	int64_t quiet_until_ms;           /* no request before that, by clock_mono_ms() */
	struct error trouble;             /* the latest, to be told: code 0 for none */
};

/* @http (which has to live as long as @timeline, and has short limits) and @clock are borrowed. No request. */
void timeline_init(struct timeline *timeline, const struct http_settings *http, struct server_clock *clock,
                   const char *flow_run_id, time_us attempt);
void timeline_release(struct timeline *timeline);

/* See flow_step_begin(), flow_step_end(). */
void timeline_begin(struct timeline *timeline, const char *name, const char *after);
void timeline_end(struct timeline *timeline, const char *name, enum state_type type, const char *message);

/* Every step that has not ended, also of an earlier start of the body, ends as @type: the run does. Nothing where no step
 * was ever begun or ended. */
void timeline_end_all(struct timeline *timeline, enum state_type type, const char *message);

/* See flow_step_leave(), flow_step_state(). */
void timeline_leave(struct timeline *timeline, const char *name);
enum state_type timeline_step_state(struct timeline *timeline, const char *name);

/* Every step whose name starts with @prefix, and that has not ended, ends: those of an earlier start of the body, which was killed
 * on the way. */
void timeline_end_like(struct timeline *timeline, const char *prefix, enum state_type type, const char *message);

/* Writes what is not written yet. True where all of it is. */
bool timeline_flush(struct timeline *timeline);

/* The id of a step's task run; "" where the server does not have it. */
const char *timeline_step_id(const struct timeline *timeline, const char *name);

/* Creates or updates an artifact of the run: artifact_put(). ERR_BUSY while it keeps quiet. */
int timeline_put(struct timeline *timeline, const struct artifact_text *text, char ret_id[UUID_SIZE],
                 struct error *err) MUST_CHECK;
/* Updates one that is known: artifact_update(). */
int timeline_update(struct timeline *timeline, const char *id, const char *description, const json_t *data,
                    struct error *err) MUST_CHECK;

/* Ends the steps of a run that ended as @type, by whatever hand. */
int timeline_close(struct prefect *prefect, const char *flow_run_id, enum state_type type, const char *message,
                   struct error *err) MUST_CHECK;

/* The flow runs that have ended from @since to @until, by the server's clock, and have steps that have not: a new array of ids,
 * one page of steps at most. */
int timeline_find_open(struct prefect *prefect, time_us since, time_us until, json_t **ret_flow_run_ids,
                       struct error *err) MUST_CHECK;

#endif
