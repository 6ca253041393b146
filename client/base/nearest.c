#include "client/base/nearest.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 60

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static int fold(char c)
{
	return tolower((unsigned char)c);
}

/* Letters to change, add, take away or swap with the next one (optimal string alignment). */
static size_t distance(const char *a, size_t len, const char *b, size_t other_len)
{
	size_t rows[WORD_MAX + 1][WORD_MAX + 1];

	for (size_t i = 0; i <= len; i++)
		rows[i][0] = i;
	for (size_t k = 0; k <= other_len; k++)
		rows[0][k] = k;
	for (size_t i = 1; i <= len; i++) {
		for (size_t k = 1; k <= other_len; k++) {
			bool same = fold(a[i - 1]) == fold(b[k - 1]);

			rows[i][k] = least(least(rows[i - 1][k], rows[i][k - 1]) + 1, rows[i - 1][k - 1] + !same);
			if (i > 1 && k > 1 && fold(a[i - 1]) == fold(b[k - 2]) && fold(a[i - 2]) == fold(b[k - 1]))
				rows[i][k] = least(rows[i][k], rows[i - 2][k - 2] + 1);
		}
	}
	return rows[len][other_len];
}

void nearest_offer(struct nearest *nearest, const char *word)
{
	size_t len = strlen(nearest->to);
	size_t other_len = strlen(word);
	size_t most = len / 3 > 1 ? len / 3 : 1;

	if (len < 2 || len > WORD_MAX || other_len > WORD_MAX)
		return;
	size_t far = distance(nearest->to, len, word, other_len);
	if (far > most || (nearest->best != NULL && far >= nearest->distance))
		return;
	nearest->best = word;
	nearest->distance = far;
}

const char *nearest_hint(const struct nearest *nearest, const char *prefix, char buf[NEAREST_SIZE])
{
	buf[0] = '\0';
	if (nearest->best != NULL)
		(void)snprintf(buf, NEAREST_SIZE, "; did you mean '%s%.80s'?", prefix, nearest->best);
	return buf;
}
