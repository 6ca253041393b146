#include "client/prefect/version.h"

#include <stdio.h>
#include <string.h>

#include "client/base/text.h"

/* Defined by the Makefile, from the names of the lock files. */
const char version_tested[] = PREFECT_TESTED;
const char version_oldest[] = PREFECT_OLDEST;
const char version_newest[] = PREFECT_NEWEST;

/* The numbers of "3.9.1", also of "3.10.0rc1". */
struct numbers {
	int part[3];
};

static bool read_numbers(const char *text, struct numbers *ret_numbers)
{
	int *part = ret_numbers->part;

	return sscanf(text, "%5d.%5d.%5d", &part[0], &part[1], &part[2]) == 3;
}

static int compare(const struct numbers *numbers, const char *other)
{
	struct numbers others = {{0}};

	(void)read_numbers(other, &others);
	for (int i = 0; i < 3; i++)
		if (numbers->part[i] != others.part[i])
			return numbers->part[i] < others.part[i] ? -1 : 1;
	return 0;
}

enum version_standing version_stand(const char *version)
{
	struct numbers numbers;

	if (!read_numbers(version, &numbers))
		return VERSION_UNKNOWN;
	if (numbers.part[0] < 3)
		return VERSION_BEFORE_3;
	if (compare(&numbers, version_oldest) < 0)
		return VERSION_OLDER;
	return compare(&numbers, version_newest) > 0 ? VERSION_NEWER : VERSION_COVERED;
}

int version_read(struct prefect *prefect, char ret_version[VERSION_SIZE], struct error *err)
{
	AUTO_JSON *answer = NULL;

	int rc = prefect_get(prefect, &answer, err, "/admin/version");
	if (rc != 0 && rc != ERR_NO_ROUTE && rc != ERR_NOT_FOUND)
		return rc;
	const char *version = json_is_string(answer) ? json_string_value(answer) : "";
	text_clean(ret_version, VERSION_SIZE, version, strlen(version));
	return 0;
}
