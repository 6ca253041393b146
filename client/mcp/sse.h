/* Server-sent events, as they come in pieces. Source: the WHATWG HTML standard, "event stream interpretation".
 *
 * Only the data of events without a name, or named "message", is of interest; comments, ids and retry times are passed
 * over, and an event that the stream's end cut off is none. Thread rule: a struct sse belongs to its caller. */
#ifndef MCP_SSE_H
#define MCP_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "client/base/text.h"

/* Sees the data of one event: lines joined by \n, borrowed. Returns false where it has seen enough. */
typedef bool sse_event(void *arg, const char *data, size_t len);

/* Initialise with the limits of one line and of one event's data: SSE_INIT(1024). */
struct sse {
	struct text line;
	struct text data;
	bool started;    /* something but a byte order mark was read */
	bool after_cr;   /* an LF would be part of the line's end */
	bool has_data;   /* the event has a data field, even if it is empty */
	bool foreign;    /* the event has another name than "message" */
};

#define SSE_INIT(limit) {.line = {.max = (limit)}, .data = {.max = (limit)}}

/* Reads the next piece of the stream, and calls @on_event for each event that it completes. Returns 0, also where
 * @on_event had enough (the rest of the piece is lost then), ERR_TRANSPORT for more than the limit, or ERR_NOMEM. */
int sse_feed(struct sse *sse, const char *data, size_t len, sse_event *on_event, void *arg, struct error *err) MUST_CHECK;
void sse_release(struct sse *sse);

#endif
