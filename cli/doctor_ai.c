/* doctor.h: the settings of the group `ai`. No model and no MCP server is asked: that costs money and time. */
#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#include "cli/doctor.h"
#include "client/mcp/command.h"
#include "flows/database_cleanup/agent_setup.h"

/* Can the MCP server's command be found? */
static int find_command(const char *line, struct error *err)
{
	const char *path = getenv("PATH");
	AUTO_JSON *environment = json_pack("{s:s}", "PATH", path != NULL ? path : "");
	struct command command;

	if (environment == NULL)
		return error_nomem(err);
	int rc = command_make(line, environment, &command, err);
	if (rc == 0)
		command_release(&command);
	return rc;
}

static void describe(const struct ai_settings *ai, struct finding *finding)
{
	finding_set(finding, FINDING_OK, NULL, "%s, model '%.100s', %s: at most %" PRId64 " flow runs, confidence %g or more",
	            agent_provider(ai) == AI_PROVIDER_ANTHROPIC ? "Anthropic" : "OpenAI-compatible", agent_model(ai),
	            ai->mode == AI_MODE_ADVISE ? "advises a person" : "decides", ai->max_runs, ai->min_confidence);
}

void doctor_check_ai(struct doctor *doctor, struct finding *finding)
{
	const struct ai_settings *ai = &doctor->settings->ai;
	struct error err;

	if (!agent_is_enabled(ai) && !doctor->wants_ai)
		finding_set(finding, FINDING_OK, NULL, "off: people decide");
	else if (!agent_is_enabled(ai))
		finding_set(finding, FINDING_FAIL, "set ai.* where the worker runs, or deploy with --param approval_type='\"human\"'",
		            "the deployment asks an AI agent, which is off here: its runs delete nothing");
	else if (!agent_is_configured(ai))
		finding_set(finding, FINDING_FAIL, "set ANTHROPIC_API_KEY, or OPENAI_API_KEY or OPENAI_BASE_URL", "it is on, and there is no key "
		            "and no address of a model server");
	else if (agent_model(ai) == NULL)
		finding_set(finding, FINDING_FAIL, "set PREFECT_JANITOR_AI_MODEL (ai.model)", "it is on, and no model is named");
	else if (ai->mcp_url == NULL && find_command(ai->mcp_command, &err) != 0)
		finding_set(finding, FINDING_FAIL, "install it (uvx is part of uv), or set PREFECT_JANITOR_AI_MCP_COMMAND or "
		            "PREFECT_JANITOR_AI_MCP_URL", "%s", err.text);
	else if (ai->max_runs == 0)
		finding_set(finding, FINDING_WARN, "set PREFECT_JANITOR_AI_MAX_RUNS (ai.max_runs)", "a model may approve no flow run at all");
	else if (ai->min_confidence <= 0)
		finding_set(finding, FINDING_WARN, "set PREFECT_JANITOR_AI_MIN_CONFIDENCE (ai.min_confidence)", "an approval counts however "
		            "unsure the model is");
	else
		describe(ai, finding);
}
