/* What `prefect-janitor doctor` looks at: everything that a cleanup needs, from the address to the worker's heartbeat, in
 * this order. A check that makes no sense without an earlier one is skipped where that one failed.
 *
 * Nothing is changed on the server. The limit of bulk_delete is learned by a request that is refused: a limit that no
 * server takes, and besides a filter that names one run of a random id, which cannot exist. Where the server protects
 * itself against CSRF it makes a token for this session, as for every client.
 * Sources: the paths beside each check, Prefect 3.4.20 to 3.9.1. Blocks for as many requests as there are checks.
 * Thread rule: main thread. */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "client/prefect/version.h"
#include "client/prefect/work_pool.h"
#include "worker/settings.h"

enum finding_status { FINDING_OK, FINDING_WARN, FINDING_FAIL, FINDING_SKIP };

/* One line of the result; both texts are harmless. */
struct finding {
	const char *name; /* of the check */
	char deployment[64]; /* which it is about, where there are several; else "" */
	enum finding_status status;
	char text[1024]; /* what was seen */
	char next[512];  /* what to do about it; "" for nothing */
};

/* Of several deployments so many are looked at. */
#define DOCTOR_DEPLOYMENTS_MAX 10
#define FINDINGS_MAX (12 + 12 * DOCTOR_DEPLOYMENTS_MAX)

struct doctor {
	const struct settings *settings; /* borrowed */
	struct prefect *prefect;         /* borrowed */
	struct server_clock *clock;      /* borrowed */
	struct finding findings[FINDINGS_MAX];
	size_t count;

	/* what earlier checks have learned */
	struct error contact;  /* of the first request; code 0: it was answered */
	char version[VERSION_SIZE]; /* of the server; "" where it does not say */
	bool wants_ai;         /* the deployment's runs ask an AI agent */
	json_t *deployments;   /* owned: all that are looked at, where there are several; else NULL */
	size_t nth;            /* of them, that is looked at now */
	json_t *deployment;    /* owned; NULL: there is none */
	const char *pool_name; /* borrowed: of the settings, or else of the deployment; NULL: neither */
	struct work_pool pool; /* owned; no name: there is none */
};

/* Fills @doctor's findings; its first three members are the caller's, the others zero. What cannot be seen is a finding
 * and no error. Release with doctor_release(). */
void doctor_examine(struct doctor *doctor);
void doctor_release(struct doctor *doctor);

/* The worst status of all, skipped ones left out. */
enum finding_status doctor_verdict(const struct doctor *doctor);

/* "ok", "warn", "fail", "skip". */
const char *finding_word(enum finding_status status);

/* For the checks: fills the finding. @next may be NULL. */
void finding_set(struct finding *finding, enum finding_status status, const char *next, const char *fmt, ...)
	PRINTF_LIKE(4, 5);

/* The checks of the server (doctor_server.c), and of what is on it for us (doctor_deployment.c). */
typedef void doctor_check(struct doctor *doctor, struct finding *finding);
doctor_check doctor_check_address, doctor_check_tls, doctor_check_auth, doctor_check_csrf, doctor_check_version,
	doctor_check_bulk_delete, doctor_check_database, doctor_check_clock;
doctor_check doctor_check_deployment, doctor_check_schema, doctor_check_parameters, doctor_check_schedule,
	doctor_check_pool, doctor_check_queue, doctor_check_worker, doctor_check_forms;
doctor_check doctor_check_ai; /* doctor_ai.c: may a model decide, and can it? Nobody is asked. */

#endif
