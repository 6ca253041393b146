#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "worker/commands.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{"start", command_start, "run the worker: waits for scheduled flow runs of a work pool"},
	{"deploy", command_deploy, "create or update the work pool, the flow and its deployment"},
	{"version", command_version, "print the version"},
	{"help", command_help, "print this page, or that of a command"},
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static size_t find_command(const char *name)
{
	size_t i = 0;

	while (i < COMMAND_COUNT && strcmp(commands[i].name, name) != 0)
		i++;
	return i;
}

int command_version(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("prefect-janitor %s\n", JANITOR_VERSION);
	return EXIT_DONE;
}

int command_help(int argc, char **argv)
{
	size_t wanted = argc > 2 ? find_command(argv[2]) : COMMAND_COUNT;

	if (wanted < COMMAND_COUNT && commands[wanted].run != command_help && commands[wanted].run != command_version) {
		char help[] = "--help";
		char *args[] = {argv[0], argv[2], help, NULL};
		return commands[wanted].run(3, args);
	}
	printf("prefect-janitor: deletes old Prefect flow runs, after somebody looked at what would go and said yes.\n"
	       "\n"
	       "Usage: prefect-janitor COMMAND [OPTIONS]\n"
	       "\n"
	       "Commands:\n");
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		printf("  %-9s %s\n", commands[i].name, commands[i].help);
	printf("\n"
	       "A first use, with a Prefect server on this machine:\n"
	       "  export PREFECT_API_URL=http://127.0.0.1:4200/api\n"
	       "  prefect-janitor deploy --pool maintenance --cron \"0 2 * * *\" --timezone Europe/Berlin\n"
	       "  prefect-janitor start  --pool maintenance\n"
	       "then Quick run in the Prefect UI; the run becomes Paused, and Resume shows what would be deleted.\n"
	       "\n"
	       "COMMAND --help tells more. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.\n");
	return EXIT_DONE;
}

/* A core dump would hold the API key. Only the soft limit: `prlimit --core=unlimited --pid PID` allows one again. */
static void forbid_core_dumps(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_CORE, &limit) != 0)
		return;
	limit.rlim_cur = 0;
	(void)setrlimit(RLIMIT_CORE, &limit);
}

int main(int argc, char **argv)
{
	forbid_core_dumps();

	const char *name = argc > 1 ? argv[1] : "help";

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	else if (strcmp(name, "--version") == 0)
		name = "version";

	size_t wanted = find_command(name);
	if (wanted == COMMAND_COUNT) {
		fprintf(stderr, "prefect-janitor: there is no command '%.80s'; prefect-janitor help lists what there is\n", name);
		return EXIT_USAGE;
	}
	int code = commands[wanted].run(argc, argv);
	if (argc < 2) {
		fprintf(stderr, "prefect-janitor: a command is missing\n");
		return EXIT_USAGE;
	}
	return code;
}
