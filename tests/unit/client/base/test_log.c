/* What a line looks like for whom, and that nothing in it can make a second one. */
#include "client/base/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "tests/unit/unit.h"

#define ID "0c5b6a1e-3a52-4c3f-9d5e-5f3b8a7c1d2e"

enum place { PLACE_FILE, PLACE_JOURNAL, PLACE_TERMINAL };

/* stderr while a test looks at it. */
struct capture {
	int before;
	int in;  /* what stderr leads to */
	int out; /* where it can be read */
	char text[3 * 4096];
};

static int64_t at_noon(void)
{
	return INT64_C(1795608000) * US_PER_SEC + 123456; /* 2026-11-25T12:00:00.123456Z */
}

static void set_journal(int fd, bool ours)
{
	struct stat st;
	char stream[64];

	if (fstat(fd, &st) != 0)
		abort();
	(void)snprintf(stream, sizeof stream, "%llu:%llu", (unsigned long long)st.st_dev,
	               (unsigned long long)st.st_ino + !ours);
	(void)setenv("JOURNAL_STREAM", stream, 1);
}

static int open_terminal(int *ret_master)
{
	*ret_master = posix_openpt(O_RDWR | O_NOCTTY);
	if (*ret_master < 0 || grantpt(*ret_master) != 0 || unlockpt(*ret_master) != 0)
		abort();
	return open(ptsname(*ret_master), O_RDWR | O_NOCTTY);
}

static void capture_begin(struct capture *c, enum place place)
{
	char name[] = "/tmp/janitor-unit-XXXXXX";

	if (place == PLACE_TERMINAL) {
		c->in = open_terminal(&c->out);
	} else {
		c->in = mkstemp(name);
		c->out = c->in;
		(void)unlink(name);
	}
	set_journal(c->in, place == PLACE_JOURNAL);
	(void)fflush(stderr);
	c->before = dup(STDERR_FILENO);
	if (c->in < 0 || c->before < 0 || dup2(c->in, STDERR_FILENO) < 0)
		abort();
	log_set_level(LOG_LEVEL_DEBUG);
	clock_fake(unit_mono_ms, at_noon);
}

static const char *capture_end(struct capture *c)
{
	ssize_t len;

	if (c->in == c->out)
		(void)lseek(c->out, 0, SEEK_SET);
	len = read(c->out, c->text, sizeof c->text - 1);
	c->text[len > 0 ? len : 0] = '\0';
	(void)dup2(c->before, STDERR_FILENO);
	(void)close(c->before);
	(void)close(c->in);
	if (c->in != c->out)
		(void)close(c->out);
	(void)unsetenv("JOURNAL_STREAM");
	log_set_level(LOG_LEVEL_CRITICAL + 1);
	log_set_format(LOG_FORMAT_TEXT);
	clock_fake(NULL, NULL);
	return c->text;
}

static const char *nothing(const char *set)
{
	return set != NULL ? set : "";
}

static void writes_for_each_reader(void)
{
	static const struct {
		const char *row;
		enum place place;
		enum log_format format;
		int level;
		const char *name, *id; /* NULL id: about no run */
		const char *want;
		const char *term, *no_color;
	} rows[] = {
		{"text", PLACE_FILE, LOG_FORMAT_TEXT, LOG_LEVEL_INFO, NULL, NULL, "2026-11-25 12:00:00.123 | INFO    | hello\n", "xterm", NULL},
		{"of a run", PLACE_FILE, LOG_FORMAT_TEXT, LOG_LEVEL_ERROR, "curly-otter", ID,
		 "2026-11-25 12:00:00.123 | ERROR   | curly-otter (" ID "): hello\n", "xterm", NULL},
		{"of a run without a name", PLACE_FILE, LOG_FORMAT_TEXT, LOG_LEVEL_DEBUG, NULL, ID,
		 "2026-11-25 12:00:00.123 | DEBUG   | flow run " ID ": hello\n", "xterm", NULL},
		{"json", PLACE_FILE, LOG_FORMAT_JSON, LOG_LEVEL_WARNING, NULL, NULL,
		 "{\"timestamp\": \"2026-11-25T12:00:00.123456Z\", \"level\": \"WARNING\", \"message\": \"hello\"}\n", "xterm", NULL},
		{"json of a run", PLACE_FILE, LOG_FORMAT_JSON, LOG_LEVEL_INFO, "curly-otter", ID,
		 "{\"timestamp\": \"2026-11-25T12:00:00.123456Z\", \"level\": \"INFO\", \"flow_run_id\": \"" ID
		 "\", \"flow_run_name\": \"curly-otter\", \"message\": \"hello\"}\n", "xterm", NULL},
		{"journal", PLACE_JOURNAL, LOG_FORMAT_TEXT, LOG_LEVEL_INFO, NULL, NULL, "<6>hello\n", "xterm", NULL},
		{"journal, debug", PLACE_JOURNAL, LOG_FORMAT_TEXT, LOG_LEVEL_DEBUG, NULL, NULL, "<7>hello\n", "xterm", NULL},
		{"journal, warning", PLACE_JOURNAL, LOG_FORMAT_TEXT, LOG_LEVEL_WARNING, "n", ID, "<4>n (" ID "): hello\n", "xterm", NULL},
		{"journal, error", PLACE_JOURNAL, LOG_FORMAT_TEXT, LOG_LEVEL_ERROR, NULL, NULL, "<3>hello\n", "xterm", NULL},
		{"journal, critical", PLACE_JOURNAL, LOG_FORMAT_TEXT, LOG_LEVEL_CRITICAL, NULL, NULL, "<2>hello\n", "xterm", NULL},
		{"journal, json", PLACE_JOURNAL, LOG_FORMAT_JSON, LOG_LEVEL_INFO, NULL, NULL,
		 "<6>{\"timestamp\": \"2026-11-25T12:00:00.123456Z\", \"level\": \"INFO\", \"message\": \"hello\"}\n", "xterm", NULL},
		{"terminal", PLACE_TERMINAL, LOG_FORMAT_TEXT, LOG_LEVEL_INFO, NULL, NULL,
		 "2026-11-25 12:00:00.123 | INFO    | hello\r\n", "xterm", NULL},
		{"terminal, warning", PLACE_TERMINAL, LOG_FORMAT_TEXT, LOG_LEVEL_WARNING, NULL, NULL,
		 "\033[33m2026-11-25 12:00:00.123 | WARNING | hello\033[0m\r\n", "xterm", ""},
		{"terminal, error", PLACE_TERMINAL, LOG_FORMAT_TEXT, LOG_LEVEL_ERROR, NULL, NULL,
		 "\033[31m2026-11-25 12:00:00.123 | ERROR   | hello\033[0m\r\n", "xterm", NULL},
		{"terminal without colours", PLACE_TERMINAL, LOG_FORMAT_TEXT, LOG_LEVEL_ERROR, NULL, NULL,
		 "2026-11-25 12:00:00.123 | ERROR   | hello\r\n", "xterm", "1"},
		{"a terminal that knows none", PLACE_TERMINAL, LOG_FORMAT_TEXT, LOG_LEVEL_ERROR, NULL, NULL,
		 "2026-11-25 12:00:00.123 | ERROR   | hello\r\n", "dumb", NULL},
		{"json on a terminal", PLACE_TERMINAL, LOG_FORMAT_JSON, LOG_LEVEL_ERROR, NULL, NULL,
		 "{\"timestamp\": \"2026-11-25T12:00:00.123456Z\", \"level\": \"ERROR\", \"message\": \"hello\"}\r\n", "xterm", NULL},
	};
	char *term = strdup(nothing(getenv("TERM")));

	(void)setenv("TZ", "UTC", 1);
	tzset();
	EACH(row, rows)
	{
		struct capture capture;

		(void)setenv("TERM", row->term, 1);
		(void)setenv("NO_COLOR", nothing(row->no_color), 1);
		capture_begin(&capture, row->place);
		log_set_format(row->format);
		bool for_programs = log_is_for_programs();
		log_run(row->level, row->name, row->id, "%s", "hello");
		CHECK_STR(row->row, capture_end(&capture), row->want);
		CHECK(row->row, for_programs == (row->format == LOG_FORMAT_JSON || row->place == PLACE_JOURNAL));
	}
	(void)setenv("TERM", term, 1);
	(void)unsetenv("NO_COLOR");
	(void)unsetenv("TZ");
	tzset();
	free(term);
}

/* Whatever is quoted: one line, in JSON one object with the text in it. */
static void stays_one_harmless_line(void)
{
	static const struct {
		const char *row;
		const char *name;
		const char *message;
		const char *want; /* as it is read from the JSON */
	} rows[] = {
		{"line breaks", "a\nb", "x\r\n<3>forged\n", "x?\?<3>forged?"},
		{"an escape sequence", "\033[31m", "\033[2Jx", "?[2Jx"},
		{"quotes and backslashes", "\"}\\", "\"}, {\"level\": \"x\\", "\"}, {\"level\": \"x\\"},
		{"not UTF-8", "\xff", "a\xc3(", "a?("},
		{"other characters", "\xc3\xa4", "\xe2\x82\xac \xf0\x9f\xa6\xa6", "\xe2\x82\xac \xf0\x9f\xa6\xa6"},
		{"lines of Unicode", "n", "a\xe2\x80\xa8" "b", "a?b"},
	};

	EACH(row, rows)
	{
		for (int format = LOG_FORMAT_TEXT; format <= LOG_FORMAT_JSON; format++) {
			struct capture capture;

			capture_begin(&capture, PLACE_FILE);
			log_set_format((enum log_format)format);
			log_run(LOG_LEVEL_INFO, row->name, ID, "%s", row->message);
			const char *line = capture_end(&capture);
			size_t len = strlen(line);

			CHECK(row->row, len > 0 && strcspn(line, "\n") == len - 1 && strpbrk(line, "\r\033") == NULL);
			if (format == LOG_FORMAT_TEXT) {
				CHECK_HAS(row->row, line, row->want);
				continue;
			}
			AUTO_JSON *json = NULL;
			CHECK_RC(row->row, json_read(line, len, &json, NULL), 0, &(struct error){0});
			CHECK_STR(row->row, json_string_value(json_object_get(json, "message")), row->want);
			CHECK_STR(row->row, json_string_value(json_object_get(json, "flow_run_id")), ID);
		}
	}
}

/* What is too long is cut so that the object is still one, and no longer than a pipe takes at once. */
static void cuts_json_that_is_too_long(void)
{
	static const char *const fillings[] = {"x", "\"", "\xe2\x82\xac", "\\"};
	char message[3000];
	char name[400];

	for (size_t i = 0; i < COUNT_OF(fillings); i++) {
		struct capture capture;
		size_t step = strlen(fillings[i]);
		size_t used = 0;

		for (; used + step < sizeof message; used += step)
			memcpy(message + used, fillings[i], step);
		message[used] = '\0';
		(void)memset(name, '"', sizeof name - 1);
		name[sizeof name - 1] = '\0';
		capture_begin(&capture, PLACE_JOURNAL);
		log_set_format(LOG_FORMAT_JSON);
		log_run(LOG_LEVEL_INFO, name, ID, "%s", message);
		const char *line = capture_end(&capture);
		AUTO_JSON *json = NULL;

		CHECK(fillings[i], strlen(line) <= 4096 && strncmp(line, "<6>", 3) == 0 && line[strlen(line) - 1] == '\n');
		CHECK_RC(fillings[i], json_read(line + 3, strlen(line) - 3, &json, NULL), 0, &(struct error){0});
		CHECK(fillings[i], json_string_length(json_object_get(json, "message")) > 1500);
	}
}

static void obeys_the_level(void)
{
	struct capture capture;

	capture_begin(&capture, PLACE_FILE);
	log_set_level(LOG_LEVEL_WARNING);
	log_info("one");
	log_run(LOG_LEVEL_DEBUG, "n", ID, "two");
	log_warning("three");
	const char *text = capture_end(&capture);
	CHECK_HAS("level", text, "three\n");
	CHECK_LACKS("level", text, "one");
	CHECK_LACKS("level", text, "two");
}

UNIT_SUITE("client/base/log", TEST(writes_for_each_reader), TEST(stays_one_harmless_line),
           TEST(cuts_json_that_is_too_long), TEST(obeys_the_level))
