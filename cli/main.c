#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "cli/commands.h"

/* A core dump would hold the API key. Only the soft limit: `prlimit --core=unlimited --pid PID` allows one again. */
static void forbid_core_dumps(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_CORE, &limit) != 0)
		return;
	limit.rlim_cur = 0;
	(void)setrlimit(RLIMIT_CORE, &limit);
}

/* Nothing is done for somebody who cannot read of it: a full disk behind stdout is a failure. */
static int check_output(const char *command, int code)
{
	struct error err;

	if (fflush(stdout) == 0 && !ferror(stdout))
		return code;
	(void)error_set(&err, ERR_SYSTEM, "the output cannot be written");
	return command_error(command, &err);
}

int main(int argc, char **argv)
{
	forbid_core_dumps();
	/* For wcwidth(). Whatever the user's locale is, the server's texts are UTF-8, and so is what is printed. */
	(void)setlocale(LC_CTYPE, "C.UTF-8");

	const char *name = argc > 1 ? argv[1] : "help";

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	else if (strcmp(name, "--version") == 0)
		name = "version";

	const struct command *wanted = command_find(name);
	if (wanted == NULL)
		return command_unknown(name);
	int code = check_output(name, wanted->run(argc, argv));
	if (argc < 2) {
		fprintf(stderr, "prefect-janitor: a command is missing\n");
		return EXIT_USAGE;
	}
	return code;
}
