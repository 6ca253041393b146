/* One at a time: what becomes of a run whose place in the queue cannot be noted. */
#include "flows/flow.h"
#include "tests/unit/worker/flow_steps.h"

#define LABELS_OF_RUN "/flow_runs/" OWN_ID "/labels"
#define FLOW_RUNS "/flow_runs/filter"

/* The server refuses the label for good: the body is not started again and again, the run ends and says why. */
static void ends_a_run_that_cannot_queue(void)
{
	static const struct {
		const char *name;
		int status;
		const char *words; /* of the refusal, in the final state */
	} rows[] = {{"422", 422, "label values are too long"}, {"400", 400, "label values are too long"}, {"413", 413, "HTTP 413"}};
	static const struct question answered = {.asked = true, .number = 1, .answered_at = 60000000};

	EACH(row, rows)
	{
		const struct http_step steps[] = {
			{.method = "PATCH", .path = LABELS_OF_RUN, .body = "janitor.approved",
			 .reply = {.status = row->status, .body = "{\"detail\": \"label values are too long\"}"}},
			LOOK("RUNNING", ""),
			{.method = "POST", .path = SET_STATE, .body = row->words, .reply = ANSWER("ACCEPT", STATE("FAILED"), "{}")},
		};
		struct unit_flow flow;

		unit_flow_open(&flow, http_server_script(steps, COUNT_OF(steps)), NULL, &answered);
		CHECK(row->name, !flow_has_turn(flow.ctx) && flow_halted(flow.ctx));
		CHECK_INT(row->name, flow_halt(flow.ctx, "deleted 0 of 7 flow runs"), FLOW_DONE);
		CHECK(row->name, unit_flow_logged(&flow, "deleted 0 of 7 flow runs"));
		CHECK(row->name, !unit_flow_logged(&flow, "stops"));
		(void)unit_flow_close(&flow, row->name);
	}
}

UNIT_SUITE("worker/flow_turn", TEST(ends_a_run_that_cannot_queue))
