/* The worker's own log: lines on stderr, as Prefect's worker writes them.
 * Levels are Python's, which Prefect uses. Thread rule: any thread; one line is one write(). */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "client/base/error.h"

enum log_level {
	LOG_LEVEL_DEBUG = 10,
	LOG_LEVEL_INFO = 20,
	LOG_LEVEL_WARNING = 30,
	LOG_LEVEL_ERROR = 40,
	LOG_LEVEL_CRITICAL = 50,
};

/* The least level that is written; LOG_LEVEL_INFO until it is set. */
void log_set_level(int level);
bool log_enabled(int level);

/* "DEBUG", "INFO", ...; the level itself where the name is known, else -1. */
const char *log_level_name(int level);
int log_level_parse(const char *name);

/* Writes one line. Control characters in it are replaced, so that no text can forge a second line. */
void log_line(int level, const char *fmt, ...) PRINTF_LIKE(2, 3);

#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
