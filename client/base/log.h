/* The program's own log: lines on stderr. Levels are Python's, which Prefect uses.
 *
 *   LOG_FORMAT_TEXT   2026-11-25 20:31:44.123 | INFO    | message            (local time, as Prefect's worker writes them)
 *   LOG_FORMAT_JSON   {"timestamp": "...Z", "level": "INFO", "message": "..."}     (one object a line; also flow_run_id
 *                     and flow_run_name where the line is about a run)
 *
 * A terminal gets colours by level, unless NO_COLOR is set. The journal of systemd gets the priority ("<6>") in front,
 * and a text without time and level, which it keeps by itself.
 * Thread rule: any thread; one line is one write(). */
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

enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
/* The formats by name, in the enum's order, up to NULL. */
extern const char *const log_format_names[];

/* How lines look from now on; looks at stderr for what reads it. Before the first call: text without colours. */
void log_set_format(enum log_format format);

/* Is it a program that reads the lines, so that everything on stderr should be one of them? */
bool log_is_for_programs(void);

/* "DEBUG", "INFO", ...; the level itself where the name is known, else -1. */
const char *log_level_name(int level);
int log_level_parse(const char *name);

/* Writes one line. Control characters in it are replaced, so that no text can forge a second line. */
void log_line(int level, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* The same about a flow run: "NAME (ID): " in front of the text, fields of their own in JSON. @name may be NULL, and
 * @id too: then it is about no run. */
void log_run(int level, const char *name, const char *id, const char *fmt, ...) PRINTF_LIKE(4, 5);

#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)

#endif
