#include "client/base/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int file_read(const char *file, struct text *out, struct error *err)
{
	char part[4096];
	size_t len;

	FILE *in = fopen(file, "re");
	if (in == NULL)
		return error_set(err, errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_SYSTEM, "'%.400s' cannot be read: %s",
		                 file, strerror(errno));
	while ((len = fread(part, 1, sizeof part, in)) > 0)
		text_add(out, part, len);
	int failed = ferror(in) != 0 ? errno : 0;
	(void)fclose(in);
	explicit_bzero(part, sizeof part);
	if (failed != 0)
		return error_set(err, ERR_SYSTEM, "'%.400s' cannot be read: %s", file, strerror(failed));
	if (out->failed)
		return error_set(err, ERR_SYSTEM, "'%.400s' has more than %zu bytes, or memory is short", file, out->max);
	return 0;
}
