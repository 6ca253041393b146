/* What is sent to a socket that stands for systemd's. */
#include "worker/systemd.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"

struct listener {
	int fd;
	char name[100];  /* as in NOTIFY_SOCKET */
};

static void open_listener(struct listener *listener, bool abstract)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)snprintf(listener->name, sizeof listener->name, "%s/janitor-unit-%d", abstract ? "@" : "/tmp", (int)getpid());
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s", listener->name);
	if (abstract)
		address.sun_path[0] = '\0';
	listener->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (bind(listener->fd, (struct sockaddr *)&address,
	         (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(listener->name))) != 0)
		abort();
	(void)setenv("NOTIFY_SOCKET", listener->name, 1);
}

static void close_listener(struct listener *listener)
{
	(void)close(listener->fd);
	if (listener->name[0] == '/')
		(void)unlink(listener->name);
	(void)unsetenv("NOTIFY_SOCKET");
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
}

/* The next message is @want; NULL: there is none. */
static void check_next(const char *row, struct listener *listener, const char *want)
{
	char got[256] = "";
	ssize_t len = recv(listener->fd, got, sizeof got - 1, 0);

	CHECK_STR(row, len < 0 ? NULL : got, want);
}

static void tells_in_order(void)
{
	static const bool rows[] = {false, true};
	struct listener listener;
	struct systemd systemd;

	EACH(abstract, rows)
	{
		const char *row = *abstract ? "abstract" : "path";
		static const char *const messages[] = {"READY=1", "WATCHDOG=1", "STATUS=one", "WATCHDOG=1", "STATUS=two?READY=1",
		                                       "STOPPING=1", NULL};

		open_listener(&listener, *abstract);
		(void)setenv("WATCHDOG_USEC", "3000000", 1);
		systemd_init(&systemd);
		CHECK_INT(row, systemd_every_ms(&systemd), 1500);
		systemd_ready(&systemd);
		systemd_tick(&systemd, true, "one");
		systemd_tick(&systemd, true, "one");
		systemd_tick(&systemd, false, "two\nREADY=1");
		systemd_tick(&systemd, false, "two\nREADY=1");
		systemd_stopping(&systemd);
		systemd_done(&systemd);
		EACH(message, messages)
			check_next(row, &listener, *message);
		close_listener(&listener);
	}
}

static void reads_the_environment(void)
{
	char own[16];
	const struct {
		const char *name;
		const char *usec, *pid;
		int64_t every_ms;
		const char *tick; /* the first message of a tick */
	} rows[] = {
		{"no watchdog", NULL, NULL, 10000, "STATUS=x"},
		{"for this process", "60000000", own, 10000, "WATCHDOG=1"},
		{"for any", "2000000", NULL, 1000, "WATCHDOG=1"},
		{"for another one", "2000000", "1", 10000, "STATUS=x"},
		{"no number", "2s", NULL, 10000, "STATUS=x"},
		{"negative", "-1", NULL, 10000, "STATUS=x"},
		{"nothing", "", "", 10000, "STATUS=x"},
	};

	(void)snprintf(own, sizeof own, "%d", (int)getpid());
	EACH(row, rows)
	{
		struct listener listener;
		struct systemd systemd;

		open_listener(&listener, false);
		if (row->usec != NULL)
			(void)setenv("WATCHDOG_USEC", row->usec, 1);
		if (row->pid != NULL)
			(void)setenv("WATCHDOG_PID", row->pid, 1);
		systemd_init(&systemd);
		CHECK_INT(row->name, systemd_every_ms(&systemd), row->every_ms);
		systemd_tick(&systemd, true, "x");
		check_next(row->name, &listener, row->tick);
		systemd_done(&systemd);
		close_listener(&listener);
	}
}

static void is_silent_elsewhere(void)
{
	static const char *const rows[] = {"", "relative", "/no/such/socket", NULL};
	char longer[200];

	EACH(name, rows)
	{
		struct systemd systemd;

		memset(longer, 'x', sizeof longer);
		longer[0] = '/';
		longer[sizeof longer - 1] = '\0';
		(void)setenv("NOTIFY_SOCKET", *name != NULL ? *name : longer, 1);
		systemd_init(&systemd);
		CHECK("none, or nobody listens", (systemd_every_ms(&systemd) == 0) == (systemd.fd < 0));
		CHECK_INT(*name, systemd.fd >= 0, *name != NULL && **name == '/');
		systemd_ready(&systemd);
		systemd_tick(&systemd, true, "x");
		systemd_stopping(&systemd);
		systemd_done(&systemd);
	}
	(void)unsetenv("NOTIFY_SOCKET");
}

UNIT_SUITE("worker/systemd", TEST(tells_in_order), TEST(reads_the_environment), TEST(is_silent_elsewhere))
