/* `prefect-janitor config`: each setting with its value and where that comes from. Asks no server. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "client/base/json.h"

#define INTRO                                                                                              \
	"Shows each setting, its value and where that comes from, as `prefect config view` does; secrets are\n" \
	"hidden. No server is asked.\n"                                                                        \
	"\n"                                                                                                  \
	"Usage: prefect-janitor config [OPTIONS]\n"

#define OUTRO                                                                                              \
	"What goes before what: options, the environment, .env, prefect.toml and pyproject.toml (of the working\n" \
	"directory), the file of --config, Prefect's active profile, defaults.\n"

#define HIDDEN "********"

/* Is it a setting, and not only an option of one command? Of rows that read the same one, the last. */
static bool is_shown(const struct option *row)
{
	const struct option *end = settings_options + settings_option_count;

	if (row->argument || (row->env == NULL && row->file_key == NULL))
		return false;
	for (const struct option *other = row + 1; other < end; other++)
		if (!other->argument && strcmp(option_name(other), option_name(row)) == 0)
			return false;
	return true;
}

/* NULL where it has none; the caller frees it. */
static char *shown_value(const struct settings *settings, const struct option *row)
{
	char *value = option_write(row, settings);
	bool hide = row->secret || (row->hidden && settings_source(settings, row->offset) != OPTION_FROM_DEFAULT);

	if (value == NULL || !hide)
		return value;
	explicit_bzero(value, strlen(value));
	free(value);
	return text_dup(HIDDEN);
}

static json_t *make_row(const struct settings *settings, const struct option *row)
{
	AUTO_TEXT source = {.max = 16 * 1024};
	AUTO_FREE char *value = shown_value(settings, row);

	settings_source_text(settings, row, &source);
	return json_pack("{s:s, s:s?, s:s}", "name", row->env != NULL ? row->env : option_name(row), "value", value, "source",
	                 text_str(&source));
}

static json_t *make_rows(const struct settings *settings)
{
	json_t *rows = json_array();

	for (size_t i = 0; rows != NULL && i < settings_option_count; i++) {
		if (!is_shown(&settings_options[i]))
			continue;
		if (json_array_append_new(rows, make_row(settings, &settings_options[i])) != 0) {
			json_decref(rows);
			return NULL;
		}
	}
	return rows;
}

static void print_rows(const struct settings *settings, const json_t *rows)
{
	const json_t *row;
	size_t i;

	if (settings->profile != NULL)
		printf("PREFECT_PROFILE='%s'\n", settings->profile);
	json_array_foreach(rows, i, row)
	{
		const char *name = json_string_value(json_object_get(row, "name"));
		const char *value = json_string_value(json_object_get(row, "value"));
		const char *source = json_string_value(json_object_get(row, "source"));

		if (value != NULL)
			printf("%s='%s' (from %s)\n", name, value, source);
		else
			printf("%s is not set\n", name);
	}
}

static int print_settings(const struct settings *settings, struct error *err)
{
	AUTO_JSON *rows = make_rows(settings);

	if (rows == NULL)
		return error_nomem(err);
	if (settings->output == OUTPUT_JSON)
		return command_print_json(json_pack("{s:s?, s:s?, s:s?, s:O}", "profile", settings->profile, "profiles_path",
		                                    settings->profiles_path, "config_file", settings->config_file, "settings", rows), err);
	print_rows(settings, rows);
	return 0;
}

int command_config(int argc, char **argv)
{
	struct settings settings;
	struct error err = {0};
	bool help;

	if (settings_load(COMMAND_CONFIG, argc - 2, argv + 2, &settings, &help, &err) != 0)
		return command_error("config", &err);
	int rc = 0;
	if (help) {
		(void)command_print_help(COMMAND_CONFIG, INTRO, OUTRO);
	} else {
		settings_apply_log(&settings);
		rc = print_settings(&settings, &err);
	}
	settings_release(&settings);
	return rc == 0 ? EXIT_DONE : command_error("config", &err);
}
