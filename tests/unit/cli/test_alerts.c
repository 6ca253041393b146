/* What deploy makes of alerts; tests/integration/test_alerts.py sees what the real server then sends. */
#include "cli/alerts.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/api.h"

#define FIND(kind) {.method = "POST", .path = "/automations/filter", .body = "[\"prefect-janitor: d: " kind "\"]", .reply = {.body = "[]"}}
#define HAS(kind)                                                                                           \
	{.method = "POST", .path = "/automations/filter", .body = "[\"prefect-janitor: d: " kind "\"]",       \
	 .reply = {.body = "[{\"id\": \"" ID_C "\"}]"}}
#define DELETE {.method = "DELETE", .path = "/automations/" ID_C, .reply = {.status = 204}}
#define CREATE(text) {.method = "POST", .path = "/automations/", .body = text, .reply = {.status = 201, .body = "{}"}}
#define OUR_BLOCK "/block_types/slug/webhook/block_documents/name/prefect-janitor-" ID_A
#define DEPLOYED                                                                                                 \
	{.method = "POST", .path = "/events", .body = "\"related\":[{\"prefect.resource.id\":\"prefect.deployment." ID_A "\"", \
	 .reply = {.status = 204}}
#define BLOCK(capabilities) {.body = "{\"id\": \"" ID_B "\", \"block_schema\": {\"capabilities\": [" capabilities "]}}"}
#define MATCH "\"match_related\":{\"prefect.resource.role\":\"deployment\",\"prefect.resource.id\":\"prefect.deployment." ID_A "\"}"
#define LINK "http://ui.example/v2/runs/flow-run/{{ flow_run.id }}"
#define MAX_STEPS 14

/* Settings are not const. */
static char hook[] = "http://hook/topsecret", slack[] = "slack-webhook/ops", secret[] = "secret/x", webhook[] = "webhook/x";
static char d[] = "d", api_url[] = "http://ui.example/api";

static const struct {
	const char *name;
	struct settings settings;
	struct http_step steps[MAX_STEPS];
	int rc;
	const char *told;
} rows[] = {
	{"nothing is said of alerts", {0}, {{0}}, 0, ""},
	{"a webhook",
	 {.notify_webhook = hook, .notify_stale_days = 2},
	 {{.method = "GET", .path = OUR_BLOCK, .reply = BLOCK("")},
	  {.method = "PATCH", .path = "/block_documents/" ID_B, .body = "\"url\":\"http://hook/topsecret\"", .reply = {.status = 204}},
	  FIND("approval"), CREATE(MATCH), FIND("reminder"), CREATE("prefect-janitor.approval-reminder"), FIND("failure"),
	  CREATE("\"type\":\"call-webhook\",\"block_document_id\":\"" ID_B "\",\"payload\":\"{% set days = 2 %}"), FIND("no success"),
	  CREATE("\"within\":172800,"), DEPLOYED},
	 0, "alert       approval (created)\nalert       reminder (created)\nalert       failure (created)\nalert       no success (created)\n"},
	{"a block that notifies, and no alert about days",
	 {.notify_block = slack},
	 {{.method = "GET", .path = "/block_types/slug/slack-webhook/block_documents/name/ops", .reply = BLOCK("\"notify\"")},
	  FIND("approval"),
	  CREATE("\"type\":\"send-notification\",\"block_document_id\":\"" ID_B "\",\"subject\":\"{{ deployment.name }}: an approval is needed\""),
	  FIND("reminder"), CREATE("nobody has decided yet"), FIND("failure"), CREATE("\\n\\n" LINK), HAS("no success"), DELETE, {.method = "GET", .path = OUR_BLOCK, .reply = GONE}, DEPLOYED},
	 0, "alert       approval (created)\nalert       reminder (created)\nalert       failure (created)\nalert       no success (removed)\n"},
	{"a block that sends nothing",
	 {.notify_block = secret}, {{.method = "GET", .reply = BLOCK("")}}, ERR_USAGE, ""},
	{"no such block", {.notify_block = webhook}, {{.method = "GET", .reply = GONE}}, ERR_USAGE, ""},
	{"the server refuses",
	 {.notify_block = webhook},
	 {{.method = "GET", .reply = BLOCK("")}, FIND("approval"), {.method = "POST", .reply = {.status = 422}}}, ERR_INVALID, ""},
	{"away with them",
	 {.no_notify = true, .notify_webhook = hook},
	 {HAS("approval"), DELETE, FIND("reminder"), FIND("failure"), HAS("no success"), DELETE, {.method = "GET", .path = OUR_BLOCK, .reply = BLOCK("")},
	  {.method = "DELETE", .path = "/block_documents/" ID_B, .reply = {.status = 204}}},
	 0, "alert       approval (removed)\nalert       no success (removed)\n"},
};

static void makes_the_alerts(void)
{
	EACH(row, rows)
	{
		const struct deployment deployment = {.id = ID_A, .name = d};
		struct settings settings = row->settings;
		struct api api;
		struct error err;
		char *told = NULL;
		size_t size;
		FILE *out = open_memstream(&told, &size);

		settings.api_url = api_url;
		api_open(&api, row->steps, COUNT_OF(row->steps));
		int rc = alerts_deploy(api.prefect, &settings, &deployment, out, &err);
		(void)fclose(out);
		CHECK_RC(row->name, rc, row->rc, &err);
		CHECK_STR(row->name, told, row->told);
		if (rc != 0)
			CHECK_LACKS(row->name, err.text, "topsecret");
		free(told);
		(void)api_close(&api, row->name);
	}
}

UNIT_SUITE("cli/alerts", TEST(makes_the_alerts))
