/* Parameters of a cleanup, as the command line gives them. Thread rule: no state. */
#ifndef CLI_PARAMETERS_H
#define CLI_PARAMETERS_H

#include "flows/database_cleanup/policy.h"
#include "worker/settings.h"

/* Reads "KEY=VALUE" texts into @values, as Prefect's CLI does: VALUE is JSON, or else a text without quotes. @flag is named
 * in errors. Source: prefect/cli/_utilities.py, load_json_key_values(), 3.9.1. Returns 0, ERR_USAGE or ERR_NOMEM. */
int parameters_read_pairs(const char *flag, const json_t *pairs, json_t *values, struct error *err) MUST_CHECK;

/* Applies --param and the flags of the policy (--retention-period, --states, ...) to @parameters, whose `config` is made an
 * object. *ret_changed: there was one. Returns 0, ERR_USAGE or ERR_NOMEM. */
int parameters_apply(const struct settings *settings, json_t *parameters, bool *ret_changed, struct error *err) MUST_CHECK;

/* Are the flags right, whatever the deployment's parameters are? Before the server is asked anything. */
int parameters_check_flags(const struct settings *settings, struct error *err) MUST_CHECK;

/* policy_read(), with errors that are wrong usage. */
int parameters_check(const json_t *parameters, struct policy *ret_policy, struct error *err) MUST_CHECK;

/* Would the server refuse them, which a run would be told and a preview not? By the schema of @deployment (NULL: there is
 * none, that of this program holds) where it enforces one: the names of states and the form of the retention period.
 * @parameters are those that parameters_check() took. Returns 0, ERR_USAGE with what is allowed, or ERR_NOMEM. */
int parameters_check_schema(const json_t *deployment, const json_t *parameters, struct error *err) MUST_CHECK;

#endif
