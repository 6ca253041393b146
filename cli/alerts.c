#include "cli/alerts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/base/embed.h"
#include "client/base/text.h"
#include "client/prefect/automation.h"
#include "client/prefect/block.h"

#define NAME_MAX_BYTES 400
#define PAYLOAD_MAX 8192
#define DAY_S 86400
/* Starts the clock of the alert about no success, before there is any run. */
#define DEPLOYED_EVENT "prefect-janitor.deployed"

EMBED_DECLARE(cli_alerts_approval_json);
EMBED_DECLARE(cli_alerts_reminder_json);
EMBED_DECLARE(cli_alerts_failure_json);
EMBED_DECLARE(cli_alerts_stale_json);

struct alert {
	const char *kind;
	const char *json; /* not terminated */
	size_t size;
};
#define ALERT(kind, name) {kind, EMBED_DATA(name), EMBED_SIZE(name)}
#define STALE "no success"

/* Where an alert goes. */
struct channel {
	struct block block;
	bool webhook; /* a webhook takes JSON, a notification block a subject and a body */
};

static char *name_of(const char *deployment, const char *kind)
{
	struct text name = {.max = NAME_MAX_BYTES};

	text_addf(&name, "prefect-janitor: %s: %s", deployment, kind);
	return text_take(&name);
}

/* Moves the texts out of @alert and makes the automation's action of them. */
static int make_action(const struct channel *channel, const struct settings *settings, const struct alert *alert,
                       json_t *json, json_t **ret_action, struct error *err)
{
	const char *subject = json_string_value(json_object_get(json, "subject"));
	const char *body = json_string_value(json_object_get(json, "body"));
	AUTO_FREE char *page = prefect_ui_url(settings->api_url, json_string_value(json_object_get(json, "page")));
	AUTO_TEXT set = {.max = PAYLOAD_MAX};
	AUTO_TEXT payload = {.max = PAYLOAD_MAX};

	text_addf(&set, "{%% set days = %" PRId64 " %%}", settings->notify_stale_days);
	if (channel->webhook) {
		/* "text" is what chat services show; the other fields are for programs. */
		text_addf(&payload, "%s{%% set subject %%}%s{%% endset %%}{%% set body %%}%s{%% endset %%}{%% set page %%}%s{%% endset %%}",
		          text_str(&set), subject, body, page);
		text_addf(&payload, "{\"text\": {{ (subject ~ \"\\n\" ~ body ~ \"\\n\" ~ page) | tojson }}, \"alert\": \"%s\", "
		          "\"deployment\": {{ deployment.name | tojson }}, \"message\": {{ body | tojson }}, \"page\": {{ page | tojson }}}",
		          alert->kind);
		*ret_action = json_pack("{s:s, s:s, s:s}", "type", "call-webhook", "block_document_id", channel->block.id, "payload",
		                        text_str(&payload));
	} else {
		text_addf(&payload, "%s%s\n\n%s", text_str(&set), body, page);
		*ret_action = json_pack("{s:s, s:s, s:s, s:s}", "type", "send-notification", "block_document_id", channel->block.id,
		                        "subject", subject, "body", text_str(&payload));
	}
	return page == NULL || set.failed || payload.failed || *ret_action == NULL ? error_nomem(err) : 0;
}

/* An AutomationCreate of what the alert's file says. */
static int make_automation(const struct channel *channel, const struct settings *settings,
                           const struct deployment *deployment, const struct alert *alert, json_t **ret_body,
                           struct error *err)
{
	AUTO_FREE char *name = name_of(deployment->name, alert->kind);
	AUTO_JSON *json = NULL;
	json_t *action = NULL;
	char resource[32 + UUID_SIZE];

	if (name == NULL)
		return error_nomem(err);
	int rc = json_read(alert->json, alert->size, &json, err);
	if (rc == 0)
		rc = make_action(channel, settings, alert, json, &action, err);
	if (rc != 0)
		return rc;

	(void)snprintf(resource, sizeof resource, "prefect.deployment.%s", deployment->id);
	json_t *trigger = json_object_get(json, "trigger");
	rc = json_object_set_new(trigger, "match_related", json_pack("{s:s, s:s}", "prefect.resource.role", "deployment",
	                                                             "prefect.resource.id", resource));
	if (strcmp(alert->kind, STALE) == 0)
		rc |= json_object_set_new(trigger, "within", json_integer(settings->notify_stale_days * DAY_S));
	*ret_body = json_pack("{s:s, s:O, s:b, s:O, s:[o]}", "name", name, "description", json_object_get(json, "description"),
	                      "enabled", 1, "trigger", trigger, "actions", action);
	return rc == 0 && *ret_body != NULL ? 0 : error_nomem(err);
}

static int remove_alert(struct prefect *prefect, const struct deployment *deployment, const struct alert *alert,
                        FILE *out, struct error *err)
{
	AUTO_FREE char *name = name_of(deployment->name, alert->kind);
	size_t count;

	if (name == NULL)
		return error_nomem(err);
	int rc = automation_delete(prefect, name, &count, err);
	if (rc == 0 && count > 0)
		(void)fprintf(out, "alert       %s (removed)\n", alert->kind);
	return rc;
}

static int place_alert(struct prefect *prefect, const struct channel *channel, const struct settings *settings,
                       const struct deployment *deployment, const struct alert *alert, FILE *out, struct error *err)
{
	static const char *const told[] = {[AUTOMATION_SAME] = "was there", [AUTOMATION_CREATED] = "created",
	                                   [AUTOMATION_UPDATED] = "updated"};
	enum automation_change change;
	json_t *body = NULL;

	int rc = make_automation(channel, settings, deployment, alert, &body, err);
	if (rc == 0)
		rc = automation_ensure(prefect, body, &change, err);
	if (rc != 0)
		return error_prefix(err, rc, "alert '%s'", alert->kind);
	(void)fprintf(out, "alert       %s (%s)\n", alert->kind, told[change]);
	return 0;
}

/* A block of the operator's own, as TYPE/NAME. */
static int find_channel(struct prefect *prefect, const char *place, struct channel *ret_channel, struct error *err)
{
	const char *slash = strchr(place, '/');
	AUTO_FREE char *type = strndup(place, (size_t)(slash - place));

	if (type == NULL)
		return error_nomem(err);
	int rc = block_find(prefect, type, slash + 1, &ret_channel->block, err);
	if (rc == ERR_NOT_FOUND)
		return error_set(err, ERR_USAGE, "--notify-block: the server has no block '%.200s'; make it in the UI under Blocks", place);
	if (rc != 0)
		return rc;
	ret_channel->webhook = strcmp(type, BLOCK_WEBHOOK) == 0;
	if (!ret_channel->webhook && !ret_channel->block.notifies)
		return error_set(err, ERR_USAGE, "--notify-block: a block of type '%.80s' sends nothing; take a webhook or a "
		                 "notification block, like slack-webhook/ops", type);
	return 0;
}

int alerts_check(struct prefect *prefect, const struct settings *settings, struct error *err)
{
	struct channel channel;

	return settings->no_notify || settings->notify_block == NULL ? 0 : find_channel(prefect, settings->notify_block, &channel, err);
}

static int make_channel(struct prefect *prefect, const struct settings *settings, const char *block_name,
                        struct channel *ret_channel, struct error *err)
{
	if (settings->notify_block != NULL)
		return find_channel(prefect, settings->notify_block, ret_channel, err);
	ret_channel->webhook = true;
	return block_ensure(prefect, BLOCK_WEBHOOK, block_name,
	                    json_pack("{s:s, s:s, s:{s:s}}", "url", settings->notify_webhook, "method", "POST", "headers",
	                              "Content-Type", "application/json"),
	                    &ret_channel->block, err);
}

int alerts_deploy(struct prefect *prefect, const struct settings *settings, const struct deployment *deployment, FILE *out,
                  struct error *err)
{
	const struct alert alerts[] = {ALERT("approval", cli_alerts_approval_json), ALERT("reminder", cli_alerts_reminder_json),
	                               ALERT("failure", cli_alerts_failure_json),
	                               ALERT(STALE, cli_alerts_stale_json)};
	struct channel channel = {0};
	char block_name[32 + UUID_SIZE]; /* only lower case, digits and dashes are allowed in it */
	char resource[32 + UUID_SIZE];
	bool was_there;
	int rc = 0;

	if (!settings->no_notify && settings->notify_webhook == NULL && settings->notify_block == NULL)
		return 0;
	(void)snprintf(block_name, sizeof block_name, "prefect-janitor-%s", deployment->id);
	if (!settings->no_notify)
		rc = make_channel(prefect, settings, block_name, &channel, err);
	for (size_t i = 0; i < sizeof alerts / sizeof alerts[0] && rc == 0; i++) {
		bool wanted = !settings->no_notify && (strcmp(alerts[i].kind, STALE) != 0 || settings->notify_stale_days > 0);
		rc = wanted ? place_alert(prefect, &channel, settings, deployment, &alerts[i], out, err)
		            : remove_alert(prefect, deployment, &alerts[i], out, err);
	}
	if (rc == 0 && (settings->no_notify || settings->notify_block != NULL)) /* the URL of an earlier call may hold a token */
		rc = block_delete(prefect, BLOCK_WEBHOOK, block_name, &was_there, err);
	if (rc != 0 || settings->no_notify)
		return rc;
	(void)snprintf(resource, sizeof resource, "prefect.deployment.%s", deployment->id);
	return event_emit(prefect, DEPLOYED_EVENT, DEPLOYED_EVENT, resource, "deployment", err);
}
