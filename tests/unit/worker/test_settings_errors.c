/* Every refusal names the option, where its value came from, and what would be right; none tells a secret. */
#include <stdio.h>
#include <string.h>

#include "tests/unit/worker/settings_source.h"

static const struct {
	const char *name;
	struct settings_source source;
	const char *text; /* a part of the error; after "@FILE" the file's name */
} rows[] = {
	/* the command line */
	{"no pool", {.no_pool = ""}, "--pool NAME is missing: work pool"},
	{"an unknown flag", {.args = {"--nonsense"}}, "there is no option '--nonsense' here; --help lists what there is"},
	{"nearly a flag", {.args = {"--pol", "x"}}, "there is no option '--pol' here; did you mean '--pool'?; --help"},
	{"nearly a word", {.args = {"--log-format", "jsn"}}, "'jsn' is none of text, json; did you mean 'json'?"},
	{"nearly a level", {.env = {{"PREFECT_LOGGING_LEVEL", "DEBUGG"}}}, "CRITICAL; did you mean 'DEBUG'?"},
	{"a folder", {.args = {"--config", "/tmp"}}, "configuration file '/tmp' is a directory"},
	{"a folder of certificates", {.env = {{"PREFECT_API_SSL_CERT_FILE", "/tmp"}}}, "PREFECT_API_SSL_CERT_FILE: '/tmp' is a directory"},
	{"an unknown letter", {.args = {"-x"}}, "there is no option '-x' here"},
	{"switches are not joined", {.command = COMMAND_RUN, .args = {"-wh"}, .no_pool = ""}, "there is no option '-wh' here"},
	{"a flag of the other command", {.args = {"--cron", "x"}}, "there is no option '--cron' here"},
	{"an argument", {.args = {"now"}}, "there is no argument 'now' here"},
	{"an empty argument", {.args = {""}}, "there is no argument '' here"},
	{"an argument where none belongs", {.args = {"x"}}, "there is no argument 'x' here; --help lists what there is"},
	{"no argument", {.command = COMMAND_SHOW, .no_pool = ""}, "RUN is missing: name or id of a flow run"},
	{"two arguments", {.command = COMMAND_SHOW, .args = {"a", "b"}, .no_pool = ""}, "there is no argument 'b' here"},
	{"an empty argument", {.command = COMMAND_SHOW, .args = {""}, .no_pool = ""}, "RUN: the value is empty"},
	{"an output that is none", {.command = COMMAND_SHOW, .args = {"a", "-o", "xml"}, .no_pool = ""},
	 "--output: 'xml' is none of text, json"},
	{"a batch out of range", {.command = COMMAND_RUN, .args = {"--batch-size=5"}, .no_pool = ""},
	 "--batch-size: '5' is not a whole number from 10 to 1000"},
	{"two dashes", {.args = {"--"}}, "there is no option '--' here"},
	{"a part of a name", {.args = {"--lim", "3"}}, "there is no option '--lim' here"},
	{"no value", {.args = {"--limit"}}, "--limit needs a value: --limit N"},
	{"no value for a letter", {.args = {"-l"}}, "-l needs a value: -l N"},
	{"a value behind its letter", {.args = {"-lmany"}}, "--limit: 'many' is not a whole number"},
	{"a pool with a slash", {.args = {"--pool", "a/b"}}, "--pool: 'a/b' is not a name for Prefect"},
	{"of a command at a terminal", {.command = COMMAND_PENDING, .args = {"-pa%b"}, .no_pool = ""}, "--pool: 'a%b' is not a name"},
	{"a pool in the environment", {.env = {{"PREFECT_DEFAULT_WORK_POOL_NAME", "a<b"}}, .no_pool = ""}, "'a<b' is not a name"},
	{"a deployment with a slash", {.command = COMMAND_DEPLOY, .args = {"--name", "a/b"}}, "--name: 'a/b' is not a name"},
	{"two retention periods", {.command = COMMAND_PREVIEW, .args = {"--what-if", "P7D", "--retention-period=P9D"}, .no_pool = ""},
	 "--what-if and --retention-period: only one of them at a time"},
	{"an empty value", {.args = {"--pool="}}, "--pool: the value is empty"},
	{"an empty one in a list", {.args = {"-q", ""}}, "--work-queue: the value is empty"},
	{"not UTF-8 in a list", {.args = {"-q", "\xff"}}, "--work-queue: the value is not UTF-8"},
	{"not UTF-8 in a text", {.args = {"--name", "\xff"}}, "--name: the value is not UTF-8"},
	/* numbers */
	{"too little", {.args = {"--limit", "0"}}, "--limit: '0' is not a whole number from 1 to 1000"},
	{"too much", {.args = {"--limit=1001"}}, "--limit: '1001' is not a whole number from 1 to 1000"},
	{"a fraction", {.args = {"--limit", "1.5"}}, "--limit: '1.5' is not a whole number from 1 to 1000"},
	{"text", {.args = {"--limit", "many"}}, "--limit: 'many' is not a whole number"},
	{"text after it", {.args = {"--limit", "3x"}}, "--limit: '3x' is not a whole number"},
	{"nothing", {.args = {"--limit="}}, "--limit: '' is not a whole number"},
	{"not a number", {.args = {"--limit", "nan"}}, "--limit: 'nan' is not a whole number"},
	{"no end", {.args = {"--prefetch-seconds", "inf"}}, "--prefetch-seconds: 'inf' is not a number from 0 to 86400 (seconds)"},
	{"negative", {.args = {"--prefetch-seconds", "-1"}}, "--prefetch-seconds: '-1' is not a number"},
	{"far too much", {.args = {"--prefetch-seconds", "1e999"}}, "--prefetch-seconds: '1e999' is not a number"},
	/* the environment */
	{"seconds in the environment", {.env = {{"PREFECT_WORKER_QUERY_SECONDS", "often"}}},
	 "PREFECT_WORKER_QUERY_SECONDS: 'often' is not a number from 0.1 to 3600 (seconds)"},
	{"no such port", {.env = {{"PREFECT_WORKER_WEBSERVER_PORT", "65536"}}},
	 "PREFECT_WORKER_WEBSERVER_PORT: '65536' is not a whole number from 0 to 65535"},
	{"a switch in the environment", {.env = {{"PREFECT_API_TLS_INSECURE_SKIP_VERIFY", "maybe"}}},
	 "PREFECT_API_TLS_INSECURE_SKIP_VERIFY: 'maybe' is neither true nor false"},
	{"a switch on the command line", {.args = {"--run-once=perhaps"}}, "--run-once: 'perhaps' is neither true nor false"},
	{"a level", {.env = {{"PREFECT_LOGGING_LEVEL", "loud"}}},
	 "PREFECT_LOGGING_LEVEL: 'loud' is none of DEBUG, INFO, WARNING, ERROR, CRITICAL"},
	{"format", {.args = {"--log-format", "xml"}}, "--log-format: 'xml' is none of text, json"},
	/* the file */
	{"no file", {.args = {"--config", "/nonexistent/x.conf"}},
	 "configuration file '/nonexistent/x.conf' cannot be read: No such file or directory"},
	{"no file in the environment", {.env = {{"PREFECT_JANITOR_CONFIG", "/nonexistent/x.conf"}}},
	 "'/nonexistent/x.conf' cannot be read"},
	{"not the file's language", {.file = "\nworker: { limit = ; };"}, "@FILE:2: syntax error"},
	{"an unknown key", {.file = "\n\nworker: { limits = 3; };"},
	 "@FILE:3: there is no setting 'worker.limits'; did you mean 'worker.limit'?; conf/prefect-janitor.conf lists them all"},
	{"an unknown group", {.file = "workers: {\n limit = 3; };"}, "@FILE:2: there is no setting 'workers.limit'"},
	{"a key outside of its group", {.file = "limit = 3;"}, "@FILE:1: there is no setting 'limit'"},
	{"a group that is a value", {.file = "worker = 3;"}, "@FILE:1: there is no setting 'worker'"},
	{"a value out of range", {.file = "worker: {\n limit = 0;\n};"},
	 "@FILE:2: worker.limit: '0' is not a whole number from 1 to 1000"},
	{"a value of another type", {.file = "worker: { limit = true; };"}, "@FILE:1: worker.limit: 'true' is not a whole number"},
	{"a list in place of a value", {.file = "worker: { limit = [1]; };"}, "@FILE:1: worker.limit: a single value is needed"},
	{"a value in place of a list", {.file = "worker: { work_queues = \"a\"; };"},
	 "@FILE:1: worker.work_queues: a list is needed, like [\"a\", \"b\"]"},
	{"a list in a list", {.file = "worker: { work_queues = ((\"a\")); };"}, "@FILE:1: worker.work_queues: a list of text is needed"},
	{"an empty text", {.file = "worker: { name = \"\"; };"}, "@FILE:1: worker.name: the value is empty"},
	/* the address */
	{"no scheme", {.env = {{"PREFECT_API_URL", "127.0.0.1:4200/api"}}},
	 "PREFECT_API_URL: '127.0.0.1:4200/api' is not an address like http://127.0.0.1:4200/api"},
	{"another scheme", {.env = {{"PREFECT_API_URL", "ftp://x/api"}}}, "'ftp://x/api' is not an address"},
	{"no host", {.env = {{"PREFECT_API_URL", "http:///api"}}}, "'http:///api' is not an address"},
	{"only a scheme", {.env = {{"PREFECT_API_URL", "https://"}}}, "'https://' is not an address"},
	{"a blank", {.env = {{"PREFECT_API_URL", "http://x/a pi"}}}, "is not an address"},
	{"a query", {.env = {{"PREFECT_API_URL", "http://x/api?a=b"}}}, "is not an address"},
	{"by file", {.file = "api: { url = \"x\"; };"}, "PREFECT_API_URL: 'x' is not an address"},
	/* headers */
	{"headers that are no JSON", {.env = {{"PREFECT_CLIENT_CUSTOM_HEADERS", "X-Team: ops"}}},
	 "PREFECT_CLIENT_CUSTOM_HEADERS: not a JSON object like"},
	{"a list of headers", {.env = {{"PREFECT_CLIENT_CUSTOM_HEADERS", "[\"a\"]"}}}, "PREFECT_CLIENT_CUSTOM_HEADERS: not a JSON object"},
	{"a header of no text", {.env = {{"PREFECT_CLIENT_CUSTOM_HEADERS", "{\"X\": 1}"}}},
	 "header 'X' is not a name with one line of text"},
	{"a header of two lines", {.env = {{"PREFECT_CLIENT_CUSTOM_HEADERS", "{\"X\": \"a\\r\\nY: b\"}"}}}, "header 'X' is not a name"},
	{"a name of two lines", {.env = {{"PREFECT_CLIENT_CUSTOM_HEADERS", "{\"X\\nY\": \"a\"}"}}}, "header 'X?Y' is not a name"},
	{"a name with a colon", {.env = {{"PREFECT_CLIENT_CUSTOM_HEADERS", "{\"X:\": \"a\"}"}}}, "header 'X:' is not a name"},
	{"an empty name", {.env = {{"PREFECT_CLIENT_CUSTOM_HEADERS", "{\"\": \"a\"}"}}}, "header '' is not a name"},
	/* AI approval */
	{"a provider", {.env = {{"PREFECT_JANITOR_AI_PROVIDER", "mistral"}}},
	 "PREFECT_JANITOR_AI_PROVIDER: 'mistral' is none of auto, anthropic, openai"},
	{"a mode", {.file = "ai: { mode = \"obey\"; };"}, "@FILE:1: ai.mode: 'obey' is none of decide, advise"},
	{"maybe", {.env = {{"PREFECT_JANITOR_AI_ENABLED", "maybe"}}}, "PREFECT_JANITOR_AI_ENABLED: 'maybe' is none of auto, true, false"},
	{"confidence above one", {.env = {{"PREFECT_JANITOR_AI_MIN_CONFIDENCE", "80"}}},
	 "PREFECT_JANITOR_AI_MIN_CONFIDENCE: '80' is not a number from 0 to 1"},
	{"confidence that is none", {.env = {{"PREFECT_JANITOR_AI_MIN_CONFIDENCE", "nan"}}}, "'nan' is not a number from 0 to 1"},
	{"half a run", {.env = {{"PREFECT_JANITOR_AI_MAX_RUNS", "0.5"}}}, "'0.5' is not a whole number from 0 to 1e+09"},
	{"a user in an address", {.env = {{"ANTHROPIC_BASE_URL", "https://user:topsecret@m"}}}, "ANTHROPIC_BASE_URL: an address with '@'"},
	{"a key in an address", {.env = {{"OPENAI_BASE_URL", "https://m/v1?key=topsecret"}}}, "OPENAI_BASE_URL: an address with '@'"},
	{"a user in the MCP address", {.env = {{"PREFECT_JANITOR_AI_MCP_URL", "http://u:topsecret@m/mcp"}}}, "PREFECT_JANITOR_AI_MCP_URL: an address"},
	{"a retention", {.env = {{"PREFECT_JANITOR_AI_MIN_RETENTION", "a month"}}}, "PREFECT_JANITOR_AI_MIN_RETENTION: "},
	{"no retention", {.file = "ai: { min_retention = \"PT0S\"; };"}, "PREFECT_JANITOR_AI_MIN_RETENTION: 'PT0S' is not greater than zero"},
	{"no certificates", {.env = {{"PREFECT_JANITOR_AI_SSL_CERT_FILE", "/nonexistent/x"}}},
	 "PREFECT_JANITOR_AI_SSL_CERT_FILE: '/nonexistent/x' cannot be read"},
	{"a file of a secret that is not there", {.env = {{"OPENAI_API_KEY_FILE", "/nonexistent/x"}}},
	 "OPENAI_API_KEY_FILE: '/nonexistent/x' cannot be read: No such file or directory"},
	{"that is a folder", {.env = {{"OPENAI_API_KEY_FILE", "/"}}}, "OPENAI_API_KEY_FILE: '/' cannot be read: Is a directory"},
	{"that is empty", {.env = {{"ANTHROPIC_API_KEY_FILE", "/dev/null"}}}, "ANTHROPIC_API_KEY_FILE: '/dev/null' does not hold one line"},
	{"that has no end", {.env = {{"ANTHROPIC_API_KEY_FILE", "/dev/zero"}}}, "'/dev/zero' does not hold one line"},
	{"a secret and its file", {.env = {{"ANTHROPIC_API_KEY_FILE", "/dev/null"}, {"ANTHROPIC_API_KEY", "topsecret"}}},
	 "ANTHROPIC_API_KEY and ANTHROPIC_API_KEY_FILE: only one of them at a time"},
	{"of Prefect too", {.env = {{"PREFECT_API_KEY_FILE", "/nonexistent/x"}}}, "PREFECT_API_KEY_FILE: '/nonexistent/x' cannot be read"},
	/* what does not go together */
	{"two schedules", {.command = COMMAND_DEPLOY, .args = {"--cron", "x", "--rrule", "y"}},
	 "--cron, --interval and --rrule: only one of them at a time"},
	{"a schedule by flag and one by file", {.command = COMMAND_DEPLOY, .args = {"--cron", "x"},
	                                        .file = "deployment: { interval = \"P1D\"; };"},
	 "only one of them at a time"},
	{"two places for alerts", {.command = COMMAND_DEPLOY, .args = {"--notify-block", "webhook/x"},
	                           .env = {{"PREFECT_JANITOR_NOTIFY_WEBHOOK", "http://x/"}}},
	 "--notify-webhook and --notify-block: only one of them at a time"},
	{"alerts and none", {.command = COMMAND_DEPLOY, .args = {"--notify-block", "webhook/x", "--no-notify"}},
	 "--no-notify removes the alerts: not together with"},
	{"alerts to an address and none", {.command = COMMAND_DEPLOY, .args = {"--no-notify", "--notify-webhook", "http://x/"}},
	 "--no-notify removes the alerts: not together with"},
	{"a schedule and none", {.command = COMMAND_DEPLOY, .args = {"--cron", "0 2 * * *", "--no-schedule"}},
	 "--no-schedule removes the schedule: not together with"},
	{"a time zone of no schedule", {.command = COMMAND_DEPLOY, .args = {"--no-schedule", "--timezone", "UTC"}},
	 "--no-schedule removes the schedule: not together with"},
	{"a pool with a slash", {.args = {"--pool", "a/b"}}, "--pool: 'a/b' is not a name for Prefect"},
	{"a deployment with a percent sign", {.command = COMMAND_DEPLOY, .args = {"--name", "50%"}},
	 "--name: '50%' is not a name for Prefect"},
	{"a block without a type", {.command = COMMAND_DEPLOY, .args = {"--notify-block", "ops"}}, "'ops' is not TYPE/NAME"},
	{"a block without a name", {.command = COMMAND_DEPLOY, .args = {"--notify-block", "webhook/"}}, "'webhook/' is not TYPE/NAME"},
	{"a block of three parts", {.command = COMMAND_DEPLOY, .args = {"--notify-block=a/b/c"}}, "'a/b/c' is not TYPE/NAME"},
	{"alerts after no time", {.command = COMMAND_DEPLOY, .args = {"--notify-stale-days", "-1"}},
	 "--notify-stale-days: '-1' is not a whole number from 0 to 365"},
	{"two ways to sign in", {.env = {{"PREFECT_API_KEY", "a"}, {"PREFECT_API_AUTH_STRING", "b:c"}}},
	 "PREFECT_API_KEY and PREFECT_API_AUTH_STRING: only one of them at a time"},
};

static void check_refused(const char *name, const struct settings_source *source, const char *text)
{
	struct settings settings = {.limit = -7};
	struct error err = {.text = ""};
	bool help = false;
	char file[64];
	char want[200];

	if (!CHECK_RC(name, settings_from(source, &settings, &help, file, &err), ERR_USAGE, &err))
		return;
	bool with_file = strncmp(text, "@FILE", 5) == 0;
	(void)snprintf(want, sizeof want, "%s%s", with_file ? file : "", text + (with_file ? 5 : 0));
	CHECK_HAS(name, err.text, want);
	CHECK_LACKS(name, err.text, "topsecret");
	CHECK(name, !help && settings.limit == -7);
}

static void says_what_is_wrong(void)
{
	EACH(row, rows)
		check_refused(row->name, &row->source, row->text);
}

static const struct {
	const char *name;
	struct settings_source source;
	const char *text;
} secrets[] = {
	{"a key on the command line", {.args = {"--api-key=topsecret"}}, "there is no option '--api-key' here"},
	{"a key after its flag", {.args = {"--api-key", "topsecret"}}, "there is no option '--api-key' here"},
	{"a webhook that is none", {.command = COMMAND_DEPLOY, .args = {"--notify-webhook", "hooks.example/topsecret"}},
	 "--notify-webhook: the value is not an address like"},
	{"without a host", {.command = COMMAND_DEPLOY, .env = {{"PREFECT_JANITOR_NOTIFY_WEBHOOK", "https:///topsecret"}}},
	 "the value is not an address like"},
	{"of two words", {.command = COMMAND_DEPLOY, .file = "deployment: { notify_webhook = \"http://x/ topsecret\"; };"},
	 "the value is not an address like"},
	{"two secrets", {.env = {{"PREFECT_API_KEY", "topsecret"}, {"PREFECT_API_AUTH_STRING", "a:topsecret"}}}, "only one of them"},
	{"headers that are no JSON", {.env = {{"PREFECT_CLIENT_CUSTOM_HEADERS", "X: topsecret"}}}, "not a JSON object"},
	{"headers that are cut off", {.env = {{"PREFECT_CLIENT_CUSTOM_HEADERS", "{\"X\": \"topsecret"}}}, "not a JSON object"},
	{"a header of two lines", {.env = {{"PREFECT_CLIENT_CUSTOM_HEADERS", "{\"X\": \"topsecret\\n\"}"}}}, "header 'X'"},
	{"a repeated header", {.env = {{"PREFECT_CLIENT_CUSTOM_HEADERS", "{\"X\": \"topsecret\", \"X\": \"topsecret\"}"}}},
	 "not a JSON object"},
	{"a list in place of a key", {.file = "api: { key = [\"topsecret\"]; };"}, "@FILE:1: api.key: a single value is needed"},
	{"a file of two lines", {.env = {{"OPENAI_API_KEY_FILE", "@FILE"}}, .file = "//topsecret\n//topsecret\n"},
	 "does not hold one line of text with the secret"},
	{"a syntax error beside it", {.file = "api: { key = \"topsecret\" \"topsecret\"; ; };"}, "@FILE:1: syntax error"},
	{"a password in the address", {.env = {{"PREFECT_API_URL", "http://me:topsecret@x/api"}}},
	 "put user and password into PREFECT_API_AUTH_STRING"},
	{"in an address that is wrong", {.env = {{"PREFECT_API_URL", "ftp://me:topsecret@x/api"}}}, "'(with user)' is not an address"},
	{"with a question mark", {.env = {{"PREFECT_API_URL", "http://me:top?topsecret@x/api"}}}, "'(with user)' is not an address"},
};

static void tells_no_secret(void)
{
	EACH(row, secrets)
		check_refused(row->name, &row->source, row->text);
}

/* Every option that is a secret has a place off the command line, and every option has what its errors and help need. */
static void keeps_its_table_in_order(void)
{
	for (size_t i = 0; i < settings_option_count; i++) {
		const struct option *row = &settings_options[i];
		const char *name = row->flag != NULL ? row->flag : row->env != NULL ? row->env : row->placeholder;

		CHECK(name, (row->flag != NULL || row->env != NULL) != row->argument);
		CHECK(name, !row->secret || row->flag == NULL || row->env != NULL);
		CHECK(name, row->commands != 0 && row->help != NULL && row->placeholder != NULL);
		CHECK(name, (row->kind != OPTION_INTEGER && row->kind != OPTION_SECONDS && row->kind != OPTION_NUMBER) ||
		      (row->max > row->min && (row->fallback != NULL || row->min > 0)));
		CHECK(name, row->kind != OPTION_CHOICE || (row->choices != NULL && row->fallback != NULL));
		for (size_t k = 0; k < i; k++) {
			const struct option *other = &settings_options[k];
			bool meet = (other->commands & row->commands) != 0;
			CHECK(name, !meet || row->flag == NULL || other->flag == NULL || strcmp(row->flag, other->flag) != 0);
			CHECK(name, !meet || row->letter == 0 || row->letter != other->letter);
		}
	}
}

UNIT_SUITE("worker/settings_errors", TEST(says_what_is_wrong), TEST(tells_no_secret), TEST(keeps_its_table_in_order))
