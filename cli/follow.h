/* Following a run to its end: its states and log lines as they come, and on a terminal a bar while it deletes. Reads only.
 * Thread rule: main thread only. */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

#include "cli/commands.h"

/* Prints what happens to the run from @since on (0: all of it), until it is in a final state; with --output json only that
 * it ended, and how. Waits out an outage. @ret_exit: the exit code for how it ended (commands.h). Returns 0, or
 * ERR_NOT_FOUND where the run was deleted. */
int follow_run(struct session *session, const char *id, time_us since, int *ret_exit, struct error *err) MUST_CHECK;

#endif
