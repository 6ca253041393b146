#include "client/agent/toolbox.h"

#include <string.h>

#include "client/base/clock.h"
#include "client/base/json.h"
#include "client/base/text.h"

#define IDENTITY_TOOL "get_identity"
#define CUT_MARK " ... [cut: the answer is longer; ask for less]"
#define NAMES_MAX 1000
/* Of a secret: a shorter one may be a word. */
#define SECRET_MIN 8

struct toolbox {
	const struct toolbox_settings *settings;
	struct mcp_settings mcp_settings; /* ours: the time limit of a call changes */
	struct mcp *mcp;
	struct mcp_tool *offered;
	size_t offered_count;
	struct llm_tool *given;
	size_t given_count;
};

/* Whatever comes from the server may quote what it was given. */
static void hide_secrets(const struct toolbox *box, char *text)
{
	for (const char *const *secret = box->settings->secrets; *secret != NULL; secret++)
		text_hide(text, strlen(text), *secret, SECRET_MIN);
}

static int hide_in_error(const struct toolbox *box, int rc, const struct error *why, struct error *err)
{
	struct error clean = *why;

	hide_secrets(box, clean.text);
	if (err != NULL)
		*err = clean;
	return rc;
}

static bool is_allowed(const struct toolbox_settings *settings, const char *name)
{
	for (const char *const *allowed = settings->allowed; *allowed != NULL; allowed++)
		if (strcmp(*allowed, name) == 0)
			return true;
	return false;
}

static int choose_tools(struct toolbox *box, struct error *err)
{
	int rc = mcp_list_tools(box->mcp, &box->offered, &box->offered_count, err);

	if (rc != 0)
		return rc;
	box->given = calloc(box->offered_count + 1, sizeof *box->given);
	if (box->given == NULL)
		return error_nomem(err);
	for (size_t i = 0; i < box->offered_count; i++) {
		const struct mcp_tool *tool = &box->offered[i];
		if (tool->read_only && is_allowed(box->settings, tool->name))
			box->given[box->given_count++] = (struct llm_tool){tool->name, tool->description, tool->input_schema};
	}
	if (box->given_count == 0)
		return error_set(err, ERR_USAGE, "of the %zu tools of the MCP server none is known here and said to be read-only: "
		                 "is it Prefect's?", box->offered_count);
	return 0;
}

/* The object that a tool of Prefect's answers with: structured, or as the text. A new reference, NULL where it is none. */
static json_t *answer_object(const struct mcp_result *result)
{
	json_t *object = NULL;

	if (json_is_object(result->structured))
		return json_incref(result->structured);
	if (json_read(result->text, strlen(result->text), &object, NULL) != 0)
		return NULL;
	return object;
}

static size_t length_without_slashes(const char *url)
{
	size_t len = strlen(url);

	while (len > 0 && url[len - 1] == '/')
		len--;
	return len;
}

static bool is_same_url(const char *a, const char *b)
{
	size_t len = length_without_slashes(a);

	return len == length_without_slashes(b) && memcmp(a, b, len) == 0;
}

static int judge_identity(const struct toolbox *box, const struct mcp_result *result, struct error *err)
{
	AUTO_JSON *object = answer_object(result);
	const char *url = json_string_value(json_object_get(json_object_get(object, "identity"), "api_url"));
	const char *said = json_string_value(json_object_get(object, "error"));
	AUTO_FREE char *why = text_dup(said != NULL ? said : result->text);

	if (why == NULL)
		return error_nomem(err);
	hide_secrets(box, why); /* before it is cut */
	if (result->is_error || !json_is_true(json_object_get(object, "success")))
		return error_set(err, ERR_BUSY, "the MCP server does not reach Prefect at %s: %.300s", box->settings->api_url,
		                 why);
	if (url == NULL)
		return error_set(err, ERR_CONFLICT, "the MCP server does not say which Prefect it is connected to; this worker's is %s",
		                 box->settings->api_url);
	if (!is_same_url(url, box->settings->api_url))
		return error_set(err, ERR_CONFLICT, "the MCP server is connected to another Prefect (%.200s) than this worker (%s); "
		                 "give both the same PREFECT_API_URL", url, box->settings->api_url);
	return 0;
}

static int check_identity(struct toolbox *box, struct error *err)
{
	struct mcp_result result;

	int rc = mcp_call_tool(box->mcp, IDENTITY_TOOL, NULL, &result, err);
	if (rc != 0)
		return rc;
	rc = judge_identity(box, &result, err);
	mcp_result_release(&result);
	return rc;
}

int toolbox_open(const struct toolbox_settings *settings, struct toolbox **ret_box, struct error *err)
{
	struct toolbox *box = calloc(1, sizeof *box);
	struct error why = {.text = ""};

	if (box == NULL)
		return error_nomem(err);
	box->settings = settings;
	box->mcp_settings = settings->mcp;
	int rc = mcp_open(&box->mcp_settings, &box->mcp, &why);
	if (rc == 0)
		rc = choose_tools(box, &why);
	if (rc == ERR_BUSY) /* silent before it was asked for anything of Prefect's: that is no outage which passes */
		rc = error_prefix(&why, ERR_TRANSPORT, "the agent has no tools");
	if (rc == 0)
		rc = check_identity(box, &why);
	if (rc != 0) {
		(void)hide_in_error(box, rc, &why, err);
		toolbox_close(box);
		return rc;
	}
	*ret_box = box;
	return 0;
}

void toolbox_close(struct toolbox *box)
{
	if (box == NULL)
		return;
	mcp_close(box->mcp);
	mcp_tools_free(box->offered, box->offered_count);
	free(box->given);
	free(box);
}

const struct llm_tool *toolbox_tools(const struct toolbox *box, size_t *ret_count)
{
	*ret_count = box->given_count;
	return box->given;
}

static bool is_given(const struct toolbox *box, const char *name)
{
	for (size_t i = 0; i < box->given_count; i++)
		if (strcmp(box->given[i].name, name) == 0)
			return true;
	return false;
}

static bool is_offered(const struct toolbox *box, const char *name)
{
	for (size_t i = 0; i < box->offered_count; i++)
		if (strcmp(box->offered[i].name, name) == 0)
			return true;
	return false;
}

static int fail(const char *text, struct toolbox_answer *ret_answer, struct error *err)
{
	*ret_answer = (struct toolbox_answer){.is_error = true, .text = text_dup(text), .bytes = strlen(text)};
	return ret_answer->text != NULL ? 0 : error_nomem(err);
}

static int refuse(const struct toolbox *box, const char *name, struct toolbox_answer *ret_answer, struct error *err)
{
	AUTO_TEXT text = {.max = NAMES_MAX};
	char shown[80];

	text_clean(shown, sizeof shown, name, strlen(name));
	text_addf(&text, is_offered(box, name) ? "Error: the tool '%s' is not allowed here. There are:" : "Error: there is no "
	          "tool '%s'. There are:", shown);
	for (size_t i = 0; i < box->given_count; i++)
		text_addf(&text, " %s", box->given[i].name);
	return fail(text_str(&text), ret_answer, err);
}

/* An error as the model sees it: the other dialect of model servers has no flag for it. */
static int fail_because(const struct error *why, struct toolbox_answer *ret_answer, struct error *err)
{
	AUTO_TEXT text = {.max = sizeof why->text + 10};

	text_addf(&text, "Error: %s", why->text);
	return fail(text_str(&text), ret_answer, err);
}

static int take_result(const struct toolbox *box, const char *name, struct mcp_result *result,
                       struct toolbox_answer *ret_answer, struct error *err)
{
	AUTO_JSON *object = answer_object(result);
	struct text text = {.max = TOOLBOX_ANSWER_MAX + sizeof CUT_MARK + 10};
	struct toolbox_answer answer = {
		.is_error = result->is_error,
		.is_success = !result->is_error && json_is_true(json_object_get(object, "success")) && strcmp(name, IDENTITY_TOOL) != 0,
		.bytes = strlen(result->text),
	};

	hide_secrets(box, result->text);
	AUTO_FREE char *cut = text_cut(result->text, TOOLBOX_ANSWER_MAX);
	if (cut == NULL)
		return error_nomem(err);
	text_addf(&text, "%s%s%s", result->is_error ? "Error: " : "", cut, strlen(cut) < answer.bytes ? CUT_MARK : "");
	answer.text = text_take(&text);
	if (answer.text == NULL)
		return error_nomem(err);
	*ret_answer = answer;
	return 0;
}

int toolbox_call(struct toolbox *box, const char *name, const json_t *arguments, int64_t timeout_ms,
                 struct toolbox_answer *ret_answer, struct error *err)
{
	struct mcp_result result;
	struct error why;

	if (!is_given(box, name))
		return refuse(box, name, ret_answer, err);
	box->mcp_settings.call_timeout_ms = timeout_ms;
	box->mcp_settings.deadline_ms = clock_mono_ms() + timeout_ms;
	int sessions = mcp_sessions(box->mcp);
	int rc = mcp_call_tool(box->mcp, name, arguments, &result, &why);
	/* A new session may be one of another server: its answer counts only if that is connected to the same Prefect. */
	if (rc == 0 && mcp_sessions(box->mcp) != sessions && (rc = check_identity(box, &why)) != 0) {
		mcp_result_release(&result);
		(void)hide_in_error(box, rc, &why, &why);
		return error_set(err, rc == ERR_BUSY ? ERR_TRANSPORT : rc, "after a new session: %s", why.text);
	}
	if (rc != 0)
		(void)hide_in_error(box, rc, &why, &why);
	if (rc == ERR_BUSY || rc == ERR_INVALID || rc == ERR_DECODE)
		return fail_because(&why, ret_answer, err);
	if (rc != 0)
		return error_set(err, rc, "%s", why.text);
	rc = take_result(box, name, &result, ret_answer, err);
	mcp_result_release(&result);
	return rc;
}

void toolbox_answer_release(struct toolbox_answer *answer)
{
	free(answer->text);
	*answer = (struct toolbox_answer){0};
}
