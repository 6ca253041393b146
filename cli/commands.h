/* The commands. Each gets the whole command line and returns the exit code: 0 done, 1 failed,
 * 2 wrong usage or configuration. Errors are printed here, once. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/style.h"
#include "client/prefect/prefect.h"
#include "worker/settings.h"

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	/* how a run ended that was followed, besides EXIT_DONE and EXIT_FAILED: */
	EXIT_REJECTED = 3,
	EXIT_CANCELLED = 4,
	EXIT_EXPIRED = 5, /* nobody decided in time */
};

struct command {
	const char *name;
	unsigned bit; /* enum command_bit: its rows in the option table; 0 for none */
	int (*run)(int argc, char **argv);
	const char *help; /* one line */
};

/* All of them, in the order of the help; for completion and manual pages too. */
extern const struct command commands[];
extern const size_t command_count;

/* NULL where there is none of that name. */
const struct command *command_find(const char *name);

/* Says on stderr that there is none of that name, and returns EXIT_USAGE. */
int command_unknown(const char *name);

int command_start(int argc, char **argv);
int command_deploy(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_history(int argc, char **argv);
int command_config(int argc, char **argv);
int command_completion(int argc, char **argv);
int command_preview(int argc, char **argv);
int command_pending(int argc, char **argv);
int command_show(int argc, char **argv);
int command_approve(int argc, char **argv);
int command_reject(int argc, char **argv);
int command_run(int argc, char **argv);

/* Prints "prefect-janitor COMMAND: text" to stderr, as a line of the log where that is read by a program, and returns the
 * exit code for the error. */
int command_error(const char *command, const struct error *err);

/* Prints a command's help: @intro, its options, @outro. Returns EXIT_DONE. */
int command_print_help(unsigned command, const char *intro, const char *outro);

/* --- commands that talk to the server, print, and end ------------------------------------------------- */

/* What such a command works with; all borrowed. */
struct session {
	const struct settings *settings;
	struct prefect *prefect;
	struct style style;       /* of stdout */
	struct server_clock *clock;
	int exit_code;            /* what the command returns where it did not fail; EXIT_DONE at first */
};

struct client_command {
	const char *name;
	unsigned bit;
	const char *intro; /* of its help */
	const char *outro;
	int (*run)(struct session *session, struct error *err); /* 0, or an error that is printed and ends with 1 or 2 */
};

/* Reads the settings, prints the help or runs the command with a session, and returns the exit code. */
int command_client(const struct client_command *command, int argc, char **argv);

/* Prints @json (taken; NULL: no memory) for scripts: indented, and with a line end. */
int command_print_json(json_t *json, struct error *err) MUST_CHECK;

#endif
