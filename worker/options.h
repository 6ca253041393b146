/* The engine behind the one option table: flags, environment names, file keys, ranges, help and errors all
 * come from the same row. The order of the sources is that of enum option_source.
 * Thread rule: main thread only, or the one that reloads. */
#ifndef WORKER_OPTIONS_H
#define WORKER_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "client/base/error.h"
#include "client/base/text.h"
#include "worker/sources.h"

enum option_kind {
	OPTION_TEXT,    /* char * */
	OPTION_INTEGER, /* int64_t */
	OPTION_SECONDS, /* int64_t, milliseconds; written as seconds, maybe with a fraction */
	OPTION_SWITCH,  /* bool; a flag without a value */
	OPTION_LIST,    /* json_t *, array of strings; may be given several times */
	OPTION_LEVEL,   /* int64_t, a log level by its name */
	OPTION_NUMBER,  /* double */
	OPTION_CHOICE,  /* int64_t, the place of a word among `choices` */
	OPTION_AUTO,    /* int64_t: 1 or 0 as of a switch, -1 for "auto" */
};

struct option {
	const char *flag;        /* "pool" for --pool; NULL: not on the command line (secrets are not, or may also be put elsewhere), or an argument */
	bool argument;           /* TEXT, CHOICE, or LIST as the last one: what stands on the command line without a flag, as `show RUN` */
	char letter;             /* 'p' for -p; 0 for none */
	const char *env;         /* NULL for none */
	const char *env_first;   /* another name of it, which goes before; NULL for none */
	const char *env_last;    /* a name in the environment that is not Prefect's, and that any other source goes before */
	const char *prefect;     /* of a setting of Prefect's: its path in prefect.toml, like "api.url"; NULL: no such setting */
	bool json;               /* of a setting of Prefect's: may be a table in prefect.toml, and is then its JSON */
	const char *file_key;    /* path in the configuration file, like "worker.pool"; NULL for none */
	enum option_kind kind;
	size_t offset;           /* of the member in the settings struct */
	const char *fallback;    /* default, as it would be written; NULL for none */
	double min, max;         /* of INTEGER, SECONDS and NUMBER */
	const char *const *choices; /* of CHOICE: words, NULL ends them */
	bool secret;             /* its value is never shown; the environment may also name a file that holds it: ENV_FILE */
	bool hidden;             /* its value may hold a secret, and is not shown either: no more than that */
	bool required;
	bool fixed;              /* a running worker keeps its value: see options_take_over() */
	unsigned commands;       /* bits of the commands that have it */
	const char *placeholder; /* of its value in the help */
	const char *help;
};

/* Where a value came from; a later source goes before an earlier one. */
enum option_source {
	OPTION_FROM_DEFAULT,
	OPTION_FROM_OTHER_NAME, /* the environment, by env_last */
	OPTION_FROM_PROFILE,
	OPTION_FROM_FILE,       /* the configuration file */
	OPTION_FROM_PYPROJECT,
	OPTION_FROM_PREFECT_TOML,
	OPTION_FROM_DOTENV,
	OPTION_FROM_ENVIRONMENT,
	OPTION_FROM_FLAG,
};

/* The table and what it fills. */
struct options {
	const struct option *rows;
	size_t count;
	void *target;     /* zeroed before options_load() */
	unsigned command; /* the bit of the command that is run */
	unsigned read;    /* bits of more commands whose options are read, though not from flags */
	struct sources *sources; /* zeroed; filled by options_load(), also where it fails later; NULL: without Prefect's own sources */
	unsigned char *from; /* one for each row, zeroed before options_load(): gets its enum option_source; may be NULL */
	unsigned *exposed; /* gets the mode of a configuration file that holds a secret and that others can read */
};

/* @config_row: the index of the option that names the configuration file. Returns 0, ERR_USAGE (the text names
 * the option, where its value came from, and what would be right) or ERR_NOMEM. */
int options_load(const struct options *options, size_t config_row, int argc, char **argv, bool *ret_help,
                 struct error *err) MUST_CHECK;

/* For values that were loaded anew while those in @now are in use: in @options' target every fixed option gets the
 * value that it has @now. @told is called for each option of the command that differs, with the values as they are
 * written (NULL: none; a secret's value is never told); @kept: it is a fixed one. *ret_changes counts the
 * calls. Returns 0 or ERR_NOMEM. */
typedef void option_told(const struct option *row, const char *was, const char *is, bool kept);
int options_take_over(const struct options *options, const void *now, option_told *told, size_t *ret_changes,
                      struct error *err) MUST_CHECK;

/* What an option is called in messages: its place in the file, or else its name in the environment. */
const char *option_name(const struct option *row);

/* The value as it would be written; NULL where there is none. The caller frees it. */
char *option_write(const struct option *row, const void *target);

/* Frees what the rows own in the target. */
void options_release(const struct options *options);

/* The options of a command, for its --help. */
void options_help(const struct options *options, struct text *out);

#endif
