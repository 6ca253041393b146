/* Block documents: what Prefect keeps of an address, with its secrets, for its own actions.
 * Source: /block_types, /block_schemas and /block_documents, Prefect 3.4.20 to 3.9.1. Every server brings the types
 * "webhook" and those that notify ("slack-webhook", ...). Thread rule: none shared. */
#ifndef PREFECT_BLOCK_H
#define PREFECT_BLOCK_H

#include "client/prefect/prefect.h"

/* The type of block that the action `call-webhook` uses. */
#define BLOCK_WEBHOOK "webhook"

struct block {
	char id[UUID_SIZE];
	bool notifies; /* for the action `send-notification`: its type has the capability "notify" */
};

/* GET /block_types/slug/{type}/block_documents/name/{name}. ERR_NOT_FOUND: no such type, or no such document. */
int block_find(struct prefect *prefect, const char *type, const char *name, struct block *ret_block,
               struct error *err) MUST_CHECK;

/* Creates the document, or gives the one of that type and name the fields in @data (taken); its other fields stay. Blocks
 * for three requests at most. */
int block_ensure(struct prefect *prefect, const char *type, const char *name, json_t *data, struct block *ret_block,
                 struct error *err) MUST_CHECK;

/* Deletes the document. *ret_was_there: there was one. */
int block_delete(struct prefect *prefect, const char *type, const char *name, bool *ret_was_there,
                 struct error *err) MUST_CHECK;

#endif
