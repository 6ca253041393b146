/* States of flow runs, and proposing a new one.
 *
 * Every change goes through the server's orchestration rules (force is never used) and carries a
 * transition id, so that a repeated proposal is answered with what the first one did.
 * Source: POST /flow_runs/{id}/set_state, Prefect 3.4.20 to 3.9.1. Thread rule: none shared. */
#ifndef PREFECT_STATE_H
#define PREFECT_STATE_H

#include "client/prefect/prefect.h"

enum state_type {
	STATE_UNKNOWN, /* a type that this program does not know: treated as not ours to act on */
	STATE_SCHEDULED,
	STATE_PENDING,
	STATE_RUNNING,
	STATE_PAUSED,
	STATE_CANCELLING,
	STATE_COMPLETED,
	STATE_FAILED,
	STATE_CANCELLED,
	STATE_CRASHED,
};

extern const struct json_name state_type_names[];

/* "RUNNING"; "UNKNOWN" for anything else. */
const char *state_type_name(enum state_type type);
bool state_type_is_terminal(enum state_type type);
/* Pending, Running, Paused or Cancelling: somebody has to have it in hand. */
bool state_type_is_live(enum state_type type);

/* A JSON array of the terminal types' names: a new reference, NULL without memory. */
json_t *state_terminal_types(void);
/* The same of all others. */
json_t *state_unfinished_types(void);

/* When the server set @state, as it gives a run's state (an object; NULL for none); 0: not known. */
time_us state_time(const json_t *state);

struct state {
	int type;          /* enum state_type */
	char *name;        /* owned */
	char *message;     /* owned; NULL where there is none */
	time_us timestamp; /* when the server took it on, by the server's clock */
	json_t *details;   /* owned: state_details */
};

int state_decode(const json_t *json, struct state *ret_state, struct error *err) MUST_CHECK;
void state_release(struct state *state);

#define STATE_MESSAGE_MAX 1000

/* Every state that the run has been in, in no certain order: GET /flow_run_states/?flow_run_id=. Release with
 * states_release(). */
int state_history(struct prefect *prefect, const char *flow_run_id, struct state **ret_states, size_t *ret_count,
                  struct error *err) MUST_CHECK;
void states_release(struct state *states, size_t count);

struct state_proposal {
	enum state_type type;
	const char *name;    /* shown in the UI as the badge */
	const char *message; /* NULL for none; made one harmless line of at most STATE_MESSAGE_MAX bytes */
	json_t *data;        /* borrowed: the run's result as plain JSON; NULL for none */
	json_t *details;     /* borrowed: more state_details; NULL for none */
	const char *transition_id; /* the same for every try of one transition; NULL for one of its own */
};

enum state_status {
	STATE_ACCEPT, /* the run is in the proposed state */
	STATE_REJECT, /* the server put it into another one, or left it; see `state` */
	STATE_ABORT,  /* the server refuses; nothing changed */
	STATE_WAIT,   /* not yet: propose again after `wait_s` */
};

struct state_answer {
	enum state_status status;
	struct state state; /* on ACCEPT and REJECT: the state that the run is in now */
	int64_t wait_s;     /* on WAIT */
	char *reason;       /* owned; on REJECT, ABORT and WAIT; may be NULL */
};

/* Proposes a state and returns the server's answer. May be repeated after a lost answer.
 * Returns 0, ERR_NOT_FOUND (the run was deleted) or what prefect_call() returns. */
int state_propose(struct prefect *prefect, const char *flow_run_id, const struct state_proposal *proposal,
                  struct state_answer *ret_answer, struct error *err) MUST_CHECK;

/* Answers the question of a Paused run with @input (an object, borrowed): POST /flow_runs/{id}/resume. The server checks it
 * against the form's schema, keeps it and sets the run to Running (ACCEPT), or says why it does not (REJECT, ABORT). May be
 * repeated after a lost answer: the second time is an ABORT, "not paused". Errors as above. */
int state_resume(struct prefect *prefect, const char *flow_run_id, const json_t *input,
                 struct state_answer *ret_answer, struct error *err) MUST_CHECK;

void state_answer_release(struct state_answer *answer);

#endif
