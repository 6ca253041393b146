#include "worker/skew.h"

#include "client/base/clock.h"
#include "tests/unit/unit.h"

/* One difference after the other, in seconds: what is news. */
static void tells_once_per_change(void)
{
	static const struct {
		const char *name;
		int64_t ahead_s;
		enum skew_news news;
	} rows[] = {
		{"they agree", 0, SKEW_NO_NEWS},
		{"a little", 59, SKEW_NO_NEWS},
		{"a minute", 60, SKEW_NO_NEWS},
		{"more than a minute", 61, SKEW_CHANGED},
		{"the same", 61, SKEW_NO_NEWS},
		{"a little less", 58, SKEW_NO_NEWS},
		{"about half a minute", 30, SKEW_NO_NEWS},
		{"they agree again", 29, SKEW_AGREES},
		{"that is told once", 0, SKEW_NO_NEWS},
		{"a day behind", -86400, SKEW_CHANGED},
		{"what the header scatters", -86398, SKEW_NO_NEWS},
		{"a minute less", -86340, SKEW_CHANGED},
		{"a day ahead", 86400, SKEW_CHANGED},
		{"right at once", 0, SKEW_AGREES},
	};
	struct skew skew = {0};

	EACH(row, rows)
		CHECK_INT(row->name, skew_note(&skew, row->ahead_s * US_PER_SEC), row->news);
}

UNIT_SUITE("worker/skew", TEST(tells_once_per_change))
