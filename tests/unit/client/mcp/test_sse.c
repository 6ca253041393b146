/* Event streams, in one piece and byte by byte: both give the same events. */
#include "client/mcp/sse.h"

#include <string.h>

#include "tests/unit/unit.h"

struct seen {
	struct text events; /* each in brackets */
	int left;           /* how many are wanted */
};

static bool note(void *arg, const char *data, size_t len)
{
	struct seen *seen = arg;

	text_add(&seen->events, "[", 1);
	text_add(&seen->events, data, len);
	text_add(&seen->events, "]", 1);
	return --seen->left != 0;
}

/* Feeds @stream in pieces of @size bytes. */
static int feed(struct sse *sse, const char *stream, size_t size, struct seen *seen, struct error *err)
{
	int rc = 0;

	for (size_t left = strlen(stream); rc == 0 && left > 0;) {
		size_t n = left < size ? left : size;
		rc = sse_feed(sse, stream, n, note, seen, err);
		stream += n;
		left -= n;
	}
	return rc;
}

static void reads_events(void)
{
	static const struct {
		const char *name;
		const char *stream;
		const char *events;
	} rows[] = {
		{"as recorded", "event: message\r\ndata: {\"id\":6}\r\n\r\n", "[{\"id\":6}]"},
		{"LF", "data: a\n\ndata: b\n\n", "[a][b]"},
		{"CR", "data: a\r\rdata: b\r\r", "[a][b]"},
		{"mixed ends", "data: a\r\n\ndata: b\n\r\n", "[a][b]"},
		{"several lines", "data: {\ndata: }\n\n", "[{\n}]"},
		{"no space", "data:a\n\n", "[a]"},
		{"one space of two", "data:  a\n\n", "[ a]"},
		{"empty data", "data\n\ndata:\n\n", "[][]"},
		{"an empty second line", "data: a\ndata\n\n", "[a\n]"},
		{"comments", ": ping - now\r\n\r\ndata: a\r\n: ping\r\n\r\n:\n\n", "[a]"},
		{"fields that are not ours", "id: 1\nretry: 5\ndata2: x\ndat: y\nfoo\ndata: a\n\n", "[a]"},
		{"another name", "event: ping\ndata: x\n\ndata: a\n\n", "[a]"},
		{"a name that begins alike", "event: messages\ndata: x\n\nevent: mess\ndata: y\n\n", ""},
		{"an empty name", "event\ndata: a\n\n", "[a]"},
		{"a name without data", "event: message\n\ndata: a\n\n", "[a]"},
		{"a byte order mark", "\xef\xbb\xbf" "data: a\n\n", "[a]"},
		{"a mark in the middle", "data: a\n\n\xef\xbb\xbf" "data: b\n\n", "[a]"},
		{"cut off", "data: a\n\ndata: b\n", "[a]"},
		{"cut off in a line", "data: a", ""},
		{"a colon in the data", "data: a: b\n\n", "[a: b]"},
		{"nothing", "", ""},
	};
	static const size_t sizes[] = {1, 2, 3, 1000};

	EACH(row, rows)
		EACH(size, sizes)
		{
			struct sse sse = SSE_INIT(100);
			struct seen seen = {.events = {.max = 1000}};
			struct error err;

			CHECK_RC(row->name, feed(&sse, row->stream, *size, &seen, &err), 0, &err);
			CHECK_STR(row->name, text_str(&seen.events), row->events);
			text_release(&seen.events);
			sse_release(&sse);
		}
}

static void has_a_limit(void)
{
	static const struct {
		const char *name;
		const char *stream;
		int rc;
	} rows[] = {
		{"a line of ten", "data: 6789\n\n", 0},
		{"a line of eleven", "data: 67890", ERR_TRANSPORT},
		{"data of ten", "data:12345\ndata:6789\n\n", 0},
		{"data of eleven", "data:12345\ndata:67890\n\n", ERR_TRANSPORT},
		{"a comment", ":2345678901", ERR_TRANSPORT},
		{"many events", "data:12345\n\ndata:12345\n\ndata:12345\n\n", 0},
	};
	static const size_t sizes[] = {1, 1000};

	EACH(row, rows)
		EACH(size, sizes)
		{
			struct sse sse = SSE_INIT(10);
			struct seen seen = {.events = {.max = 1000}};
			struct error err;

			CHECK_RC(row->name, feed(&sse, row->stream, *size, &seen, &err), row->rc, &err);
			text_release(&seen.events);
			sse_release(&sse);
		}
}

static void stops_when_it_has_seen_enough(void)
{
	struct sse sse = SSE_INIT(100);
	struct seen seen = {.events = {.max = 1000}, .left = 2};
	struct error err;

	CHECK_RC("two", feed(&sse, "data: a\n\ndata: b\n\ndata: c\n\n", 1000, &seen, &err), 0, &err);
	CHECK_STR("two", text_str(&seen.events), "[a][b]");
	text_release(&seen.events);
	sse_release(&sse);
}

UNIT_SUITE("client/mcp/sse", TEST(reads_events), TEST(has_a_limit), TEST(stops_when_it_has_seen_enough))
