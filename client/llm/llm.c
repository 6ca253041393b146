#include "client/llm/llm.h"

#include <string.h>

#include "client/base/clock.h"
#include "client/base/http.h"
#include "client/base/json.h"
#include "client/base/text.h"
#include "client/llm/dialect.h"

#define ANTHROPIC_VERSION "2023-06-01"
#define CALL_TIMEOUT_MS 120000
#define CONNECT_TIMEOUT_MS 10000
#define FIRST_WAIT_MS 500
#define REQUEST_ID_SIZE 128
/* A shorter one is no secret: servers of one's own take any word. */
#define KEY_MIN 16

struct llm {
	const struct llm_settings *settings;
	const struct llm_dialect *dialect;
	char *url;
	json_t *headers;
	struct http_settings http_settings;
	struct http *http;
	bool cannot_force; /* the server refuses tool_choice "required" */
	bool out_of_bytes; /* the last request could not be tried as often as it may be */
};

struct llm_conversation {
	const struct llm_dialect *dialect;
	json_t *request;
	size_t bytes_sent;
};

static const struct llm_dialect *dialect_of(enum llm_provider provider)
{
	return provider == LLM_ANTHROPIC ? &llm_anthropic : &llm_openai;
}

const char *llm_provider_name(enum llm_provider provider)
{
	return dialect_of(provider)->name;
}

static bool is_set(const char *text)
{
	return text != NULL && text[0] != '\0';
}

static bool is_printable(const char *text)
{
	for (; *text != '\0'; text++)
		if (*text <= ' ' || *text > '~')
			return false;
	return true;
}

static int check_url(const struct llm_settings *s, const struct llm_dialect *dialect, struct error *err)
{
	if (!is_set(s->base_url))
		return is_set(s->key) ? 0 : error_set(err, ERR_USAGE, "%s is not set: %s needs a key (for a server of your own, "
		                                      "set %s)", dialect->key_setting, dialect->base_url, dialect->url_setting);
	if (strchr(s->base_url, '@') != NULL)
		return error_set(err, ERR_USAGE, "%s: put the key into %s, not into the address", dialect->url_setting,
		                 dialect->key_setting);
	if (strpbrk(s->base_url, "?#") != NULL) /* may hold a key: not quoted */
		return error_set(err, ERR_USAGE, "%s: an address with '?' or '#' is not possible; put the key into %s", dialect->url_setting,
		                 dialect->key_setting);
	if ((strncmp(s->base_url, "http://", 7) != 0 && strncmp(s->base_url, "https://", 8) != 0) || !is_printable(s->base_url))
		return error_set(err, ERR_USAGE, "%s: '%.200s' is not an address like %s", dialect->url_setting, s->base_url,
		                 dialect->base_url);
	return 0;
}

static int check_settings(const struct llm_settings *s, const struct llm_dialect *dialect, struct error *err)
{
	if (!is_set(s->model))
		return error_set(err, ERR_USAGE, "PREFECT_JANITOR_AI_MODEL is not set: it names the model to ask");
	if (is_set(s->key) && !is_printable(s->key))
		return error_set(err, ERR_USAGE, "%s: the key has characters that no key has, such as a space or a line break",
		                 dialect->key_setting);
	return check_url(s, dialect, err);
}

/* The base URL without slashes at its end. */
static char *make_url(const struct llm_settings *s, const struct llm_dialect *dialect)
{
	char *url = text_dup(is_set(s->base_url) ? s->base_url : dialect->base_url);

	for (size_t len = url != NULL ? strlen(url) : 0; len > 0 && url[len - 1] == '/'; len--)
		url[len - 1] = '\0';
	return url;
}

static json_t *make_headers(const struct llm_settings *s)
{
	if (s->provider != LLM_ANTHROPIC)
		return json_object();
	return json_pack("{s:s, s:s*}", "anthropic-version", ANTHROPIC_VERSION, "x-api-key", is_set(s->key) ? s->key : NULL);
}

int llm_new(const struct llm_settings *settings, struct llm **ret_llm, struct error *err)
{
	const struct llm_dialect *dialect = dialect_of(settings->provider);
	int64_t timeout = settings->call_timeout_ms > 0 ? settings->call_timeout_ms : CALL_TIMEOUT_MS;

	int rc = check_settings(settings, dialect, err);
	if (rc != 0)
		return rc;
	struct llm *llm = calloc(1, sizeof *llm);
	if (llm == NULL)
		return error_nomem(err);
	llm->settings = settings;
	llm->dialect = dialect;
	llm->url = make_url(settings, dialect);
	llm->headers = make_headers(settings);
	llm->http_settings = (struct http_settings){
		.url = llm->url,
		.bearer = settings->provider == LLM_OPENAI && is_set(settings->key) ? settings->key : NULL,
		.headers = llm->headers,
		.ca_file = settings->ca_file,
		.connect_timeout_ms = CONNECT_TIMEOUT_MS,
		.request_timeout_ms = timeout,
		.retry_budget_ms = timeout,
		.stop = settings->stop,
		.first_wait_ms = settings->first_wait_ms > 0 ? settings->first_wait_ms : FIRST_WAIT_MS,
		.answer_max = LLM_ANSWER_MAX,
	};
	if (llm->url != NULL && llm->headers != NULL)
		llm->http = http_new(&llm->http_settings);
	if (llm->http == NULL) {
		llm_free(llm);
		return error_nomem(err);
	}
	*ret_llm = llm;
	return 0;
}

void llm_free(struct llm *llm)
{
	if (llm == NULL)
		return;
	http_free(llm->http);
	json_decref(llm->headers);
	free(llm->url);
	free(llm);
}

static int set_choice(struct llm_conversation *conversation, bool must_call)
{
	if (json_object_get(conversation->request, "tools") == NULL)
		return 0;
	return json_object_set_new(conversation->request, "tool_choice", conversation->dialect->new_choice(must_call));
}

struct llm_conversation *llm_conversation_new(const struct llm_settings *settings, const char *system,
                                              const struct llm_tool *tools, size_t count)
{
	struct llm_conversation *conversation = calloc(1, sizeof *conversation);
	json_t *list = json_array();
	bool ok = conversation != NULL && list != NULL;

	if (ok) {
		conversation->dialect = dialect_of(settings->provider);
		conversation->request = conversation->dialect->new_request(settings, system);
		ok = conversation->request != NULL;
	}
	for (size_t i = 0; ok && i < count; i++)
		ok = json_array_append_new(list, conversation->dialect->new_tool(&tools[i])) == 0;
	if (ok && count > 0)
		ok = json_object_set(conversation->request, "tools", list) == 0 && set_choice(conversation, true) == 0;
	json_decref(list);
	if (ok)
		return conversation;
	llm_conversation_free(conversation);
	return NULL;
}

void llm_conversation_free(struct llm_conversation *conversation)
{
	if (conversation == NULL)
		return;
	json_decref(conversation->request);
	free(conversation);
}

static json_t *messages_of(const struct llm_conversation *conversation)
{
	return json_object_get(conversation->request, "messages");
}

int llm_add_user(struct llm_conversation *conversation, const char *text, struct error *err)
{
	return conversation->dialect->add_user(messages_of(conversation), text) == 0 ? 0 : error_nomem(err);
}

int llm_add_results(struct llm_conversation *conversation, const struct llm_tool_result *results, size_t count,
                    struct error *err)
{
	return conversation->dialect->add_results(messages_of(conversation), results, count) == 0 ? 0 : error_nomem(err);
}

const json_t *llm_next_request(const struct llm_conversation *conversation)
{
	return conversation->request;
}

size_t llm_bytes_sent(const struct llm_conversation *conversation)
{
	return conversation->bytes_sent;
}

size_t llm_bytes_next(const struct llm_conversation *conversation)
{
	return json_dumpb(conversation->request, NULL, 0, JSON_COMPACT);
}

void llm_call_release(struct llm_tool_call *call)
{
	free(call->id);
	free(call->name);
	json_decref(call->arguments);
	free(call->bad_arguments);
	free(call->complaint);
}

int llm_note_bad_arguments(struct llm_tool_call *call, const json_t *value, const char *complaint, struct error *err)
{
	call->bad_arguments = json_is_string(value) ? text_dup(json_string_value(value))
	                                            : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
	call->complaint = text_dup(complaint);
	return call->bad_arguments == NULL || call->complaint == NULL ? error_nomem(err) : 0;
}

void llm_turn_release(struct llm_turn *turn)
{
	for (size_t i = 0; i < turn->call_count; i++)
		llm_call_release(&turn->calls[i]);
	free(turn->calls);
	free(turn->text);
	free(turn->request_id);
	json_decref(turn->raw);
	*turn = (struct llm_turn){0};
}

int llm_turn_add_call(struct llm_turn *turn, const struct llm_tool_call *call, struct error *err)
{
	if (turn->call_count == LLM_CALLS_MAX)
		return error_set(err, ERR_DECODE, "the answer calls more than %d tools at once", LLM_CALLS_MAX);

	struct llm_tool_call *calls = realloc(turn->calls, (turn->call_count + 1) * sizeof *calls);
	if (calls == NULL)
		return error_nomem(err);
	turn->calls = calls;
	turn->calls[turn->call_count++] = *call;
	return 0;
}

bool llm_turn_has_call(const struct llm_turn *turn, const char *id)
{
	for (size_t i = 0; i < turn->call_count; i++)
		if (strcmp(turn->calls[i].id, id) == 0)
			return true;
	return false;
}

/* The server's word for the end goes by what the turn really holds: some say "stop" and call a tool. */
static void settle_stop(struct llm_turn *turn)
{
	if (turn->stop == LLM_STOP_TOOL || turn->stop == LLM_STOP_END)
		turn->stop = turn->call_count > 0 ? LLM_STOP_TOOL : LLM_STOP_END;
	else if (turn->stop == LLM_STOP_OTHER && turn->call_count == 0 && turn->text[0] == '\0')
		turn->stop = LLM_STOP_END;
}

/* One clean line. */
static int settle_request_id(struct llm_turn *turn, const char *raw, struct error *err)
{
	char id[REQUEST_ID_SIZE];

	text_clean(id, sizeof id, raw, strlen(raw));
	turn->request_id = text_dup(id);
	return turn->request_id == NULL ? error_nomem(err) : 0;
}

static int fill_turn(const struct llm_dialect *dialect, const json_t *json, const char *id_header, struct llm_turn *turn,
                     struct error *err)
{
	struct llm_answer answer;

	int rc = json_decode(json, dialect->answer_fields, dialect->answer_field_count, &answer, sizeof answer, err);
	if (rc != 0)
		return rc;
	if (answer.usage != NULL) /* first of all: it writes the whole turn */
		rc = json_decode(answer.usage, dialect->usage_fields, dialect->usage_field_count, turn, sizeof *turn, err);
	turn->stop = (enum llm_stop)answer.stop;
	if (rc == 0)
		rc = dialect->read_content(answer.content, turn, err);
	if (rc == 0)
		rc = settle_request_id(turn, id_header[0] != '\0' || answer.id == NULL ? id_header : answer.id, err);
	json_release(dialect->answer_fields, dialect->answer_field_count, &answer);
	return rc;
}

static int read_turn(const struct llm_dialect *dialect, const char *body, size_t len, const char *id_header,
                     struct llm_turn *ret_turn, struct error *err)
{
	AUTO_JSON *answer = NULL;
	struct llm_turn turn = {0};

	int rc = json_read(body, len, &answer, err);
	if (rc == ERR_DECODE && dialect->read_loosely != NULL)
		rc = dialect->read_loosely(body, len, &answer, err);
	if (rc != 0)
		return rc;
	rc = fill_turn(dialect, answer, id_header, &turn, err);
	if (rc != 0) {
		llm_turn_release(&turn);
		return rc;
	}
	settle_stop(&turn);
	*ret_turn = turn;
	return 0;
}

int llm_read_answer(enum llm_provider provider, const char *body, size_t len, struct llm_turn *ret_turn,
                    struct error *err)
{
	return read_turn(dialect_of(provider), body, len, "", ret_turn, err);
}

/* The server's own words in the body of a refusal: {"error": {"message"}} in both dialects, with variations. */
static const char *words_of(const json_t *body)
{
	const json_t *error = json_object_get(body, "error");
	const json_t *places[] = {json_object_get(error, "message"), error, json_object_get(body, "message"),
	                          json_object_get(body, "detail")};

	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
		if (json_is_string(places[i]))
			return json_string_value(places[i]);
	return "";
}

static int status_code(int status)
{
	switch (status) {
	case 400:
	case 413:
	case 422:
		return ERR_INVALID;
	case 401:
	case 403:
		return ERR_AUTH;
	case 404:
	case 405:
		return ERR_NO_ROUTE;
	default:
		return http_retry_status(status) != HTTP_RETRY_NEVER ? ERR_BUSY : ERR_HTTP;
	}
}

/* What to do about it. */
static void advise(struct text *text, const struct llm *llm, int status, size_t request_bytes)
{
	const struct llm_dialect *d = llm->dialect;

	if (status >= 300 && status < 400)
		text_addf(text, "; set %s to the address that answers by itself", d->url_setting);
	else if (status == 401 || status == 403)
		text_addf(text, "; check %s%s", d->key_setting, is_set(llm->settings->key) ? "" : ", which is not set");
	else if (status == 404 || status == 405)
		text_addf(text, "; check %s (it %s /v1) and PREFECT_JANITOR_AI_MODEL", d->url_setting,
		          llm->settings->provider == LLM_ANTHROPIC ? "is without" : "ends in");
	else if (status == 413)
		text_addf(text, "; the request has %zu bytes", request_bytes);
	else if (llm->out_of_bytes && status_code(status) == ERR_BUSY)
		text_addf(text, "; not tried again, since all bytes that may be sent are used up (PREFECT_JANITOR_AI_MAX_BYTES)");
	else if (status == 400 || status == 422)
		text_addf(text, "; does the model, PREFECT_JANITOR_AI_MODEL, exist there and call tools?");
}

static int refused(const struct llm *llm, const struct http_answer *answer, const char *request_id, size_t bytes,
                   struct error *err)
{
	AUTO_JSON *body = NULL;
	AUTO_TEXT advice = {.max = 300};
	const char *words = "";
	int tries = http_last_effort(llm->http)->tries;

	if (json_read(answer->body, answer->len, &body, NULL) == 0)
		words = words_of(body);
	advise(&advice, llm, answer->status, bytes);
	int code = error_set(err, status_code(answer->status), "model '%.100s' at %.200s: HTTP %d%s%.400s%s%s%s%s%s",
	                     llm->settings->model, llm->url, answer->status, words[0] != '\0' ? ", " : "", words,
	                     tries > 1 ? " (several tries)" : "", request_id[0] != '\0' ? " (request " : "", request_id,
	                     request_id[0] != '\0' ? ")" : "", text_str(&advice));
	if (err != NULL) {
		err->http_status = answer->status;
		err->retry_after_ms = answer->retry_after_ms;
	}
	return code;
}

/* How often the request may be sent: by the retries that are allowed, and by its bytes. */
static int allowed_tries(struct llm *llm, const struct llm_conversation *conversation)
{
	const struct llm_settings *s = llm->settings;
	int tries = s->retries > 0 ? s->retries + 1 : 1;
	size_t left = (size_t)s->bytes_max > conversation->bytes_sent ? (size_t)s->bytes_max - conversation->bytes_sent : 0;
	size_t next = llm_bytes_next(conversation);
	size_t fit = next > 0 ? left / next : 0;

	llm->out_of_bytes = s->bytes_max > 0 && fit < (size_t)tries;
	return llm->out_of_bytes ? (int)fit : tries;
}

/* Sends the request as it is. */
static int post(struct llm *llm, struct llm_conversation *conversation, struct http_answer *ret_answer,
                struct error *err)
{
	const struct llm_settings *s = llm->settings;
	int64_t left = s->deadline_ms > 0 ? s->deadline_ms - clock_mono_ms() : 0;
	int tries = allowed_tries(llm, conversation);
	struct http_request request = {.method = "POST", .path = llm->dialect->path, .body = conversation->request,
	                               .repeatable = true, .tries_max = tries, .limit_ms = left,
	                               .go_on = s->go_on, .go_on_arg = s->go_on_arg, .go_on_every_ms = s->go_on_every_ms};

	if (s->deadline_ms > 0 && left <= 0)
		return error_set(err, ERR_TRANSPORT, "no time is left for a call of the model");
	if (tries == 0)
		return error_set(err, ERR_TRANSPORT, "all bytes that may be sent to the model are used up (PREFECT_JANITOR_AI_MAX_BYTES)");
	int rc = http_call(llm->http, &request, ret_answer, NULL, err);
	conversation->bytes_sent += llm_bytes_next(conversation) * (size_t)http_last_effort(llm->http)->tries;
	if (rc == ERR_TRANSPORT && stop_asked(s->stop))
		return error_set(err, ERR_STOPPED, "shutting down");
	if (rc == ERR_TRANSPORT)
		return error_prefix(err, rc, "%s", llm->dialect->url_setting);
	if (rc == 0)
		text_hide(ret_answer->body, ret_answer->len, s->key, KEY_MIN);
	return rc;
}

/* Is it the force that the server refuses? Another 400 is not sent again. */
static bool refuses_force(const struct llm *llm, const struct http_answer *answer)
{
	return answer->status == 400 && llm->settings->provider == LLM_OPENAI && strstr(answer->body, "tool_choice") != NULL;
}

/* Sends it, and once more without force where that is what the server refuses. */
static int send_request(struct llm *llm, struct llm_conversation *conversation, bool must_call,
                        struct http_answer *ret_answer, struct error *err)
{
	bool force = must_call && !llm->cannot_force;

	if (set_choice(conversation, force) != 0)
		return error_nomem(err);
	int rc = post(llm, conversation, ret_answer, err);
	if (rc != 0 || !force || !refuses_force(llm, ret_answer) ||
	    json_object_get(conversation->request, "tools") == NULL || allowed_tries(llm, conversation) == 0)
		return rc;

	struct http_answer first = *ret_answer;
	*ret_answer = (struct http_answer){0};
	rc = set_choice(conversation, false) == 0 ? post(llm, conversation, ret_answer, err) : error_nomem(err);
	llm->cannot_force = rc == 0 && ret_answer->status == 200;
	http_answer_release(&first);
	return rc;
}

static int take_turn(struct llm *llm, struct llm_conversation *conversation, const struct http_answer *answer,
                     struct llm_turn *ret_turn, struct error *err)
{
	char id[REQUEST_ID_SIZE];
	const char *header = http_answer_header(llm->http, llm->dialect->id_header);

	text_clean(id, sizeof id, header, strlen(header));
	text_hide(id, strlen(id), llm->settings->key, KEY_MIN);
	if (answer->status != 200)
		return refused(llm, answer, id, llm_bytes_next(conversation), err);
	int rc = read_turn(llm->dialect, answer->body, answer->len, id, ret_turn, err);
	if (rc != 0)
		return rc == ERR_DECODE ? error_prefix(err, rc, "the answer of model '%.100s' at %.200s (%s)", llm->settings->model,
		                                       llm->url, llm->dialect->url_setting) : rc;
	if (ret_turn->raw != NULL && json_array_append(messages_of(conversation), ret_turn->raw) != 0) {
		llm_turn_release(ret_turn);
		return error_nomem(err);
	}
	return 0;
}

int llm_ask(struct llm *llm, struct llm_conversation *conversation, bool must_call, struct llm_turn *ret_turn,
            struct error *err)
{
	struct http_answer answer = {0};
	struct llm_turn turn;
	int64_t started = clock_mono_ms();

	int rc = send_request(llm, conversation, must_call, &answer, err);
	if (rc == 0)
		rc = take_turn(llm, conversation, &answer, &turn, err);
	http_answer_release(&answer);
	if (rc != 0)
		return rc;
	turn.took_ms = clock_mono_ms() - started;
	turn.tries = http_last_effort(llm->http)->tries;
	*ret_turn = turn;
	return 0;
}
