/* What differs between the two APIs; private to client/llm. Every function that makes JSON returns a new reference, or
 * NULL without memory. */
#ifndef CLIENT_LLM_DIALECT_H
#define CLIENT_LLM_DIALECT_H

#include "client/base/json.h"
#include "client/llm/llm.h"

/* What both keep at the top of an answer, under names of their own. */
struct llm_answer {
	char *id;
	json_t *content;
	json_t *usage;
	int stop; /* enum llm_stop */
};

/* A body that is not JSON as a whole may be so in the input of a call alone, which the model wrote: returns 0 and a body where
 * such an input is a string of what it is; ERR_DECODE, and nothing else happens, where that is not it; or ERR_NOMEM. */
typedef int llm_read_loosely(const char *body, size_t len, json_t **ret_answer, struct error *err);

struct llm_dialect {
	const char *name;
	const char *base_url;    /* the provider's own */
	const char *path;        /* below the base URL */
	const char *url_setting; /* names for texts */
	const char *key_setting;
	const char *id_header;   /* carries the request id */
	json_t *(*new_request)(const struct llm_settings *settings, const char *system); /* with "messages", without tools */
	json_t *(*new_tool)(const struct llm_tool *tool);
	json_t *(*new_choice)(bool must_call);
	/* Append to the array @messages; -1 without memory. */
	int (*add_user)(json_t *messages, const char *text);
	int (*add_results)(json_t *messages, const struct llm_tool_result *results, size_t count);
	const struct json_field *answer_fields; /* of struct llm_answer */
	size_t answer_field_count;
	const struct json_field *usage_fields;  /* of struct llm_turn: input_tokens, output_tokens */
	size_t usage_field_count;
	/* Fills text, calls, raw, and a better stop of a turn. On failure it is half filled and the caller's to release. */
	int (*read_content)(const json_t *content, struct llm_turn *turn, struct error *err);
	llm_read_loosely *read_loosely; /* NULL: the model's own JSON is text there anyway */
};

extern const struct llm_dialect llm_anthropic;
extern const struct llm_dialect llm_openai;

/* Appends @call, whose members the turn then owns. ERR_DECODE where there are too many, or ERR_NOMEM: they are still the
 * caller's. */
int llm_turn_add_call(struct llm_turn *turn, const struct llm_tool_call *call, struct error *err) MUST_CHECK;
void llm_call_release(struct llm_tool_call *call);

/* Notes in @call that its arguments, @value, are no object but @complaint. */
int llm_note_bad_arguments(struct llm_tool_call *call, const json_t *value, const char *complaint, struct error *err) MUST_CHECK;

/* Does the turn already have a call with this id? */
bool llm_turn_has_call(const struct llm_turn *turn, const char *id);

#endif
