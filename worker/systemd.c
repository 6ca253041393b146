#include "worker/systemd.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "client/base/log.h"
#include "client/base/text.h"

/* A message that is not taken at once is worth a moment, not a hang. */
#define SEND_TIMEOUT_S 1
/* How often the status is looked at where no watchdog sets the pace. */
#define STATUS_EVERY_MS 10000

/* An unsigned number from the environment; 0 where there is none. */
static uint64_t number(const char *name)
{
	const char *text = getenv(name);
	char *end = NULL;

	if (text == NULL || *text < '0' || *text > '9')
		return 0;
	uint64_t value = strtoull(text, &end, 10);
	return *end == '\0' ? value : 0;
}

void systemd_init(struct systemd *systemd)
{
	const struct timeval timeout = {.tv_sec = SEND_TIMEOUT_S};
	const char *name = getenv("NOTIFY_SOCKET");

	*systemd = (struct systemd){.fd = -1, .address = {.sun_family = AF_UNIX}};
	if (name == NULL || (*name != '/' && *name != '@') || strlen(name) >= sizeof systemd->address.sun_path)
		return;
	memcpy(systemd->address.sun_path, name, strlen(name));
	if (*name == '@') /* an abstract address begins with a NUL, and has no end but its length */
		systemd->address.sun_path[0] = '\0';
	systemd->address_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	systemd->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	(void)setsockopt(systemd->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);

	uint64_t pid = number("WATCHDOG_PID");
	if (pid == 0 || pid == (uint64_t)getpid())
		systemd->watchdog_ms = (int64_t)(number("WATCHDOG_USEC") / 1000);
}

void systemd_done(struct systemd *systemd)
{
	if (systemd->fd >= 0)
		(void)close(systemd->fd);
	systemd->fd = -1;
}

/* @flags: MSG_DONTWAIT for what is told again where nobody takes it. */
static bool notify(const struct systemd *systemd, const char *message, int flags)
{
	if (systemd->fd < 0)
		return true;
	if (sendto(systemd->fd, message, strlen(message), MSG_NOSIGNAL | flags, (const struct sockaddr *)&systemd->address,
	           systemd->address_len) >= 0)
		return true;
	log_debug("systemd was not told '%s': %s", message, strerror(errno));
	return false;
}

int64_t systemd_every_ms(const struct systemd *systemd)
{
	if (systemd->fd < 0)
		return 0;
	int64_t half = systemd->watchdog_ms / 2;
	return half > 0 && half < STATUS_EVERY_MS ? half : STATUS_EVERY_MS;
}

void systemd_tick(struct systemd *systemd, bool live, const char *status)
{
	char message[sizeof systemd->told] = "STATUS=";

	if (live && systemd->watchdog_ms > 0)
		(void)notify(systemd, "WATCHDOG=1", MSG_DONTWAIT);
	/* A line break would begin another message. */
	text_clean(message + strlen(message), sizeof message - strlen(message), status, strlen(status));
	if (strcmp(message, systemd->told) != 0 && notify(systemd, message, MSG_DONTWAIT))
		memcpy(systemd->told, message, sizeof message);
}

void systemd_ready(struct systemd *systemd)
{
	(void)notify(systemd, "READY=1", 0);
}

void systemd_stopping(struct systemd *systemd)
{
	(void)notify(systemd, "STOPPING=1", 0);
}
