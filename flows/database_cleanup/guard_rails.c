#include "flows/database_cleanup/guard_rails.h"

#include <inttypes.h>

#include "flows/database_cleanup/agent_setup.h"

#define BROKEN(broken, ...) (text_addf(broken, (broken)->len > 0 ? "; " : ""), text_addf(broken, __VA_ARGS__))

void guard_rails_check(const struct ai_settings *settings, const struct plan *plan, const struct agent_decision *decision,
                       int64_t investigated, struct text *broken)
{
	if (!agent_is_enabled(settings))
		BROKEN(broken, "AI approval is switched off on this worker (PREFECT_JANITOR_AI_ENABLED)");
	if (investigated < 1)
		BROKEN(broken, "the agent approved without one successful investigation of the server");
	if (!(decision->confidence >= settings->min_confidence))
		BROKEN(broken, "the agent's confidence %.3g is below the minimum %.3g (PREFECT_JANITOR_AI_MIN_CONFIDENCE)",
		       decision->confidence, settings->min_confidence);
	if (plan->total > settings->max_runs)
		BROKEN(broken, "%" PRId64 " flow runs are more than the %" PRId64 " that AI may approve at once "
		       "(PREFECT_JANITOR_AI_MAX_RUNS)", plan->total, settings->max_runs);
	if (plan->planned_at - plan->cutoff < settings->min_retention_us)
		BROKEN(broken, "the retention period %.40s is shorter than the %.40s that AI may approve at least "
		       "(PREFECT_JANITOR_AI_MIN_RETENTION)", plan->retention, settings->min_retention);
}

json_t *guard_rails_json(const struct ai_settings *settings)
{
	return json_pack("{s:b, s:f, s:I, s:s?, s:s}", "enabled", agent_is_enabled(settings), "min_confidence",
	                 settings->min_confidence, "max_runs", (json_int_t)settings->max_runs, "min_retention",
	                 settings->min_retention, "mode", settings->mode == AI_MODE_ADVISE ? "advise" : "decide");
}
