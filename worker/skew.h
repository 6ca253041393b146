/* The difference between the server's clock and this machine's, as one speaker tells it: once per change, and not per
 * answer. Everything goes by the server's clock whatever the difference is (client/prefect/prefect.h); it is told since
 * this machine's own log, and whoever reads it, goes by the other one.
 * Thread rule: a struct skew belongs to its speaker. */
#ifndef WORKER_SKEW_H
#define WORKER_SKEW_H

#include <stdint.h>

struct skew {
	int64_t told_us; /* server's clock minus ours, as it was last told; 0: they agree */
};

enum skew_news { SKEW_NO_NEWS, SKEW_CHANGED, SKEW_AGREES };

/* Notes the difference as it is now. SKEW_CHANGED: it is more than a minute, and that is news; SKEW_AGREES: it was told,
 * and the clocks agree again. */
enum skew_news skew_note(struct skew *skew, int64_t ahead_us);

#endif
