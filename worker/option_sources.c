#include "worker/option_sources.h"

#include <errno.h>
#include <jansson.h>
#include <libconfig.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "client/base/json.h"
#include "client/base/nearest.h"

#define WHERE_SIZE 400
/* A secret in a file of its own, in bytes, with its NUL. */
#define SECRET_SIZE 8192

static bool is_wanted(const struct options *options, const struct option *row)
{
	return (row->commands & (options->command | options->read)) != 0;
}

/* The option has the value that it has where nobody says anything. */
static int set_nothing(const struct options *options, const struct option *row, struct error *err)
{
	char **to = option_member(options, row);

	free(*to);
	*to = NULL;
	option_note_source(options, row, OPTION_FROM_DEFAULT);
	return row->fallback != NULL ? option_set(options, row, row->fallback, "default", err) : 0;
}

/* Of a text of Prefect's an empty value says that it is not set, and then nor do the sources say that come after this one. */
static int set_from(const struct options *options, const struct option *row, const char *value, const char *where,
                    enum option_source source, struct error *err)
{
	if (*value == '\0' && row->prefect != NULL && row->kind == OPTION_TEXT)
		return set_nothing(options, row, err);
	int rc = row->kind == OPTION_LIST ? option_restart_list(options, row, err) : 0;
	option_note_source(options, row, source);
	return rc == 0 ? option_set(options, row, value, where, err) : rc;
}

/* --- environment and .env ------------------------------------------------------------------------------------ */

/* The first line of a file, as secrets are mounted; @name is the variable that names it. */
static int read_secret(const char *name, const char *file, char ret_secret[SECRET_SIZE], struct error *err)
{
	FILE *in = fopen(file, "re");

	if (in == NULL)
		return error_set(err, ERR_USAGE, "%s: '%s' cannot be read: %s", name, file, strerror(errno));
	size_t len = fread(ret_secret, 1, SECRET_SIZE - 1, in);
	int failed = ferror(in) != 0 ? errno : 0;
	(void)fclose(in);
	ret_secret[len] = '\0';
	if (failed != 0)
		return error_set(err, ERR_USAGE, "%s: '%s' cannot be read: %s", name, file, strerror(failed));
	while (len > 0 && strchr(" \t\r\n", ret_secret[len - 1]) != NULL)
		ret_secret[--len] = '\0';
	if (len == 0 || strlen(ret_secret) != len || strchr(ret_secret, '\n') != NULL || len == SECRET_SIZE - 1)
		return error_set(err, ERR_USAGE, "%s: '%s' does not hold one line of text with the secret", name, file);
	return 0;
}

/* A secret whose file the environment names; 0 with nothing set where it does not. */
static int load_secret_file(const struct options *options, const struct option *row, struct error *err)
{
	char name[WHERE_SIZE];
	char secret[SECRET_SIZE];
	const char *direct = sources_environment(row->env);

	(void)snprintf(name, sizeof name, "%s_FILE", row->env);
	const char *file = getenv(name);
	if (file == NULL || *file == '\0')
		return 0;
	if (direct != NULL && *direct != '\0')
		return error_set(err, ERR_USAGE, "%s and %s: only one of them at a time", row->env, name);
	int rc = read_secret(name, file, secret, err);
	if (rc == 0)
		rc = option_set(options, row, secret, name, err);
	option_note_source(options, row, OPTION_FROM_ENVIRONMENT);
	explicit_bzero(secret, sizeof secret);
	return rc;
}

/* From the environment, or (@sources not NULL) from .env. Where a setting has two names, `env_first` goes before. */
static int load_variable(const struct options *options, const struct option *row, const struct sources *sources,
                         struct error *err)
{
	const char *const names[] = {row->env_first, row->env};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const char *value = names[i] == NULL  ? NULL
		                    : sources != NULL ? sources_dotenv(sources, names[i])
		                                      : sources_environment(names[i]);
		char where[WHERE_SIZE];

		if (value == NULL || (*value == '\0' && (row->prefect == NULL || row->kind != OPTION_TEXT)))
			continue;
		(void)snprintf(where, sizeof where, "%s%s", names[i], sources != NULL ? " in .env" : "");
		return set_from(options, row, value, where, sources != NULL ? OPTION_FROM_DOTENV : OPTION_FROM_ENVIRONMENT, err);
	}
	return 0;
}

static int load_environment(const struct options *options, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < options->count; i++) {
		const struct option *row = &options->rows[i];

		if (row->env == NULL || !is_wanted(options, row))
			continue;
		rc = load_variable(options, row, NULL, err);
		if (rc == 0 && row->secret)
			rc = load_secret_file(options, row, err);
	}
	return rc;
}

static int load_dotenv(const struct options *options, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < options->count; i++)
		if (options->rows[i].env != NULL && is_wanted(options, &options->rows[i]))
			rc = load_variable(options, &options->rows[i], options->sources, err);
	return rc;
}

/* SSL_CERT_FILE, which is not Prefect's own, is its default. */
static int load_other_names(const struct options *options, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < options->count; i++) {
		const struct option *row = &options->rows[i];
		const char *value = row->env_last != NULL && is_wanted(options, row) ? getenv(row->env_last) : NULL;

		if (value != NULL && *value != '\0')
			rc = set_from(options, row, value, row->env_last, OPTION_FROM_OTHER_NAME, err);
	}
	return rc;
}

/* --- TOML ---------------------------------------------------------------------------------------------------- */

/* A value as it would be written in the environment, in a buffer or a new text; false where it is of a wrong type. */
static bool toml_value(const struct option *row, json_t *value, bool profile, char buf[40], char **ret_new, const char **ret_value)
{
	bool text = row->kind == OPTION_TEXT || row->kind == OPTION_LEVEL || row->kind == OPTION_CHOICE;

	*ret_value = buf;
	if (json_is_string(value)) {
		*ret_value = json_string_value(value);
		return strlen(*ret_value) == json_string_length(value);
	}
	if (json_is_object(value) && row->json && !profile) {
		*ret_value = *ret_new = json_write(value, JSON_COMPACT);
		return true;
	}
	if (text)
		return false;
	if (json_is_integer(value))
		(void)snprintf(buf, 40, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_real(value))
		(void)snprintf(buf, 40, "%.17g", json_real_value(value));
	else if (json_is_boolean(value))
		*ret_value = json_is_true(value) ? "true" : "false";
	else
		return false;
	return true;
}

static int set_from_toml(const struct options *options, const struct option *row, json_t *value, const char *where,
                         enum option_source source, struct error *err)
{
	AUTO_FREE char *made = NULL;
	char buf[40];
	const char *text;

	if (!toml_value(row, value, source == OPTION_FROM_PROFILE, buf, &made, &text))
		return error_set(err, ERR_USAGE, "%s: the value is not %s", where, row->kind == OPTION_TEXT ? "a text" : "a single value");
	return text != NULL ? set_from(options, row, text, where, source, err) : error_nomem(err);
}

static int load_profile(const struct options *options, struct error *err)
{
	const struct sources *sources = options->sources;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < options->count; i++) {
		const struct option *row = &options->rows[i];
		const char *name = row->env_first;
		char where[WHERE_SIZE];
		unsigned line = 0;

		if (row->prefect == NULL || !is_wanted(options, row))
			continue;
		json_t *value = name != NULL ? sources_profile(sources, name, &line) : NULL;
		if (value == NULL)
			value = sources_profile(sources, name = row->env, &line);
		if (value == NULL)
			continue;
		(void)snprintf(where, sizeof where, "%.300s:%u: %s", sources->profiles_path, line, name);
		rc = set_from_toml(options, row, value, where, OPTION_FROM_PROFILE, err);
	}
	return rc;
}

static int load_toml(const struct options *options, enum option_source source, struct error *err)
{
	bool pyproject = source == OPTION_FROM_PYPROJECT;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < options->count; i++) {
		const struct option *row = &options->rows[i];
		char where[WHERE_SIZE];
		unsigned line = 0;

		if (row->prefect == NULL || !is_wanted(options, row))
			continue;
		json_t *value = (pyproject ? sources_pyproject : sources_prefect_toml)(options->sources, row->prefect, &line);
		if (value == NULL || (json_is_object(value) && !row->json)) /* to Prefect such a table is one of other settings */
			continue;
		(void)snprintf(where, sizeof where, pyproject ? "pyproject.toml:%u: tool.prefect.%s" : "prefect.toml:%u: %s", line,
		               row->prefect);
		rc = set_from_toml(options, row, value, where, source, err);
	}
	return rc;
}

/* --- configuration file ------------------------------------------------------------------------------ */

static void file_where(const config_setting_t *setting, const char *key, const char *file, char where[WHERE_SIZE])
{
	(void)snprintf(where, WHERE_SIZE, "%s:%u: %s", file, config_setting_source_line(setting), key);
}

/* One scalar of the file as it would be written on the command line. */
static bool file_value(const config_setting_t *setting, char *buf, size_t size, const char **ret_value)
{
	*ret_value = buf;
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_STRING:
		*ret_value = config_setting_get_string(setting);
		return true;
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		(void)snprintf(buf, size, "%lld", config_setting_get_int64(setting));
		return true;
	case CONFIG_TYPE_FLOAT:
		(void)snprintf(buf, size, "%.17g", config_setting_get_float(setting));
		return true;
	case CONFIG_TYPE_BOOL:
		*ret_value = config_setting_get_bool(setting) ? "true" : "false";
		return true;
	default:
		return false;
	}
}

/* Notes the mode of a file that holds a secret, where it lets others in. */
static void note_exposure(const struct options *options, const char *file)
{
	struct stat st;

	if (stat(file, &st) == 0 && (st.st_mode & 077) != 0)
		*options->exposed = (unsigned)st.st_mode & 07777;
}

static int set_from_file(const struct options *options, const struct option *row, const config_setting_t *setting,
                         const char *file, struct error *err)
{
	char where[WHERE_SIZE];
	char buf[40];
	const char *value;

	file_where(setting, row->file_key, file, where);
	option_note_source(options, row, OPTION_FROM_FILE);
	if (row->secret)
		note_exposure(options, file);
	if (row->kind != OPTION_LIST)
		return file_value(setting, buf, sizeof buf, &value)
		               ? option_set(options, row, value, where, err)
		               : error_set(err, ERR_USAGE, "%s: a single value is needed", where);

	int rc = option_restart_list(options, row, err);
	int count = config_setting_is_aggregate(setting) ? config_setting_length(setting) : -1;
	if (rc == 0 && count < 0)
		return error_set(err, ERR_USAGE, "%s: a list is needed, like [\"a\", \"b\"]", where);
	for (int i = 0; rc == 0 && i < count; i++) {
		rc = file_value(config_setting_get_elem(setting, (unsigned)i), buf, sizeof buf, &value)
		             ? option_set(options, row, value, where, err)
		             : error_set(err, ERR_USAGE, "%s: a list of text is needed", where);
	}
	return rc;
}

static int unknown_key(const struct options *options, const char *file, const config_setting_t *setting, const char *key,
                       struct error *err)
{
	struct nearest nearest = {.to = key};
	char hint[NEAREST_SIZE];

	for (size_t i = 0; i < options->count; i++)
		if (options->rows[i].file_key != NULL)
			nearest_offer(&nearest, options->rows[i].file_key);
	return error_set(err, ERR_USAGE, "%s:%u: there is no setting '%s'%s; conf/prefect-janitor.conf lists them all", file,
	                 config_setting_source_line(setting), key, nearest_hint(&nearest, "", hint));
}

/* Walks a group: every key must be a row of the table; a row of another command is skipped. */
static int load_group(const struct options *options, const config_setting_t *group, const char *prefix,
                      const char *file, struct error *err)
{
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
		char key[128];
		const struct option *row = NULL;
		int rc = 0;

		(void)snprintf(key, sizeof key, "%s%s%s", prefix, *prefix != '\0' ? "." : "", config_setting_name(setting));
		if (config_setting_is_group(setting)) {
			rc = load_group(options, setting, key, file, err);
		} else {
			for (size_t k = 0; k < options->count; k++)
				if (options->rows[k].file_key != NULL && strcmp(options->rows[k].file_key, key) == 0 &&
				    (row == NULL || is_wanted(options, &options->rows[k])))
					row = &options->rows[k];
			if (row == NULL)
				rc = unknown_key(options, file, setting, key, err);
			else if (is_wanted(options, row))
				rc = set_from_file(options, row, setting, file, err);
		}
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int load_file(const struct options *options, const char *file, struct error *err)
{
	config_t config;
	struct stat st;
	int rc;

	/* libconfig says of a folder that it cannot be read, and leaves errno as it was. */
	if (stat(file, &st) == 0 && S_ISDIR(st.st_mode))
		return error_set(err, ERR_USAGE, "configuration file '%s' is a directory; name the file in it", file);
	config_init(&config);
	if (config_read_file(&config, file) == CONFIG_FALSE)
		rc = config_error_type(&config) == CONFIG_ERR_FILE_IO
		             ? error_set(err, ERR_USAGE, "configuration file '%s' cannot be read: %s", file, strerror(errno))
		             : error_set(err, ERR_USAGE, "%s:%d: %s", file, config_error_line(&config),
		                         config_error_text(&config));
	else
		rc = load_group(options, config_root_setting(&config), "", file, err);
	config_destroy(&config);
	return rc;
}

/* --- all of them ----------------------------------------------------------------------------------------------- */

int options_load_sources(const struct options *options, const char *file, struct error *err)
{
	bool prefect = options->sources != NULL;

	int rc = load_other_names(options, err);
	if (rc == 0 && prefect)
		rc = load_profile(options, err);
	if (rc == 0 && file != NULL)
		rc = load_file(options, file, err);
	if (rc == 0 && prefect)
		rc = load_toml(options, OPTION_FROM_PYPROJECT, err);
	if (rc == 0 && prefect)
		rc = load_toml(options, OPTION_FROM_PREFECT_TOML, err);
	if (rc == 0 && prefect)
		rc = load_dotenv(options, err);
	return rc == 0 ? load_environment(options, err) : rc;
}
