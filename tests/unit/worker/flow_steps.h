/* The requests of a flow's context, as steps of a scripted server. */
#ifndef TESTS_UNIT_WORKER_FLOW_STEPS_H
#define TESTS_UNIT_WORKER_FLOW_STEPS_H

#include "tests/unit/worker/flow_run.h"

#define LOOK(type, more) {.method = "GET", .path = "/flow_runs/" OWN_ID, .reply = {.body = OWN_RUN(type, more)}}
#define LOOK_LABELLED(type, labels) \
	{.method = "GET", .path = "/flow_runs/" OWN_ID, .reply = {.body = RUN_LABELLED(type, labels, "")}}
#define INPUT "/flow_runs/" OWN_ID "/input"
#define TAKINGS(list) {.method = "POST", .path = INPUT "/filter", .reply = {.body = "[" list "]"}}
#define TAKING(number, instance)                                                                                 \
	"{\"key\": \"janitor-owner-" number "\", \"value\": \"{\\\"worker\\\": \\\"me\\\", \\\"instance\\\": \\\"" instance \
	"\\\", \\\"progress\\\": \\\"x\\\"}\"}"
#define OURS(number) TAKING(number, OWN_INSTANCE)
#define THEIRS(number) TAKING(number, ID_A)
#define OTHERS THEIRS("1")
#define LET_GO(number) "{\"key\": \"janitor-owner-" number "-let-go\", \"value\": \"{}\"}"
#define SET_STATE "/flow_runs/" OWN_ID "/set_state"
#define ANSWER(verdict, new_state, why) \
	{.status = 201, .body = "{\"status\": \"" verdict "\", \"state\": " new_state ", \"details\": " why "}"}
#define STATE(type) "{\"type\": \"" type "\", \"name\": \"x\", \"timestamp\": \"2026-11-21T06:34:21Z\"}"
#define REFUSED ANSWER("ABORT", "null", "{\"reason\": \"no\"}")

#endif
