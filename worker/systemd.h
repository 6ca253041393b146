/* What a service of Type=notify tells systemd: READY=1 once the pool is joined, STATUS, WATCHDOG=1 while the worker is
 * live, STOPPING=1. The protocol is one datagram a message to the socket that NOTIFY_SOCKET names (sd_notify(3)); libsystemd
 * would do the same for a megabyte of resident memory. Where NOTIFY_SOCKET is not set, nothing happens.
 * Thread rule: systemd_init() in main before the first thread; ticks belong to one thread, the others to any. */
#ifndef WORKER_SYSTEMD_H
#define WORKER_SYSTEMD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "client/base/error.h"

struct systemd {
	int fd;                     /* -1: not under systemd */
	struct sockaddr_un address;
	socklen_t address_len;
	int64_t watchdog_ms;        /* 0: none is wanted */
	char told[128];             /* the last status */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. */
void systemd_init(struct systemd *systemd);
void systemd_done(struct systemd *systemd);

/* Milliseconds between two calls of systemd_tick() that are needed; 0: none are. */
int64_t systemd_every_ms(const struct systemd *systemd);
/* WATCHDOG=1 where @live and a watchdog is wanted, and @status (one line) where it is not the one told before. */
void systemd_tick(struct systemd *systemd, bool live, const char *status);

void systemd_ready(struct systemd *systemd);
void systemd_stopping(struct systemd *systemd);

#endif
