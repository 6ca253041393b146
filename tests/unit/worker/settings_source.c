#include "tests/unit/worker/settings_source.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_NAME_SIZE 64

static void clean_environment(void)
{
	static const char *const more[] = {"PREFECT_HOME", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH", "PREFECT_API",
	                                   "PREFECT_TEST_MODE", "SSL_CERT_FILE", "SSL_CERT_DIR", "prefect_api_url"};
	char name[100];

	for (size_t i = 0; i < sizeof more / sizeof more[0]; i++)
		(void)unsetenv(more[i]);
	for (size_t i = 0; i < settings_option_count; i++) {
		if (settings_options[i].env == NULL)
			continue;
		if (settings_options[i].env_first != NULL)
			(void)unsetenv(settings_options[i].env_first);
		(void)unsetenv(settings_options[i].env);
		(void)snprintf(name, sizeof name, "%s_FILE", settings_options[i].env);
		(void)unsetenv(name);
	}
}

static void write_file(const char *text, char name[FILE_NAME_SIZE])
{
	(void)snprintf(name, FILE_NAME_SIZE, "/tmp/janitor-unit-XXXXXX");
	int fd = mkstemp(name);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text) || close(fd) != 0) {
		perror(name);
		abort();
	}
}

/* The names of the files in a source's folder, and their texts. */
#define FILES(source)                                                                                          \
	{                                                                                                        \
		{".env", (source)->dotenv}, {"prefect.toml", (source)->prefect_toml}, {"pyproject.toml", (source)->pyproject}, \
			{"profiles.toml", (source)->profiles}                                                              \
	}

/* Goes into a new folder with the source's files in it, which is PREFECT_HOME too. Returns where it was before. */
static int enter_folder(const struct settings_source *source, char folder[FILE_NAME_SIZE])
{
	const char *const files[][2] = FILES(source);
	int before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)strcpy(folder, "/tmp/janitor-unit-XXXXXX");
	if (before < 0 || mkdtemp(folder) == NULL || chdir(folder) != 0) {
		perror(folder);
		abort();
	}
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		FILE *file = files[i][1] != NULL ? fopen(files[i][0], "w") : NULL;
		if (file != NULL && (fputs(files[i][1], file) < 0 || fclose(file) != 0))
			abort();
	}
	(void)setenv("PREFECT_HOME", folder, 1);
	return before;
}

static void leave_folder(const struct settings_source *source, const char *folder, int before)
{
	const char *const files[][2] = FILES(source);

	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		(void)unlink(files[i][0]);
	if (fchdir(before) != 0 || rmdir(folder) != 0)
		abort();
	(void)close(before);
}

int settings_from(const struct settings_source *source, struct settings *ret_settings, bool *ret_help, char *ret_file,
                  struct error *err)
{
	char *argv[ARGS_MAX + 2];
	char pool[] = "--pool=p";
	char at_file[] = "@FILE";
	int argc = 0;
	bool file_named = false;
	char folder[FILE_NAME_SIZE];

	clean_environment();
	int before = enter_folder(source, folder);
	ret_file[0] = '\0';
	if (source->file != NULL)
		write_file(source->file, ret_file);
	if (source->mode != 0)
		(void)chmod(ret_file, source->mode);
	if (source->no_pool == NULL)
		argv[argc++] = pool;
	for (size_t i = 0; i < ARGS_MAX && source->args[i] != NULL; i++) {
		bool is_file = strcmp(source->args[i], at_file) == 0;
		file_named = file_named || is_file;
		argv[argc++] = strdup(is_file ? ret_file : source->args[i]);
	}
	for (size_t i = 0; i < ENV_MAX && source->env[i][0] != NULL; i++)
		(void)setenv(source->env[i][0], strcmp(source->env[i][1], at_file) == 0 ? ret_file : source->env[i][1], 1);
	if (source->file != NULL && !file_named)
		(void)setenv("PREFECT_JANITOR_CONFIG", ret_file, 1);

	int rc = settings_load(source->command != 0 ? source->command : COMMAND_START, argc, argv, ret_settings, ret_help, err);

	for (int i = source->no_pool == NULL; i < argc; i++)
		free(argv[i]);
	if (source->file != NULL)
		(void)unlink(ret_file);
	leave_folder(source, folder, before);
	clean_environment();
	return rc;
}
