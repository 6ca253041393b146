/* The nearest of some words to one that was misspelt, for "did you mean". Thread rule: a struct nearest belongs to its caller. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>

/* Zero-initialise with the word: `struct nearest nearest = {.to = word}`. */
struct nearest {
	const char *to;   /* borrowed */
	const char *best; /* borrowed; NULL: none is near */
	size_t distance;
};

/* Offers one word (borrowed). It is near where few letters differ, are missing, too many or in the wrong order: one in a short
 * word, at most a third of a long one; upper and lower case are the same. */
void nearest_offer(struct nearest *nearest, const char *word);

#define NEAREST_SIZE 120
/* "; did you mean 'WORD'?", with @prefix before the word, or "" where none is near. Returns @buf. */
const char *nearest_hint(const struct nearest *nearest, const char *prefix, char buf[NEAREST_SIZE]);

#endif
