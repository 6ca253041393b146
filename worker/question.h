/* Which question a run has been asked, going by the states it was in.
 *
 * A question is a pause with a form. It counts until the run ends or is cancelled: a run that is started again after
 * that (a retry, a state that was changed by hand) has to be asked anew, whatever answers lie around. The run's
 * pause_keys alone do not tell: a retry from the current UI forces the state and leaves them as they were.
 * Each question has a number of its own, which is its pause key and part of the names of its form and its answer, so
 * that an answer can never be taken for that to another question.
 * Thread rule: no state. */
#ifndef WORKER_QUESTION_H
#define WORKER_QUESTION_H

#include "client/prefect/flow_run.h"

struct question {
	bool asked; /* the run was paused for it, and has not ended since */
	int number; /* its number; of the next one where none was asked */
	time_us answered_at; /* when the run went on after it, by the server's clock; 0 where it has not */
	time_us begun_at; /* when the run was first Running since it last ended, or at all; 0 where it was not */
};

#define QUESTION_KEY_SIZE 48

/* The names that Prefect's pause_flow_run() gives: the pause key, and "paused-N-PART" of an input, where PART is
 * schema, description or response. */
const char *question_pause_key(const struct question *question, char key[QUESTION_KEY_SIZE]);
const char *question_input_key(const struct question *question, const char *part, char key[QUESTION_KEY_SIZE]);

/* The number of the question that this state asks; 0 where it is no pause with a form of ours. */
int question_in_state(const struct state *state);

/* The same of the state that @run is in. ERR_DECODE where it has none that can be read. */
int question_of_run(const struct flow_run *run, int *ret_number, struct error *err) MUST_CHECK;

/* Reads the run's states and decides. */
int question_read(struct prefect *prefect, const struct flow_run *run, struct question *ret_question,
                  struct error *err) MUST_CHECK;

/* The same of a run that has ended: as it was before that. Only for reading. */
int question_read_ended(struct prefect *prefect, const struct flow_run *run, struct question *ret_question,
                        struct error *err) MUST_CHECK;

/* The decision alone, for tests: @states in any order. */
struct question question_judge(const struct flow_run *run, const struct state *states, size_t count);
/* The same without the ends that come last; @states are put in another order. */
struct question question_judge_ended(const struct flow_run *run, struct state *states, size_t count);

#endif
