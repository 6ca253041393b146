/* A child process with a process group of its own, that is spoken to through its three standard streams.
 *
 * It starts with default signals, the given environment and no descriptor of ours but its streams; it gets SIGTERM when
 * the thread that started it ends. Our ends never block, and are closed in every other child. Thread rule: a struct
 * child belongs to the thread that started it. */
#ifndef MCP_CHILD_H
#define MCP_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "client/base/error.h"
#include "client/base/stop.h"
#include "client/mcp/command.h"

#define CHILD_LAST_WORDS 1024

struct child {
	pid_t pid;    /* also its group; 0: there is none */
	int exit;     /* readable once it has ended, for poll(); like the streams -1 where it is closed */
	int in;       /* its stdin: a socket, so that a write after its end is an error and no signal */
	int out;      /* its stdout */
	int err;      /* its stderr */
	char words[CHILD_LAST_WORDS]; /* the end of what it wrote to stderr */
	size_t words_len;
};

/* Returns 0, ERR_USAGE where the kernel refuses the program, or ERR_SYSTEM. */
int child_start(const struct command *command, struct child *ret_child, struct error *err) MUST_CHECK;

/* Reads what is there of its stderr, and keeps the end. */
void child_listen(struct child *child);

/* Waits until it has ended, for @ms at most; what it writes meanwhile is thrown away, but for the last words. */
bool child_wait(struct child *child, int64_t ms);

/* "it ended with exit status 3; its last words: '...'": how it is, for an error's text. */
void child_describe(struct child *child, char *ret_text, size_t size);

/* Closes its stdin and gives it @grace_ms to end; then SIGTERM and SIGKILL for its whole group, with two seconds between
 * them. What it leaves behind in its group gets SIGKILL. It is reaped. */
void child_end(struct child *child, int64_t grace_ms);

#endif
