/* Where a setting's value comes from. What is refused: test_settings_errors.c. */
#include "worker/settings.h"

#include <string.h>

#include "tests/unit/worker/settings_source.h"

static json_t *ai_summary(const struct ai_settings *ai)
{
	return json_pack("{s:I, s:I, s:s?, s:s?, s:s?, s:s?, s:s?, s:s, s:s?, s:I, s:I, s:b, s:f, s:I, s:I, s:[I, I, I, I, I, I, I, I]}",
	                 "enabled", (json_int_t)ai->enabled, "provider", (json_int_t)ai->provider, "model", ai->model,
	                 "anthropic_key", ai->anthropic_key, "anthropic_url", ai->anthropic_url, "openai_key", ai->openai_key,
	                 "openai_url", ai->openai_url, "mcp_command", ai->mcp_command, "mcp_url", ai->mcp_url, "mode",
	                 (json_int_t)ai->mode, "on_unsure", (json_int_t)ai->on_unsure, "run_logs", ai->run_logs,
	                 "min_confidence", ai->min_confidence, "max_runs", (json_int_t)ai->max_runs, "min_retention_us",
	                 (json_int_t)ai->min_retention_us, "budgets", (json_int_t)ai->max_turns, (json_int_t)ai->max_tool_calls,
	                 (json_int_t)ai->max_bytes, (json_int_t)ai->model_ms, (json_int_t)ai->tool_ms,
	                 (json_int_t)ai->mcp_start_ms, (json_int_t)ai->total_ms, (json_int_t)ai->retries);
}

/* The settings that the rows look at, as JSON. */
static json_t *summary(const struct settings *s)
{
	json_t *all = json_pack("{s:s?, s:s?, s:s?, s:s?, s:O?, s:I, s:b, s:s?, s:s?, s:O, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:b, s:s, s:I, s:I, s:s?, s:I, s:s?}", "api_url",
	                 s->api_url, "api_key", s->api_key, "auth_string", s->auth_string, "ssl_cert_file", s->ssl_cert_file,
	                 "headers", s->headers, "request_timeout_ms", (json_int_t)s->request_timeout_ms, "tls_insecure",
	                 s->tls_insecure, "pool", s->pool, "worker_name", s->worker_name, "work_queues", s->work_queues, "limit",
	                 (json_int_t)s->limit, "prefetch_ms", (json_int_t)s->prefetch_ms, "query_ms", (json_int_t)s->query_ms,
	                 "heartbeat_ms", (json_int_t)s->heartbeat_ms, "watch_ms", (json_int_t)s->watch_ms, "run_once", s->run_once,
	                 "log_level", (json_int_t)s->log_level, "with_healthcheck", s->with_healthcheck, "webserver_host",
	                 s->webserver_host, "webserver_port", (json_int_t)s->webserver_port, "log_format",
	                 (json_int_t)s->log_format, "run", s->run, "output", (json_int_t)s->output, "notes", s->notes);
	AUTO_JSON *ai = ai_summary(&s->ai);

	(void)json_object_update(all, ai);
	return all;
}

static const struct {
	const char *name;
	struct settings_source source;
	const char *key;
	const char *want;
} rows[] = {
	/* text */
	{"pool by flag", {.args = {"--pool", "a"}, .no_pool = ""}, "pool", "\"a\""},
	{"pool by --flag=value", {.args = {"--pool=a=b"}, .no_pool = ""}, "pool", "\"a=b\""},
	{"pool by letter", {.args = {"-p", "a"}, .no_pool = ""}, "pool", "\"a\""},
	{"pool by environment", {.env = {{"PREFECT_DEFAULT_WORK_POOL_NAME", "e"}}, .no_pool = ""}, "pool", "\"e\""},
	{"pool by file", {.file = "worker: { pool = \"f\"; };", .no_pool = ""}, "pool", "\"f\""},
	{"the last flag counts", {.args = {"-p", "a", "--pool", "b"}}, "pool", "\"b\""},
	{"a value that looks like a flag", {.args = {"--pool", "--limit"}}, "pool", "\"--limit\""},
	{"flag before environment and file",
	 {.args = {"-p", "a"}, .env = {{"PREFECT_DEFAULT_WORK_POOL_NAME", "e"}}, .file = "worker: { pool = \"f\"; };", .no_pool = ""},
	 "pool", "\"a\""},
	{"environment before file",
	 {.env = {{"PREFECT_DEFAULT_WORK_POOL_NAME", "e"}}, .file = "worker: { pool = \"f\"; };", .no_pool = ""}, "pool", "\"e\""},
	{"an empty number in the environment is none",
	 {.env = {{"PREFECT_WORKER_QUERY_SECONDS", ""}}, .file = "worker: { query_seconds = 5; };"}, "query_ms", "5000"},
	{"no name", {.no_pool = NULL}, "worker_name", "null"},
	/* arguments */
	{"an argument", {.command = COMMAND_SHOW, .args = {"lucid-fox"}, .no_pool = ""}, "run", "\"lucid-fox\""},
	{"after the options", {.command = COMMAND_SHOW, .args = {"-o", "json", "lucid-fox"}, .no_pool = ""}, "run",
	 "\"lucid-fox\""},
	{"before the options", {.command = COMMAND_APPROVE, .args = {"lucid-fox", "--notes", "fine"}, .no_pool = ""}, "notes",
	 "\"fine\""},
	{"with an equals sign", {.command = COMMAND_SHOW, .args = {"a=b"}, .no_pool = ""}, "run", "\"a=b\""},
	{"output by default", {.command = COMMAND_SHOW, .args = {"a"}, .no_pool = ""}, "output", "0"},
	{"output by flag", {.command = COMMAND_SHOW, .args = {"-o", "json", "a"}, .no_pool = ""}, "output", "1"},
	/* integer */
	{"no port is opened unasked", {.no_pool = NULL}, "with_healthcheck", "false"},
	{"to this machine only", {.args = {"--with-healthcheck"}}, "webserver_host", "\"127.0.0.1\""},
	{"Prefect's port", {.args = {"--with-healthcheck"}}, "webserver_port", "8080"},
	{"healthcheck by file", {.file = "worker: { with_healthcheck = true; };"}, "with_healthcheck", "true"},
	{"host by environment", {.env = {{"PREFECT_WORKER_WEBSERVER_HOST", "::1"}}}, "webserver_host", "\"::1\""},
	{"port by environment", {.env = {{"PREFECT_WORKER_WEBSERVER_PORT", "0"}}}, "webserver_port", "0"},
	{"limit by default", {.no_pool = NULL}, "limit", "10"},
	{"limit by file", {.file = "worker: { limit = 3; };"}, "limit", "3"},
	{"limit by flag before file", {.args = {"-l", "4"}, .file = "worker: { limit = 3; };"}, "limit", "4"},
	{"the least", {.args = {"--limit=1"}}, "limit", "1"},
	{"the most", {.args = {"--limit=1000"}}, "limit", "1000"},
	/* seconds */
	{"prefetch by default", {.no_pool = NULL}, "prefetch_ms", "10000"},
	{"prefetch by file, a fraction", {.file = "worker: { prefetch_seconds = 0.25; };"}, "prefetch_ms", "250"},
	{"prefetch by file, whole", {.file = "worker: { prefetch_seconds = 7; };"}, "prefetch_ms", "7000"},
	{"prefetch by environment", {.env = {{"PREFECT_WORKER_PREFETCH_SECONDS", "20"}}, .file = "worker: { prefetch_seconds = 7; };"},
	 "prefetch_ms", "20000"},
	{"prefetch by flag", {.args = {"--prefetch-seconds", "1.5"}, .env = {{"PREFECT_WORKER_PREFETCH_SECONDS", "20"}}}, "prefetch_ms",
	 "1500"},
	{"none at all", {.args = {"--prefetch-seconds", "0"}}, "prefetch_ms", "0"},
	{"query", {.env = {{"PREFECT_WORKER_QUERY_SECONDS", "0.5"}}}, "query_ms", "500"},
	{"heartbeat", {.env = {{"PREFECT_WORKER_HEARTBEAT_SECONDS", "5"}}}, "heartbeat_ms", "5000"},
	{"watch", {.no_pool = NULL}, "watch_ms", "1000"},
	{"request timeout", {.env = {{"PREFECT_API_REQUEST_TIMEOUT", "2.5"}}}, "request_timeout_ms", "2500"},
	/* switch */
	{"off by default", {.no_pool = NULL}, "tls_insecure", "false"},
	{"on by environment", {.env = {{"PREFECT_API_TLS_INSECURE_SKIP_VERIFY", "True"}}}, "tls_insecure", "true"},
	{"on by 1", {.env = {{"PREFECT_API_TLS_INSECURE_SKIP_VERIFY", "1"}}}, "tls_insecure", "true"},
	{"on by file", {.file = "api: { tls_insecure_skip_verify = true; };"}, "tls_insecure", "true"},
	{"off by environment, on in the file",
	 {.env = {{"PREFECT_API_TLS_INSECURE_SKIP_VERIFY", "off"}}, .file = "api: { tls_insecure_skip_verify = true; };"},
	 "tls_insecure", "false"},
	{"a flag needs no value", {.args = {"--run-once", "--limit", "2"}}, "run_once", "true"},
	{"but takes one", {.args = {"--run-once=no"}}, "run_once", "false"},
	/* list */
	{"no queues", {.no_pool = NULL}, "work_queues", "[]"},
	{"queues by flag", {.args = {"-q", "a", "--work-queue=b", "--work-queue", "c"}}, "work_queues", "[\"a\", \"b\", \"c\"]"},
	{"queues by file", {.file = "worker: { work_queues = [\"x\", \"y\"]; };"}, "work_queues", "[\"x\", \"y\"]"},
	{"queues by file, as a list", {.file = "worker: { work_queues = (\"x\", 2); };"}, "work_queues", "[\"x\", \"2\"]"},
	{"an empty list", {.file = "worker: { work_queues = []; };"}, "work_queues", "[]"},
	{"flags replace the file's", {.args = {"-q", "a", "-q", "b"}, .file = "worker: { work_queues = [\"x\", \"y\"]; };"}, "work_queues",
	 "[\"a\", \"b\"]"},
	/* level */
	{"level by default", {.no_pool = NULL}, "log_level", "20"},
	{"level by environment", {.env = {{"PREFECT_LOGGING_LEVEL", "debug"}}}, "log_level", "10"},
	{"level by file", {.file = "logging: { level = \"ERROR\"; };"}, "log_level", "40"},
	/* choice */
	{"text by default", {.no_pool = NULL}, "log_format", "0"},
	{"format by flag", {.args = {"--log-format=json"}}, "log_format", "1"},
	{"format by environment, in another case", {.env = {{"PREFECT_JANITOR_LOG_FORMAT", "JSON"}}}, "log_format", "1"},
	{"format by file", {.file = "logging: { format = \"json\"; };"}, "log_format", "1"},
	/* the server */
	{"address by default", {.no_pool = NULL}, "api_url", "\"http://127.0.0.1:4200/api\""},
	{"slashes at the end", {.env = {{"PREFECT_API_URL", "https://x/api//"}}}, "api_url", "\"https://x/api\""},
	{"another case", {.env = {{"PREFECT_API_URL", "HTTPS://X/api"}}}, "api_url", "\"HTTPS://X/api\""},
	{"address by file", {.file = "api: { url = \"http://f/api\"; };"}, "api_url", "\"http://f/api\""},
	{"IPv6", {.env = {{"PREFECT_API_URL", "http://[::1]:4200/api"}}}, "api_url", "\"http://[::1]:4200/api\""},
	{"key", {.env = {{"PREFECT_API_KEY", "pnu_1"}}}, "api_key", "\"pnu_1\""},
	{"key by file", {.file = "api: { key = \"pnu_2\"; };"}, "api_key", "\"pnu_2\""},
	{"user and password", {.env = {{"PREFECT_API_AUTH_STRING", "a:b"}}}, "auth_string", "\"a:b\""},
	{"headers", {.env = {{"PREFECT_CLIENT_CUSTOM_HEADERS", "{\"X-Team\": \"ops\", \"X-B\": \"\"}"}}}, "headers",
	 "{\"X-Team\": \"ops\", \"X-B\": \"\"}"},
	{"headers by file", {.file = "api: { custom_headers = \"{\\\"X-Team\\\": \\\"ops\\\"}\"; };"}, "headers", "{\"X-Team\": \"ops\"}"},
	{"no headers", {.env = {{"PREFECT_CLIENT_CUSTOM_HEADERS", "{}"}}}, "headers", "{}"},
	{"certificates", {.env = {{"PREFECT_API_SSL_CERT_FILE", "/dev/null"}}}, "ssl_cert_file", "\"/dev/null\""},
	/* AI approval */
	{"AI where it is configured", {.no_pool = NULL}, "enabled", "-1"},
	{"AI on", {.env = {{"PREFECT_JANITOR_AI_ENABLED", "1"}}}, "enabled", "1"},
	{"AI off by file", {.file = "ai: { enabled = false; };"}, "enabled", "0"},
	{"AI as by default, said aloud", {.env = {{"PREFECT_JANITOR_AI_ENABLED", "Auto"}}, .file = "ai: { enabled = false; };"}, "enabled", "-1"},
	{"provider by default", {.no_pool = NULL}, "provider", "0"},
	{"provider by environment", {.env = {{"PREFECT_JANITOR_AI_PROVIDER", "Anthropic"}}}, "provider", "1"},
	{"provider by file", {.file = "ai: { provider = \"openai\"; };"}, "provider", "2"},
	{"no model", {.no_pool = NULL}, "model", "null"},
	{"model", {.env = {{"PREFECT_JANITOR_AI_MODEL", "qwen3:8b"}}}, "model", "\"qwen3:8b\""},
	{"a model's key", {.env = {{"ANTHROPIC_API_KEY", "sk-1"}}}, "anthropic_key", "\"sk-1\""},
	{"a key by file", {.file = "ai: { openai_api_key = \"sk-2\"; };"}, "openai_key", "\"sk-2\""},
	{"a key in a file of its own", {.env = {{"OPENAI_API_KEY_FILE", "@FILE"}}, .file = "//sk-3 \r\n\n"}, "openai_key", "\"//sk-3\""},
	{"before the configuration file",
	 {.env = {{"ANTHROPIC_API_KEY_FILE", "@FILE"}}, .file = "ai: { anthropic_api_key = \"sk-4\"; };"}, "anthropic_key",
	 "\"ai: { anthropic_api_key = \\\"sk-4\\\"; };\""},
	{"Prefect's key too", {.env = {{"PREFECT_API_KEY_FILE", "@FILE"}}, .file = "//pnu\n"}, "api_key", "\"//pnu\""},
	{"address of Anthropic", {.env = {{"ANTHROPIC_BASE_URL", "http://m"}}}, "anthropic_url", "\"http://m\""},
	{"address of OpenAI", {.env = {{"OPENAI_BASE_URL", "http://m/v1"}}}, "openai_url", "\"http://m/v1\""},
	{"MCP by default", {.no_pool = NULL}, "mcp_command", "\"uvx --from prefect-mcp prefect-mcp-server\""},
	{"MCP command", {.env = {{"PREFECT_JANITOR_AI_MCP_COMMAND", "a b"}}}, "mcp_command", "\"a b\""},
	{"MCP address", {.env = {{"PREFECT_JANITOR_AI_MCP_URL", "http://m/mcp"}}}, "mcp_url", "\"http://m/mcp\""},
	{"it decides", {.no_pool = NULL}, "mode", "0"},
	{"it advises", {.env = {{"PREFECT_JANITOR_AI_MODE", "advise"}}}, "mode", "1"},
	{"unsure is no", {.no_pool = NULL}, "on_unsure", "0"},
	{"unsure asks", {.file = "ai: { on_unsure = \"human\"; };"}, "on_unsure", "1"},
	{"no logs", {.no_pool = NULL}, "run_logs", "false"},
	{"logs", {.env = {{"PREFECT_JANITOR_AI_RUN_LOGS", "yes"}}}, "run_logs", "true"},
	{"confidence by default", {.no_pool = NULL}, "min_confidence", "0.8"},
	{"confidence by file", {.file = "ai: { min_confidence = 1; };"}, "min_confidence", "1.0"},
	{"confidence by environment", {.env = {{"PREFECT_JANITOR_AI_MIN_CONFIDENCE", "0.25"}}}, "min_confidence", "0.25"},
	{"runs by default", {.no_pool = NULL}, "max_runs", "1000"},
	{"no runs", {.env = {{"PREFECT_JANITOR_AI_MAX_RUNS", "0"}}}, "max_runs", "0"},
	{"no least retention", {.no_pool = NULL}, "min_retention_us", "0"},
	{"a least retention", {.env = {{"PREFECT_JANITOR_AI_MIN_RETENTION", "P1D"}}}, "min_retention_us", "86400000000"},
	{"budgets by default", {.no_pool = NULL}, "budgets", "[10, 20, 204800, 120000, 60000, 60000, 600000, 2]"},
	{"budgets by file",
	 {.file = "ai: { max_turns = 1; max_tool_calls = 2; max_bytes = 3000; model_seconds = 4; tool_seconds = 0.5; "
	          "mcp_start_seconds = 6; total_seconds = 7; retries = 0; };"},
	 "budgets", "[1, 2, 3000, 4000, 500, 6000, 7000, 0]"},
	{"budgets by environment",
	 {.env = {{"PREFECT_JANITOR_AI_MAX_TURNS", "3"}, {"PREFECT_JANITOR_AI_TOTAL_SECONDS", "90"}, {"PREFECT_JANITOR_AI_RETRIES", "5"}}},
	 "budgets", "[3, 20, 204800, 120000, 60000, 60000, 90000, 5]"},
	/* the file */
	{"file by flag", {.args = {"--config", "@FILE"}, .file = "worker: { limit = 3; };"}, "limit", "3"},
	{"file by flag before environment",
	 {.args = {"--config", "@FILE"}, .env = {{"PREFECT_JANITOR_CONFIG", "/nonexistent"}}, .file = "worker: { limit = 3; };"}, "limit",
	 "3"},
	{"an empty file", {.file = ""}, "limit", "10"},
	{"keys of the other command", {.file = "deployment: { cron = \"x\"; tags = [\"t\"]; concurrency_limit = \"many\"; };"}, "limit",
	 "10"},
};

static void takes_the_first_source(void)
{
	EACH(row, rows)
	{
		struct settings settings;
		struct error err;
		bool help = true;
		char file[64];

		if (!CHECK_RC(row->name, settings_from(&row->source, &settings, &help, file, &err), 0, &err))
			continue;
		AUTO_JSON *all = summary(&settings);
		CHECK_JSON(row->name, json_object_get(all, row->key), row->want);
		CHECK(row->name, !help);
		settings_release(&settings);
		CHECK(row->name, settings.pool == NULL && settings.work_queues == NULL && settings.headers == NULL);
	}
}

static void loads_a_deployment(void)
{
	const struct settings_source source = {
		.command = COMMAND_DEPLOY,
		.args = {"--name", "d", "--cron=0 2 * * *", "-t", "a", "--tag", "b", "--param", "batch_size=50", "--paused"},
		.env = {{"PREFECT_JANITOR_NOTIFY_WEBHOOK", "https://hooks.example/x"}},
		.file = "deployment: { timezone = \"Europe/Berlin\"; params = [\"dry_run=true\"]; concurrency_limit = 0; };"
		        "worker: { limit = 7; };"};
	struct settings settings;
	struct error err;
	bool help;
	char file[64];

	if (!CHECK_RC("deploy", settings_from(&source, &settings, &help, file, &err), 0, &err))
		return;
	CHECK_STR("name", settings.deployment_name, "d");
	CHECK_STR("cron", settings.cron, "0 2 * * *");
	CHECK_STR("timezone", settings.timezone, "Europe/Berlin");
	CHECK_JSON("tags", settings.tags, "[\"a\", \"b\"]");
	CHECK_JSON("parameters", settings.params, "[\"batch_size=50\"]");
	CHECK_INT("limit", settings.concurrency_limit, 0);
	CHECK("paused", settings.paused && settings.worker_name == NULL);
	CHECK_STR("alerts", settings.notify_webhook, "https://hooks.example/x");
	CHECK_INT("from a flag", SETTINGS_SOURCE(&settings, cron), OPTION_FROM_FLAG);
	CHECK_INT("from the flag before the file", SETTINGS_SOURCE(&settings, params), OPTION_FROM_FLAG);
	CHECK_INT("from the environment", SETTINGS_SOURCE(&settings, notify_webhook), OPTION_FROM_ENVIRONMENT);
	CHECK_INT("from the file", SETTINGS_SOURCE(&settings, concurrency_limit), OPTION_FROM_FILE);
	CHECK_INT("not named", SETTINGS_SOURCE(&settings, notify_stale_days), OPTION_FROM_DEFAULT);
	settings_release(&settings);

	const struct settings_source defaults = {.command = COMMAND_DEPLOY};
	if (!CHECK_RC("defaults", settings_from(&defaults, &settings, &help, file, &err), 0, &err))
		return;
	CHECK_STR("defaults", settings.deployment_name, DEFAULT_DEPLOYMENT);
	CHECK_STR("defaults", settings.timezone, "UTC");
	CHECK_INT("defaults", settings.concurrency_limit, 1);
	CHECK("defaults", !settings.paused && settings.cron == NULL);
	CHECK("no alerts", settings.notify_webhook == NULL && settings.notify_block == NULL && !settings.no_notify);
	CHECK_INT("defaults", settings.notify_stale_days, 7);
	CHECK_INT("not named", SETTINGS_SOURCE(&settings, timezone), OPTION_FROM_DEFAULT);
	settings_release(&settings);

	const struct settings_source contrary = {
		.command = COMMAND_DEPLOY, .args = {"--no-notify", "--no-schedule"},
		.env = {{"PREFECT_JANITOR_NOTIFY_WEBHOOK", "https://hooks.example/x"}},
		.file = "deployment: { cron = \"0 2 * * *\"; timezone = \"UTC\"; };"};
	if (!CHECK_RC("a flag against the rest", settings_from(&contrary, &settings, &help, file, &err), 0, &err))
		return;
	CHECK("a flag against the rest", settings.no_notify && settings.no_schedule);
	settings_release(&settings);
}

static void offers_help(void)
{
	static const struct {
		const char *name;
		struct settings_source source;
	} helps[] = {
		{"long", {.args = {"--help"}, .no_pool = ""}},
		{"short", {.args = {"-h"}, .no_pool = ""}},
		{"after others", {.args = {"--limit", "3", "--help", "--nonsense"}}},
		{"the file is not looked at", {.args = {"--help", "--config", "/nonexistent"}, .no_pool = ""}},
		{"nor the environment", {.args = {"--help"}, .env = {{"PREFECT_API_URL", "nonsense"}}, .no_pool = ""}},
	};

	EACH(row, helps)
	{
		struct settings settings;
		struct error err;
		bool help = false;
		char file[64];

		if (CHECK_RC(row->name, settings_from(&row->source, &settings, &help, file, &err), 0, &err))
			settings_release(&settings);
		CHECK(row->name, help);
	}
}

static void writes_help(void)
{
	struct settings settings = {0};
	const struct options options = {.rows = settings_options, .count = settings_option_count, .target = &settings,
	                                .command = COMMAND_START};
	AUTO_TEXT text = {.max = 64 * 1024};

	options_help(&options, &text);
	CHECK_HAS("start", text_str(&text), "-p, --pool NAME");
	CHECK_HAS("start", text_str(&text), "only runs of this work queue; may be repeated");
	CHECK_HAS("start", text_str(&text), "[10] (PREFECT_WORKER_PREFETCH_SECONDS)");
	CHECK_HAS("start", text_str(&text), "PREFECT_API_KEY");
	CHECK_LACKS("start", text_str(&text), "--cron");
	const char *address = strstr(text_str(&text), "\n  PREFECT_API_URL");
	const char *model = strstr(text_str(&text), "\n  PREFECT_JANITOR_AI_MODEL");
	CHECK("what everybody needs comes first", address != NULL && model != NULL && address < model);
	CHECK_LACKS("start", text_str(&text), "--api-key");
}

static void passes_on_what_the_client_needs(void)
{
	const struct settings_source source = {.env = {{"PREFECT_API_URL", "https://x/api/"}, {"PREFECT_API_KEY", "k"},
	                                               {"PREFECT_API_REQUEST_TIMEOUT", "3"},
	                                               {"PREFECT_CLIENT_CUSTOM_HEADERS", "{\"A\": \"b\"}"}}};
	struct settings settings;
	struct error err;
	bool help;
	char file[64];

	if (!CHECK_RC("client", settings_from(&source, &settings, &help, file, &err), 0, &err))
		return;
	struct http_settings http = settings_http(&settings, NULL);
	CHECK_STR("address", http.url, "https://x/api");
	CHECK_STR("key", http.bearer, "k");
	CHECK("no password", http.basic == NULL && !http.insecure);
	CHECK_JSON("headers", http.headers, "{\"A\": \"b\"}");
	CHECK_INT("timeout", http.request_timeout_ms, 3000);
	CHECK_INT("connecting takes no longer", http.connect_timeout_ms, 3000);
	settings_release(&settings);
}

/* What becomes a warning when the log level allows it. */
static void notices_an_open_file_with_a_secret(void)
{
	static const struct {
		const char *name;
		struct settings_source source;
		unsigned exposed;
	} files[] = {
		{"a key, for the user alone", {.file = "api: { key = \"k\"; };"}, 0},
		{"a key, for the group", {.file = "api: { key = \"k\"; };", .mode = 0640}, 0640},
		{"a password, for all", {.file = "api: { auth_string = \"u:p\"; };", .mode = 0644}, 0644},
		{"headers, to be written by others", {.file = "api: { custom_headers = \"{}\"; };", .mode = 0602}, 0602},
		{"a command that needs no more than the others",
		 {.command = COMMAND_DEPLOY, .file = "api: { key = \"k\"; };", .mode = 0644}, 0644},
		{"the environment goes before, and the file still holds it",
		 {.file = "api: { key = \"k\"; };", .mode = 0644, .env = {{"PREFECT_API_KEY", "e"}}}, 0644},
		{"no secret in it", {.file = "api: { request_timeout = 5; };", .mode = 0666}, 0},
		{"a secret elsewhere", {.file = "worker: { limit = 5; };", .mode = 0644, .env = {{"PREFECT_API_KEY", "e"}}}, 0},
	};

	EACH(row, files)
	{
		struct settings settings;
		struct error err;
		bool help;
		char file[64];

		if (!CHECK_RC(row->name, settings_from(&row->source, &settings, &help, file, &err), 0, &err))
			continue;
		CHECK_INT(row->name, settings.config_exposed, row->exposed);
		settings_release(&settings);
	}
}

UNIT_SUITE("worker/settings", TEST(takes_the_first_source), TEST(loads_a_deployment), TEST(notices_an_open_file_with_a_secret), TEST(offers_help), TEST(writes_help),
           TEST(passes_on_what_the_client_needs))
