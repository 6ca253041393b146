/* Where options get their values, but for flags: environment, files, and Prefect's own sources. What options.c and
 * option_sources.c have in common. Thread rule: as options.h. */
#ifndef WORKER_OPTION_SOURCES_H
#define WORKER_OPTION_SOURCES_H

#include "worker/options.h"

/* Gives every option of the command the value of the source that goes before all others that have one. @file: the
 * configuration file; NULL for none. Returns 0, ERR_USAGE or ERR_NOMEM. */
int options_load_sources(const struct options *options, const char *file, struct error *err) MUST_CHECK;

/* The member of the target that @row fills. */
void *option_member(const struct options *options, const struct option *row);

/* Gives the option of @row the value that was written at @where; a list gets one more. */
int option_set(const struct options *options, const struct option *row, const char *value, const char *where,
               struct error *err) MUST_CHECK;

/* Lists are replaced as a whole by a source that goes before. */
int option_restart_list(const struct options *options, const struct option *row, struct error *err) MUST_CHECK;

void option_note_source(const struct options *options, const struct option *row, enum option_source source);

#endif
