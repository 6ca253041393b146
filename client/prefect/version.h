/* Prefect's versions: which one a server is, and which ones this program was tested with (scripts/prefect-servers).
 * Source: GET /admin/version, Prefect 3.4.20 to 3.9.1. Thread rule: no state. */
#ifndef PREFECT_VERSION_H
#define PREFECT_VERSION_H

#include "client/prefect/prefect.h"

#define VERSION_SIZE 64

/* "3.4.20, 3.6.29, 3.8.8, 3.9.1", the first and the last of them. */
extern const char version_tested[], version_oldest[], version_newest[];

/* How a server's version stands to those. */
enum version_standing {
	VERSION_UNKNOWN, /* it does not say, or nothing like a version */
	VERSION_BEFORE_3,
	VERSION_OLDER,  /* than the oldest that was tested */
	VERSION_COVERED, /* one of them, or between two of them */
	VERSION_NEWER,  /* than the newest that was tested */
};

enum version_standing version_stand(const char *version);

/* What the server says, made harmless; "" where it does not say. Returns what prefect_call() returns; a server without the
 * path, or one that says something else than a text, is no error. */
int version_read(struct prefect *prefect, char ret_version[VERSION_SIZE], struct error *err) MUST_CHECK;

#endif
