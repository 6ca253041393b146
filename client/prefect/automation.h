/* Automations: what the server does by itself when an event happens, or does not; and events of our own.
 * Source: /automations and /events, Prefect 3.4.20 to 3.9.1. Thread rule: none shared. */
#ifndef PREFECT_AUTOMATION_H
#define PREFECT_AUTOMATION_H

#include "client/prefect/prefect.h"

enum automation_change { AUTOMATION_SAME, AUTOMATION_CREATED, AUTOMATION_UPDATED };

/* Creates the automation @body (AutomationCreate, taken), or makes the one of its name so. One that is so already is left
 * alone: an update would start the clock of a trigger that waits for something again. Where a person switched it off, it
 * stays off. Blocks for two requests. */
int automation_ensure(struct prefect *prefect, json_t *body, enum automation_change *ret_change,
                      struct error *err) MUST_CHECK;

/* Deletes all automations of that name; *ret_count: how many there were. */
int automation_delete(struct prefect *prefect, const char *name, size_t *ret_count, struct error *err) MUST_CHECK;

/* POST /events: says that @event happened now to @resource, related to @related in the role @role. */
int event_emit(struct prefect *prefect, const char *event, const char *resource, const char *related, const char *role,
               struct error *err) MUST_CHECK;

#endif
