/* A scripted model server that keeps what it was asked, and a session with it. */
#ifndef TESTS_UNIT_CLIENT_LLM_MODEL_SERVER_H
#define TESTS_UNIT_CLIENT_LLM_MODEL_SERVER_H

#include "client/llm/llm.h"
#include "tests/unit/http_server.h"
#include "tests/unit/unit.h"

#define KEY "sk-test-topsecret-0123456789"
#define REQUESTS_MAX 8

struct model_server {
	const struct http_reply *replies; /* in order; borrowed. One request too many is answered with 599 */
	size_t reply_count;
	json_t *bodies;                   /* of the requests */
	char *paths[REQUESTS_MAX];
	char *headers[REQUESTS_MAX];
	struct http_server *server;
	char url[80];
	struct llm_settings settings;
	struct llm *llm;
	struct llm_conversation *conversation;
};

/* Starts the server and opens a session and a conversation with two tools; the tries follow each other closely. */
void model_open(struct model_server *model, enum llm_provider provider, const struct http_reply *replies, size_t count);
/* Ends all of it; returns the number of requests. */
size_t model_close(struct model_server *model, const char *row);

/* One turn that has to succeed; false (and the test has failed) where it does not. */
bool model_ask(struct model_server *model, const char *row, struct llm_turn *ret_turn);

#endif
