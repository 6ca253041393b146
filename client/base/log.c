#include "client/base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/text.h"

#define MESSAGE_MAX_BYTES 1900
#define NAME_MAX_BYTES 160
/* One write() of more than this may be mixed with others' in a pipe (PIPE_BUF). */
#define LINE_MAX_BYTES 4096

enum reader { READER_ANY, READER_TERMINAL, READER_JOURNAL };

static atomic_int least_level = LOG_LEVEL_INFO;
static atomic_int used_format = LOG_FORMAT_TEXT;
static atomic_int used_reader = READER_ANY;

const char *const log_format_names[] = {[LOG_FORMAT_TEXT] = "text", [LOG_FORMAT_JSON] = "json", NULL};

static const struct {
	int level;
	const char *name;
	const char *colour;
	int priority; /* syslog's */
} levels[] = {
	{LOG_LEVEL_DEBUG, "DEBUG", "\033[2m", 7},         {LOG_LEVEL_INFO, "INFO", "", 6},
	{LOG_LEVEL_WARNING, "WARNING", "\033[33m", 4},    {LOG_LEVEL_ERROR, "ERROR", "\033[31m", 3},
	{LOG_LEVEL_CRITICAL, "CRITICAL", "\033[1;31m", 2},
};
#define LEVEL_COUNT (sizeof levels / sizeof levels[0])

/* What a line is made of; each part harmless already, and `name` and `id` NULL where it is about no run. */
struct entry {
	size_t level; /* its place in the table above */
	time_us time;
	const char *name;
	const char *id;
	const char *message;
};

struct line {
	char data[LINE_MAX_BYTES];
	size_t len;
};

void log_set_level(int level)
{
	atomic_store(&least_level, level);
}

bool log_enabled(int level)
{
	return level >= atomic_load(&least_level);
}

const char *log_level_name(int level)
{
	for (size_t i = 0; i < LEVEL_COUNT; i++)
		if (levels[i].level == level)
			return levels[i].name;
	return "?";
}

int log_level_parse(const char *name)
{
	for (size_t i = 0; i < LEVEL_COUNT; i++)
		if (strcasecmp(levels[i].name, name) == 0)
			return levels[i].level;
	return -1;
}

/* systemd names the journal's socket, so that a program can tell whether its stderr was put elsewhere meanwhile. */
static bool is_journal(int fd)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat st;
	char wanted[64];

	if (stream == NULL || fstat(fd, &st) != 0)
		return false;
	(void)snprintf(wanted, sizeof wanted, "%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	return strcmp(stream, wanted) == 0;
}

static bool has_colours(int fd)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return isatty(fd) && (no_color == NULL || *no_color == '\0') && term != NULL && strcmp(term, "dumb") != 0;
}

void log_set_format(enum log_format format)
{
	atomic_store(&used_format, format);
	atomic_store(&used_reader, is_journal(STDERR_FILENO)    ? READER_JOURNAL
	                           : has_colours(STDERR_FILENO) ? READER_TERMINAL
	                                                        : READER_ANY);
}

bool log_is_for_programs(void)
{
	return atomic_load(&used_format) == LOG_FORMAT_JSON || atomic_load(&used_reader) == READER_JOURNAL;
}

/* --- one line: nothing here needs memory, so that a lack of it can be told -------------------------------- */

static void add(struct line *line, const char *text)
{
	size_t len = strlen(text);

	if (len > sizeof line->data - line->len)
		len = sizeof line->data - line->len;
	memcpy(line->data + line->len, text, len);
	line->len += len;
}

/* @text, which text_clean() has been over, inside of a JSON string; cut at a character's edge where more than @max bytes
 * would be needed. */
static void add_escaped(struct line *line, const char *text, size_t max)
{
	size_t end = line->len + max;

	while (*text != '\0') {
		size_t len = 1;
		bool escaped = *text == '"' || *text == '\\';

		while (((unsigned char)text[len] & 0xc0) == 0x80)
			len++;
		if (line->len + len + escaped > end)
			return;
		if (escaped)
			line->data[line->len++] = '\\';
		memcpy(line->data + line->len, text, len);
		line->len += len;
		text += len;
	}
}

static void add_field(struct line *line, const char *key, const char *value, size_t max)
{
	add(line, line->len > 0 && line->data[line->len - 1] == '"' ? ", \"" : "\"");
	add(line, key);
	add(line, "\": \"");
	add_escaped(line, value, max);
	add(line, "\"");
}

static void add_json(struct line *line, const struct entry *entry)
{
	char time[TIME_TEXT_SIZE];
	struct line fields = {.len = 0};

	add_field(&fields, "timestamp", time_format(entry->time, time), sizeof time);
	add_field(&fields, "level", levels[entry->level].name, NAME_MAX_BYTES);
	if (entry->id != NULL)
		add_field(&fields, "flow_run_id", entry->id, NAME_MAX_BYTES);
	if (entry->name != NULL)
		add_field(&fields, "flow_run_name", entry->name, 2 * NAME_MAX_BYTES);
	add_field(&fields, "message", entry->message, LINE_MAX_BYTES - fields.len - 64);
	add(line, "{");
	memcpy(line->data + line->len, fields.data, fields.len);
	line->len += fields.len;
	add(line, "}");
}

static void add_message(struct line *line, const struct entry *entry)
{
	if (entry->name != NULL) {
		add(line, entry->name);
		add(line, " (");
		add(line, entry->id);
		add(line, "): ");
	} else if (entry->id != NULL) {
		add(line, "flow run ");
		add(line, entry->id);
		add(line, ": ");
	}
	add(line, entry->message);
}

static void add_text(struct line *line, const struct entry *entry, bool colours)
{
	const char *colour = colours ? levels[entry->level].colour : "";
	time_t seconds = (time_t)(entry->time / US_PER_SEC);
	struct tm tm = {0};
	char time[32];
	char head[64];

	(void)localtime_r(&seconds, &tm);
	time[strftime(time, sizeof time, "%Y-%m-%d %H:%M:%S", &tm)] = '\0';
	(void)snprintf(head, sizeof head, "%s.%03d | %-7s | ", time, (int)(entry->time % US_PER_SEC / 1000),
	               levels[entry->level].name);
	add(line, colour);
	add(line, head);
	add_message(line, entry);
	add(line, *colour != '\0' ? "\033[0m" : "");
}

static void write_entry(const struct entry *entry)
{
	enum reader reader = (enum reader)atomic_load(&used_reader);
	struct line line = {.len = 0};
	char priority[8];

	if (reader == READER_JOURNAL) {
		(void)snprintf(priority, sizeof priority, "<%d>", levels[entry->level].priority);
		add(&line, priority);
	}
	if (atomic_load(&used_format) == LOG_FORMAT_JSON)
		add_json(&line, entry);
	else if (reader == READER_JOURNAL)
		add_message(&line, entry);
	else
		add_text(&line, entry, reader == READER_TERMINAL);
	add(&line, "\n");

	/* One write a line, so that threads and processes that share the stream do not mix theirs. */
	ssize_t written = write(STDERR_FILENO, line.data, line.len);
	(void)written;
}

static void log_entry(int level, const char *name, const char *id, const char *fmt, va_list args)
{
	char raw[MESSAGE_MAX_BYTES];
	char message[MESSAGE_MAX_BYTES];
	char shown_name[NAME_MAX_BYTES];
	char shown_id[64];
	struct entry entry = {.time = clock_now_us(), .message = message};

	while (entry.level + 1 < LEVEL_COUNT && levels[entry.level].level < level)
		entry.level++;
	(void)vsnprintf(raw, sizeof raw, fmt, args);
	text_clean(message, sizeof message, raw, strlen(raw));
	if (id != NULL) {
		text_clean(shown_id, sizeof shown_id, id, strlen(id));
		entry.id = shown_id;
	}
	if (id != NULL && name != NULL) {
		text_clean(shown_name, sizeof shown_name, name, strlen(name));
		entry.name = shown_name;
	}
	write_entry(&entry);
}

void log_line(int level, const char *fmt, ...)
{
	va_list args;

	if (!log_enabled(level))
		return;
	va_start(args, fmt);
	log_entry(level, NULL, NULL, fmt, args);
	va_end(args);
}

void log_run(int level, const char *name, const char *id, const char *fmt, ...)
{
	va_list args;

	if (!log_enabled(level))
		return;
	va_start(args, fmt);
	log_entry(level, name, id, fmt, args);
	va_end(args);
}
