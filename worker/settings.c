#include "worker/settings.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "client/base/json.h"
#include "client/base/log.h"

#define START COMMAND_START
#define DEPLOY COMMAND_DEPLOY
#define BOTH (COMMAND_START | COMMAND_DEPLOY)
#define AT(member) offsetof(struct settings, member)

const struct option settings_options[] = {
	/* worker */
	{.flag = "pool", .letter = 'p', .env = "PREFECT_DEFAULT_WORK_POOL_NAME", .file_key = "worker.pool",
	 .kind = OPTION_TEXT, .offset = AT(pool), .required = true, .fixed = true, .commands = BOTH, .placeholder = "NAME",
	 .help = "work pool; created if it does not exist"},
	{.flag = "name", .letter = 'n', .file_key = "worker.name", .kind = OPTION_TEXT, .offset = AT(worker_name),
	 .fixed = true, .commands = START, .placeholder = "NAME",
	 .help = "name of this worker; a worker started again under its name takes up its runs [janitor-HOST]"},
	{.flag = "work-queue", .letter = 'q', .file_key = "worker.work_queues", .kind = OPTION_LIST, .offset = AT(work_queues),
	 .commands = START, .placeholder = "NAME", .help = "only runs of this work queue"},
	{.flag = "limit", .letter = 'l', .file_key = "worker.limit", .kind = OPTION_INTEGER, .offset = AT(limit),
	 .fallback = "10", .min = 1, .max = 1000, .commands = START, .placeholder = "N",
	 .help = "flow runs at the same time; paused ones do not count"},
	{.flag = "prefetch-seconds", .env = "PREFECT_WORKER_PREFETCH_SECONDS", .file_key = "worker.prefetch_seconds",
	 .kind = OPTION_SECONDS, .offset = AT(prefetch_ms), .fallback = "10", .min = 0, .max = 86400, .commands = START,
	 .placeholder = "S", .help = "how long before their time scheduled runs are fetched"},
	{.flag = "run-once", .kind = OPTION_SWITCH, .offset = AT(run_once), .commands = START, .placeholder = "",
	 .help = "look for runs once, finish them (paused ones too), and end"},
	{.flag = "with-healthcheck", .file_key = "worker.with_healthcheck", .kind = OPTION_SWITCH,
	 .offset = AT(with_healthcheck), .fixed = true, .commands = START, .placeholder = "",
	 .help = "serve /health, /livez, /readyz and /metrics"},
	{.env = "PREFECT_WORKER_WEBSERVER_HOST", .file_key = "worker.webserver_host", .kind = OPTION_TEXT,
	 .offset = AT(webserver_host), .fallback = "127.0.0.1", .fixed = true, .commands = START, .placeholder = "HOST",
	 .help = "address of --with-healthcheck"},
	{.env = "PREFECT_WORKER_WEBSERVER_PORT", .file_key = "worker.webserver_port", .kind = OPTION_INTEGER,
	 .offset = AT(webserver_port), .fallback = "8080", .min = 0, .max = 65535, .fixed = true, .commands = START, .placeholder = "PORT",
	 .help = "its port; 0: any free one"},
	{.env = "PREFECT_WORKER_QUERY_SECONDS", .file_key = "worker.query_seconds", .kind = OPTION_SECONDS,
	 .offset = AT(query_ms), .fallback = "10", .min = 0.1, .max = 3600, .commands = START, .placeholder = "S",
	 .help = "seconds between two looks for scheduled runs"},
	{.env = "PREFECT_WORKER_HEARTBEAT_SECONDS", .file_key = "worker.heartbeat_seconds", .kind = OPTION_SECONDS,
	 .offset = AT(heartbeat_ms), .fallback = "30", .min = 1, .max = 3600, .commands = START, .placeholder = "S",
	 .help = "seconds between two heartbeats"},
	{.env = "PREFECT_JANITOR_WATCH_SECONDS", .file_key = "worker.watch_seconds", .kind = OPTION_SECONDS,
	 .offset = AT(watch_ms), .fallback = "1", .min = 0.1, .max = 60, .commands = START, .placeholder = "S",
	 .help = "seconds between two looks at paused runs, where there are any"},

	/* deployment */
	{.flag = "name", .letter = 'n', .file_key = "deployment.name", .kind = OPTION_TEXT, .offset = AT(deployment_name),
	 .fallback = DEFAULT_DEPLOYMENT, .commands = DEPLOY, .placeholder = "DEPLOYMENT", .help = "name of the deployment"},
	{.flag = "cron", .file_key = "deployment.cron", .kind = OPTION_TEXT, .offset = AT(cron), .commands = DEPLOY,
	 .placeholder = "EXPR", .help = "schedule, like \"0 2 * * *\""},
	{.flag = "interval", .file_key = "deployment.interval", .kind = OPTION_TEXT, .offset = AT(interval), .commands = DEPLOY,
	 .placeholder = "DURATION", .help = "schedule: every P1D, PT12H or so many seconds"},
	{.flag = "rrule", .file_key = "deployment.rrule", .kind = OPTION_TEXT, .offset = AT(rrule), .commands = DEPLOY,
	 .placeholder = "RULE", .help = "schedule, like \"FREQ=WEEKLY;BYDAY=SU;BYHOUR=3\""},
	{.flag = "timezone", .file_key = "deployment.timezone", .kind = OPTION_TEXT, .offset = AT(timezone), .fallback = "UTC",
	 .commands = DEPLOY, .placeholder = "TZ", .help = "of the schedule, like Europe/Berlin"},
	{.flag = "param", .file_key = "deployment.params", .kind = OPTION_LIST, .offset = AT(params), .commands = DEPLOY,
	 .placeholder = "KEY=JSON", .help = "default of a parameter, like retention_period='\"P60D\"'"},
	{.flag = "tag", .letter = 't', .file_key = "deployment.tags", .kind = OPTION_LIST, .offset = AT(tags), .commands = DEPLOY,
	 .placeholder = "TAG", .help = "one more tag"},
	{.flag = "concurrency-limit", .file_key = "deployment.concurrency_limit", .kind = OPTION_INTEGER,
	 .offset = AT(concurrency_limit), .fallback = "1", .min = 0, .max = 1000, .commands = DEPLOY, .placeholder = "N",
	 .help = "runs of the deployment at once, more wait; 0: no limit"},
	{.flag = "paused", .kind = OPTION_SWITCH, .offset = AT(paused), .commands = DEPLOY, .placeholder = "",
	 .help = "create the schedule switched off"},

	/* both */
	{.flag = "config", .env = "PREFECT_JANITOR_CONFIG", .kind = OPTION_TEXT, .offset = AT(config_file), .commands = BOTH,
	 .placeholder = "FILE", .help = "configuration file"},
	{.env = "PREFECT_API_URL", .file_key = "api.url", .kind = OPTION_TEXT, .offset = AT(api_url),
	 .fallback = "http://127.0.0.1:4200/api", .fixed = true, .commands = BOTH, .placeholder = "URL", .help = "the server's API"},
	{.env = "PREFECT_API_KEY", .file_key = "api.key", .kind = OPTION_TEXT, .offset = AT(api_key), .secret = true,
	 .commands = BOTH, .placeholder = "KEY", .help = "API key (Bearer)"},
	{.env = "PREFECT_API_AUTH_STRING", .file_key = "api.auth_string", .kind = OPTION_TEXT, .offset = AT(auth_string),
	 .secret = true, .commands = BOTH, .placeholder = "USER:PASSWORD", .help = "user:password (Basic)"},
	{.env = "PREFECT_CLIENT_CUSTOM_HEADERS", .file_key = "api.custom_headers", .kind = OPTION_TEXT,
	 .offset = AT(headers_text), .secret = true, .commands = BOTH, .placeholder = "JSON",
	 .help = "more headers, like {\"X-Team\": \"ops\"}"},
	{.env = "PREFECT_API_REQUEST_TIMEOUT", .file_key = "api.request_timeout", .kind = OPTION_SECONDS,
	 .offset = AT(request_timeout_ms), .fallback = "60", .min = 0.1, .max = 3600, .commands = BOTH, .placeholder = "S",
	 .help = "seconds for one request"},
	{.env = "PREFECT_API_SSL_CERT_FILE", .file_key = "api.ssl_cert_file", .kind = OPTION_TEXT, .offset = AT(ssl_cert_file),
	 .commands = BOTH, .placeholder = "FILE", .help = "certificates of the authorities to trust (PEM)"},
	{.env = "PREFECT_API_TLS_INSECURE_SKIP_VERIFY", .file_key = "api.tls_insecure_skip_verify", .kind = OPTION_SWITCH,
	 .offset = AT(tls_insecure), .commands = BOTH, .placeholder = "", .help = "do not check the server's certificate"},
	{.env = "PREFECT_LOGGING_LEVEL", .file_key = "logging.level", .kind = OPTION_LEVEL, .offset = AT(log_level),
	 .fallback = "INFO", .commands = BOTH, .placeholder = "LEVEL", .help = "DEBUG, INFO, WARNING, ERROR or CRITICAL"},
};
const size_t settings_option_count = sizeof settings_options / sizeof settings_options[0];

static struct options table(struct settings *settings, unsigned command)
{
	return (struct options){
		.rows = settings_options, .count = settings_option_count, .target = settings, .command = command,
		.exposed = &settings->config_exposed};
}

static size_t config_row(void)
{
	size_t i = 0;

	while (settings_options[i].offset != AT(config_file))
		i++;
	return i;
}

static bool is_http_token(const char *s)
{
	return *s != '\0' && strspn(s, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") == strlen(s);
}

/* A JSON object of strings; the values are secret and never quoted. */
static int parse_headers(struct settings *settings, struct error *err)
{
	const char *name;
	json_t *value;

	if (settings->headers_text == NULL)
		return 0;
	if (json_read(settings->headers_text, strlen(settings->headers_text), &settings->headers, NULL) != 0 ||
	    !json_is_object(settings->headers))
		return error_set(err, ERR_USAGE, "PREFECT_CLIENT_CUSTOM_HEADERS: not a JSON object like {\"X-Team\": \"ops\"}");
	json_object_foreach(settings->headers, name, value)
		if (!is_http_token(name) || !json_is_string(value) || strpbrk(json_string_value(value), "\r\n") != NULL)
			return error_set(err, ERR_USAGE, "PREFECT_CLIENT_CUSTOM_HEADERS: header '%.60s' is not a name with one line of "
			                 "text", name);
	return 0;
}

static int check_url(struct settings *settings, struct error *err)
{
	char *url = settings->api_url;
	const char *host = strncasecmp(url, "http://", 7) == 0 ? url + 7 : strncasecmp(url, "https://", 8) == 0 ? url + 8 : "";

	if (*host == '\0' || *host == '/' || strpbrk(url, " \t\r\n?#") != NULL)
		return error_set(err, ERR_USAGE, "PREFECT_API_URL: '%.200s' is not an address like http://127.0.0.1:4200/api",
		                 strchr(url, '@') != NULL ? "(with user)" : url);
	if (strcspn(host, "@") < strcspn(host, "/"))
		return error_set(err, ERR_USAGE, "PREFECT_API_URL: put user and password into PREFECT_API_AUTH_STRING, not into "
		                 "the address");
	for (size_t len = strlen(url); len > 0 && url[len - 1] == '/'; len--)
		url[len - 1] = '\0';
	return 0;
}

/* A mistake in a path is no outage that passes. */
static int check_files(const struct settings *settings, struct error *err)
{
	const char *file = settings->ssl_cert_file;

	if (file != NULL && access(file, R_OK) != 0)
		return error_set(err, ERR_USAGE, "PREFECT_API_SSL_CERT_FILE: '%s' cannot be read: %s", file, strerror(errno));
	return 0;
}

static int check_together(const struct settings *settings, struct error *err)
{
	int schedules = (settings->cron != NULL) + (settings->interval != NULL) + (settings->rrule != NULL);

	if (schedules > 1)
		return error_set(err, ERR_USAGE, "--cron, --interval and --rrule: only one of them at a time");
	if (settings->api_key != NULL && settings->auth_string != NULL)
		return error_set(err, ERR_USAGE, "PREFECT_API_KEY and PREFECT_API_AUTH_STRING: only one of them at a time");
	return 0;
}

int settings_load(unsigned command, int argc, char **argv, struct settings *ret_settings, bool *ret_help,
                  struct error *err)
{
	struct settings settings = {0};
	struct options options = table(&settings, command);

	int rc = options_load(&options, config_row(), argc, argv, ret_help, err);
	if (rc == 0 && !*ret_help)
		rc = check_url(&settings, err);
	if (rc == 0 && !*ret_help)
		rc = parse_headers(&settings, err);
	if (rc == 0 && !*ret_help)
		rc = check_files(&settings, err);
	if (rc == 0 && !*ret_help)
		rc = check_together(&settings, err);
	if (rc != 0) {
		settings_release(&settings);
		return rc;
	}
	if (settings.config_exposed != 0 && settings.log_level <= LOG_LEVEL_WARNING)
		log_warning("configuration file '%s' holds a secret, and its mode %04o lets other users in: chmod 600 '%s'",
		            settings.config_file, settings.config_exposed, settings.config_file);
	*ret_settings = settings;
	return 0;
}

int settings_take_over(struct settings *fresh, const struct settings *now, option_told *told, size_t *ret_changes,
                       struct error *err)
{
	struct options options = table(fresh, COMMAND_START);

	return options_take_over(&options, now, told, ret_changes, err);
}

void settings_release(struct settings *settings)
{
	struct options options = table(settings, 0);

	options_release(&options);
	json_decref(settings->headers);
	*settings = (struct settings){0};
}

struct http_settings settings_http(const struct settings *settings, struct stop *stop)
{
	return (struct http_settings){
		.url = settings->api_url,
		.bearer = settings->api_key,
		.basic = settings->auth_string,
		.headers = settings->headers,
		.ca_file = settings->ssl_cert_file,
		.insecure = settings->tls_insecure,
		.connect_timeout_ms = settings->request_timeout_ms < 10000 ? settings->request_timeout_ms : 10000,
		.request_timeout_ms = settings->request_timeout_ms,
		.retry_budget_ms = 10000,
		.stop = stop,
		.stop_grace_ms = 5000,
	};
}
