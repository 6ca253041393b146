/* A command line from the settings, made ready for execve(): no shell reads it. Thread rule: no state. */
#ifndef MCP_COMMAND_H
#define MCP_COMMAND_H

#include <jansson.h>

#include "client/base/error.h"

struct command {
	char **argv; /* NULL-terminated, never empty */
	char **envp; /* NULL-terminated */
	char *path;  /* of the program */
};

/* Splits @line at spaces; quotes hold words together: nothing is special within '...', and a backslash makes the next
 * character plain within "..." and outside. There are no variables, wildcards or pipes. The program is looked for in the
 * folders of @environment's PATH. Returns 0, ERR_USAGE or ERR_NOMEM; release with command_release(). */
int command_make(const char *line, const json_t *environment, struct command *ret_command, struct error *err) MUST_CHECK;
void command_release(struct command *command);

/* What may be told of such a line, whose other words may hold a secret: its program, and "..." where more words follow. The
 * caller frees it; NULL without memory. */
char *command_shown(const char *line);

#endif
