/* The end. */
#include <string.h>

#include "tests/unit/worker/flow_steps.h"

static void proposes_the_end(void)
{
	static const struct {
		const char *name;
		struct http_step steps[4];
		enum flow_outcome outcome;
	} rows[] = {
		{"completed with a result",
		 {LOOK("RUNNING", ""),
		  {.method = "POST", .path = SET_STATE,
		   .body = "{\"type\":\"COMPLETED\",\"name\":\"Completed\",\"message\":\"done\",\"data\":{\"n\":1}",
		   .reply = ANSWER("ACCEPT", STATE("COMPLETED"), "{}")}}, FLOW_DONE},
		{"not over the head of a cancellation",
		 {LOOK("CANCELLING", ""),
		  {.method = "POST", .body = "\"type\":\"CANCELLED\",\"name\":\"Cancelled\",\"message\":\"cancelled: done\"",
		   .reply = ANSWER("ACCEPT", STATE("CANCELLED"), "{}")}}, FLOW_DONE},
		{"cancelled at the last moment",
		 {LOOK("RUNNING", ""),
		  {.method = "POST", .body = "\"type\":\"COMPLETED\"", .reply = ANSWER("REJECT", STATE("CANCELLING"), "{\"reason\": \"r\"}")},
		  {.method = "POST", .body = "\"type\":\"CANCELLED\"", .reply = ANSWER("ACCEPT", STATE("CANCELLED"), "{}")}}, FLOW_DONE},
		{"refused, and still Running", {LOOK("RUNNING", ""), {.method = "POST", .reply = REFUSED}, LOOK("RUNNING", "")}, FLOW_LEFT},
		{"refused, and ended meanwhile", {LOOK("RUNNING", ""), {.method = "POST", .reply = REFUSED}, LOOK("FAILED", "")}, FLOW_DONE},
		{"gone meanwhile", {LOOK("RUNNING", ""), {.method = "POST", .reply = GONE}}, FLOW_DONE},
		{"deleted before", {{.method = "GET", .reply = GONE}}, FLOW_DONE},
		{"better without the words than not at all",
		 {LOOK("RUNNING", ""), {.method = "POST", .body = "\"message\":\"done\"", .reply = {.status = 422}},
		  {.method = "POST", .body = "\"type\":\"COMPLETED\",\"name\":\"Completed\",\"message\":null,\"data\":null",
		   .reply = ANSWER("ACCEPT", STATE("COMPLETED"), "{}")}}, FLOW_DONE},
	};

	EACH(row, rows)
	{
		struct unit_flow flow;

		unit_flow_open_steps(&flow, row->steps, COUNT_OF(row->steps), NULL, NULL);
		CHECK_INT(row->name, flow_finish(flow.ctx, STATE_COMPLETED, "done", unit_json("{\"n\": 1}")), row->outcome);
		(void)unit_flow_close(&flow, row->name);
	}
}

UNIT_SUITE("worker/flow_state", TEST(proposes_the_end))
