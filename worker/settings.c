#include "worker/settings.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/base/duration.h"
#include "client/base/json.h"
#include "client/base/log.h"

#define START COMMAND_START
#define DEPLOY COMMAND_DEPLOY
#define BOTH (COMMAND_START | COMMAND_DEPLOY)
#define PREVIEW COMMAND_PREVIEW
#define RUN COMMAND_RUN
/* Commands that take the parameters of a cleanup. */
#define PARAMETERS (COMMAND_PREVIEW | COMMAND_RUN | COMMAND_DEPLOY)
#define DECIDE (COMMAND_APPROVE | COMMAND_REJECT)
/* Commands that talk to the server, print, and end. */
#define CLIENT (PREVIEW | COMMAND_PENDING | COMMAND_SHOW | DECIDE | RUN | COMMAND_DOCTOR | COMMAND_HISTORY)
#define EVERY (START | DEPLOY | CLIENT | COMMAND_CONFIG)
#define AI (COMMAND_START | COMMAND_DOCTOR | PREVIEW)
#define AT(member) offsetof(struct settings, member)

/* In the order of the enums in flows/ai_settings.h. */
static const char *const ai_providers[] = {"auto", "anthropic", "openai", NULL};
static const char *const ai_modes[] = {"decide", "advise", NULL};
static const char *const ai_unsure[] = {"reject", "human", NULL};
/* enum output */
static const char *const outputs[] = {"text", "json", NULL};

const struct option settings_options[] = {
	/* arguments */
	{.kind = OPTION_TEXT, .offset = AT(run), .argument = true, .required = true, .commands = COMMAND_SHOW | COMMAND_APPROVE,
	 .placeholder = "RUN", .help = "name or id of a flow run, or the first digits of its id"},
	{.kind = OPTION_LIST, .offset = AT(runs), .argument = true, .commands = COMMAND_REJECT, .placeholder = "RUN",
	 .help = "name or id of a flow run, or the first digits of its id"},
	{.kind = OPTION_TEXT, .offset = AT(shell), .argument = true, .required = true, .commands = COMMAND_COMPLETION,
	 .placeholder = "SHELL", .help = "bash or zsh"},

	/* worker */
	{.flag = "pool", .letter = 'p', .env = "PREFECT_DEFAULT_WORK_POOL_NAME", .env_first = "PREFECT_DEPLOYMENTS_DEFAULT_WORK_POOL_NAME",
	 .prefect = "deployments.default_work_pool_name", .file_key = "worker.pool",
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
	{.flag = "writes-at-once", .env = "PREFECT_JANITOR_WRITES_AT_ONCE", .file_key = "worker.writes_at_once",
	 .kind = OPTION_INTEGER, .offset = AT(writes_at_once), .fallback = "1", .min = 1, .max = 1000, .commands = START,
	 .placeholder = "N", .help = "requests at the same time that change the server; more than one can freeze a server on SQLite"},
	{.flag = "prefetch-seconds", .env = "PREFECT_WORKER_PREFETCH_SECONDS", .prefect = "worker.prefetch_seconds", .file_key = "worker.prefetch_seconds",
	 .kind = OPTION_SECONDS, .offset = AT(prefetch_ms), .fallback = "10", .min = 0, .max = 86400, .commands = START,
	 .placeholder = "S", .help = "how long before their time scheduled runs are fetched"},
	{.flag = "run-once", .kind = OPTION_SWITCH, .offset = AT(run_once), .commands = START, .placeholder = "",
	 .help = "look for runs once, finish them (paused ones too), and end"},
	{.flag = "with-healthcheck", .file_key = "worker.with_healthcheck", .kind = OPTION_SWITCH,
	 .offset = AT(with_healthcheck), .fixed = true, .commands = START, .placeholder = "",
	 .help = "serve /health, /livez, /readyz and /metrics"},
	{.env = "PREFECT_WORKER_WEBSERVER_HOST", .prefect = "worker.webserver.host", .file_key = "worker.webserver_host", .kind = OPTION_TEXT,
	 .offset = AT(webserver_host), .fallback = "127.0.0.1", .fixed = true, .commands = START, .placeholder = "HOST",
	 .help = "address of --with-healthcheck"},
	{.env = "PREFECT_WORKER_WEBSERVER_PORT", .prefect = "worker.webserver.port", .file_key = "worker.webserver_port", .kind = OPTION_INTEGER,
	 .offset = AT(webserver_port), .fallback = "8080", .min = 0, .max = 65535, .fixed = true, .commands = START, .placeholder = "PORT",
	 .help = "its port; 0: any free one"},
	{.env = "PREFECT_WORKER_QUERY_SECONDS", .prefect = "worker.query_seconds", .file_key = "worker.query_seconds", .kind = OPTION_SECONDS,
	 .offset = AT(query_ms), .fallback = "10", .min = 0.1, .max = 3600, .commands = START, .placeholder = "S",
	 .help = "seconds between two looks for scheduled runs"},
	{.env = "PREFECT_WORKER_HEARTBEAT_SECONDS", .prefect = "worker.heartbeat_seconds", .file_key = "worker.heartbeat_seconds", .kind = OPTION_SECONDS,
	 .offset = AT(heartbeat_ms), .fallback = "30", .min = 1, .max = 3600, .commands = START, .placeholder = "S",
	 .help = "seconds between two heartbeats"},
	{.env = "PREFECT_JANITOR_WATCH_SECONDS", .file_key = "worker.watch_seconds", .kind = OPTION_SECONDS,
	 .offset = AT(watch_ms), .fallback = "1", .min = 0.1, .max = 60, .commands = START, .placeholder = "S",
	 .help = "seconds between two looks at paused runs, where there are any"},

	/* the commands at a terminal */
	{.flag = "pool", .letter = 'p', .env = "PREFECT_DEFAULT_WORK_POOL_NAME", .env_first = "PREFECT_DEPLOYMENTS_DEFAULT_WORK_POOL_NAME",
	 .prefect = "deployments.default_work_pool_name", .file_key = "worker.pool",
	 .kind = OPTION_TEXT, .offset = AT(pool), .commands = PREVIEW | RUN | COMMAND_DOCTOR, .placeholder = "NAME",
	 .help = "the cleanup deployment of this work pool"},
	{.flag = "pool", .letter = 'p', .kind = OPTION_TEXT, .offset = AT(pool), .commands = COMMAND_PENDING | COMMAND_REJECT,
	 .placeholder = "NAME", .help = "only runs of this work pool"},
	{.flag = "deployment", .letter = 'd', .file_key = "deployment.name", .kind = OPTION_TEXT, .offset = AT(deployment),
	 .commands = PREVIEW | RUN | COMMAND_DOCTOR, .placeholder = "NAME", .help = "the deployment of this name"},
	{.flag = "retention-period", .kind = OPTION_TEXT, .offset = AT(retention), .commands = PARAMETERS,
	 .placeholder = "DURATION", .help = "keep flow runs that started within this time, like P30D or \"30 days\""},
	{.flag = "states", .kind = OPTION_LIST, .offset = AT(states), .commands = PARAMETERS, .placeholder = "NAME,NAME",
	 .help = "clean these: Completed, Failed, Cancelled, Crashed, TimedOut, Cached, RolledBack"},
	{.flag = "batch-size", .kind = OPTION_INTEGER, .offset = AT(batch_size), .min = 10, .max = 1000,
	 .commands = PARAMETERS, .placeholder = "N", .help = "flow runs deleted between two looks at the run's own state"},
	{.flag = "dry-run", .kind = OPTION_SWITCH, .offset = AT(dry_run), .commands = PARAMETERS, .placeholder = "",
	 .help = "preview and ask, but delete nothing"},
	{.flag = "approval-type", .kind = OPTION_TEXT, .offset = AT(approval_type), .commands = PARAMETERS,
	 .placeholder = "TYPE", .help = "who decides: human or ai"},
	{.flag = "ai-context", .kind = OPTION_SWITCH, .offset = AT(ai_context), .commands = PREVIEW, .placeholder = "",
	 .help = "print the first request to the model as it would be sent, and send nothing; starts the MCP server"},
	{.flag = "what-if", .kind = OPTION_TEXT, .offset = AT(what_if), .commands = PREVIEW, .placeholder = "P7D,P30D",
	 .help = "count what each of these retention periods would delete"},
	{.flag = "notes", .kind = OPTION_TEXT, .offset = AT(notes), .commands = DECIDE, .placeholder = "TEXT",
	 .help = "why; kept with the decision"},
	{.flag = "digest", .kind = OPTION_TEXT, .offset = AT(digest), .commands = DECIDE, .placeholder = "DIGEST",
	 .help = "decide only if the run's plan is still this one: its first 8 or more digits"},
	{.flag = "yes", .letter = 'y', .kind = OPTION_SWITCH, .offset = AT(yes), .commands = DECIDE, .placeholder = "",
	 .help = "do not ask"},
	{.flag = "all", .kind = OPTION_SWITCH, .offset = AT(all), .commands = COMMAND_REJECT, .placeholder = "",
	 .help = "every run that waits for a decision"},
	{.flag = "quiet", .letter = 'q', .kind = OPTION_SWITCH, .offset = AT(quiet), .commands = COMMAND_PENDING, .placeholder = "",
	 .help = "only their names, one a line"},
	{.flag = "wait", .letter = 'w', .kind = OPTION_SWITCH, .offset = AT(wait), .commands = DECIDE | RUN, .placeholder = "",
	 .help = "follow the run to its end"},
	{.flag = "limit", .letter = 'l', .kind = OPTION_INTEGER, .offset = AT(history_limit), .fallback = "20", .min = 1, .max = 100000,
	 .commands = COMMAND_HISTORY, .placeholder = "N", .help = "how many, the latest first"},
	{.flag = "output", .letter = 'o', .kind = OPTION_CHOICE, .offset = AT(output), .fallback = "text", .choices = outputs,
	 .commands = CLIENT | COMMAND_CONFIG, .placeholder = "FORMAT", .help = "text, or json for scripts"},

	/* deployment */
	{.flag = "name", .letter = 'n', .file_key = "deployment.name", .kind = OPTION_TEXT, .offset = AT(deployment_name),
	 .fallback = DEFAULT_DEPLOYMENT, .commands = DEPLOY, .placeholder = "DEPLOYMENT", .help = "name of the deployment"},
	{.flag = "cron", .file_key = "deployment.cron", .kind = OPTION_TEXT, .offset = AT(cron), .commands = DEPLOY,
	 .placeholder = "EXPR", .help = "schedule, like \"0 2 * * *\""},
	{.flag = "interval", .file_key = "deployment.interval", .kind = OPTION_TEXT, .offset = AT(interval), .commands = DEPLOY,
	 .placeholder = "DURATION", .help = "schedule: every P1D, PT12H or so many seconds"},
	{.flag = "rrule", .file_key = "deployment.rrule", .kind = OPTION_TEXT, .offset = AT(rrule), .commands = DEPLOY,
	 .placeholder = "RULE", .help = "schedule, like \"FREQ=WEEKLY;BYDAY=SU;BYHOUR=3\""},
	{.flag = "no-schedule", .kind = OPTION_SWITCH, .offset = AT(no_schedule), .commands = DEPLOY, .placeholder = "",
	 .help = "remove the schedule"},
	{.flag = "approval-timeout", .file_key = "deployment.approval_timeout", .kind = OPTION_TEXT, .offset = AT(approval_timeout),
	 .commands = DEPLOY, .placeholder = "DURATION", .help = "how long a run waits for an approval, like PT72H; else its work pool's, P3D"},
	{.flag = "timezone", .file_key = "deployment.timezone", .kind = OPTION_TEXT, .offset = AT(timezone), .fallback = "UTC",
	 .commands = DEPLOY, .placeholder = "TZ", .help = "of the schedule, like Europe/Berlin"},
	{.flag = "param", .file_key = "deployment.params", .kind = OPTION_LIST, .offset = AT(params), .commands = DEPLOY,
	 .placeholder = "KEY=VALUE", .help = "default of a parameter, like retention_period=P60D; JSON, or a text as it is"},
	{.flag = "param", .kind = OPTION_LIST, .offset = AT(params), .commands = PREVIEW | RUN, .placeholder = "KEY=VALUE",
	 .help = "another parameter, as deploy has it"},
	{.flag = "job-variable", .kind = OPTION_LIST, .offset = AT(job_variables), .commands = DEPLOY | RUN, .placeholder = "KEY=VALUE",
	 .help = "a job variable, like batch_pause_ms=500"},
	{.flag = "description", .file_key = "deployment.description", .kind = OPTION_TEXT, .offset = AT(description), .commands = DEPLOY,
	 .placeholder = "TEXT", .help = "what its page says, in Markdown; one that was edited stays without this"},
	{.flag = "tag", .letter = 't', .file_key = "deployment.tags", .kind = OPTION_LIST, .offset = AT(tags), .commands = DEPLOY,
	 .placeholder = "TAG", .help = "one more tag; those that it has stay"},
	{.flag = "concurrency-limit", .file_key = "deployment.concurrency_limit", .kind = OPTION_INTEGER,
	 .offset = AT(concurrency_limit), .fallback = "1", .min = 0, .max = 1000, .commands = DEPLOY, .placeholder = "N",
	 .help = "runs of the deployment at once, more wait; 0: no limit"},
	{.flag = "paused", .kind = OPTION_SWITCH, .offset = AT(paused), .commands = DEPLOY, .placeholder = "",
	 .help = "the schedule is switched off; --paused=false switches it on"},
	{.flag = "notify-webhook", .env = "PREFECT_JANITOR_NOTIFY_WEBHOOK", .file_key = "deployment.notify_webhook",
	 .kind = OPTION_TEXT, .offset = AT(notify_webhook), .secret = true, .commands = DEPLOY, .placeholder = "URL",
	 .help = "alerts go there; others on this machine see a command line: a token belongs elsewhere"},
	{.flag = "notify-block", .file_key = "deployment.notify_block", .kind = OPTION_TEXT, .offset = AT(notify_block),
	 .commands = DEPLOY, .placeholder = "TYPE/NAME", .help = "alerts go to this block of Prefect's, like slack-webhook/ops"},
	{.flag = "notify-stale-days", .file_key = "deployment.notify_stale_days", .kind = OPTION_INTEGER,
	 .offset = AT(notify_stale_days), .fallback = "7", .min = 0, .max = 365, .commands = DEPLOY, .placeholder = "N",
	 .help = "alert when no cleanup has succeeded for so many days; 0: never"},
	{.flag = "no-notify", .kind = OPTION_SWITCH, .offset = AT(no_notify), .commands = DEPLOY, .placeholder = "",
	 .help = "remove the alerts"},

	/* every command */
	{.flag = "config", .env = "PREFECT_JANITOR_CONFIG", .kind = OPTION_TEXT, .offset = AT(config_file), .commands = EVERY,
	 .placeholder = "FILE", .help = "configuration file"},
	{.env = "PREFECT_API_URL", .prefect = "api.url", .file_key = "api.url", .kind = OPTION_TEXT, .offset = AT(api_url),
	 .fallback = "http://127.0.0.1:4200/api", .fixed = true, .commands = EVERY, .placeholder = "URL", .help = "the server's API"},
	{.env = "PREFECT_API_KEY", .prefect = "api.key", .file_key = "api.key", .kind = OPTION_TEXT, .offset = AT(api_key), .secret = true,
	 .commands = EVERY, .placeholder = "KEY", .help = "API key (Bearer)"},
	{.env = "PREFECT_API_AUTH_STRING", .prefect = "api.auth_string", .file_key = "api.auth_string", .kind = OPTION_TEXT, .offset = AT(auth_string),
	 .secret = true, .commands = EVERY, .placeholder = "USER:PASSWORD", .help = "user:password (Basic)"},
	{.env = "PREFECT_CLIENT_CUSTOM_HEADERS", .prefect = "client.custom_headers", .json = true, .file_key = "api.custom_headers", .kind = OPTION_TEXT,
	 .offset = AT(headers_text), .secret = true, .commands = EVERY, .placeholder = "JSON",
	 .help = "more headers, like {\"X-Team\": \"ops\"}"},
	{.env = "PREFECT_API_REQUEST_TIMEOUT", .prefect = "api.request_timeout", .file_key = "api.request_timeout", .kind = OPTION_SECONDS,
	 .offset = AT(request_timeout_ms), .fallback = "60", .min = 0.1, .max = 3600, .commands = EVERY, .placeholder = "S",
	 .help = "seconds for one request"},
	{.env = "PREFECT_API_SSL_CERT_FILE", .env_last = "SSL_CERT_FILE", .prefect = "api.ssl_cert_file", .file_key = "api.ssl_cert_file", .kind = OPTION_TEXT, .offset = AT(ssl_cert_file),
	 .commands = EVERY, .placeholder = "FILE", .help = "certificates of the authorities to trust (PEM)"},
	{.env = "PREFECT_API_TLS_INSECURE_SKIP_VERIFY", .prefect = "api.tls_insecure_skip_verify", .file_key = "api.tls_insecure_skip_verify", .kind = OPTION_SWITCH,
	 .offset = AT(tls_insecure), .commands = EVERY, .placeholder = "", .help = "do not check the server's certificate"},
	{.env = "PREFECT_LOGGING_LEVEL", .prefect = "logging.level", .file_key = "logging.level", .kind = OPTION_LEVEL, .offset = AT(log_level),
	 .fallback = "INFO", .commands = EVERY, .placeholder = "LEVEL", .help = "DEBUG, INFO, WARNING, ERROR or CRITICAL"},
	{.flag = "log-format", .env = "PREFECT_JANITOR_LOG_FORMAT", .file_key = "logging.format", .kind = OPTION_CHOICE,
	 .offset = AT(log_format), .fallback = "text", .choices = log_format_names, .commands = START, .placeholder = "FORMAT",
	 .help = "text, or json for one object a line"},

	/* AI approval */
	{.env = "PREFECT_JANITOR_AI_ENABLED", .file_key = "ai.enabled", .kind = OPTION_AUTO, .offset = AT(ai.enabled),
	 .fallback = "auto", .commands = AI, .placeholder = "",
	 .help = "may a model approve? auto: where a key or an address of a model server is set"},
	{.env = "PREFECT_JANITOR_AI_PROVIDER", .file_key = "ai.provider", .kind = OPTION_CHOICE, .offset = AT(ai.provider),
	 .choices = ai_providers, .fallback = "auto", .commands = AI, .placeholder = "NAME",
	 .help = "anthropic or openai (also Ollama, vLLM, llama.cpp); auto: the one whose key or address is set"},
	{.env = "PREFECT_JANITOR_AI_MODEL", .file_key = "ai.model", .kind = OPTION_TEXT, .offset = AT(ai.model), .commands = AI,
	 .placeholder = "NAME", .help = "the model to ask, as its server calls it [Anthropic: " AI_ANTHROPIC_MODEL "]"},
	{.env = "ANTHROPIC_API_KEY", .file_key = "ai.anthropic_api_key", .kind = OPTION_TEXT, .offset = AT(ai.anthropic_key),
	 .secret = true, .commands = AI, .placeholder = "KEY", .help = "key of Anthropic's API"},
	{.env = "ANTHROPIC_BASE_URL", .file_key = "ai.anthropic_base_url", .kind = OPTION_TEXT, .offset = AT(ai.anthropic_url),
	 .commands = AI, .placeholder = "URL", .help = "its address, without /v1"},
	{.env = "OPENAI_API_KEY", .file_key = "ai.openai_api_key", .kind = OPTION_TEXT, .offset = AT(ai.openai_key),
	 .secret = true, .commands = AI, .placeholder = "KEY", .help = "key of an OpenAI-compatible API"},
	{.env = "OPENAI_BASE_URL", .file_key = "ai.openai_base_url", .kind = OPTION_TEXT, .offset = AT(ai.openai_url),
	 .commands = AI, .placeholder = "URL", .help = "its address, with /v1, like http://127.0.0.1:11434/v1"},
	{.env = "PREFECT_JANITOR_AI_SSL_CERT_FILE", .env_last = "SSL_CERT_FILE", .file_key = "ai.ssl_cert_file", .kind = OPTION_TEXT,
	 .offset = AT(ai.ssl_cert_file), .commands = AI, .placeholder = "FILE",
	 .help = "certificates of the authorities to trust for the model server (PEM)"},
	{.env = "PREFECT_JANITOR_AI_MCP_COMMAND", .file_key = "ai.mcp_command", .kind = OPTION_TEXT, .offset = AT(ai.mcp_command),
	 .hidden = true, .fallback = "uvx --from prefect-mcp prefect-mcp-server", .commands = AI, .placeholder = "COMMAND",
	 .help = "starts Prefect's MCP server"},
	{.env = "PREFECT_JANITOR_AI_MCP_URL", .file_key = "ai.mcp_url", .kind = OPTION_TEXT, .offset = AT(ai.mcp_url),
	 .commands = AI, .placeholder = "URL", .help = "an MCP server that runs already (streamable HTTP)"},
	{.env = "PREFECT_JANITOR_AI_MODE", .file_key = "ai.mode", .kind = OPTION_CHOICE, .offset = AT(ai.mode),
	 .choices = ai_modes, .fallback = "decide", .commands = AI, .placeholder = "MODE",
	 .help = "decide, or advise: a person decides, and reads what the model says"},
	{.env = "PREFECT_JANITOR_AI_ON_UNSURE", .file_key = "ai.on_unsure", .kind = OPTION_CHOICE, .offset = AT(ai.on_unsure),
	 .choices = ai_unsure, .fallback = "reject", .commands = AI, .placeholder = "WHAT",
	 .help = "reject, or human: a person is asked where the model's answer carries no approval"},
	{.env = "PREFECT_JANITOR_AI_MIN_CONFIDENCE", .file_key = "ai.min_confidence", .kind = OPTION_NUMBER,
	 .offset = AT(ai.min_confidence), .fallback = "0.8", .min = 0, .max = 1, .commands = AI, .placeholder = "N",
	 .help = "an approval with less confidence does not count"},
	{.env = "PREFECT_JANITOR_AI_MAX_RUNS", .file_key = "ai.max_runs", .kind = OPTION_INTEGER, .offset = AT(ai.max_runs),
	 .fallback = "1000", .min = 0, .max = 1e9, .commands = AI, .placeholder = "N",
	 .help = "flow runs that a model may approve at once"},
	{.env = "PREFECT_JANITOR_AI_MIN_RETENTION", .file_key = "ai.min_retention", .kind = OPTION_TEXT,
	 .offset = AT(ai.min_retention), .commands = AI, .placeholder = "DURATION",
	 .help = "a model may not approve a shorter retention period, like P30D"},
	{.env = "PREFECT_JANITOR_AI_RUN_LOGS", .file_key = "ai.run_logs", .kind = OPTION_SWITCH, .offset = AT(ai.run_logs),
	 .commands = AI, .placeholder = "", .help = "the model may read the logs of flow runs"},
	{.env = "PREFECT_JANITOR_AI_MAX_TURNS", .file_key = "ai.max_turns", .kind = OPTION_INTEGER, .offset = AT(ai.max_turns),
	 .fallback = "10", .min = 1, .max = 100, .commands = AI, .placeholder = "N", .help = "answers of the model, at most"},
	{.env = "PREFECT_JANITOR_AI_MAX_TOOL_CALLS", .file_key = "ai.max_tool_calls", .kind = OPTION_INTEGER,
	 .offset = AT(ai.max_tool_calls), .fallback = "20", .min = 1, .max = 1000, .commands = AI, .placeholder = "N",
	 .help = "calls of tools, at most"},
	{.env = "PREFECT_JANITOR_AI_MAX_BYTES", .file_key = "ai.max_bytes", .kind = OPTION_INTEGER, .offset = AT(ai.max_bytes),
	 .fallback = "204800", .min = 1000, .max = 1e8, .commands = AI, .placeholder = "BYTES",
	 .help = "bytes sent to the model, all requests together"},
	{.env = "PREFECT_JANITOR_AI_MODEL_SECONDS", .file_key = "ai.model_seconds", .kind = OPTION_SECONDS,
	 .offset = AT(ai.model_ms), .fallback = "120", .min = 0.1, .max = 3600, .commands = AI, .placeholder = "S",
	 .help = "seconds for one answer of the model"},
	{.env = "PREFECT_JANITOR_AI_TOOL_SECONDS", .file_key = "ai.tool_seconds", .kind = OPTION_SECONDS,
	 .offset = AT(ai.tool_ms), .fallback = "60", .min = 0.1, .max = 3600, .commands = AI, .placeholder = "S",
	 .help = "seconds for one call of a tool"},
	{.env = "PREFECT_JANITOR_AI_MCP_START_SECONDS", .file_key = "ai.mcp_start_seconds", .kind = OPTION_SECONDS,
	 .offset = AT(ai.mcp_start_ms), .fallback = "60", .min = 0.1, .max = 3600, .commands = AI, .placeholder = "S",
	 .help = "seconds for the start of the MCP server"},
	{.env = "PREFECT_JANITOR_AI_TOTAL_SECONDS", .file_key = "ai.total_seconds", .kind = OPTION_SECONDS,
	 .offset = AT(ai.total_ms), .fallback = "600", .min = 0.1, .max = 86400, .commands = AI, .placeholder = "S",
	 .help = "seconds for an investigation in all"},
	{.env = "PREFECT_JANITOR_AI_RETRIES", .file_key = "ai.retries", .kind = OPTION_INTEGER, .offset = AT(ai.retries),
	 .fallback = "2", .min = 0, .max = 10, .commands = AI, .placeholder = "N",
	 .help = "more tries for a call of the model that fails in passing"},
};
const size_t settings_option_count = sizeof settings_options / sizeof settings_options[0];
_Static_assert(sizeof settings_options / sizeof settings_options[0] <= SETTINGS_OPTIONS_MAX, "room for their sources");

static struct options table(struct settings *settings, unsigned command)
{
	return (struct options){
		.rows = settings_options, .count = settings_option_count, .target = settings, .command = command,
		.read = command == COMMAND_CONFIG ? ~0U : 0, .from = settings->from, .exposed = &settings->config_exposed};
}

enum option_source settings_source(const struct settings *settings, size_t offset)
{
	enum option_source source = OPTION_FROM_DEFAULT;

	for (size_t i = 0; i < settings_option_count; i++)
		if (settings_options[i].offset == offset && settings->from[i] > source)
			source = (enum option_source)settings->from[i];
	return source;
}

void settings_source_text(const struct settings *settings, const struct option *row, struct text *out)
{
	switch (settings_source(settings, row->offset)) {
	case OPTION_FROM_DEFAULT:
		text_addf(out, "defaults");
		break;
	case OPTION_FROM_OTHER_NAME:
		text_addf(out, "env, %s", row->env_last);
		break;
	case OPTION_FROM_PROFILE:
		text_addf(out, "profile '%s' in %s", settings->profile, settings->profiles_path);
		break;
	case OPTION_FROM_FILE:
		text_addf(out, "%s", settings->config_file);
		break;
	case OPTION_FROM_PYPROJECT:
		text_addf(out, "pyproject.toml");
		break;
	case OPTION_FROM_PREFECT_TOML:
		text_addf(out, "prefect.toml");
		break;
	case OPTION_FROM_DOTENV:
		text_addf(out, ".env file");
		break;
	case OPTION_FROM_ENVIRONMENT:
		text_addf(out, "env");
		break;
	case OPTION_FROM_FLAG:
		text_addf(out, "command line");
		break;
	}
}

/* The first row that fills the member at @offset. */
static size_t row_of(size_t offset)
{
	size_t i = 0;

	while (settings_options[i].offset != offset)
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

/* What comes after http:// or https://; "" where there is nothing of a host. */
static const char *host_of(const char *url)
{
	const char *host = strncasecmp(url, "http://", 7) == 0 ? url + 7 : strncasecmp(url, "https://", 8) == 0 ? url + 8 : "";

	return *host == '/' ? "" : host;
}

static int check_url(struct settings *settings, struct error *err)
{
	char *url = settings->api_url;
	const char *host = host_of(url);

	if (*host == '\0' || strpbrk(url, " \t\r\n?#") != NULL)
		return error_set(err, ERR_USAGE, "PREFECT_API_URL: '%.200s' is not an address like http://127.0.0.1:4200/api "
		                 "(it is from %.300s)", strchr(url, '@') != NULL ? "(with user)" : url, settings->api_url_from);
	if (strcspn(host, "@") < strcspn(host, "/"))
		return error_set(err, ERR_USAGE, "PREFECT_API_URL: put user and password into PREFECT_API_AUTH_STRING, not into "
		                 "the address");
	for (size_t len = strlen(url); len > 0 && url[len - 1] == '/'; len--)
		url[len - 1] = '\0';
	return 0;
}

/* A mistake in a path is no outage that passes. */
static int check_file(const char *name, const char *file, struct error *err)
{
	struct stat st;

	if (file != NULL && stat(file, &st) == 0 && S_ISDIR(st.st_mode))
		return error_set(err, ERR_USAGE, "%s: '%s' is a directory; name a file of certificates in it", name, file);
	if (file != NULL && access(file, R_OK) != 0)
		return error_set(err, ERR_USAGE, "%s: '%s' cannot be read: %s", name, file, strerror(errno));
	return 0;
}

/* The variable that names a file of certificates. */
#define CERT_NAME(settings, member, name) \
	(SETTINGS_SOURCE(settings, member) == OPTION_FROM_OTHER_NAME ? "SSL_CERT_FILE" : (name))

static int check_files(const struct settings *settings, struct error *err)
{
	int rc = check_file(CERT_NAME(settings, ssl_cert_file, "PREFECT_API_SSL_CERT_FILE"), settings->ssl_cert_file, err);

	return rc != 0 ? rc : check_file(CERT_NAME(settings, ai.ssl_cert_file, "PREFECT_JANITOR_AI_SSL_CERT_FILE"),
	                                 settings->ai.ssl_cert_file, err);
}

/* A key in an address would be shown with it: never quoted, here either. */
static int check_ai_url(const char *name, const char *url, const char *advice, struct error *err)
{
	if (url == NULL || strpbrk(url, "@?#") == NULL)
		return 0;
	return error_set(err, ERR_USAGE, "%s: an address with '@', '?' or '#' is not possible%s", name, advice);
}

static int parse_ai(struct settings *settings, struct error *err)
{
	struct ai_settings *ai = &settings->ai;

	if (check_ai_url("ANTHROPIC_BASE_URL", ai->anthropic_url, ": put the key into ANTHROPIC_API_KEY", err) != 0 ||
	    check_ai_url("OPENAI_BASE_URL", ai->openai_url, ": put the key into OPENAI_API_KEY", err) != 0 ||
	    check_ai_url("PREFECT_JANITOR_AI_MCP_URL", ai->mcp_url, "", err) != 0)
		return ERR_USAGE;
	if (ai->min_retention == NULL)
		return 0;
	char iso[DURATION_ISO_SIZE];
	bool words = duration_from_words(ai->min_retention, iso);
	int rc = duration_parse(words ? iso : ai->min_retention, &ai->min_retention_us, err);
	if (rc == ERR_NOMEM)
		return rc;
	if (rc == 0 && ai->min_retention_us <= 0)
		rc = error_set(err, ERR_USAGE, "'%s' is not greater than zero", ai->min_retention);
	return rc != 0 ? error_prefix(err, ERR_USAGE, "PREFECT_JANITOR_AI_MIN_RETENTION") : 0;
}

/* A flag goes before what the file or the environment says, but not before another flag. */
static int check_contrary(const struct settings *settings, struct error *err)
{
	if (settings->no_notify && (SETTINGS_SOURCE(settings, notify_webhook) == OPTION_FROM_FLAG ||
	                            SETTINGS_SOURCE(settings, notify_block) == OPTION_FROM_FLAG))
		return error_set(err, ERR_USAGE, "--no-notify removes the alerts: not together with --notify-webhook or --notify-block");
	if (settings->no_schedule && (SETTINGS_SOURCE(settings, cron) == OPTION_FROM_FLAG ||
	                              SETTINGS_SOURCE(settings, interval) == OPTION_FROM_FLAG ||
	                              SETTINGS_SOURCE(settings, rrule) == OPTION_FROM_FLAG ||
	                              SETTINGS_SOURCE(settings, timezone) == OPTION_FROM_FLAG))
		return error_set(err, ERR_USAGE, "--no-schedule removes the schedule: not together with --cron, --interval, --rrule or "
		                 "--timezone");
	return 0;
}

/* The server answers some of these with an error of its own, or takes them for a path. */
static int check_name(const char *what, const char *name, struct error *err)
{
	if (name != NULL && strpbrk(name, "/%&<>") != NULL)
		return error_set(err, ERR_USAGE, "%s: '%.80s' is not a name for Prefect: / %% & < > are not possible in it", what, name);
	return 0;
}

/* The address is never quoted. */
static int check_notify(const struct settings *settings, struct error *err)
{
	const char *url = settings->notify_webhook;
	const char *block = settings->notify_block;
	const char *slash = block != NULL ? strchr(block, '/') : NULL;

	if (url != NULL && block != NULL && !settings->no_notify)
		return error_set(err, ERR_USAGE, "--notify-webhook and --notify-block: only one of them at a time");
	if (url != NULL && (*host_of(url) == '\0' || strpbrk(url, " \t\r\n") != NULL))
		return error_set(err, ERR_USAGE, "--notify-webhook: the value is not an address like https://hooks.example.com/path");
	if (block != NULL && (slash == NULL || slash == block || slash[1] == '\0' || strchr(slash + 1, '/') != NULL))
		return error_set(err, ERR_USAGE, "--notify-block: '%.80s' is not TYPE/NAME, like slack-webhook/ops", block);
	return 0;
}

static int check_together(const struct settings *settings, struct error *err)
{
	int schedules = (settings->cron != NULL) + (settings->interval != NULL) + (settings->rrule != NULL);

	if (schedules > 1)
		return error_set(err, ERR_USAGE, "--cron, --interval and --rrule: only one of them at a time");
	if (settings->what_if != NULL && settings->retention != NULL)
		return error_set(err, ERR_USAGE, "--what-if and --retention-period: only one of them at a time, both say how long is kept");
	if (settings->api_key != NULL && settings->auth_string != NULL &&
	    SETTINGS_SOURCE(settings, api_key) == SETTINGS_SOURCE(settings, auth_string))
		return error_set(err, ERR_USAGE, "PREFECT_API_KEY and PREFECT_API_AUTH_STRING: only one of them at a time");
	int rc = check_name("--pool", settings->pool, err);
	if (rc == 0)
		rc = check_name("--name", settings->deployment_name, err);
	if (rc == 0)
		rc = check_contrary(settings, err);
	return rc != 0 ? rc : check_notify(settings, err);
}

/* The profiles that Prefect brings along; none of them names another server than the default one. */
static bool is_own_profile(const char *name)
{
	static const char *const own[] = {"ephemeral", "local", "test", "cloud"};

	for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
		if (strcmp(own[i], name) == 0)
			return true;
	return false;
}

/* Keeps of @sources what is told of them later. Of a profile that is not there, or cannot be read,
 * nobody knows the server: the default one would be a guess. */
static int keep_places(struct settings *settings, struct sources *sources, struct error *err)
{
	AUTO_TEXT from = {.max = 16 * 1024};

	settings->profile = sources->profile;
	settings->profiles_path = sources->profiles_path;
	settings->dotenv_bad_line = sources->dotenv_bad_line;
	sources->profile = sources->profiles_path = NULL;
	if (SETTINGS_SOURCE(settings, api_url) == OPTION_FROM_DEFAULT && settings->profile != NULL && !sources->profile_found &&
	    !is_own_profile(settings->profile))
		return error_set(err, ERR_USAGE, "there is no profile '%.80s' in %.300s: name one that is there by PREFECT_PROFILE or "
		                 "`prefect profile use`, or set PREFECT_API_URL", settings->profile, settings->profiles_path);
	if (SETTINGS_SOURCE(settings, api_url) == OPTION_FROM_DEFAULT && sources->profiles_hidden)
		return error_set(err, ERR_USAGE, "%.300s cannot be read by this user, and nothing else names a server: set PREFECT_API_URL, "
		                 "or PREFECT_PROFILES_PATH to a file that can be read", settings->profiles_path);
	settings_source_text(settings, &settings_options[row_of(AT(api_url))], &from);
	settings->api_url_from = text_take(&from);
	return settings->api_url_from != NULL ? 0 : error_nomem(err);
}

/* As Prefect's client does it: of a key and a password from two places the password counts. */
static void drop_key(struct settings *settings)
{
	if (settings->auth_string == NULL)
		return;
	free(settings->api_key);
	settings->api_key = NULL;
}

/* As OpenSSL reads it where no file is named. */
static int take_cert_dir(struct settings *settings, struct error *err)
{
	const char *dir = getenv("SSL_CERT_DIR");

	if (dir == NULL || *dir == '\0' || settings->ssl_cert_file != NULL)
		return 0;
	settings->ssl_cert_dir = text_dup(dir);
	return settings->ssl_cert_dir != NULL ? 0 : error_nomem(err);
}

static int check_settings(struct settings *settings, struct sources *sources, struct error *err)
{
	int rc = keep_places(settings, sources, err);

	if (rc == 0)
		rc = check_url(settings, err);
	if (rc == 0)
		rc = parse_headers(settings, err);
	if (rc == 0)
		rc = check_files(settings, err);
	if (rc == 0)
		rc = take_cert_dir(settings, err);
	if (rc == 0)
		rc = parse_ai(settings, err);
	if (rc == 0)
		rc = check_together(settings, err);
	if (rc == 0)
		drop_key(settings);
	return rc;
}

int settings_load(unsigned command, int argc, char **argv, struct settings *ret_settings, bool *ret_help,
                  struct error *err)
{
	struct settings settings = {0};
	struct sources sources = {0};
	struct options options = table(&settings, command);

	if (command & (EVERY))
		options.sources = &sources;
	int rc = options_load(&options, row_of(AT(config_file)), argc, argv, ret_help, err);
	if (rc == 0 && !*ret_help)
		rc = check_settings(&settings, &sources, err);
	sources_release(&sources);
	if (rc != 0) {
		settings_release(&settings);
		return rc;
	}
	*ret_settings = settings;
	return 0;
}

void settings_apply_log(const struct settings *settings)
{
	log_set_level((int)settings->log_level);
	log_set_format((enum log_format)settings->log_format);
	if (settings->config_exposed != 0)
		log_warning("configuration file '%s' holds a secret, and its mode %04o lets other users in: chmod 600 '%s'",
		            settings->config_file, settings->config_exposed, settings->config_file);
	if (settings->dotenv_bad_line != 0)
		log_warning(".env:%u: this line cannot be read, ignoring it, as Prefect does", settings->dotenv_bad_line);
}

int settings_take_over(struct settings *fresh, const struct settings *now, option_told *told, size_t *ret_changes,
                       struct error *err)
{
	struct options options = table(fresh, COMMAND_START);

	int rc = options_take_over(&options, now, told, ret_changes, err);
	if (rc != 0)
		return rc;
	/* The address stays, and so does what is told of it. */
	size_t row = row_of(AT(api_url));
	char *from = text_dup(now->api_url_from);
	if (from == NULL)
		return error_nomem(err);
	free(fresh->api_url_from);
	fresh->api_url_from = from;
	fresh->from[row] = now->from[row];
	return 0;
}

void settings_release(struct settings *settings)
{
	struct options options = table(settings, 0);

	options_release(&options);
	json_decref(settings->headers);
	free(settings->api_url_from);
	free(settings->profile);
	free(settings->profiles_path);
	free(settings->ssl_cert_dir);
	*settings = (struct settings){0};
}

struct flow_ai settings_ai(const struct settings *settings, struct stop *stop)
{
	return (struct flow_ai){
		.settings = &settings->ai,
		.api_url = settings->api_url,
		.api_key = settings->api_key,
		.auth_string = settings->auth_string,
		.headers = settings->headers_text,
		.ssl_cert_file = settings->ssl_cert_file,
		.tls_insecure = settings->tls_insecure,
		.stop = stop,
	};
}

struct http_settings settings_http(const struct settings *settings, struct stop *stop)
{
	return (struct http_settings){
		.url = settings->api_url,
		.url_from = settings->api_url_from,
		.url_is_default = SETTINGS_SOURCE(settings, api_url) == OPTION_FROM_DEFAULT,
		.bearer = settings->api_key,
		.basic = settings->auth_string,
		.headers = settings->headers,
		.ca_file = settings->ssl_cert_file,
		.ca_dir = settings->ssl_cert_dir,
		.insecure = settings->tls_insecure,
		.connect_timeout_ms = settings->request_timeout_ms < 10000 ? settings->request_timeout_ms : 10000,
		.request_timeout_ms = settings->request_timeout_ms,
		.retry_budget_ms = 10000,
		.stop = stop,
		.stop_grace_ms = 5000,
	};
}
