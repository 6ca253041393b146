/* The policy: what a run's parameters ask for, checked whatever the server checked before, since a client
 * can turn the schema check off, and a shallow merge can lose fields. Thread rule: no state. */
#ifndef FLOWS_DATABASE_CLEANUP_POLICY_H
#define FLOWS_DATABASE_CLEANUP_POLICY_H

#include "client/base/json.h"
#include "client/base/text.h"

enum approval_type { APPROVAL_HUMAN, APPROVAL_AI };

struct policy {
	char *retention;       /* owned: for people, in ISO 8601 */
	int64_t retention_us;  /* > 0 */
	bool age_by_end;       /* how old a run is goes by its end; else by its start */
	json_t *states;        /* owned: array of names of states, or of their types in capitals; at least one, none twice */
	int batch_size;        /* flow runs a batch, 10 to 1000 */
	bool dry_run;
	enum approval_type approval;
};

/* How policy_read() begins to tell what is wrong. */
#define POLICY_REFUSED "the parameters are not valid, nothing was done: "

/* Reads the parameters of a run (`config`: an object, null or missing). What is missing gets its default.
 * Returns 0; ERR_INVALID, and the error's text lists every problem with the field's name; or ERR_NOMEM. */
int policy_read(const json_t *parameters, struct policy *ret_policy, struct error *err) MUST_CHECK;

void policy_release(struct policy *policy);

#endif
