#include "worker/skew.h"

#include <stdlib.h>

#include "client/base/clock.h"

#define MINUTE_US (60 * US_PER_SEC)
/* Not the same minute for both, or a difference of just about one would be told again and again. */
#define AGREES_US (MINUTE_US / 2)

enum skew_news skew_note(struct skew *skew, int64_t ahead_us)
{
	int64_t size = llabs(ahead_us);
	int64_t change = llabs(ahead_us - skew->told_us);

	if (skew->told_us != 0 && size < AGREES_US) {
		skew->told_us = 0;
		return SKEW_AGREES;
	}
	if (size <= MINUTE_US || change < MINUTE_US)
		return SKEW_NO_NEWS;
	skew->told_us = ahead_us;
	return SKEW_CHANGED;
}
