#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "client/base/log.h"
#include "client/base/nearest.h"
#include "client/base/text.h"

/* For commands that take @count words and no options. */
static int refuse_more(int argc, char **argv, int count)
{
	if (argc <= count + 2)
		return 0;
	fprintf(stderr, "prefect-janitor %s: there is no argument '%.80s' here\n", argv[1], argv[count + 2]);
	return EXIT_USAGE;
}

static int command_version(int argc, char **argv)
{
	if (refuse_more(argc, argv, 0) != 0)
		return EXIT_USAGE;
	printf("prefect-janitor %s\n", JANITOR_VERSION);
	return EXIT_DONE;
}

static int command_help(int argc, char **argv);

const struct command commands[] = {
	{"start", COMMAND_START, command_start, "run the worker: waits for scheduled flow runs of a work pool"},
	{"deploy", COMMAND_DEPLOY, command_deploy, "create or update the work pool, the flow and its deployment"},
	{"preview", COMMAND_PREVIEW, command_preview, "show what a run would delete now"},
	{"pending", COMMAND_PENDING, command_pending, "list the runs that wait for a decision"},
	{"show", COMMAND_SHOW, command_show, "show the whole preview of a run, and what became of it"},
	{"approve", COMMAND_APPROVE, command_approve, "approve what a run would delete"},
	{"reject", COMMAND_REJECT, command_reject, "reject it: the run ends, and nothing is deleted"},
	{"run", COMMAND_RUN, command_run, "start a run now, and follow it"},
	{"doctor", COMMAND_DOCTOR, command_doctor, "look whether everything is there that a cleanup needs"},
	{"history", COMMAND_HISTORY, command_history, "list past cleanups, by the reports that they left"},
	{"config", COMMAND_CONFIG, command_config, "show each setting, and where its value comes from"},
	{"completion", COMMAND_COMPLETION, command_completion, "print a script for the completion of bash or zsh"},
	{"version", 0, command_version, "print the version"},
	{"help", 0, command_help, "print this page, or that of a command"},
};
const size_t command_count = sizeof commands / sizeof commands[0];

const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < command_count; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

int command_unknown(const char *name)
{
	struct nearest nearest = {.to = name};
	char hint[NEAREST_SIZE];

	for (size_t i = 0; i < command_count; i++)
		nearest_offer(&nearest, commands[i].name);
	fprintf(stderr, "prefect-janitor: there is no command '%.80s'%s; prefect-janitor help lists what there is\n", name,
	        nearest_hint(&nearest, "", hint));
	return EXIT_USAGE;
}

static int command_help(int argc, char **argv)
{
	const struct command *wanted = argc > 2 ? command_find(argv[2]) : NULL;

	if (argc > 2 && wanted == NULL)
		return command_unknown(argv[2]);
	if (refuse_more(argc, argv, 1) != 0)
		return EXIT_USAGE;
	if (wanted != NULL && wanted->bit != 0) {
		char help[] = "--help";
		char *args[] = {argv[0], argv[2], help, NULL};
		return wanted->run(3, args);
	}
	printf("prefect-janitor: deletes old Prefect flow runs, after somebody looked at what would go and said yes.\n"
	       "\n"
	       "Usage: prefect-janitor COMMAND [OPTIONS]\n"
	       "\n"
	       "Commands:\n");
	for (size_t i = 0; i < command_count; i++)
		printf("  %-11s %s\n", commands[i].name, commands[i].help);
	printf("\n"
	       "A first use, with a Prefect server on this machine:\n"
	       "  export PREFECT_API_URL=http://127.0.0.1:4200/api\n"
	       "  prefect-janitor deploy --pool maintenance --cron \"0 2 * * *\" --timezone Europe/Berlin\n"
	       "  prefect-janitor start  --pool maintenance\n"
	       "then Quick run in the Prefect UI; the run becomes Paused, and Resume shows what would be deleted.\n"
	       "Or here: prefect-janitor run, pending, show RUN, approve RUN.\n"
	       "\n"
	       "COMMAND --help tells more. Exit codes: 0 done, 1 failed, or \"no\" to the question of approve\n"
	       "and reject, 2 wrong usage or configuration, or a run that cannot be decided; with --wait how the\n"
	       "run ended: 3 rejected, 4 cancelled, 5 nobody decided in time.\n");
	return EXIT_DONE;
}

int command_error(const char *command, const struct error *err)
{
	(void)fflush(stdout);
	if (log_is_for_programs())
		log_error("prefect-janitor %s: %s", command, err->text);
	else
		fprintf(stderr, "prefect-janitor %s: %s\n", command, err->text);
	return err->code == ERR_USAGE || err->code == ERR_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

int command_print_help(unsigned command, const char *intro, const char *outro)
{
	struct settings settings = {0};
	AUTO_TEXT out = {.max = 32 * 1024};

	options_help(&(struct options){.rows = settings_options, .count = settings_option_count, .target = &settings,
	                               .command = command}, &out);
	printf("%s\n%s\n%s", intro, text_str(&out), outro);
	return EXIT_DONE;
}

int command_print_json(json_t *json, struct error *err)
{
	AUTO_JSON *owned = json;
	AUTO_FREE char *text = json != NULL ? json_write(json, JSON_INDENT(2)) : NULL;

	if (text == NULL)
		return error_nomem(err);
	printf("%s\n", text);
	return 0;
}

static int run_client(const struct client_command *command, const struct settings *settings, int *ret_exit,
                      struct error *err)
{
	struct server_clock clock = {0};
	struct http_settings http = settings_http(settings, NULL);

	int rc = http_init(err);
	if (rc != 0)
		return rc;
	struct session session = {
		.settings = settings, .prefect = prefect_new(&http, &clock), .clock = &clock, .style = style_of_stdout()};
	rc = session.prefect != NULL ? command->run(&session, err) : error_nomem(err);
	prefect_free(session.prefect);
	http_cleanup();
	*ret_exit = session.exit_code;
	return rc;
}

int command_client(const struct client_command *command, int argc, char **argv)
{
	struct settings settings;
	struct error err = {0};
	bool help;
	int exit_code = EXIT_DONE;

	if (settings_load(command->bit, argc - 2, argv + 2, &settings, &help, &err) != 0)
		return command_error(command->name, &err);
	if (help) {
		settings_release(&settings);
		return command_print_help(command->bit, command->intro, command->outro);
	}
	settings_apply_log(&settings);
	int rc = run_client(command, &settings, &exit_code, &err);
	settings_release(&settings);
	return rc == 0 ? exit_code : command_error(command->name, &err);
}
