/* Event streams: whole and in pieces they give the same events, or fail alike. The first byte is the size of the pieces. */
#include "client/mcp/sse.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

#define LIMIT 256 /* small enough to be reached */

static bool note(void *arg, const char *data, size_t len)
{
	struct text *events = arg;

	MUST(len <= LIMIT && data[len] == '\0');
	text_addf(events, "%zu:", len);
	text_add(events, data, len);
	return true;
}

static int feed(const uint8_t *data, size_t size, size_t piece, struct text *events)
{
	struct sse sse = SSE_INIT(LIMIT);
	struct error err;
	int rc = 0;

	for (size_t at = 0; rc == 0 && at < size; at += piece)
		rc = sse_feed(&sse, (const char *)data + at, size - at < piece ? size - at : piece, note, events, &err);
	sse_release(&sse);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_TEXT whole = {.max = 1 << 20};
	AUTO_TEXT pieces = {.max = 1 << 20};

	if (size < 2 || data[0] == 0)
		return 0;
	int rc = feed(data + 1, size - 1, size - 1, &whole);
	MUST(rc == feed(data + 1, size - 1, data[0], &pieces));
	MUST(whole.len == pieces.len && memcmp(text_str(&whole), text_str(&pieces), whole.len) == 0);
	return 0;
}
