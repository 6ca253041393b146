/* Allocations that fail when they are told to, and waits that take no time.
 *
 * The linker's --wrap puts these functions in place of malloc() and its like, of stop_wait() and stop_wait_nudged(), for
 * our own code, which hands malloc() on to jansson; libcurl gets them through its own setting. What waits, moves a clock of milliseconds on,
 * which clock_fake() shows to all. Thread rule: any thread; the counters are atomic. */
#ifndef TESTS_INJECTION_FAILING_H
#define TESTS_INJECTION_FAILING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Makes libcurl and the clock use this. Before http_init(). */
void failing_install(void);

/* The calling thread is not part of what is tested: its allocations are neither counted nor failed. */
void failing_exempt(bool exempt);

/* Counts from 0 again; the @nth allocation (from 1) fails, 0: none. */
void failing_arm(size_t nth);
/* How many there were since, and whether the one that was to fail did. */
size_t failing_count(void);
bool failing_happened(void);

/* While it is on, and none is to fail: notes for every allocation (up to @max of them) whether its call stack is one that
 * was never seen before. Then, for the @nth, whether it was; failing_forget() ends it, and keeps what was seen. */
void failing_learn(size_t max);
bool failing_is_new(size_t nth);
void failing_forget(void);

/* The clock. */
int64_t failing_now_ms(void);
void failing_pass(int64_t ms);

#endif
