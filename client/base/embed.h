/* Files that are compiled in (schemas, templates, texts): the Makefile links each file of EMBED_FILES as
 * it is, under a symbol made from its path. */
#ifndef BASE_EMBED_H
#define BASE_EMBED_H

#include <stddef.h>

/* EMBED_DECLARE(flows_x_y_json) at file scope, then EMBED_DATA and EMBED_SIZE of the same name.
 * The bytes are not NUL-terminated. */
#define EMBED_DECLARE(name)                     \
	extern const char _binary_##name##_start[]; \
	extern const char _binary_##name##_end[]
#define EMBED_DATA(name) (_binary_##name##_start)
#define EMBED_SIZE(name) ((size_t)(_binary_##name##_end - _binary_##name##_start))

#endif
