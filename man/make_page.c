/* Makes a man page when the program is built: make_page NAME.in >NAME. See cli/manual.h. */
#include <stdio.h>

#include "cli/manual.h"

#define FRAME_MAX (64 * 1024)

int main(int argc, char **argv)
{
	static char frame[FRAME_MAX];
	AUTO_TEXT page = {.max = 1024 * 1024};
	struct error err = {0};

	FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
	size_t len = file != NULL ? fread(frame, 1, sizeof frame - 1, file) : 0;
	if (file == NULL || len == 0 || !feof(file)) {
		fprintf(stderr, "usage: make_page NAME.in >NAME, with a frame of less than %d bytes\n", FRAME_MAX);
		return 2;
	}
	(void)fclose(file);
	if (manual_render(frame, &page, &err) != 0 || page.failed) {
		fprintf(stderr, "%s: %s\n", argv[1], err.code != 0 ? err.text : "the page is too large");
		return 1;
	}
	return fwrite(text_str(&page), 1, page.len, stdout) == page.len && fflush(stdout) == 0 ? 0 : 1;
}
