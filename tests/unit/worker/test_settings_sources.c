/* The address and other settings from Prefect's own sources: which of two goes before, and how each is read. What the rows
 * want is what Prefect 3.9.1 takes; tests/integration/test_config.py asks it. */
#include <stdio.h>
#include <string.h>

#include "client/base/text.h"
#include "tests/unit/worker/settings_source.h"

#define URL(name) "http://" name "/api"
#define PROFILE "active = \"p\"\n[profiles.p]\nPREFECT_API_URL = \"" URL("profile") "\"\n"
#define PYPROJECT "[tool.prefect.api]\nurl = \"" URL("pyproject") "\"\n"
#define TOML "[api]\nurl = \"" URL("toml") "\"\n"
#define DOTENV "PREFECT_API_URL=" URL("dotenv") "\n"
#define FILE_ "api: { url = \"" URL("file") "\"; };"
#define DEFAULT "http://127.0.0.1:4200/api"

static void takes_the_address(void)
{
	static const struct {
		const char *name;
		struct settings_source source;
		const char *url, *from; /* from: its beginning */
	} rows[] = {
		{"nothing", {.no_pool = NULL}, DEFAULT, "defaults"},
		{"a profile", {.profiles = PROFILE}, URL("profile"), "profile 'p' in /tmp/janitor-unit-"},
		{"our file goes before a profile", {.profiles = PROFILE, .file = FILE_}, URL("file"), "/tmp/janitor-unit-"},
		{"pyproject.toml before our file", {.file = FILE_, .pyproject = PYPROJECT}, URL("pyproject"), "pyproject.toml"},
		{"prefect.toml before pyproject.toml", {.pyproject = PYPROJECT, .prefect_toml = TOML}, URL("toml"), "prefect.toml"},
		{".env before prefect.toml", {.prefect_toml = TOML, .dotenv = DOTENV}, URL("dotenv"), ".env file"},
		{"the environment before .env", {.dotenv = DOTENV, .env = {{"PREFECT_API_URL", URL("env")}}}, URL("env"), "env"},
		{"another profile", {.profiles = PROFILE "[profiles.q]\nPREFECT_API_URL='" URL("q") "'\n", .env = {{"PREFECT_PROFILE", "q"}}},
		 URL("q"), "profile 'q'"},
		{"an empty PREFECT_PROFILE is none", {.profiles = PROFILE, .env = {{"PREFECT_PROFILE", ""}}}, URL("profile"), "profile 'p'"},
		{"PREFECT_PROFILE in .env is none",
		 {.profiles = PROFILE "[profiles.q]\nPREFECT_API_URL='" URL("q") "'\n", .dotenv = "PREFECT_PROFILE=q"}, URL("profile"),
		 "profile 'p'"},
		{"no active profile", {.profiles = "[profiles.p]\nPREFECT_API_URL='" URL("q") "'\n"}, DEFAULT, "defaults"},
		{"one of Prefect's own", {.profiles = "active = 'ephemeral'"}, DEFAULT, "defaults"},
		{"a profile that says nothing of it", {.profiles = "active = 'p'\n[profiles.p]\n"}, DEFAULT, "defaults"},
		{"one that is not there does not matter", {.profiles = PROFILE, .env = {{"PREFECT_PROFILE", "q"}, {"PREFECT_API_URL", URL("env")}}},
		 URL("env"), "env"},
		{"no profiles in a test", {.profiles = PROFILE, .env = {{"PREFECT_TEST_MODE", "1"}}}, DEFAULT, "defaults"},
		{"PREFECT_PROFILES_PATH before PREFECT_HOME", {.profiles = PROFILE, .env = {{"PREFECT_PROFILES_PATH", "/dev/null"}}},
		 DEFAULT, "defaults"},
		{"of .env", {.profiles = PROFILE, .dotenv = "PREFECT_PROFILES_PATH=/dev/null"}, DEFAULT, "defaults"},
		{"of prefect.toml", {.profiles = PROFILE, .prefect_toml = "profiles_path = '/dev/null'"}, DEFAULT, "defaults"},
		{"of pyproject.toml", {.profiles = PROFILE, .pyproject = "tool.prefect.profiles_path = '/dev/null'"}, DEFAULT, "defaults"},
		{"an empty variable hides the rest", {.profiles = PROFILE, .env = {{"PREFECT_API_URL", ""}}}, DEFAULT, "defaults"},
		{"as does one in .env", {.profiles = PROFILE, .dotenv = "PREFECT_API_URL="}, DEFAULT, "defaults"},
		{"and in prefect.toml", {.profiles = PROFILE, .prefect_toml = "api.url = ''"}, DEFAULT, "defaults"},
		{"a name without a value does not", {.profiles = PROFILE, .dotenv = "PREFECT_API_URL"}, URL("profile"), "profile 'p'"},
		{"lower case", {.profiles = PROFILE, .env = {{"prefect_api_url", URL("low")}}}, URL("low"), "env"},
		{"lower case in .env", {.profiles = PROFILE, .dotenv = "prefect_api_url=" URL("low")}, URL("low"), ".env file"},
		{"lower case in a profile is none", {.profiles = "active = 'p'\n[profiles.p]\nprefect_api_url = '" URL("low") "'"}, DEFAULT, "defaults"},
		{"a dotted key", {.prefect_toml = "api.url = '" URL("dotted") "'"}, URL("dotted"), "prefect.toml"},
		{"pyproject.toml of something else", {.profiles = PROFILE, .pyproject = "[project]\nname = 'x'\n[tool.other]\nurl = 'y'\n"},
		 URL("profile"), "profile 'p'"},
		{"slashes at the end", {.prefect_toml = "api.url = 'http://x/api//'"}, "http://x/api", "prefect.toml"},
	};
	static const unsigned commands[] = {COMMAND_START, COMMAND_DEPLOY, COMMAND_PREVIEW, COMMAND_PENDING, COMMAND_RUN,
	                                    COMMAND_DOCTOR, COMMAND_HISTORY, COMMAND_CONFIG};

	EACH(row, rows)
	{
		EACH(command, commands)
		{
			struct settings_source source = row->source;
			struct settings settings;
			struct error err;
			bool help;
			char file[64];

			source.command = *command;
			source.no_pool = *command == COMMAND_HISTORY || *command == COMMAND_CONFIG ? "" : NULL;
			if (!CHECK_RC(row->name, settings_from(&source, &settings, &help, file, &err), 0, &err))
				continue;
			CHECK_STR(row->name, settings.api_url, row->url);
			CHECK(row->name, strncmp(settings.api_url_from, row->from, strlen(row->from)) == 0);
			settings_release(&settings);
		}
	}
}

static void reads_the_other_settings(void)
{
	static const struct {
		const char *name;
		struct settings_source source;
		const char *want; /* of what is below */
	} rows[] = {
		{"numbers of every kind", {.prefect_toml = "[worker]\nquery_seconds = 2\nheartbeat_seconds = 2.5\nprefetch_seconds = '3'"}, "2000 2500 3000 - - - p -"},
		{"a profile's text", {.profiles = "active='p'\n[profiles.p]\nPREFECT_WORKER_QUERY_SECONDS='4'\nPREFECT_WORKER_HEARTBEAT_SECONDS=5"},
		 "4000 5000 10000 - - - p -"},
		{"secrets", {.profiles = "active='p'\n[profiles.p]\nPREFECT_API_KEY='k'"}, "10000 30000 10000 k - - p -"},
		{"a password goes before a key of elsewhere",
		 {.profiles = "active='p'\n[profiles.p]\nPREFECT_API_AUTH_STRING='u:p'", .env = {{"PREFECT_API_KEY", "k"}}},
		 "10000 30000 10000 - u:p - p -"},
		{"headers as JSON", {.prefect_toml = "client.custom_headers = '{\"A\": \"b\"}'"}, "10000 30000 10000 - - {\"A\":\"b\"} p -"},
		{"headers as a table", {.prefect_toml = "[client.custom_headers]\nA = 'b'"}, "10000 30000 10000 - - {\"A\":\"b\"} p -"},
		{"headers as a table of pyproject.toml", {.pyproject = "[tool.prefect.client]\ncustom_headers = {A = 'b'}"},
		 "10000 30000 10000 - - {\"A\":\"b\"} p -"},
		{"the pool's older name", {.no_pool = "", .profiles = "active='p'\n[profiles.p]\nPREFECT_DEFAULT_WORK_POOL_NAME='old'"},
		 "10000 30000 10000 - - - old -"},
		{"its newer name goes before",
		 {.no_pool = "", .env = {{"PREFECT_DEFAULT_WORK_POOL_NAME", "old"}, {"PREFECT_DEPLOYMENTS_DEFAULT_WORK_POOL_NAME", "new"}}},
		 "10000 30000 10000 - - - new -"},
		{"but not before the environment",
		 {.no_pool = "", .env = {{"PREFECT_DEFAULT_WORK_POOL_NAME", "old"}}, .dotenv = "PREFECT_DEPLOYMENTS_DEFAULT_WORK_POOL_NAME=new"},
		 "10000 30000 10000 - - - old -"},
		{"the pool in prefect.toml", {.no_pool = "", .prefect_toml = "deployments.default_work_pool_name = 't'"}, "10000 30000 10000 - - - t -"},
		{"ours in .env", {.dotenv = "PREFECT_JANITOR_WATCH_SECONDS=7\nOPENAI_API_KEY=k"}, "10000 30000 10000 - - - p -"},
		{"SSL_CERT_FILE", {.env = {{"SSL_CERT_FILE", "/dev/zero"}}}, "10000 30000 10000 - - - p /dev/zero"},
		{"goes after a profile", {.env = {{"SSL_CERT_FILE", "/dev/zero"}}, .profiles = "active='p'\n[profiles.p]\nPREFECT_API_SSL_CERT_FILE='/dev/null'"},
		 "10000 30000 10000 - - - p /dev/null"},
		{"none where Prefect's own is empty", {.env = {{"SSL_CERT_FILE", "/dev/zero"}, {"PREFECT_API_SSL_CERT_FILE", ""}}},
		 "10000 30000 10000 - - - p -"},
		{"SSL_CERT_DIR", {.env = {{"SSL_CERT_DIR", "/tmp"}}}, "10000 30000 10000 - - - p dir:/tmp"},
		{"goes after a file", {.env = {{"SSL_CERT_DIR", "/tmp"}, {"SSL_CERT_FILE", "/dev/zero"}}}, "10000 30000 10000 - - - p /dev/zero"},
	};

	EACH(row, rows)
	{
		AUTO_TEXT got = {.max = 1000};
		struct settings s;
		struct error err;
		bool help;
		char file[64];

		if (!CHECK_RC(row->name, settings_from(&row->source, &s, &help, file, &err), 0, &err))
			continue;
		AUTO_FREE char *headers = s.headers != NULL ? json_dumps(s.headers, JSON_COMPACT) : strdup("-");
		text_addf(&got, "%d %d %d %s %s %s %s %s%s", (int)s.query_ms, (int)s.heartbeat_ms, (int)s.prefetch_ms,
		          s.api_key != NULL ? s.api_key : "-", s.auth_string != NULL ? s.auth_string : "-", headers, s.pool,
		          s.ssl_cert_dir != NULL ? "dir:" : "",
		          s.ssl_cert_file != NULL ? s.ssl_cert_file : s.ssl_cert_dir != NULL ? s.ssl_cert_dir : "-");
		CHECK_STR(row->name, text_str(&got), row->want);
		if (row->source.dotenv != NULL && strstr(row->source.dotenv, "WATCH") != NULL) {
			CHECK_INT(row->name, s.watch_ms, 7000);
			CHECK(row->name, s.ai.openai_key == NULL); /* not Prefect's: not for us to take from .env */
		}
		settings_release(&s);
	}
}

static void refuses_what_prefect_refuses(void)
{
	static const struct {
		const char *name;
		struct settings_source source;
		const char *text;
	} rows[] = {
		{"prefect.toml", {.prefect_toml = "[api\nurl = 1"}, "settings: prefect.toml:1: a table's name ends with ]"},
		{"pyproject.toml", {.pyproject = "\na = = 1"}, "settings: pyproject.toml:2: a value"},
		{"profiles.toml", {.profiles = PROFILE "x = s3cr3t"}, "profiles.toml:4: a value that is no number"},
		{".env", {.dotenv = "A=\xff"}, "settings: .env: the text is not UTF-8"},
		{"a number for a text", {.prefect_toml = "[api]\n\nurl = 5"}, "prefect.toml:3: api.url: the value is not a text"},
		{"in pyproject.toml", {.pyproject = "tool.prefect.api.key = 5"}, "pyproject.toml:1: tool.prefect.api.key: the value is not a text"},
		{"in a profile", {.profiles = "active='p'\n[profiles.p]\nPREFECT_API_URL=true"}, "profiles.toml:3: PREFECT_API_URL: the value is not a text"},
		{"headers as a table of a profile", {.profiles = "active='p'\n[profiles.p]\nPREFECT_CLIENT_CUSTOM_HEADERS={}"},
		 "profiles.toml:3: PREFECT_CLIENT_CUSTOM_HEADERS: the value is not a text"},
		{"a list for a number", {.prefect_toml = "worker.query_seconds = []"}, "prefect.toml:1: worker.query_seconds: the value is not a single value"},
		{"out of range", {.prefect_toml = "worker.query_seconds = 0"}, "prefect.toml:1: worker.query_seconds: '0' is not a number from"},
		{"in .env", {.dotenv = "PREFECT_WORKER_QUERY_SECONDS=x"}, "PREFECT_WORKER_QUERY_SECONDS in .env: 'x' is not a number"},
		{"no table", {.prefect_toml = "\napi = 5"}, "settings: prefect.toml:2: api is not a table"},
		{"no tables", {.pyproject = "tool = 5"}, "settings: pyproject.toml:1: tool is not a table"},
		{"no profiles", {.profiles = "profiles = 5"}, "profiles.toml:1: profiles is not a table"},
		{"no profile", {.profiles = "active = 'p'\nprofiles.p = 5"}, "profiles.toml:2: the profile 'p' is not a table"},
		{"a profile that is not there", {.profiles = PROFILE, .env = {{"PREFECT_PROFILE", "prod"}}}, "there is no profile 'prod' in /tmp/"},
		{"the whole API as JSON", {.env = {{"PREFECT_API", "{\"url\": \"http://x/api\"}"}}}, "PREFECT_API in the environment: the settings"},
		{"in .env", {.dotenv = "PREFECT_API='{}'"}, "PREFECT_API in .env: the settings"},
		{"certificates", {.env = {{"SSL_CERT_FILE", "/nowhere.pem"}}}, "SSL_CERT_FILE: '/nowhere.pem' cannot be read"},
		{"key and password in one place", {.dotenv = "PREFECT_API_KEY=s3cr3t\nPREFECT_API_AUTH_STRING=u:s3cr3t"}, "only one of them at a time"},
		{"a file that is no TOML, with the address in the environment", {.prefect_toml = "x", .env = {{"PREFECT_API_URL", URL("env")}}},
		 "settings: prefect.toml:1: "},
	};

	EACH(row, rows)
	{
		struct settings settings;
		struct error err = {0};
		bool help;
		char file[64];

		if (!CHECK_INT(row->name, settings_from(&row->source, &settings, &help, file, &err), ERR_USAGE))
			continue;
		CHECK_HAS(row->name, err.text, row->text);
		CHECK_LACKS(row->name, err.text, "s3cr3t");
	}
}

static void tells_of_a_line_that_is_left_out(void)
{
	static const struct settings_source source = {.dotenv = "PREFECT_API_URL=" URL("dotenv") "\n=\n"};
	struct settings settings;
	struct error err;
	bool help;
	char file[64];

	if (!CHECK_RC("load", settings_from(&source, &settings, &help, file, &err), 0, &err))
		return;
	CHECK_INT("the line", settings.dotenv_bad_line, 2);
	CHECK_STR("the others count", settings.api_url, URL("dotenv"));
	settings_release(&settings);
}

UNIT_SUITE("worker/settings_sources", TEST(takes_the_address), TEST(reads_the_other_settings), TEST(refuses_what_prefect_refuses),
           TEST(tells_of_a_line_that_is_left_out))
