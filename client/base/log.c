#include "client/base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/text.h"

#define LINE_MAX_BYTES 2048

static atomic_int least_level = LOG_LEVEL_INFO;

static const struct {
	int level;
	const char *name;
} levels[] = {
	{LOG_LEVEL_DEBUG, "DEBUG"},       {LOG_LEVEL_INFO, "INFO"},         {LOG_LEVEL_WARNING, "WARNING"},
	{LOG_LEVEL_ERROR, "ERROR"},       {LOG_LEVEL_CRITICAL, "CRITICAL"},
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
	for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
		if (levels[i].level == level)
			return levels[i].name;
	return "?";
}

int log_level_parse(const char *name)
{
	for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
		if (strcasecmp(levels[i].name, name) == 0)
			return levels[i].level;
	return -1;
}

void log_line(int level, const char *fmt, ...)
{
	if (!log_enabled(level))
		return;

	char message[LINE_MAX_BYTES];
	va_list args;
	va_start(args, fmt);
	(void)vsnprintf(message, sizeof message, fmt, args);
	va_end(args);

	time_us now = clock_now_us();
	time_t seconds = (time_t)(now / US_PER_SEC);
	struct tm tm = {0};
	(void)localtime_r(&seconds, &tm);
	char line[LINE_MAX_BYTES + 64];
	size_t used = strftime(line, sizeof line, "%Y-%m-%d %H:%M:%S", &tm);
	used += (size_t)snprintf(line + used, sizeof line - used, ".%03d | %-7s | ",
	                         (int)(now % US_PER_SEC / 1000), log_level_name(level));
	text_clean(line + used, sizeof line - used - 1, message, strlen(message));
	used = strlen(line);
	line[used++] = '\n';

	/* One write a line, so that threads and processes that share the stream do not mix theirs. */
	ssize_t written = write(STDERR_FILENO, line, used);
	(void)written;
}
