#include "client/mcp/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/text.h"

#define TERM_GRACE_MS 2000
#define KILL_WAIT_MS 2000
#define GROUP_WAIT_MS 1000
#define GROUP_LOOK_MS 10
#define ALL_DESCRIPTORS 3u, ~0u
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4u
#endif

/* Pairs of descriptors: ours first, then the child's. TOLD brings the reason why it could not start. */
enum { IN, OUT, ERR, TOLD, PAIRS };
enum { OURS, ITS };

static void close_one(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static void close_pairs(int fds[PAIRS][2])
{
	for (int i = 0; i < PAIRS; i++) {
		close_one(&fds[i][OURS]);
		close_one(&fds[i][ITS]);
	}
}

/* Where our own standard streams are closed, a descriptor of a pair could be one of them. */
static bool above_standard(int *fd)
{
	if (*fd > STDERR_FILENO)
		return true;
	int higher = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	(void)close(*fd);
	*fd = higher;
	return higher >= 0;
}

static bool make_pairs(int fds[PAIRS][2])
{
	for (int i = 0; i < PAIRS; i++)
		fds[i][OURS] = fds[i][ITS] = -1;
	for (int i = 0; i < PAIRS; i++) {
		int rc = i == IN ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds[i]) : pipe2(fds[i], O_CLOEXEC);
		if (rc != 0 || !above_standard(&fds[i][OURS]) || !above_standard(&fds[i][ITS]))
			return false;
		if (i != TOLD && fcntl(fds[i][OURS], F_SETFL, O_NONBLOCK) != 0)
			return false;
	}
	return true;
}

/* In the child: becomes the program. Other threads held any lock when it was forked: only system calls from here on. */
static _Noreturn void become(const struct command *command, int fds[PAIRS][2], pid_t parent)
{
	struct sigaction plain = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		(void)sigaction(sig, &plain, NULL);
	(void)sigemptyset(&none);
	(void)setpgid(0, 0);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(127);

	int rc = dup2(fds[IN][ITS], STDIN_FILENO);
	rc = rc >= 0 ? dup2(fds[OUT][ITS], STDOUT_FILENO) : rc;
	rc = rc >= 0 ? dup2(fds[ERR][ITS], STDERR_FILENO) : rc;
	/* Libraries open descriptors too, and not all of them say that a child must not have them. */
	(void)syscall(SYS_close_range, ALL_DESCRIPTORS, CLOSE_RANGE_CLOEXEC);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (rc >= 0)
		(void)execve(command->path, command->argv, command->envp);

	int why = errno;
	ssize_t told = write(fds[TOLD][ITS], &why, sizeof why);
	_exit(told > 0 ? 127 : 126);
}

/* Forks with all signals blocked: none of our handlers may run in the child. */
static pid_t fork_into(const struct command *command, int fds[PAIRS][2])
{
	pid_t parent = getpid();
	sigset_t all;
	sigset_t before;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	pid_t pid = fork();
	if (pid == 0)
		become(command, fds, parent);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid;
}

/* Waits until the program runs, or could not be run: errno of that, else 0. */
static int start_result(int told)
{
	int why = 0;
	ssize_t n;

	do
		n = read(told, &why, sizeof why);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof why ? why : 0;
}

static void reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int child_start(const struct command *command, struct child *ret_child, struct error *err)
{
	int fds[PAIRS][2];
	pid_t pid = -1;
	int rc = 0;

	if (!make_pairs(fds) || (pid = fork_into(command, fds)) < 0) {
		rc = error_set(err, ERR_SYSTEM, "'%s' can not be started: %s", command->path, strerror(errno));
		close_pairs(fds);
		return rc;
	}
	for (int i = 0; i < PAIRS; i++)
		close_one(&fds[i][ITS]);
	int why = start_result(fds[TOLD][OURS]);
	close_one(&fds[TOLD][OURS]);
	int exit = (int)syscall(SYS_pidfd_open, pid, 0);
	if (why != 0)
		rc = error_set(err, ERR_USAGE, "'%s' can not be run: %s", command->path, strerror(why));
	else if (exit < 0)
		rc = error_set(err, ERR_SYSTEM, "'%s' can not be watched: %s", command->path, strerror(errno));
	if (rc != 0) {
		(void)kill(-pid, SIGKILL);
		reap(pid);
		close_one(&exit);
		close_pairs(fds);
		return rc;
	}
	*ret_child = (struct child){.pid = pid, .exit = exit, .in = fds[IN][OURS], .out = fds[OUT][OURS], .err = fds[ERR][OURS]};
	return 0;
}

/* Reads what is there, at most @len bytes; closes the stream at its end. */
static size_t read_some(int *fd, char *data, size_t len)
{
	ssize_t n = *fd >= 0 ? read(*fd, data, len) : -1;

	if (n == 0)
		close_one(fd);
	return n > 0 ? (size_t)n : 0;
}

void child_listen(struct child *child)
{
	char data[16 * CHILD_LAST_WORDS];
	size_t len = read_some(&child->err, data, sizeof data);
	const char *at = data;

	if (len > sizeof child->words) {
		at += len - sizeof child->words;
		len = sizeof child->words;
	}
	size_t keep = sizeof child->words - len;
	if (keep > child->words_len)
		keep = child->words_len;
	memmove(child->words, child->words + child->words_len - keep, keep);
	memcpy(child->words + keep, at, len);
	child->words_len = keep + len;
}

bool child_wait(struct child *child, int64_t ms)
{
	int64_t deadline = clock_mono_ms() + ms;
	char scrap[16384];

	for (;;) {
		int64_t left = deadline - clock_mono_ms();
		struct pollfd fds[] = {
			{.fd = child->exit, .events = POLLIN}, {.fd = child->out, .events = POLLIN}, {.fd = child->err, .events = POLLIN}};

		(void)poll(fds, 3, left > 0 ? (int)left : 0);
		(void)read_some(&child->out, scrap, sizeof scrap);
		child_listen(child);
		if (fds[0].revents != 0 || left <= 0)
			return fds[0].revents != 0;
	}
}

/* The last line of @data that is not empty. */
static const char *last_line(const char *data, size_t len, size_t *ret_len)
{
	while (len > 0 && strchr(" \t\r\n", data[len - 1]) != NULL)
		len--;
	size_t start = len;
	while (start > 0 && data[start - 1] != '\n')
		start--;
	*ret_len = len - start;
	return data + start;
}

void child_describe(struct child *child, char *ret_text, size_t size)
{
	siginfo_t how = {0};
	char words[300];
	char state[64];
	size_t len;

	child_listen(child);
	if (waitid(P_PID, (id_t)child->pid, &how, WEXITED | WNOHANG | WNOWAIT) != 0 || how.si_pid == 0)
		(void)snprintf(state, sizeof state, "it still runs");
	else if (how.si_code == CLD_EXITED)
		(void)snprintf(state, sizeof state, "it ended with exit status %d", how.si_status);
	else
		(void)snprintf(state, sizeof state, "it was ended by signal %d", how.si_status);

	const char *line = last_line(child->words, child->words_len, &len);
	text_clean(words, sizeof words, line, len);
	(void)snprintf(ret_text, size, *words != '\0' ? "%s; its last words: '%s'" : "%s", state, words);
}

/* Waits until nothing is left of the group; where we are the ones who reap orphans, that takes us. */
static void await_group(pid_t group)
{
	int64_t deadline = clock_mono_ms() + GROUP_WAIT_MS;

	while (clock_mono_ms() < deadline) {
		while (waitpid(-group, NULL, WNOHANG) > 0)
			;
		if (kill(-group, 0) != 0 && errno == ESRCH)
			return;
		(void)stop_wait(NULL, GROUP_LOOK_MS);
	}
}

void child_end(struct child *child, int64_t grace_ms)
{
	if (child->pid == 0)
		return;
	close_one(&child->in);
	bool ended = child_wait(child, grace_ms);
	if (!ended) {
		(void)kill(-child->pid, SIGTERM);
		ended = child_wait(child, TERM_GRACE_MS);
	}
	/* While the child is not reaped, nobody else's group can have its number. */
	(void)kill(-child->pid, SIGKILL);
	if (ended || child_wait(child, KILL_WAIT_MS)) {
		reap(child->pid);
		await_group(child->pid);
	}
	close_one(&child->exit);
	close_one(&child->out);
	close_one(&child->err);
	child->pid = 0;
}
