#include "cli/who.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/base/text.h"

const char *who_am_i(char buf[WHO_SIZE])
{
	char host[64] = "host";
	char raw[WHO_SIZE];
	const struct passwd *user = getpwuid(getuid());

	(void)gethostname(host, sizeof host - 1);
	if (user != NULL)
		(void)snprintf(raw, sizeof raw, "%.80s@%s", user->pw_name, host);
	else
		(void)snprintf(raw, sizeof raw, "uid %u@%s", (unsigned)getuid(), host);
	text_clean(buf, WHO_SIZE, raw, strlen(raw));
	return buf;
}
