#include "worker/commands.h"

#include <stdio.h>

#include "client/base/log.h"
#include "client/base/text.h"

int command_error(const char *command, const struct error *err)
{
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
