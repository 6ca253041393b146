/* Settings that are loaded a second time while the first are in use: what is told, and what stays. */
#include "client/base/text.h"
#include "tests/unit/worker/settings_source.h"

static struct text told = {.max = 10000};

static void tell(const struct option *row, const char *was, const char *is, bool kept)
{
	text_addf(&told, "%s%s %s>%s", kept ? "!" : "", option_name(row), was != NULL ? was : "", is != NULL ? is : "");
}

static size_t arrows(const char *text)
{
	size_t count = 0;

	for (; *text != '\0'; text++)
		count += *text == '>';
	return count;
}

static void load(const struct settings_source *source, struct settings *ret_settings)
{
	char file[64];
	bool help;
	struct error err;

	CHECK_RC("load", settings_from(source, ret_settings, &help, file, &err), 0, &err);
}

static void tells_what_differs(void)
{
	static const struct {
		const char *name;
		struct settings_source now, fresh;
		const char *told;
	} rows[] = {
		{"nothing", {.no_pool = NULL}, {.no_pool = NULL}, ""},
		{"the default said aloud", {.no_pool = NULL}, {.args = {"--limit=10"}}, ""},
		{"integer", {.args = {"--limit=3"}}, {.args = {"--limit=4"}}, "worker.limit 3>4"},
		{"seconds", {.no_pool = NULL}, {.env = {{"PREFECT_WORKER_QUERY_SECONDS", "0.25"}}}, "worker.query_seconds 10>0.25"},
		{"level", {.no_pool = NULL}, {.env = {{"PREFECT_LOGGING_LEVEL", "debug"}}}, "logging.level INFO>DEBUG"},
		{"switch", {.no_pool = NULL}, {.env = {{"PREFECT_API_TLS_INSECURE_SKIP_VERIFY", "1"}}},
		 "api.tls_insecure_skip_verify false>true"},
		{"list", {.args = {"-q", "a"}}, {.args = {"-q", "a", "-q", "b"}}, "worker.work_queues [\"a\"]>[\"a\",\"b\"]"},
		{"choice", {.no_pool = NULL}, {.args = {"--log-format", "json"}}, "logging.format text>json"},
		{"a text that comes", {.no_pool = NULL}, {.env = {{"PREFECT_API_SSL_CERT_FILE", "/dev/null"}}}, "api.ssl_cert_file >/dev/null"},
		{"a text that goes", {.env = {{"PREFECT_API_SSL_CERT_FILE", "/dev/null"}}}, {.no_pool = NULL}, "api.ssl_cert_file /dev/null>"},
		{"a secret", {.env = {{"PREFECT_API_AUTH_STRING", "a:one"}}}, {.env = {{"PREFECT_API_AUTH_STRING", "a:two"}}},
		 "api.auth_string >"},
		{"a secret that comes", {.no_pool = NULL}, {.env = {{"PREFECT_API_KEY", "pnu_x"}}}, "api.key >"},
		{"what may hold a secret", {.no_pool = NULL},
		 {.env = {{"PREFECT_JANITOR_AI_MCP_COMMAND", "mcp --key s3cr3t"}}},
		 "ai.mcp_command >"},
		{"number and choice", {.no_pool = NULL},
		 {.env = {{"PREFECT_JANITOR_AI_MIN_CONFIDENCE", "0.9"}, {"PREFECT_JANITOR_AI_MODE", "advise"}}},
		 "ai.mode decide>adviseai.min_confidence 0.8>0.9"},
		{"auto", {.no_pool = NULL}, {.env = {{"PREFECT_JANITOR_AI_ENABLED", "off"}}}, "ai.enabled auto>false"},
		{"headers", {.no_pool = NULL}, {.env = {{"PREFECT_CLIENT_CUSTOM_HEADERS", "{\"A\": \"b\"}"}}},
		 "api.custom_headers >"},
		{"fixed", {.args = {"-n", "a"}}, {.args = {"-n", "b"}}, "!worker.name a>b"},
		{"fixed, and comes", {.no_pool = NULL}, {.args = {"-n", "b"}}, "!worker.name >b"},
		{"fixed number and switch", {.args = {"--with-healthcheck"}}, {.env = {{"PREFECT_WORKER_WEBSERVER_PORT", "9"}}},
		 "!worker.with_healthcheck true>false!worker.webserver_port 8080>9"},
		{"two", {.args = {"--limit=3"}}, {.env = {{"PREFECT_API_URL", "http://b/api/"}}},
		 "worker.limit 3>10!api.url http://127.0.0.1:4200/api>http://b/api"},
	};

	EACH(row, rows)
	{
		struct settings now, fresh;
		struct error err;
		size_t changes = 99;

		load(&row->now, &now);
		load(&row->fresh, &fresh);
		CHECK_RC(row->name, settings_take_over(&fresh, &now, tell, &changes, &err), 0, &err);
		CHECK_STR(row->name, text_str(&told), row->told);
		CHECK_INT(row->name, changes, arrows(row->told));
		CHECK(row->name, fresh.with_healthcheck == now.with_healthcheck && fresh.webserver_port == now.webserver_port);
		/* The fixed ones are as they were, the others as they are now. */
		CHECK_STR(row->name, fresh.api_url, now.api_url);
		CHECK_STR(row->name, fresh.api_url_from, now.api_url_from);
		CHECK_STR(row->name, fresh.pool, now.pool);
		CHECK_STR(row->name, fresh.worker_name != NULL ? fresh.worker_name : "",
		          now.worker_name != NULL ? now.worker_name : "");
		text_release(&told);
		told = (struct text){.max = 10000};
		CHECK_RC(row->name, settings_take_over(&fresh, &fresh, tell, &changes, &err), 0, &err);
		CHECK_INT("itself", changes, 0);
		settings_release(&now);
		settings_release(&fresh);
	}
}

UNIT_SUITE("worker/settings_again", TEST(tells_what_differs))
