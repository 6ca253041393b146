/* A scripted HTTP server on a free port of 127.0.0.1, in a thread of its own.
 *
 * It answers one request per connection, either from a script (steps in order; a request that differs from its
 * step, one too many, and one that never came are problems) or from a handler. Nothing in it waits for a time.
 * Thread rule: all functions belong to the test's thread; a handler runs in the server's. */
#ifndef TESTS_UNIT_HTTP_SERVER_H
#define TESTS_UNIT_HTTP_SERVER_H

#include <stddef.h>

enum http_trick {
	TRICK_NONE,
	TRICK_CLOSE,    /* no answer, the connection ends */
	TRICK_HALF,     /* the headers promise the whole body, half of it comes */
	TRICK_STALL,    /* nothing more until the client gives up */
	TRICK_RAW,      /* the body is all that is sent: no status line, no headers */
	TRICK_OPEN,     /* the whole body, without saying that it is whole; nothing more until the client gives up */
	TRICK_ENDLESS,  /* a body without an end */
	TRICK_CHUNKED,  /* the body in chunks of seven bytes */
};

struct http_reply {
	int status;          /* 0: 200 */
	const char *body;    /* NULL: empty */
	const char *headers; /* more header lines, each with \r\n; NULL for none */
	enum http_trick trick;
	char *owned;         /* a body that the server frees; goes before `body` */
};

/* What a request has to be; NULL members are not looked at. */
struct http_step {
	const char *method;
	const char *path;   /* with the query */
	const char *header; /* a whole line, "Name: value", without regard to case of the name */
	const char *body;   /* occurs in the body */
	struct http_reply reply;
};

struct http_seen {
	const char *method;
	const char *path;
	const char *headers; /* as they came */
	const char *body;
};

typedef struct http_reply http_handler(void *arg, const struct http_seen *seen);

struct http_server;

/* @steps is borrowed until http_server_stop(). */
struct http_server *http_server_script(const struct http_step *steps, size_t count);
struct http_server *http_server_handle(http_handler *handler, void *arg);

/* "http://127.0.0.1:PORT"; borrowed. */
const char *http_server_url(const struct http_server *server);

/* How many requests have come so far; also for a handler and for any other thread. */
size_t http_server_requests(const struct http_server *server);

/* Ends the thread and frees the server. Returns the problems, one a line, "" for none: the caller frees it.
 * @ret_requests (may be NULL): how many requests came. */
char *http_server_stop(struct http_server *server, size_t *ret_requests);

/* One more request header that was seen: the value of @name in @headers, up to @size bytes; "" where it is not. */
void http_seen_header(const char *headers, const char *name, char *ret_value, size_t size);

#endif
