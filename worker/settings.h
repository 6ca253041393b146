/* The settings of every command, filled from one table (settings.c) by flags, the environment, .env, prefect.toml,
 * pyproject.toml, the configuration file, the active profile, defaults: in this order, the same for each command.
 * Read-only once loaded, so any thread may read them. */
#ifndef WORKER_SETTINGS_H
#define WORKER_SETTINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/base/http.h"
#include "flows/ai_settings.h"
#include "worker/options.h"

/* Rows of the option table, at most. */
#define SETTINGS_OPTIONS_MAX 128
#define DEFAULT_DEPLOYMENT "database-cleanup-deployment"

struct settings {
	/* the server */
	char *api_url;
	char *api_url_from; /* where the address comes from, for people: see settings_source_text() */
	char *api_key;      /* secret */
	char *auth_string;  /* secret */
	char *headers_text; /* secret */
	json_t *headers;    /* parsed from headers_text; NULL for none */
	int64_t request_timeout_ms;
	char *ssl_cert_file;
	char *ssl_cert_dir; /* SSL_CERT_DIR, where no file is named */
	bool tls_insecure;

	/* the worker */
	char *pool;
	char *worker_name; /* NULL: made from the host's name */
	json_t *work_queues;
	int64_t limit;
	int64_t writes_at_once;
	int64_t prefetch_ms;
	int64_t query_ms;
	int64_t heartbeat_ms;
	int64_t watch_ms;
	bool run_once;
	bool with_healthcheck;
	char *webserver_host;
	int64_t webserver_port;
	int64_t log_level;
	int64_t log_format; /* enum log_format */

	/* the deployment */
	char *deployment_name;
	char *cron;
	char *interval;
	char *rrule;
	bool no_schedule;
	char *approval_timeout; /* a duration */
	char *timezone;
	char *description; /* NULL: the deployment's own stays, or this program's */
	json_t *params; /* array of "KEY=VALUE" */
	json_t *job_variables; /* likewise */
	json_t *tags;
	int64_t concurrency_limit;
	bool paused;
	char *notify_webhook; /* secret: it may hold a token */
	char *notify_block;   /* "TYPE/NAME" */
	int64_t notify_stale_days;
	bool no_notify;

	struct ai_settings ai;

	/* the commands at a terminal */
	char *shell;      /* the argument SHELL */
	char *run;        /* the argument RUN: an id, its first digits, or a name */
	json_t *runs;     /* the arguments RUN... of reject */
	bool all;
	bool quiet;
	char *deployment; /* NAME or FLOW/NAME; NULL: found */
	char *retention;
	json_t *states;     /* array of "NAME" or "NAME,NAME" */
	int64_t batch_size; /* 0: not given */
	bool dry_run;
	char *approval_type;
	char *notes;
	char *digest;
	bool yes;
	bool wait;
	bool ai_context;
	int64_t history_limit;
	char *what_if;  /* "P7D,P30D" */
	int64_t output; /* enum output */

	unsigned char from[SETTINGS_OPTIONS_MAX]; /* the source of each row of settings_options; ask settings_source() */
	char *config_file;
	char *profile;       /* the active profile of Prefect; NULL for none */
	char *profiles_path; /* where it is, or would be; NULL: profiles do not count */
	unsigned dotenv_bad_line; /* a line of .env that cannot be read; 0 for none */
	unsigned config_exposed; /* its mode, where it holds a secret and others can read it; else 0 */
};

enum output { OUTPUT_TEXT, OUTPUT_JSON };

enum command_bit {
	COMMAND_START = 1,
	COMMAND_DEPLOY = 2,
	COMMAND_PREVIEW = 4,
	COMMAND_PENDING = 8,
	COMMAND_SHOW = 16,
	COMMAND_APPROVE = 32,
	COMMAND_REJECT = 64,
	COMMAND_RUN = 128,
	COMMAND_DOCTOR = 256,
	COMMAND_HISTORY = 512,
	COMMAND_COMPLETION = 1024,
	COMMAND_CONFIG = 2048, /* reads the settings of all commands */
};

extern const struct option settings_options[];
extern const size_t settings_option_count;

/* Fills @ret_settings for a command (enum command_bit) from argv[2..] and all other sources. *ret_help is set where --help was given. Returns 0, ERR_USAGE or ERR_NOMEM. */
int settings_load(unsigned command, int argc, char **argv, struct settings *ret_settings, bool *ret_help,
                  struct error *err) MUST_CHECK;

/* Where the value of a member came from: SETTINGS_SOURCE(settings, cron). OPTION_FROM_DEFAULT: nobody named it. */
enum option_source settings_source(const struct settings *settings, size_t offset);
#define SETTINGS_SOURCE(of, member) settings_source(of, offsetof(struct settings, member))

/* The same in words, as `prefect config view` has them: "env", "profile 'prod' in /home/me/.prefect/profiles.toml". */
void settings_source_text(const struct settings *settings, const struct option *row, struct text *out);

/* Brings the log into the level and format of @settings, and warns of a secret in a file that others can read, and of
 * a line of .env that cannot be read. */
void settings_apply_log(const struct settings *settings);

/* Makes @fresh fit for a worker that runs by @now: what is fixed stays as it is there, see options_take_over(). */
int settings_take_over(struct settings *fresh, const struct settings *now, option_told *told, size_t *ret_changes,
                       struct error *err) MUST_CHECK;
void settings_release(struct settings *settings);

/* What an agent and the client need of them; borrows from @settings. */
struct flow_ai settings_ai(const struct settings *settings, struct stop *stop);
struct http_settings settings_http(const struct settings *settings, struct stop *stop);

#endif
