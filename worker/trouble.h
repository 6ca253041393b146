/* Trouble with the server as one speaker has it (a service, a flow body): said once per change and not per try, and
 * waited out with growing waits.
 * Thread rule: a struct trouble belongs to its speaker. */
#ifndef WORKER_TROUBLE_H
#define WORKER_TROUBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "client/base/error.h"

struct trouble {
	int tries;        /* failures since it last worked */
	int doubtful;     /* those among them that may last for ever: answers that make no sense */
	int code;         /* enum err and status of the latest: another one is a change */
	int http_status;
	bool by_wish;     /* the server asked to be left alone for a while */
	int64_t since_ms; /* when the first one came, by clock_mono_ms() */
};

/* Notes a failure. True where it is news: the first one, or one of another kind than the one before. */
bool trouble_note(struct trouble *trouble, const struct error *err);

/* How long to wait after the failure that was noted last: 1 s, doubled each time, a minute at most, with jitter; half a
 * minute where a setting is wrong; never less than the server asked for (Retry-After, up to a minute). */
int64_t trouble_wait_ms(const struct trouble *trouble, const struct error *err);

/* It works again. True where it did not before; *ret_lasted_ms says for how long. */
bool trouble_over(struct trouble *trouble, int64_t *ret_lasted_ms);

/* True for an error that a later try can cure: no answer, a busy server, a wrong password that is put right. */
bool trouble_is_passing(const struct error *err);
/* A server error, something that is not Prefect's answer, or no memory: it may pass, as when a proxy restarts, or it may
 * not. */
bool trouble_is_doubtful(const struct error *err);

/* True where the server refuses the request as it is (400, 422, another 4xx), and would the next time too. Nobody waits for
 * that to change. */
bool trouble_is_refusal(const struct error *err);

/* So many doubtful failures in a row, and what failed is given up: about four minutes. */
#define TROUBLE_DOUBTFUL_MAX 8

#endif
