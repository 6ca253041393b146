/* Settings as a test gives them: flags, environment, and a configuration file that is removed afterwards. */
#ifndef TESTS_UNIT_WORKER_SETTINGS_SOURCE_H
#define TESTS_UNIT_WORKER_SETTINGS_SOURCE_H

#include <sys/stat.h>

#include "tests/unit/unit.h"
#include "worker/settings.h"

#define ARGS_MAX 10
#define ENV_MAX 4

struct settings_source {
	unsigned command;             /* 0: COMMAND_START */
	const char *args[ARGS_MAX];   /* up to NULL; "@FILE" stands for the file's name */
	const char *env[ENV_MAX][2];  /* name, value; up to NULL */
	const char *file;             /* its text, NULL: no file */
	mode_t mode;                  /* of the file; 0: 0600 */
	/* Prefect's own files, their texts: in the working directory, and profiles.toml in PREFECT_HOME; NULL: no such file */
	const char *dotenv, *prefect_toml, *pyproject, *profiles;
	const char *no_pool;          /* not NULL: without the pool that every row gets otherwise */
};

/* settings_load() with nothing in the environment but the source's, in a folder with nothing but the source's files. The file is given by PREFECT_JANITOR_CONFIG unless
 * the arguments name it. @ret_file gets its name (at least 64 bytes; "" without one). */
int settings_from(const struct settings_source *source, struct settings *ret_settings, bool *ret_help, char *ret_file,
                  struct error *err);

#endif
