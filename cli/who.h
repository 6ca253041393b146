/* Who sits at this terminal, for what is kept of a decision. Thread rule: main thread only. */
#ifndef CLI_WHO_H
#define CLI_WHO_H

#define WHO_SIZE 160

/* "user@host", as this machine knows them: made harmless, and no proof. */
const char *who_am_i(char buf[WHO_SIZE]);

#endif
