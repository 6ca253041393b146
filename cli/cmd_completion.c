/* `prefect-janitor completion`: prints a script for a shell. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/completion.h"

#define INTRO                                                                                         \
	"Prints a script that makes a shell complete commands, options and their values.\n"             \
	"\n"                                                                                            \
	"Usage: prefect-janitor completion bash|zsh\n"

#define OUTRO                                                                                         \
	"In this shell, or in each one by a line in ~/.bashrc or ~/.zshrc (there after compinit):\n"    \
	"  source <(prefect-janitor completion bash)\n"                                                 \
	"For everybody: make install, or\n"                                                             \
	"  prefect-janitor completion bash >/usr/share/bash-completion/completions/prefect-janitor\n"   \
	"  prefect-janitor completion zsh >/usr/share/zsh/site-functions/_prefect-janitor\n"

int command_completion(int argc, char **argv)
{
	AUTO_TEXT script = {.max = 1024 * 1024};
	struct settings settings;
	struct error err = {0};
	bool help;

	int rc = settings_load(COMMAND_COMPLETION, argc - 2, argv + 2, &settings, &help, &err);
	if (rc != 0)
		return command_error("completion", &err);
	if (help)
		command_print_help(COMMAND_COMPLETION, INTRO, OUTRO);
	else if (strcmp(settings.shell, "bash") == 0)
		completion_bash(&script);
	else if (strcmp(settings.shell, "zsh") == 0)
		completion_zsh(&script);
	else
		rc = error_set(&err, ERR_USAGE, "SHELL: '%.80s' is neither bash nor zsh", settings.shell);
	settings_release(&settings);
	if (rc == 0 && script.failed)
		rc = error_nomem(&err);
	if (rc == 0)
		(void)fputs(text_str(&script), stdout); /* main() looks whether that went well */
	return rc == 0 ? EXIT_DONE : command_error("completion", &err);
}
