/* A session with a Prefect server's REST API: one request function, which every resource module uses.
 *
 * It turns HTTP statuses into error codes with the server's own words, fetches a CSRF token where the
 * server asks for one (GET /csrf-token, 3.x), and keeps the difference between the server's clock
 * and ours. Recorded against Prefect 3.9.1, 3.8.8, 3.6.29 and 3.4.20.
 * Thread rule: a struct prefect belongs to one thread; a struct server_clock is shared. */
#ifndef PREFECT_PREFECT_H
#define PREFECT_PREFECT_H

#include <stdatomic.h>

#include "client/base/http.h"
#include "client/base/json.h"

/* Pages of the API hold at most this many rows (PREFECT_SERVER_API_DEFAULT_LIMIT). */
#define PREFECT_PAGE_MAX 200

/* The server's clock, learned from the Date header of every answer. Between two answers it goes on with our monotonic
 * clock, so that a jump of this machine's time changes nothing. Zero-initialise; before the first answer it is ours. */
struct server_clock {
	_Atomic int64_t since_mono_us; /* server's time minus clock_mono_ms(); 0: nothing learned yet */
	/* Server's time minus ours at the latest answer; 0 while both agree within what the header can tell (it counts
	 * whole seconds, and the server renews it once a second). */
	_Atomic int64_t ahead_us;
};

struct prefect;

/* @http and @clock are borrowed until prefect_free(). NULL without memory. */
struct prefect *prefect_new(const struct http_settings *http, struct server_clock *clock);
void prefect_free(struct prefect *prefect);

/* The server's clock now, and the same for a clock without a session. */
time_us prefect_now(const struct prefect *prefect);
time_us server_clock_now(const struct server_clock *clock);

enum prefect_repeat { PREFECT_ONCE, PREFECT_REPEATABLE };

struct prefect_request {
	const char *method;
	json_t *body;              /* taken, also on failure; NULL for a request without one */
	enum prefect_repeat repeat;
	int64_t budget_ms;         /* 0: the default; else the time for all tries together */
	int64_t once_ms;           /* 0: as above; else one try, of so long at most */
	bool *ret_ambiguous;       /* may be NULL: may the server have done it, although it failed? */
	json_t **ret_refusal;      /* may be NULL: the JSON body of a status >= 400, else untouched */
	bool text_answer;          /* the answer is a text, not JSON: it is returned as a JSON string */
};

/* Sends a request to the path made by @path_fmt (what comes from outside goes through http_escape()).
 * Blocks as http_call(). Returns 0 or
 *   ERR_NOT_FOUND  404, 410 in Prefect's own words    ERR_CONFLICT  409
 *   ERR_NO_ROUTE   405, 404 by anybody else, or a page of HTML: a proxy whose server is away says that too
 *   ERR_INVALID    400, 422           ERR_AUTH      401, 403, 407; the text names the settings
 *   ERR_BUSY       408, 425, 429, 502, 503, 504 until the budget was spent
 *   ERR_HTTP       any other status   ERR_DECODE    an answer that is not JSON
 * or what http_call() returns. @ret_json (may be NULL) is the caller's reference, JSON null for an
 * empty answer; it is set on success only. */
int prefect_call(struct prefect *prefect, struct prefect_request request, json_t **ret_json,
                 struct error *err, const char *path_fmt, ...) PRINTF_LIKE(5, 6) MUST_CHECK;

/* The common cases of it. A POST without memory for its body (@body NULL) is ERR_NOMEM. */
#define prefect_get(prefect, ret_json, err, ...)                                                               \
	prefect_call(prefect, (struct prefect_request){.method = "GET", .repeat = PREFECT_REPEATABLE}, ret_json, \
	             err, __VA_ARGS__)
#define prefect_post(prefect, json, how_often, ret_json, err, ...)                                             \
	prefect_call(prefect, (struct prefect_request){.method = "POST", .body = (json), .repeat = (how_often)}, \
	             ret_json, err, __VA_ARGS__)
#define prefect_patch(prefect, json, err, ...)                                                                 \
	prefect_call(prefect,                                                                                    \
	             (struct prefect_request){.method = "PATCH", .body = (json), .repeat = PREFECT_REPEATABLE},  \
	             NULL, err, __VA_ARGS__)

/* More than any server holds, and little enough that sums of counts do not overflow. */
#define PREFECT_COUNT_MAX (INT64_MAX / 1024)

/* Asks a path that counts (POST .../count; @body is taken, NULL is ERR_NOMEM): 0 to PREFECT_COUNT_MAX, else ERR_DECODE. */
int prefect_count(struct prefect *prefect, json_t *body, int64_t *ret_count, struct error *err,
                  const char *path) MUST_CHECK;

/* All requests from now on, with all their tries and their last answers, end within @ms from now: ERR_TRANSPORT or ERR_BUSY.
 * 0: as the settings say again. */
void prefect_set_deadline(struct prefect *prefect, int64_t ms);

/* What the latest request of this session cost; borrowed. */
const struct http_effort *prefect_last_effort(const struct prefect *prefect);

/* @text percent-encoded for a path; the caller frees it; NULL without memory. */
char *http_escape(const char *text);

/* The page of the UI for an API URL: ".../api" becomes ".../v2", which opens the current UI. The
 * caller frees it; NULL without memory. */
char *prefect_ui_url(const char *api_url, const char *path);

#endif
