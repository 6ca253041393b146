/* Settings: lines of flags, then (after a form feed) lines NAME=VALUE of environment, then the configuration file. */
#include "worker/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client/base/log.h"
#include "tests/fuzz/fuzz.h"

#define ARGS_MAX 16

/* libconfig 1.5 forgets the text in front of a syntax error. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig";
}

/* The next part of @text up to @end; NULL where there is none. */
static char *next_part(char **text, const char *end)
{
	return *text != NULL ? strsep(text, end) : NULL;
}

static void set_environment(char *lines)
{
	char *line;

	for (size_t i = 0; i < settings_option_count; i++)
		if (settings_options[i].env != NULL)
			(void)unsetenv(settings_options[i].env);
	(void)setenv("PREFECT_PROFILES_PATH", "/dev/null", 1);
	while ((line = next_part(&lines, "\n")) != NULL) {
		char *value = strchr(line, '=');

		if (value == NULL || (strncmp(line, "PREFECT_", 8) != 0))
			continue;
		*value++ = '\0';
		if (strcmp(line, "PREFECT_JANITOR_CONFIG") != 0)
			(void)setenv(line, value, 1);
	}
}

/* A file that only this process has. */
static const char *make_file(const char *text)
{
	static int fd = -1;
	static char name[64];

	if (fd < 0) {
		fd = memfd_create("settings", MFD_CLOEXEC);
		(void)snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
	}
	MUST(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, text, strlen(text), 0) == (ssize_t)strlen(text));
	return name;
}

static void load(unsigned command, int argc, char **argv)
{
	struct settings settings;
	struct error err = {0};
	bool help = false;

	if (settings_load(command, argc, argv, &settings, &help, &err) != 0) {
		MUST(err.code == ERR_USAGE);
		fuzz_must_be_clean(err.text, /* lines= */ false);
		return;
	}
	if (!help && command == COMMAND_START)
		MUST(settings.pool != NULL && settings.limit >= 1 && settings.limit <= 1000 && settings.query_ms > 0);
	settings_release(&settings);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *owned = fuzz_string(data, size);
	char *rest = owned;
	char *flags = next_part(&rest, "\f");
	char *environment = next_part(&rest, "\f");
	char *file = next_part(&rest, "\f");
	char *argv[ARGS_MAX];
	int argc = 0;

	/* libconfig would read any file of this machine. */
	if (file != NULL && strstr(file, "@include") != NULL)
		return 0;
	log_set_level(LOG_LEVEL_CRITICAL + 1);
	set_environment(environment);
	if (file != NULL)
		(void)setenv("PREFECT_JANITOR_CONFIG", make_file(file), 1);
	while (argc < ARGS_MAX && (argv[argc] = next_part(&flags, "\n")) != NULL)
		if (strstr(argv[argc], "config") == NULL)
			argc++;
	load(COMMAND_START, argc, argv);
	load(COMMAND_DEPLOY, argc, argv);
	return 0;
}
