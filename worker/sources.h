/* The places from which Prefect itself takes settings, besides the environment: .env, prefect.toml and pyproject.toml in the
 * working directory, and the active profile. They are found and read as Prefect 3.9.1 does (prefect/settings/sources.py), so
 * that this program talks to the server that `prefect` talks to from the same shell. See docs/prefect-facts.md.
 * Thread rule: main thread only, or the one that reloads. */
#ifndef WORKER_SOURCES_H
#define WORKER_SOURCES_H

#include <stdbool.h>

#include "client/base/toml.h"

struct sources {
	json_t *dotenv;            /* NAME -> text, or null; NULL: no file */
	struct toml prefect;       /* roots are NULL where there is no such file */
	struct toml pyproject;
	struct toml profiles;
	char *profiles_path;       /* where the profiles are, or would be; NULL: they do not count (PREFECT_TEST_MODE) */
	char *profile;             /* the name of the active one; NULL for none */
	bool profile_found;        /* is it in the file? */
	bool profiles_hidden;      /* this user may not look into the file, as in a service that is kept from /home */
	unsigned dotenv_bad_line;  /* the first line of .env that Prefect leaves out, and so do we; 0 for none */
};

/* Reads all of them. Returns 0, ERR_USAGE (a file that cannot be read: Prefect refuses it too) or ERR_NOMEM; @ret_sources is
 * filled on success only. */
int sources_read(struct sources *ret_sources, struct error *err) MUST_CHECK;
void sources_release(struct sources *sources);

/* The variable @name of the environment, whatever the case of its letters, where it begins with PREFECT_: as Prefect looks for
 * it. NULL where there is none. Borrowed. */
const char *sources_environment(const char *name);

/* The same of .env. */
const char *sources_dotenv(const struct sources *sources, const char *name);

/* What a file in TOML says of a setting: borrowed, NULL for nothing. @path: Prefect's own, like "api.url". */
json_t *sources_prefect_toml(const struct sources *sources, const char *path, unsigned *ret_line);
json_t *sources_pyproject(const struct sources *sources, const char *path, unsigned *ret_line);
json_t *sources_profile(const struct sources *sources, const char *name, unsigned *ret_line);

#endif
