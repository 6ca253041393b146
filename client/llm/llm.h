/* A model server, spoken to in one of two dialects: Anthropic's Messages API, and the chat completions API of OpenAI
 * and of local servers (Ollama, vLLM, llama.cpp). One session, one conversation, one turn at a time; nothing is streamed.
 *
 * The two APIs are recorded in tests/unit/client/llm/test_llm_requests.c. Answers are read strictly in what is known (wrong
 * types, repeated keys and NaN are ERR_DECODE) and silently in what is new. The arguments of a call are the model's own, and may
 * be anything: where they are no object, the call says so.
 *
 * Retries: the table of client/base/http.h with at most `retries` more tries, none of them begun later than one
 * call_timeout_ms after the first, and all of them ended at deadline_ms.
 *
 * Secrets: the key goes out as a header and nowhere else. Where a server repeats it (16 characters or more), stars stand
 * in its place before anything reads the answer.
 *
 * Thread rule: a session, its settings and its conversations belong to one thread. */
#ifndef CLIENT_LLM_LLM_H
#define CLIENT_LLM_LLM_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/base/error.h"
#include "client/base/stop.h"

#define LLM_ANSWER_MAX (4 * 1024 * 1024)
#define LLM_CALLS_MAX 64 /* tool calls in one turn; more are ERR_DECODE */

enum llm_provider { LLM_ANTHROPIC, LLM_OPENAI };

struct llm_settings {
	enum llm_provider provider;
	const char *base_url;    /* as the SDKs read it: ANTHROPIC_BASE_URL without /v1, OPENAI_BASE_URL with it; NULL or "":
	                            the provider's own */
	const char *model;
	const char *key;         /* secret; NULL or "": none is sent, as local servers like it */
	const char *ca_file;     /* as in http_settings */
	int64_t call_timeout_ms; /* one try, from connecting to the last byte; 0: 120 s */
	int retries;             /* tries after the first */
	int64_t bytes_max;       /* of all request bodies of a conversation, repetitions too: no try that would go beyond it is
	                            made; 0: any */
	int64_t first_wait_ms;   /* before the second try, then doubled; 0: 500 ms, as the SDKs */
	int64_t max_tokens;      /* of one answer: Anthropic demands it, the other dialect does not send it; 0: 4096 */
	int64_t deadline_ms;     /* a moment of clock_mono_ms() after which no request is under way; 0: none */
	struct stop *stop;       /* as in http_settings */
	bool (*go_on)(void *arg); /* is the answer still wanted? As http_go_on; NULL: not asked */
	void *go_on_arg;
	int64_t go_on_every_ms;  /* 0: HTTP_GO_ON_EVERY_MS */
};

struct llm_tool {
	const char *name;
	const char *description;    /* NULL for none */
	const json_t *input_schema; /* borrowed by the call, copied */
};

struct llm_tool_result {
	const char *call_id; /* of the llm_tool_call */
	const char *text;
	bool is_error;       /* the other dialect has no word for it: the text has to say so too */
};

struct llm_tool_call {
	char *id;            /* made up where the server gave none */
	char *name;
	json_t *arguments;   /* an object; NULL where they are none: */
	char *bad_arguments; /* - as they came, */
	char *complaint;     /* - and what is wrong with them, fit to be sent back; both NULL otherwise */
};

enum llm_stop {
	LLM_STOP_OTHER,   /* for a reason that is not known here */
	LLM_STOP_TOOL,    /* it waits for the results of its calls */
	LLM_STOP_END,     /* it has said all, and calls nothing */
	LLM_STOP_CUT,     /* max_tokens, length: text and calls may be half of what was meant */
	LLM_STOP_REFUSED, /* refusal, content_filter */
};

struct llm_turn {
	char *text;                  /* never NULL; "" where it said nothing. Foreign: clean it before it is shown */
	struct llm_tool_call *calls; /* in the order in which they came */
	size_t call_count;
	enum llm_stop stop;
	int64_t input_tokens;        /* as the server counts them, 0 where it does not */
	int64_t output_tokens;
	char *request_id;            /* the server's, one clean line; never NULL */
	json_t *raw;                 /* the assistant's message as it goes back to the server; NULL where it is empty */
	int64_t took_ms;             /* with all its tries */
	int tries;
};

/* System prompt, tools and messages so far, in the provider's own form. */
struct llm_conversation;
struct llm;

/* "Anthropic", "OpenAI-compatible": for texts. */
const char *llm_provider_name(enum llm_provider provider);

/* Checks the settings (ERR_USAGE; the text names the setting to look at) and opens a session; connects to nothing.
 * @settings are borrowed until llm_free(). Returns 0, ERR_USAGE or ERR_NOMEM. */
int llm_new(const struct llm_settings *settings, struct llm **ret_llm, struct error *err) MUST_CHECK;
void llm_free(struct llm *llm);

/* @system may be NULL. All arguments are copied. Returns NULL without memory, and for text that is not UTF-8. */
struct llm_conversation *llm_conversation_new(const struct llm_settings *settings, const char *system,
                                              const struct llm_tool *tools, size_t count);
void llm_conversation_free(struct llm_conversation *conversation);

/* The user says @text. Returns 0, or ERR_NOMEM, which also stands for text that is not UTF-8. */
int llm_add_user(struct llm_conversation *conversation, const char *text, struct error *err) MUST_CHECK;

/* The results of all calls of the last turn, at once and in their order: a server refuses the next request where one is
 * missing. Returns as llm_add_user(). */
int llm_add_results(struct llm_conversation *conversation, const struct llm_tool_result *results, size_t count,
                    struct error *err) MUST_CHECK;

/* One turn of the model: sends the conversation, and appends to it what the model says (so that results and the next
 * question follow it). @must_call: it has to call a tool; a server that does not know how to force that (it answers 400
 * and names tool_choice) is asked again without, and many do not obey: expect text.
 * Blocks for all tries. Returns 0, or (the conversation is then as it was, and may be asked again)
 *   ERR_DECODE     an answer that cannot be read, or is no model's      ERR_AUTH     401, 403
 *   ERR_INVALID    400, 413, 422: the request as it is                  ERR_NO_ROUTE 404, 405: address or model
 *   ERR_BUSY       408, 429, 5xx, 529 until tries or bytes were used up ERR_HTTP     any other status
 *   ERR_TRANSPORT  no whole answer, or one above LLM_ANSWER_MAX; no time, or not one try within `bytes_max`, is left
 *   ERR_STOPPED, ERR_NOMEM
 * The texts name the setting to look at. Release @ret_turn with llm_turn_release(). */
int llm_ask(struct llm *llm, struct llm_conversation *conversation, bool must_call, struct llm_turn *ret_turn,
            struct error *err) MUST_CHECK;

void llm_turn_release(struct llm_turn *turn);

/* The request as the next llm_ask() with @must_call sends it; borrowed until the conversation is touched again. */
const json_t *llm_next_request(const struct llm_conversation *conversation);

/* Bytes of all request bodies sent so far, with every repetition, and those of the next one; for a budget. */
size_t llm_bytes_sent(const struct llm_conversation *conversation);
size_t llm_bytes_next(const struct llm_conversation *conversation);

/* Reads the body of an answer with status 200; for tests. Returns 0, ERR_DECODE or ERR_NOMEM. */
int llm_read_answer(enum llm_provider provider, const char *body, size_t len, struct llm_turn *ret_turn,
                    struct error *err) MUST_CHECK;

#endif
