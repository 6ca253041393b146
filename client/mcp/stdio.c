/* A child process that reads and writes one message a line. */
#include "client/mcp/transport.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/json.h"
#include "client/base/text.h"
#include "client/mcp/child.h"

#define LOOK_MS 100           /* how soon a wait sees that the process is asked to stop */
#define DYING_MS 1000         /* from the end of its output to its exit */
#define END_GRACE_MS 2000     /* an idle server takes 0.4 to 1.5 s from the end of its input to its exit */
#define END_GRACE_STOP_MS 500
#define NOISE_MAX 1000        /* lines that are no messages */

struct stdio {
	struct child child;
	struct stop *stop;
	struct text unsent;
	struct text line;     /* the one under way */
	char piece[65536];    /* what was read last: [at, len) is still to be looked at */
	size_t at;
	size_t len;
	size_t noise;         /* lines that were no messages */
	char first_noise[120];
	bool over;
};

/* How a line ended, as far as it has come. */
enum taken { TAKEN_NOTHING, TAKEN_LINE, TAKEN_TOO_LONG };

/* The session is over: an error that says what became of the child. */
static int end_session(struct stdio *t, const char *what, struct error *err)
{
	char state[500];

	t->over = true;
	child_describe(&t->child, state, sizeof state);
	return error_set(err, ERR_TRANSPORT, "%s: %s%s%s", what, state, t->noise > 0 ? "; it wrote to stdout: " : "",
	                 t->first_noise);
}

static int late(struct stdio *t, int64_t timeout_ms, struct error *err)
{
	char span[TIME_TEXT_SIZE];
	char state[500];

	child_describe(&t->child, state, sizeof state);
	return error_set(err, ERR_BUSY, "no answer within %s: %s%s%s", span_format(timeout_ms, span), state,
	                 t->noise > 0 ? "; it wrote to stdout: " : "", t->first_noise);
}

static int queue(struct stdio *t, const json_t *message, struct error *err)
{
	AUTO_FREE char *text = json_dumps(message, JSON_COMPACT);

	if (text == NULL)
		return error_nomem(err);
	if (strlen(text) >= t->unsent.max - t->unsent.len)
		return error_set(err, ERR_INVALID, "a request of more than %zu bytes, or a server that does not read", t->unsent.max);
	text_addf(&t->unsent, "%s\n", text);
	return t->unsent.failed ? error_nomem(err) : 0;
}

/* Sends what the child takes now. */
static int send_some(struct stdio *t, struct error *err)
{
	ssize_t n = t->unsent.len > 0 ? send(t->child.in, t->unsent.data, t->unsent.len, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;

	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		(void)child_wait(&t->child, DYING_MS);
		return end_session(t, "it takes no more input", err);
	}
	if (n > 0) {
		t->unsent.len -= (size_t)n;
		memmove(t->unsent.data, t->unsent.data + n, t->unsent.len);
	}
	return 0;
}

/* Moves what was read to the line, up to the line's end. */
static enum taken take_line(struct stdio *t)
{
	const char *from = t->piece + t->at;
	size_t left = t->len - t->at;
	const char *end = left > 0 ? memchr(from, '\n', left) : NULL;
	size_t n = end != NULL ? (size_t)(end - from) : left;

	if (n > t->line.max - t->line.len)
		return TAKEN_TOO_LONG;
	text_add(&t->line, from, n);
	t->at += n + (end != NULL);
	return end != NULL ? TAKEN_LINE : TAKEN_NOTHING;
}

static int note_noise(struct stdio *t, struct error *err)
{
	if (t->noise++ == 0) {
		t->first_noise[0] = '\'';
		text_clean(t->first_noise + 1, sizeof t->first_noise - 2, text_str(&t->line), t->line.len);
		(void)strcat(t->first_noise, "'");
	}
	if (t->noise <= NOISE_MAX)
		return 0;
	return end_session(t, "too many lines of its output are no messages", err);
}

/* Reads the whole line. Is it the answer that is waited for? Then @ret_answer is filled. */
static int read_line(struct stdio *t, int64_t id, struct message *ret_answer, bool *ret_found, struct error *err)
{
	AUTO_JSON *reply = NULL;
	struct message message;

	if (t->line.failed)
		return error_nomem(err);
	if (strspn(text_str(&t->line), " \t\r") == t->line.len)
		return 0;
	int rc = message_read(text_str(&t->line), t->line.len, &message, err);
	if (rc != 0)
		return rc == ERR_NOMEM ? rc : note_noise(t, err);

	if (id != 0 && message_answers(&message, id)) {
		*ret_answer = message;
		*ret_found = true;
		return 0;
	}
	if (message.kind == MESSAGE_REQUEST) {
		reply = message_reply(&message);
		rc = reply != NULL ? queue(t, reply, err) : error_nomem(err);
	}
	message_release(&message);
	return rc;
}

/* Everything that has been read. */
static int read_lines(struct stdio *t, int64_t id, struct message *ret_answer, bool *ret_found, struct error *err)
{
	int rc = 0;

	while (rc == 0 && !*ret_found) {
		enum taken taken = take_line(t);
		if (taken == TAKEN_NOTHING)
			return 0;
		if (taken == TAKEN_TOO_LONG)
			return end_session(t, "a line of more than 10 MiB", err);
		rc = read_line(t, id, ret_answer, ret_found, err);
		t->line.len = 0;
	}
	return rc;
}

/* Reads the next piece of stdout; @gone: the child has ended, there will be no more than what is there. */
static int read_piece(struct stdio *t, bool gone, struct error *err)
{
	ssize_t n = read(t->child.out, t->piece, sizeof t->piece);

	t->at = 0;
	t->len = n > 0 ? (size_t)n : 0;
	if (n > 0 || (n < 0 && (errno == EINTR || (errno == EAGAIN && !gone))))
		return 0;
	(void)child_wait(&t->child, DYING_MS);
	return end_session(t, gone ? "it ended before it answered" : "it closed its output before it answered", err);
}

/* Waits for a moment until something can be done, and does it. */
static int move(struct stdio *t, int64_t left_ms, struct error *err)
{
	struct pollfd fds[] = {
		{.fd = t->child.exit, .events = POLLIN},
		{.fd = t->child.out, .events = POLLIN},
		{.fd = t->child.err, .events = POLLIN},
		{.fd = t->unsent.len > 0 ? t->child.in : -1, .events = POLLOUT},
	};
	int rc = 0;

	(void)poll(fds, sizeof fds / sizeof fds[0], left_ms < LOOK_MS ? (int)left_ms : LOOK_MS);
	if (fds[2].revents != 0)
		child_listen(&t->child);
	if (fds[1].revents != 0 || fds[0].revents != 0)
		rc = read_piece(t, fds[0].revents != 0, err);
	if (rc == 0 && fds[3].revents != 0)
		rc = send_some(t, err);
	return rc;
}

static int stdio_exchange(void *self, const json_t *message, int64_t id, int64_t timeout_ms, struct message *ret_answer,
                          struct error *err)
{
	struct stdio *t = self;
	int64_t deadline = clock_mono_ms() + timeout_ms;
	bool found = false;

	if (t->over)
		return error_set(err, ERR_TRANSPORT, "the session is over");
	int rc = queue(t, message, err);
	while (rc == 0) {
		rc = read_lines(t, id, ret_answer, &found, err);
		if (rc != 0 || found || (id == 0 && t->unsent.len == 0))
			return rc;
		int64_t left = deadline - clock_mono_ms();
		if (stop_asked(t->stop))
			return error_set(err, ERR_STOPPED, "shutting down");
		if (left <= 0)
			return late(t, timeout_ms, err);
		rc = move(t, left, err);
	}
	return rc;
}

static void stdio_close(void *self)
{
	struct stdio *t = self;

	child_end(&t->child, t->over ? 0 : stop_asked(t->stop) ? END_GRACE_STOP_MS : END_GRACE_MS);
	text_release(&t->unsent);
	text_release(&t->line);
	free(t);
}

const struct transport transport_stdio = {.exchange = stdio_exchange, .close = stdio_close};

int stdio_open(const struct mcp_settings *settings, void **ret_self, struct error *err)
{
	struct stdio *t = calloc(1, sizeof *t);
	struct command command = {0};

	if (t == NULL)
		return error_nomem(err);
	t->stop = settings->stop;
	t->unsent.max = MCP_MESSAGE_MAX;
	t->line.max = MCP_MESSAGE_MAX;
	int rc = command_make(settings->command, settings->environment, &command, err);
	if (rc == 0)
		rc = child_start(&command, &t->child, err);
	command_release(&command);
	if (rc != 0)
		free(t);
	else
		*ret_self = t;
	return rc;
}
