#include "worker/sources.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/dotenv.h"
#include "client/base/file.h"
#include "client/base/json.h"
#include "client/base/text.h"

#define DOTENV ".env"
#define PREFECT_TOML "prefect.toml"
#define PYPROJECT "pyproject.toml"
#define DOTENV_SIZE_MAX (1024 * 1024)
/* Keys of a setting's path, and those before it in pyproject.toml. */
#define KEYS_MAX 8
#define NAME_SIZE 128

static bool is_set(const char *value)
{
	return value != NULL && *value != '\0';
}

/* --- looking up ------------------------------------------------------------------------------------------- */

/* Where two differ only in the case of their letters, the last one counts, as it does for Prefect. */
const char *sources_environment(const char *name)
{
	size_t len = strlen(name);
	const char *found = NULL;

	if (strncmp(name, "PREFECT_", 8) != 0)
		return getenv(name);
	for (char **variable = environ; variable != NULL && *variable != NULL; variable++)
		if (strncasecmp(*variable, name, len) == 0 && (*variable)[len] == '=')
			found = *variable + len + 1;
	return found;
}

const char *sources_dotenv(const struct sources *sources, const char *name)
{
	const char *key;
	json_t *value;
	const char *found = NULL;

	if (strncmp(name, "PREFECT_", 8) != 0)
		return NULL;
	json_object_foreach(sources->dotenv, key, value)
		if (strcasecmp(key, name) == 0)
			found = json_string_value(value);
	return found;
}

/* @path: keys with dots between them, after those in @keys. */
static json_t *get_path(const struct toml *toml, const char *keys[KEYS_MAX], size_t count, const char *path, unsigned *ret_line)
{
	char parts[NAME_SIZE];
	char *rest = parts;

	if (toml->root == NULL || strlen(path) >= sizeof parts)
		return NULL;
	(void)strcpy(parts, path);
	while (rest != NULL && count < KEYS_MAX)
		keys[count++] = strsep(&rest, ".");
	return toml_get(toml, keys, count, ret_line);
}

json_t *sources_prefect_toml(const struct sources *sources, const char *path, unsigned *ret_line)
{
	return get_path(&sources->prefect, (const char *[KEYS_MAX]){NULL}, 0, path, ret_line);
}

json_t *sources_pyproject(const struct sources *sources, const char *path, unsigned *ret_line)
{
	return get_path(&sources->pyproject, (const char *[KEYS_MAX]){"tool", "prefect"}, 2, path, ret_line);
}

json_t *sources_profile(const struct sources *sources, const char *name, unsigned *ret_line)
{
	if (!sources->profile_found)
		return NULL;
	return toml_get(&sources->profiles, (const char *[]){"profiles", sources->profile, name}, 3, ret_line);
}

/* --- reading ---------------------------------------------------------------------------------------------- */

/* No such file is fine. */
static int read_toml(const char *file, struct toml *ret_toml, struct error *err)
{
	int rc = toml_read_file(file, ret_toml, err);

	return rc == ERR_NOT_FOUND ? 0 : rc == 0 || rc == ERR_NOMEM ? rc : error_prefix(err, ERR_USAGE, "settings");
}

static int read_dotenv(struct sources *sources, struct error *err)
{
	AUTO_TEXT text = {.max = DOTENV_SIZE_MAX};
	struct stat st;

	if (stat(DOTENV, &st) != 0 || !S_ISREG(st.st_mode)) /* a folder of that name is nothing to Prefect */
		return 0;
	int rc = file_read(DOTENV, &text, err);
	if (rc == 0)
		rc = dotenv_read(text_str(&text), text.len, &sources->dotenv, &sources->dotenv_bad_line, err);
	if (text.data != NULL)
		explicit_bzero(text.data, text.len);
	return rc == 0 || rc == ERR_NOMEM ? rc : error_prefix(err, ERR_USAGE, "settings: " DOTENV);
}

/* A table where another value stands would be passed over: then Prefect does not start. */
static int check_tables(const struct toml *toml, const char *file, const char *const *tables, struct error *err)
{
	for (; *tables != NULL; tables++) {
		unsigned line = 0;
		json_t *value = get_path(toml, (const char *[KEYS_MAX]){NULL}, 0, *tables, &line);
		if (value != NULL && !json_is_object(value))
			return error_set(err, ERR_USAGE, "settings: %s:%u: %s is not a table", file, line, *tables);
	}
	return 0;
}

/* Prefect would read settings from these: the server too. */
static int check_whole(const struct sources *sources, struct error *err)
{
	const char *where = is_set(sources_environment("PREFECT_API")) ? "the environment"
	                    : is_set(sources_dotenv(sources, "PREFECT_API")) ? DOTENV : NULL;

	if (where == NULL)
		return 0;
	return error_set(err, ERR_USAGE, "PREFECT_API in %s: the settings of the API as one JSON object are not read here; set "
	                 "PREFECT_API_URL and the others one by one", where);
}

static bool is_test_mode(void)
{
	return is_set(getenv("PREFECT_TEST_MODE")) || is_set(getenv("PREFECT_UNIT_TEST_MODE")) ||
	       is_set(getenv("PREFECT_TESTING_UNIT_TEST_MODE")) || is_set(getenv("PREFECT_TESTING_TEST_MODE"));
}

/* As _get_profiles_path() of Prefect finds it. Its own profiles, which it takes where the file is missing, name no server
 * but the default one. */
static char *find_profiles(const struct sources *sources)
{
	const char *path = getenv("PREFECT_PROFILES_PATH");
	const char *home = getenv("PREFECT_HOME");
	struct text text = {.max = 16 * 1024};

	if (!is_set(path))
		path = json_string_value(json_object_get(sources->dotenv, "PREFECT_PROFILES_PATH"));
	if (!is_set(path))
		path = json_string_value(sources_prefect_toml(sources, "profiles_path", NULL));
	if (!is_set(path))
		path = json_string_value(sources_pyproject(sources, "profiles_path", NULL));
	const struct passwd *user = getenv("HOME") == NULL ? getpwuid(getuid()) : NULL;
	if (is_set(path))
		text_addf(&text, "%s", path);
	else if (is_set(home))
		text_addf(&text, "%s/profiles.toml", home);
	else
		text_addf(&text, "%s/.prefect/profiles.toml", user != NULL ? user->pw_dir : is_set(getenv("HOME")) ? getenv("HOME") : "");
	return text_take(&text);
}

static int read_profile(struct sources *sources, struct error *err)
{
	const char *name = getenv("PREFECT_PROFILE");

	if (is_test_mode())
		return 0;
	sources->profiles_path = find_profiles(sources);
	if (sources->profiles_path == NULL)
		return error_nomem(err);
	sources->profiles_hidden = faccessat(AT_FDCWD, sources->profiles_path, R_OK, AT_EACCESS) != 0 && errno == EACCES;
	if (sources->profiles_hidden)
		return 0;
	int rc = read_toml(sources->profiles_path, &sources->profiles, err);
	if (rc == 0)
		rc = check_tables(&sources->profiles, sources->profiles_path, (const char *const[]){"profiles", NULL}, err);
	if (rc != 0)
		return rc;
	if (!is_set(name))
		name = json_string_value(json_object_get(sources->profiles.root, "active"));
	if (!is_set(name))
		return 0;
	sources->profile = text_dup(name);
	if (sources->profile == NULL)
		return error_nomem(err);

	unsigned line = 0;
	json_t *profile = toml_get(&sources->profiles, (const char *[]){"profiles", name}, 2, &line);
	if (profile != NULL && !json_is_object(profile))
		return error_set(err, ERR_USAGE, "settings: %s:%u: the profile '%.80s' is not a table", sources->profiles_path, line, name);
	sources->profile_found = profile != NULL;
	return 0;
}

int sources_read(struct sources *ret_sources, struct error *err)
{
	static const char *const tables[] = {"api", "client", "worker", "worker.webserver", "deployments", "logging", NULL};
	static const char *const pyproject_tables[] = {
		"tool", "tool.prefect", "tool.prefect.api", "tool.prefect.client", "tool.prefect.worker",
		"tool.prefect.worker.webserver", "tool.prefect.deployments", "tool.prefect.logging", NULL};
	struct sources sources = {0};

	int rc = read_dotenv(&sources, err);
	if (rc == 0)
		rc = read_toml(PREFECT_TOML, &sources.prefect, err);
	if (rc == 0)
		rc = check_tables(&sources.prefect, PREFECT_TOML, tables, err);
	if (rc == 0)
		rc = read_toml(PYPROJECT, &sources.pyproject, err);
	if (rc == 0)
		rc = check_tables(&sources.pyproject, PYPROJECT, pyproject_tables, err);
	if (rc == 0)
		rc = check_whole(&sources, err);
	if (rc == 0)
		rc = read_profile(&sources, err);
	if (rc == 0)
		*ret_sources = sources;
	else
		sources_release(&sources);
	return rc;
}

void sources_release(struct sources *sources)
{
	json_decref(sources->dotenv);
	toml_release(&sources->prefect);
	toml_release(&sources->pyproject);
	toml_release(&sources->profiles);
	free(sources->profiles_path);
	free(sources->profile);
	*sources = (struct sources){0};
}
