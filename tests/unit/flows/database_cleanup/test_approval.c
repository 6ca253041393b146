#include "flows/database_cleanup/approval.h"

#include <string.h>

#include "tests/unit/unit.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SHOWN "Plan `sha256:" DIGEST "`"

#define NO_FORM "the run was resumed without the form"
#define NOT_THE_FORM "the submitted input is not what the form asks for"
#define OTHER_PLAN "the stored plan is not the one that was shown"

static void judges_strictly(void)
{
	static const struct {
		const char *name;
		const char *answer; /* JSON; NULL: no answer */
		const char *description;
		bool approved;
		const char *notes;
	} rows[] = {
		{"yes to this plan", "{\"approve\": true, \"notes\": \"go\", \"plan\": \"" DIGEST "\"}", SHOWN, true, "go"},
		{"yes to this plan, without notes", "{\"approve\": true, \"plan\": \"" DIGEST "\"}", SHOWN, true, ""},
		{"yes to another plan", "{\"approve\": true, \"plan\": \"1123\"}", SHOWN, false, "the answer is about another plan"},
		{"yes to no plan", "{\"approve\": true, \"plan\": \"\"}", SHOWN, false, "the answer is about another plan"},
		{"a plan that is no text", "{\"approve\": true, \"plan\": 1}", SHOWN, false, NOT_THE_FORM},
		{"no to another plan", "{\"approve\": false, \"notes\": \"n\", \"plan\": \"1123\"}", SHOWN, false, "n"},
		{"yes", "{\"approve\": true, \"notes\": \"go\"}", SHOWN, true, "go"},
		{"yes without notes", "{\"approve\": true}", SHOWN, true, ""},
		{"yes with empty notes", "{\"approve\": true, \"notes\": \"\"}", SHOWN, true, ""},
		{"no", "{\"approve\": false, \"notes\": \"not today\"}", SHOWN, false, "not today"},
		{"no without notes", "{\"approve\": false}", SHOWN, false, ""},
		{"no needs no plan", "{\"approve\": false, \"notes\": \"n\"}", NULL, false, "n"},
		{"no answer", NULL, SHOWN, false, NO_FORM},
		{"an empty answer", "{}", SHOWN, false, NOT_THE_FORM},
		{"only notes", "{\"notes\": \"yes\"}", SHOWN, false, NOT_THE_FORM},
		{"text", "{\"approve\": \"true\"}", SHOWN, false, NOT_THE_FORM},
		{"a number", "{\"approve\": 1}", SHOWN, false, NOT_THE_FORM},
		{"null", "{\"approve\": null}", SHOWN, false, NOT_THE_FORM},
		{"a list", "{\"approve\": [true]}", SHOWN, false, NOT_THE_FORM},
		{"another case", "{\"Approve\": true}", SHOWN, false, NOT_THE_FORM},
		{"more than the form has", "{\"approve\": true, \"notes\": \"\", \"force\": true}", SHOWN, false, NOT_THE_FORM},
		{"more in place of the notes", "{\"approve\": true, \"force\": true}", SHOWN, false, NOT_THE_FORM},
		{"notes that are null", "{\"approve\": true, \"notes\": null}", SHOWN, false, NOT_THE_FORM},
		{"notes that are a number", "{\"approve\": true, \"notes\": 1}", SHOWN, false, NOT_THE_FORM},
		{"no object", "true", SHOWN, false, NOT_THE_FORM},
		{"JSON null", "null", SHOWN, false, NOT_THE_FORM},
		{"a list of it", "[{\"approve\": true}]", SHOWN, false, NOT_THE_FORM},
		{"another plan was shown", "{\"approve\": true, \"notes\": \"go\"}", "Plan `sha256:00` |", false, OTHER_PLAN},
		{"no description", "{\"approve\": true}", NULL, false, OTHER_PLAN},
		{"an empty description", "{\"approve\": true}", "", false, OTHER_PLAN},
		{"the digest in other letters", "{\"approve\": true}",
		 "sha256:0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF", false, OTHER_PLAN},
	};
	const struct plan plan = {.digest = DIGEST};

	EACH(row, rows)
	{
		AUTO_JSON *answer = row->answer != NULL ? unit_json(row->answer) : NULL;
		struct decision decision;
		struct error err;

		if (!CHECK_RC(row->name, approval_judge(answer, row->description, &plan, &decision, &err), 0, &err))
			continue;
		CHECK_INT(row->name, decision.approved, row->approved);
		CHECK_STR(row->name, decision.notes, row->notes);
		decision_release(&decision);
		CHECK(row->name, decision.notes == NULL);
	}
}

static void keeps_so_much_of_the_notes(void)
{
	const struct plan plan = {.digest = DIGEST};
	static char notes[3 * 4000];
	struct decision decision;
	struct error err;

	for (size_t i = 0; i + 3 < sizeof notes; i += 3)
		memcpy(notes + i, "\u20ac", 4);
	AUTO_JSON *answer = json_pack("{s:b, s:s}", "approve", 1, "notes", notes);
	CHECK_RC("long", approval_judge(answer, SHOWN, &plan, &decision, &err), 0, &err);
	CHECK("approved all the same", decision.approved);
	CHECK_INT("whole characters", strlen(decision.notes), 3999);
	decision_release(&decision);
}

UNIT_SUITE("flows/database_cleanup/approval", TEST(judges_strictly), TEST(keeps_so_much_of_the_notes))
