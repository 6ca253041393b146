/* The commands. Each gets the whole command line and returns the exit code: 0 done, 1 failed,
 * 2 wrong usage or configuration. Errors are printed here, once. */
#ifndef WORKER_COMMANDS_H
#define WORKER_COMMANDS_H

#include "worker/settings.h"

enum exit_code { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

int command_start(int argc, char **argv);
int command_deploy(int argc, char **argv);
int command_version(int argc, char **argv);
int command_help(int argc, char **argv);

/* Prints "prefect-janitor COMMAND: text" to stderr, as a line of the log where that is read by a program, and returns the exit code for the error. */
int command_error(const char *command, const struct error *err);

/* Prints a command's help: @intro, its options, @outro. Returns EXIT_DONE. */
int command_print_help(unsigned command, const char *intro, const char *outro);

#endif
