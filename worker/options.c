#include "worker/options.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "client/base/log.h"
#include "client/base/nearest.h"
#include "worker/option_sources.h"

#define HELP_COLUMN 30
/* Rows of kind OPTION_LIST that a command has, at most. */
#define LISTS_MAX 16

void *option_member(const struct options *options, const struct option *row)
{
	return (char *)options->target + row->offset;
}

/* "which is out of range", with the range as it would be written. */
static int range_error(const struct option *row, const char *where, const char *value, struct error *err)
{
	return error_set(err, ERR_USAGE, "%s: '%s' is not %s from %g to %g%s", where, value,
	                 row->kind == OPTION_INTEGER ? "a whole number" : "a number", row->min, row->max,
	                 row->kind == OPTION_SECONDS ? " (seconds)" : "");
}

static int read_number(const struct option *row, const char *value, const char *where, double *ret_value,
                       struct error *err)
{
	char *end;

	errno = 0;
	double number = strtod(value, &end);
	if (end == value || *end != '\0' || errno != 0 || !(number >= row->min && number <= row->max) ||
	    (row->kind == OPTION_INTEGER && number != floor(number)))
		return range_error(row, where, value, err);
	*ret_value = number;
	return 0;
}

static int set_number(const struct option *row, const char *value, const char *where, int64_t *ret_value,
                      struct error *err)
{
	double number = 0;

	int rc = read_number(row, value, where, &number, err);
	if (rc == 0)
		*ret_value = (int64_t)llround(row->kind == OPTION_SECONDS ? number * 1000 : number);
	return rc;
}

static int set_choice(const struct option *row, const char *value, const char *where, int64_t *ret_value,
                      struct error *err)
{
	AUTO_TEXT words = {.max = 400};
	struct nearest nearest = {.to = value};
	char hint[NEAREST_SIZE];

	for (int i = 0; row->choices[i] != NULL; i++) {
		nearest_offer(&nearest, row->choices[i]);
		if (strcasecmp(value, row->choices[i]) == 0) {
			*ret_value = i;
			return 0;
		}
		text_addf(&words, "%s%s", i > 0 ? ", " : "", row->choices[i]);
	}
	return error_set(err, ERR_USAGE, "%s: '%.80s' is none of %s%s", where, value, text_str(&words),
	                 nearest_hint(&nearest, "", hint));
}

/* Prefect reads booleans from the environment as pydantic does. */
static int set_switch(const char *value, const char *where, bool *ret_value, struct error *err)
{
	static const char *const yes[] = {"1", "true", "t", "yes", "y", "on"};
	static const char *const no[] = {"0", "false", "f", "no", "n", "off"};

	for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
		if (strcasecmp(value, yes[i]) == 0 || strcasecmp(value, no[i]) == 0) {
			*ret_value = strcasecmp(value, yes[i]) == 0;
			return 0;
		}
	}
	return error_set(err, ERR_USAGE, "%s: '%s' is neither true nor false", where, value);
}

static int set_auto(const char *value, const char *where, int64_t *ret_value, struct error *err)
{
	bool on = false;

	*ret_value = -1;
	if (strcasecmp(value, "auto") == 0)
		return 0;
	if (set_switch(value, where, &on, NULL) != 0)
		return error_set(err, ERR_USAGE, "%s: '%s' is none of auto, true, false", where, value);
	*ret_value = on;
	return 0;
}

static int level_error(const char *value, const char *where, struct error *err)
{
	static const char *const levels[] = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"};
	struct nearest nearest = {.to = value};
	char hint[NEAREST_SIZE];

	for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++)
		nearest_offer(&nearest, levels[i]);
	return error_set(err, ERR_USAGE, "%s: '%s' is none of DEBUG, INFO, WARNING, ERROR, CRITICAL%s", where, value,
	                 nearest_hint(&nearest, "", hint));
}

int option_set(const struct options *options, const struct option *row, const char *value, const char *where,
                      struct error *err)
{
	void *to = option_member(options, row);

	switch (row->kind) {
	case OPTION_TEXT:
		if (*value == '\0')
			return error_set(err, ERR_USAGE, "%s: the value is empty", where);
		if (!text_is_utf8(value))
			return error_set(err, ERR_USAGE, "%s: the value is not UTF-8", where);
		free(*(char **)to);
		*(char **)to = text_dup(value);
		return *(char **)to != NULL ? 0 : error_nomem(err);
	case OPTION_INTEGER:
	case OPTION_SECONDS:
		return set_number(row, value, where, to, err);
	case OPTION_SWITCH:
		return set_switch(value, where, to, err);
	case OPTION_LIST:
		if (*value == '\0')
			return error_set(err, ERR_USAGE, "%s: the value is empty", where);
		if (json_array_append_new(*(json_t **)to, json_string(value)) != 0)
			return error_set(err, ERR_USAGE, "%s: the value is not UTF-8", where);
		return 0;
	case OPTION_LEVEL:
		*(int64_t *)to = log_level_parse(value);
		return *(int64_t *)to >= 0 ? 0 : level_error(value, where, err);
	case OPTION_NUMBER:
		return read_number(row, value, where, to, err);
	case OPTION_CHOICE:
		return set_choice(row, value, where, to, err);
	case OPTION_AUTO:
		return set_auto(value, where, to, err);
	}
	return ERR_USAGE;
}

void option_note_source(const struct options *options, const struct option *row, enum option_source source)
{
	if (options->from != NULL)
		options->from[row - options->rows] = (unsigned char)source;
}

int option_restart_list(const struct options *options, const struct option *row, struct error *err)
{
	json_t **list = option_member(options, row);

	json_decref(*list);
	*list = json_array();
	return *list != NULL ? 0 : error_nomem(err);
}

static int load_defaults(const struct options *options, struct error *err)
{
	for (size_t i = 0; i < options->count; i++) {
		const struct option *row = &options->rows[i];
		int rc = row->kind == OPTION_LIST ? option_restart_list(options, row, err) : 0;

		if (rc == 0 && row->fallback != NULL)
			rc = option_set(options, row, row->fallback, "default", err);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* --- command line ------------------------------------------------------------------------------------ */

/* -ojson: a letter with its value behind it. */
static bool is_attached(const struct option *row, const char *arg)
{
	return row->letter != 0 && row->kind != OPTION_SWITCH && arg[0] == '-' && arg[1] == row->letter && arg[2] != '\0' &&
	       arg[2] != '=';
}

static const struct option *find_flag(const struct options *options, const char *arg, size_t len)
{
	for (size_t i = 0; i < options->count; i++) {
		const struct option *row = &options->rows[i];

		if (row->flag == NULL || !(row->commands & options->command))
			continue;
		if (arg[0] == '-' && arg[1] == '-' && strlen(row->flag) == len - 2 && memcmp(row->flag, arg + 2, len - 2) == 0)
			return row;
		if (len == 2 && row->letter != 0 && arg[0] == '-' && arg[1] == row->letter)
			return row;
		if (is_attached(row, arg))
			return row;
	}
	return NULL;
}

static int unknown_flag(const struct options *options, const char *arg, size_t len, struct error *err)
{
	AUTO_FREE char *word = arg[1] == '-' ? strndup(arg + 2, len - 2) : NULL;
	struct nearest nearest = {.to = word != NULL ? word : ""};
	char hint[NEAREST_SIZE];

	nearest_offer(&nearest, "help");
	for (size_t i = 0; i < options->count; i++)
		if (options->rows[i].flag != NULL && (options->rows[i].commands & options->command))
			nearest_offer(&nearest, options->rows[i].flag);
	return error_set(err, ERR_USAGE, "there is no option '%.*s' here%s; --help lists what there is", (int)(len < 80 ? len : 80), arg,
	                 nearest_hint(&nearest, "--", hint));
}

/* The command's argument number @nth, from 0 on. */
static const struct option *find_argument(const struct options *options, size_t nth)
{
	for (size_t i = 0; i < options->count; i++) {
		const struct option *row = &options->rows[i];

		if (row->argument && (row->commands & options->command) && (row->kind == OPTION_LIST || nth-- == 0))
			return row; /* a list takes all that follow */
	}
	return NULL;
}

/* Finds the row and the value of argv[*i]; moves *i past a value that stands apart. @arguments: those that were
 * found before. */
static int read_flag(const struct options *options, int argc, char **argv, int *i, size_t *arguments,
                     const struct option **ret_row, const char **ret_value, struct error *err)
{
	const char *arg = argv[*i];
	size_t len = strcspn(arg, "=");
	bool is_flag = arg[0] == '-';
	const struct option *row = is_flag ? find_flag(options, arg, len) : find_argument(options, (*arguments)++);

	if (row == NULL)
		return is_flag ? unknown_flag(options, arg, len, err)
		               : error_set(err, ERR_USAGE, "there is no argument '%.*s' here; --help lists what there is",
		                           (int)(len < 80 ? len : 80), arg);
	*ret_row = row;
	if (!is_flag) {
		*ret_value = arg;
		return 0;
	}
	if (arg[1] != '-' && is_attached(row, arg)) {
		*ret_value = arg + 2;
		return 0;
	}
	if (row->kind == OPTION_SWITCH) {
		*ret_value = arg[len] == '=' ? arg + len + 1 : "true";
		return 0;
	}
	if (arg[len] == '=') {
		*ret_value = arg + len + 1;
		return 0;
	}
	if (*i + 1 >= argc)
		return error_set(err, ERR_USAGE, "%s needs a value: %s %s", arg, arg, row->placeholder);
	*ret_value = argv[++*i];
	return 0;
}

static bool is_among(const struct option *row, const struct option *const *rows, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (rows[i] == row)
			return true;
	return false;
}

/* Applies all flags, or only that of @only (NULL: all). */
static int load_flags(const struct options *options, const struct option *only, int argc, char **argv, bool *ret_help,
                      struct error *err)
{
	const struct option *restarted[LISTS_MAX]; /* rows whose list begins anew with its first flag */
	size_t restarted_count = 0;
	size_t arguments = 0;

	for (int i = 0; i < argc; i++) {
		const struct option *row = NULL;
		const char *value = NULL;

		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			*ret_help = true;
			return 0;
		}
		int rc = read_flag(options, argc, argv, &i, &arguments, &row, &value, err);
		if (rc == 0 && (only == NULL || row == only)) {
			char where[64];
			(void)snprintf(where, sizeof where, "%s%s", row->argument ? "" : "--",
			               row->argument ? row->placeholder : row->flag);
			if (row->kind == OPTION_LIST && !is_among(row, restarted, restarted_count)) {
				rc = option_restart_list(options, row, err);
				restarted[restarted_count++] = row;
			}
			if (rc == 0)
				rc = option_set(options, row, value, where, err);
			option_note_source(options, row, OPTION_FROM_FLAG);
		}
		if (rc != 0)
			return rc;
	}
	return 0;
}

static bool is_given(const char *value)
{
	return value != NULL && *value != '\0';
}

static bool is_set(const struct options *options, const struct option *row)
{
	if (row->kind == OPTION_LIST && row->argument)
		return json_array_size(*(json_t **)option_member(options, row)) > 0;
	return row->kind != OPTION_TEXT || *(char **)option_member(options, row) != NULL;
}

int options_load(const struct options *options, size_t config_row, int argc, char **argv, bool *ret_help,
                 struct error *err)
{
	const struct option *config = &options->rows[config_row];
	char **file = option_member(options, config);

	*ret_help = false;
	int rc = load_defaults(options, err);
	if (rc == 0 && is_given(sources_environment(config->env)))
		rc = option_set(options, config, sources_environment(config->env), config->env, err);
	if (rc == 0)
		rc = load_flags(options, config, argc, argv, ret_help, err);
	if (rc != 0 || *ret_help)
		return rc;

	if (options->sources != NULL)
		rc = sources_read(options->sources, err);
	if (rc == 0 && *file == NULL && options->sources != NULL && is_given(sources_dotenv(options->sources, config->env)))
		rc = option_set(options, config, sources_dotenv(options->sources, config->env), config->env, err);
	if (rc == 0)
		rc = options_load_sources(options, *file, err);
	if (rc == 0)
		rc = load_flags(options, NULL, argc, argv, ret_help, err);

	for (size_t i = 0; rc == 0 && i < options->count; i++) {
		const struct option *row = &options->rows[i];
		if (row->required && (row->commands & options->command) && !is_set(options, row))
			rc = row->argument ? error_set(err, ERR_USAGE, "%s is missing: %s", row->placeholder, row->help)
			                   : error_set(err, ERR_USAGE, "--%s %s is missing: %s", row->flag, row->placeholder,
			                               row->help);
	}
	return rc;
}

void options_release(const struct options *options)
{
	for (size_t i = 0; i < options->count; i++) {
		const struct option *row = &options->rows[i];
		void *of = option_member(options, row);

		if (row->kind == OPTION_TEXT) {
			free(*(char **)of);
			*(char **)of = NULL;
		} else if (row->kind == OPTION_LIST) {
			json_decref(*(json_t **)of);
			*(json_t **)of = NULL;
		}
	}
}

/* --- values that change while they are in use ------------------------------------------------------------ */

const char *option_name(const struct option *row)
{
	return row->file_key != NULL ? row->file_key : row->env != NULL ? row->env : row->flag;
}

char *option_write(const struct option *row, const void *target)
{
	const void *at = (const char *)target + row->offset;
	struct text text = {.max = 64 * 1024};

	switch (row->kind) {
	case OPTION_TEXT:
		return text_dup(*(char *const *)at);
	case OPTION_INTEGER:
		text_addf(&text, "%" PRId64, *(const int64_t *)at);
		break;
	case OPTION_SECONDS:
		text_addf(&text, "%g", (double)*(const int64_t *)at / 1000);
		break;
	case OPTION_SWITCH:
		text_addf(&text, "%s", *(const bool *)at ? "true" : "false");
		break;
	case OPTION_LIST:
		return json_dumps(*(json_t *const *)at, JSON_COMPACT);
	case OPTION_LEVEL:
		text_addf(&text, "%s", log_level_name((int)*(const int64_t *)at));
		break;
	case OPTION_NUMBER:
		text_addf(&text, "%g", *(const double *)at);
		break;
	case OPTION_CHOICE:
		text_addf(&text, "%s", row->choices[*(const int64_t *)at]);
		break;
	case OPTION_AUTO:
		text_addf(&text, "%s", *(const int64_t *)at < 0 ? "auto" : *(const int64_t *)at > 0 ? "true" : "false");
		break;
	}
	return text_take(&text);
}

/* Gives the option of @row the value that it has @now. */
static int keep(const struct options *options, const struct option *row, const void *now, struct error *err)
{
	const void *from = (const char *)now + row->offset;
	void *to = option_member(options, row);
	const char *text;

	switch (row->kind) {
	case OPTION_TEXT:
		text = *(char *const *)from;
		free(*(char **)to);
		*(char **)to = text_dup(text);
		return *(char **)to != NULL || text == NULL ? 0 : error_nomem(err);
	case OPTION_LIST:
		json_decref(*(json_t **)to);
		*(json_t **)to = json_deep_copy(*(json_t *const *)from);
		return *(json_t **)to != NULL ? 0 : error_nomem(err);
	case OPTION_INTEGER:
	case OPTION_SECONDS:
	case OPTION_LEVEL:
	case OPTION_CHOICE:
	case OPTION_AUTO:
		*(int64_t *)to = *(const int64_t *)from;
		return 0;
	case OPTION_NUMBER:
		*(double *)to = *(const double *)from;
		return 0;
	case OPTION_SWITCH:
		*(bool *)to = *(const bool *)from;
		return 0;
	}
	return 0;
}

int options_take_over(const struct options *options, const void *now, option_told *told, size_t *ret_changes,
                      struct error *err)
{
	*ret_changes = 0;
	for (size_t i = 0; i < options->count; i++) {
		const struct option *row = &options->rows[i];
		AUTO_FREE char *was = option_write(row, now);
		AUTO_FREE char *is = option_write(row, options->target);
		bool same = was == NULL || is == NULL ? was == is : strcmp(was, is) == 0;

		if (same || !(row->commands & options->command))
			continue;
		++*ret_changes;
		bool shown = !row->secret && !row->hidden;
		told(row, shown ? was : NULL, shown ? is : NULL, row->fixed);
		int rc = row->fixed ? keep(options, row, now, err) : 0;
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* --- help -------------------------------------------------------------------------------------------- */

static void help_row(const struct option *row, struct text *out)
{
	char flag[80] = "";

	if (row->flag != NULL && row->letter != 0)
		(void)snprintf(flag, sizeof flag, "-%c, --%s %s", row->letter, row->flag, row->placeholder);
	else if (row->flag != NULL)
		(void)snprintf(flag, sizeof flag, "    --%s %s", row->flag, row->placeholder);
	else
		(void)snprintf(flag, sizeof flag, "%s", row->argument ? row->placeholder : row->env);

	if (strlen(flag) > HELP_COLUMN)
		text_addf(out, "  %s\n  %*s ", flag, HELP_COLUMN, "");
	else
		text_addf(out, "  %-*s ", HELP_COLUMN, flag);
	text_addf(out, "%s", row->help);
	if (row->kind == OPTION_LIST)
		text_addf(out, "; may be repeated");
	if (row->fallback != NULL)
		text_addf(out, " [%s]", row->fallback);
	if (row->flag != NULL && row->env != NULL)
		text_addf(out, " (%s)", row->env);
	text_addf(out, "\n");
}

enum help_group { HELP_ARGUMENTS, HELP_FLAGS, HELP_ENVIRONMENT };

static enum help_group group_of(const struct option *row)
{
	return row->argument ? HELP_ARGUMENTS : row->flag != NULL ? HELP_FLAGS : HELP_ENVIRONMENT;
}

/* A group that has no rows has no title. */
static void help_rows(const struct options *options, enum help_group group, const char *title, struct text *out)
{
	for (size_t i = 0; i < options->count; i++) {
		const struct option *row = &options->rows[i];

		if (group_of(row) != group || !(row->commands & options->command))
			continue;
		text_addf(out, "%s", title);
		title = "";
		help_row(row, out);
	}
}

void options_help(const struct options *options, struct text *out)
{
	help_rows(options, HELP_ARGUMENTS, "Arguments:\n", out);
	help_rows(options, HELP_FLAGS, find_argument(options, 0) != NULL ? "\nOptions:\n" : "Options:\n", out);
	help_rows(options, HELP_ENVIRONMENT, "\nEnvironment (as Prefect reads it):\n", out);
}
