/* One error type for the whole program.
 *
 * A function that can fail returns 0 or a negative `enum err`, and fills the caller's `struct error`
 * (which may be NULL) in the same call, so that code and text can never drift apart. Library code
 * never logs an error; whoever handles it does, once. A text says what failed, with which value and
 * what to do next; it never holds a secret. Thread rule: a struct error belongs to its caller. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdarg.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

enum err {
	ERR_NOMEM = -1,
	ERR_USAGE = -2,     /* wrong usage or configuration: exit code 2 */
	ERR_SYSTEM = -3,    /* the operating system refused something */
	ERR_DECODE = -4,    /* an answer or a value that cannot be read */
	ERR_TRANSPORT = -5, /* no whole answer: refused, cut off, timed out, too large */
	ERR_HTTP = -6,      /* an HTTP status that the caller did not expect */
	ERR_AUTH = -7,      /* 401 or 403 */
	ERR_NOT_FOUND = -8, /* the server says that the object does not exist */
	ERR_CONFLICT = -9,  /* 409 */
	ERR_INVALID = -10,  /* 400 or 422: the server refuses the request as it is */
	ERR_BUSY = -11,     /* 408, 425, 429, 502, 503 or 504 until the time budget was spent */
	ERR_STOPPED = -12,  /* this process is shutting down */
	ERR_NO_ROUTE = -13, /* there is no such path on the server, or no Prefect API answers there */
};

struct error {
	int code;        /* enum err */
	int http_status; /* 0 where no HTTP answer was involved */
	int64_t retry_after_ms; /* how long the server wishes to be left alone, 60 s at most; 0 where it did not say */
	char text[1024]; /* one line, no full stop */
};

/* Fills @err (may be NULL) and returns @code, so that `return error_set(...)` reads well.
 * Control characters in the text are replaced: it may quote what a server sent. */
int error_set(struct error *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "context: " in front of the text that is already there, and sets the code; returns it. */
int error_prefix(struct error *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* ERR_NOMEM with its text. */
int error_nomem(struct error *err);

#endif
