/* Inputs of a flow run: named JSON values kept on the server, which is where checkpoints, the form of
 * an approval and its answer live.
 * Source: /flow_runs/{id}/input, Prefect 3.4.20 to 3.9.1: a key can be created once; 409 after that.
 * Thread rule: none shared. */
#ifndef PREFECT_RUN_INPUT_H
#define PREFECT_RUN_INPUT_H

#include "client/prefect/prefect.h"

/* Reads and parses the value. ERR_NOT_FOUND where there is none, ERR_DECODE where it is not JSON
 * or repeats a key. @ret_value is the caller's reference. */
int run_input_read(struct prefect *prefect, const char *flow_run_id, const char *key, json_t **ret_value,
                   struct error *err) MUST_CHECK;

/* Creates the input from @value (borrowed). ERR_CONFLICT where the key is there with another value: where it is there
 * with this one, an earlier try did it, whose answer was lost. */
int run_input_create(struct prefect *prefect, const char *flow_run_id, const char *key, const json_t *value,
                     struct error *err) MUST_CHECK;

/* Creates the input, in place of one that may be there. */
int run_input_replace(struct prefect *prefect, const char *flow_run_id, const char *key, const json_t *value,
                      struct error *err) MUST_CHECK;

/* The inputs whose keys start with @prefix, oldest first (200 at most): an array of objects with `key` and `value`,
 * the latter a text that holds JSON. POST /flow_runs/{id}/input/filter. */
int run_input_list(struct prefect *prefect, const char *flow_run_id, const char *prefix, json_t **ret_inputs,
                   struct error *err) MUST_CHECK;

/* Removes it; no error where there is none. */
int run_input_delete(struct prefect *prefect, const char *flow_run_id, const char *key,
                     struct error *err) MUST_CHECK;

#endif
