/* Completion scripts for shells, made from the tables of commands and options: what exists is offered, and nothing else.
 * The scripts ask nobody, but where a file's name is typed (the files), or a run's (the server, by `pending --quiet`). Thread rule: no state. */
#ifndef CLI_COMPLETION_H
#define CLI_COMPLETION_H

#include "client/base/text.h"

/* Words that a command takes beside options, up to NULL; NULL for a command without such words. */
const char *const *completion_words(const char *command);

void completion_bash(struct text *out);
void completion_zsh(struct text *out);

#endif
