#include "tests/unit/client/mcp/scripted_child.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/base/stop.h"
#include "tests/unit/unit.h"

#define LIFE_S 200 /* whatever the test does, it does not stay behind */
#define TEXT_SIZE 16384

extern char **environ;

static pid_t grandchild;

static void say(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);
		if (n <= 0)
			_exit(8);
		text += n;
		len -= (size_t)n;
	}
}

static void say_line(int fd, const char *text)
{
	say(fd, text, strlen(text));
	say(fd, "\n", 1);
}

static void fill(int fd, long count, const char *end)
{
	char *data = malloc((size_t)count);

	if (data == NULL)
		_exit(8);
	say(fd, memset(data, 'x', (size_t)count), (size_t)count);
	say(fd, end, strlen(end));
	free(data);
}

static void expect(const char *text)
{
	char *line = NULL;
	size_t size = 0;

	if (getline(&line, &size, stdin) < 0 || strstr(line, text) == NULL) {
		fprintf(stderr, "the script wants '%s', but there came '%.500s'\n", text, line);
		_exit(9);
	}
	free(line);
}

static void hang(void)
{
	for (;;)
		(void)pause();
}

static void answer(const char *text)
{
	json_t *message = json_pack("{s:s, s:i, s:{s:[{s:s, s:s}]}}", "jsonrpc", "2.0", "id", 2, "result", "content", "type",
	                            "text", "text", text);
	char *line = json_dumps(message, JSON_COMPACT);

	if (line == NULL)
		_exit(8);
	say_line(STDOUT_FILENO, line);
	free(line);
	json_decref(message);
}

static void answer_environment(void)
{
	char text[TEXT_SIZE] = "";

	for (char **variable = environ; *variable != NULL; variable++)
		if (strncmp(*variable, CHILD_SCRIPT "=", strlen(CHILD_SCRIPT) + 1) != 0)
			(void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s\n", *variable);
	answer(text);
}

/* "blocked 0 ignored 0 descriptors 3 own group 1" */
static void answer_state(void)
{
	int blocked = 0;
	int ignored = 0;
	int open = 0;
	char text[100];
	struct sigaction now;
	sigset_t mask;

	(void)sigprocmask(SIG_SETMASK, NULL, &mask);
	for (int sig = 1; sig < SIGRTMIN; sig++) {
		blocked += sigismember(&mask, sig) == 1;
		ignored += sigaction(sig, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
	}
	for (int fd = 0; fd < 1024; fd++)
		open += fcntl(fd, F_GETFD) >= 0;
	(void)snprintf(text, sizeof text, "blocked %d ignored %d descriptors %d own group %d", blocked, ignored, open,
	               getpgrp() == getpid());
	answer(text);
}

static void fork_deaf(void)
{
	grandchild = fork();
	if (grandchild != 0)
		return;
	(void)alarm(LIFE_S);
	(void)signal(SIGTERM, SIG_IGN);
	hang();
}

static void step(const char *line)
{
	long n = strtol(line + 1, NULL, 10);
	char text[64];

	switch (*line) {
	case '<': expect(line + 2); break;
	case '>': say_line(STDOUT_FILENO, line + 2); break;
	case '-': say(STDOUT_FILENO, line + 2, strlen(line + 2)); break;
	case '!': say_line(STDERR_FILENO, line + 2); break;
	case 'x': _exit((int)n);
	case 'k': (void)raise((int)n); break;
	case 'w': (void)stop_wait(NULL, n); break;
	case 'h': hang(); break;
	case 'c': (void)close(STDOUT_FILENO); break;
	case 'i': (void)close(STDIN_FILENO); break;
	case 't': (void)signal(SIGTERM, SIG_IGN); break;
	case 'f': fork_deaf(); break;
	case 'g': while (n-- > 0) say_line(STDOUT_FILENO, "Starting up..."); break;
	case 'e': fill(STDERR_FILENO, n * 1024, "\n"); break;
	case 'l': fill(STDOUT_FILENO, n * 1024, "\n"); break;
	case 'r':
		say(STDOUT_FILENO, TOOL_RESULT(2, ""), strlen(TOOL_RESULT(2, "")) - strlen("\"}]}}"));
		fill(STDOUT_FILENO, n, "\"}]}}\n");
		break;
	case 'p':
		(void)snprintf(text, sizeof text, "%d %d", (int)getpid(), (int)grandchild);
		answer(text);
		break;
	case 'v': answer_environment(); break;
	case 's': answer_state(); break;
	default:
		fprintf(stderr, "no such step: '%s'\n", line);
		_exit(8);
	}
}

/* Before main(): where there is a script, this process is the child. */
__attribute__((constructor)) static void play(void)
{
	char *script = getenv(CHILD_SCRIPT);
	char *rest = NULL;

	if (script == NULL)
		return;
	script = strdup(script);
	(void)alarm(LIFE_S);
	for (char *line = strtok_r(script, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest))
		step(line);
	/* As a server does: it ends with its input. */
	char scrap;
	while (read(STDIN_FILENO, &scrap, 1) > 0)
		;
	_exit(0);
}

const char *scripted_child_command(void)
{
	static char command[512];
	char path[400];

	ssize_t len = readlink("/proc/self/exe", path, sizeof path - 1);
	if (len <= 0)
		abort();
	(void)snprintf(command, sizeof command, "'%.*s'", (int)len, path);
	return command;
}
