/* The one request function.
 *
 * Every request: connect and total timeouts, certificate checks on, http and https only, no
 * redirects, an answer of limited size (HTTP_ANSWER_MAX, or less). Failures are retried by one table and
 * within one time budget, with exponential back-off, jitter, and Retry-After where the server sends it:
 *
 *   never reached the server (refused, no DNS), 429, 503,
 *   529 (a model server that is overloaded)                 always: the server did nothing
 *   cut off, timed out, 408, 425, 500, 502, 504             only where the request says `repeatable`
 *   500                                                     two more tries, then it is the answer
 *   anything else                                           never
 *
 * Lifetime: http_init() once in main before the first thread; one `struct http` per thread and
 * settings that outlive it. A connection is dropped after five minutes, so that a changed certificate
 * is noticed. Thread rule: a struct http belongs to one thread; http_settings are only read, but for `newer`, which
 * any thread may set, once. */
#ifndef BASE_HTTP_H
#define BASE_HTTP_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/base/clock.h"
#include "client/base/error.h"
#include "client/base/stop.h"

#define HTTP_ANSWER_MAX (64 * 1024 * 1024)

/* One try of a request, as an observer sees it. */
struct http_try {
	int status;      /* 0: no whole answer */
	int64_t took_us;
	bool again;      /* not the first try of its request */
};

/* Called after every try, by the thread that made it: it must be quick, and may be called by several at once. */
typedef void http_observer(void *arg, const struct http_try *seen);

/* Is the answer still wanted? Asked on the way by the thread that waits for it, also while nothing comes: it must be quick, and
 * may make calls with other sessions alone. False ends the call with ERR_STOPPED. */
typedef bool http_go_on(void *arg);
#define HTTP_GO_ON_EVERY_MS 5000

/* How one try ended, as a gate needs to know it. */
enum http_end {
	HTTP_ANSWERED, /* with whatever status */
	HTTP_HUNG,     /* nothing, or not all of it, came for HTTP_HUNG_MS or longer */
	HTTP_NO_ANSWER /* refused, cut off, or given up by us */
};
#define HTTP_HUNG_MS 2000

struct http_request;

/* Decides when a try may be made, for all sessions together. Both are called by the thread of the session, by several threads at
 * once: enter() before every try, and leave() after it where enter() said yes. */
struct http_gate {
	/* Waits until the try may be made: until @until_ms at most, by clock_mono_ms(), and while @go_on says yes, which is asked
	 * several times a second. False: it may not be made. */
	bool (*enter)(void *arg, const struct http_request *request, int64_t until_ms, http_go_on *go_on, void *go_on_arg);
	void (*leave)(void *arg, const struct http_request *request, enum http_end end);
	void *arg; /* borrowed */
};

struct http_settings {
	const char *url;             /* where paths are appended, without a slash at the end */
	const char *url_from;        /* where the url comes from, for the hint of an error; NULL for nothing to tell */
	bool url_is_default;
	const char *bearer;          /* secret: Authorization: Bearer; NULL for none */
	const char *basic;           /* secret: "user:password"; NULL for none */
	const json_t *headers;       /* secret: more headers, an object of strings; NULL for none */
	const char *ca_file;         /* PEM file of the only authorities to trust; NULL for ca_dir */
	const char *ca_dir;          /* folder, or several with ':' between them, made by c_rehash; NULL for the system's */
	bool insecure;               /* do not check the certificate */
	int64_t connect_timeout_ms;
	int64_t request_timeout_ms;  /* one try, from connecting to the last byte */
	int64_t retry_budget_ms;     /* all tries of one request together */
	bool few_tries;              /* after a request that failed: two tries each, until one is answered */
	struct stop *stop;           /* NULL for none. Once it is asked for: */
	int64_t stop_grace_ms;       /* - a request that is under way may go on for so long */
	bool tries_while_stopping;   /* - and is tried again meanwhile; else the waits between tries end at once */
	http_observer *observer;     /* NULL for none */
	void *observer_arg;          /* borrowed */
	const struct http_gate *gate; /* NULL for none; borrowed. A try waits for it for one request timeout at most */
	/* NULL, or settings that replace these for good: every session takes them over before its next request. */
	_Atomic(const struct http_settings *) newer;
	int64_t first_wait_ms;       /* before the second try, then doubled; 0: what suits Prefect's SQLite */
	size_t answer_max;           /* bytes of one answer; 0: HTTP_ANSWER_MAX */
};

/* Sees the body of an answer of status 2xx as it comes. Returns false where it has seen enough: the answer is then what
 * has come so far. */
typedef bool http_sink(void *arg, const char *data, size_t len);

struct http_request {
	const char *method;
	const char *path;        /* appended to the settings' url; starts with a slash, or is empty */
	const json_t *body;      /* borrowed; sent as JSON; NULL for none */
	bool repeatable;         /* doing it twice is the same as doing it once */
	int64_t budget_ms;       /* 0: the settings' retry_budget_ms */
	int64_t timeout_ms;      /* 0: the settings' request_timeout_ms */
	http_sink *on_body;      /* NULL for none */
	void *on_body_arg;       /* borrowed */
	int64_t limit_ms;        /* all tries, with the last answer; 0: no more than the above */
	int tries_max;           /* 0: as many as the budget allows */
	http_go_on *go_on;       /* NULL: not asked */
	void *go_on_arg;         /* borrowed */
	int64_t go_on_every_ms;  /* at most so often; 0: HTTP_GO_ON_EVERY_MS */
};

struct http_answer {
	int status;
	char *body;       /* owned; NUL-terminated; never NULL on success */
	size_t len;
	time_us date;     /* the Date header; 0 where there was none */
	int64_t took_ms;  /* the last try alone */
	int64_t retry_after_ms; /* how long the server wants to be left alone, a minute at most; 0 where it does not say */
	bool ambiguous;   /* an earlier try may have been carried out, and its answer was lost */
};

/* What one call cost, all its tries together. */
struct http_effort {
	int64_t took_ms; /* from the first try to the end of the last, with the waits in between, but for those for the gate */
	int tries;
	int busy;        /* tries that were answered with 503 */
	int throttled;   /* tries that were answered with 429 */
};

struct http;

/* Global set-up and clean-up of libcurl; main thread only. */
int http_init(struct error *err) MUST_CHECK;
void http_cleanup(void);

/* @settings, and all that replace them, are borrowed until http_free(). Returns NULL without memory. */
struct http *http_new(const struct http_settings *settings);
void http_free(struct http *http);

/* Adds or replaces a header that goes with every later request of @http. */
int http_set_header(struct http *http, const char *name, const char *value, struct error *err) MUST_CHECK;

/* Sends @request and waits for the answer: blocks for the time budget and one request timeout at most, and before each try
 * for the gate, where there is one: waiting for it uses up nothing of the budget.
 * Any HTTP status is an answer (0 is returned and ret_answer->status says which), once the retry
 * table has nothing more to try. Returns 0, ERR_TRANSPORT, ERR_STOPPED or ERR_NOMEM. @ret_answer is
 * filled on success only; release it with http_answer_release(). After ERR_TRANSPORT
 * @ret_ambiguous (may be NULL) says whether the server may have carried the request out. */
int http_call(struct http *http, const struct http_request *request, struct http_answer *ret_answer,
              bool *ret_ambiguous, struct error *err) MUST_CHECK;

/* Of the latest http_call(), also of one that failed; borrowed. */
const struct http_effort *http_last_effort(const struct http *http);

void http_answer_release(struct http_answer *answer);

/* The header @name of the latest answer, also while its body comes; "" where there was none. Borrowed until the next call. */
const char *http_answer_header(struct http *http, const char *name);

/* The Retry-After header @value of an answer whose Date header was @date (0: it had none), as a span of at most
 * HTTP_RETRY_AFTER_MAX_MS. A date is compared with the server's own one, since our clock may be wrong, and with our clock
 * only where the answer has none: to come back too soon is worse than too late. 0 for what is over, and for what is neither seconds
 * nor a date. */
#define HTTP_RETRY_AFTER_MAX_MS 60000
int64_t http_retry_after_ms(const char *value, time_us date);

/* How the table above classifies an HTTP status; for tests. */
enum http_retry { HTTP_RETRY_NEVER, HTTP_RETRY_REPEATABLE, HTTP_RETRY_ALWAYS };
enum http_retry http_retry_status(int status);

#endif
