/* .env: whatever the bytes are, an object of texts and nulls, or an error. */
#include "client/base/dotenv.h"

#include "client/base/text.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = fuzz_string(data, size);
	json_t *values = NULL;
	unsigned bad_line = 0;
	struct error err = {0};
	const char *name;
	json_t *value;

	if (dotenv_read(text, size, &values, &bad_line, &err) != 0) {
		MUST(err.code == ERR_DECODE || err.code == ERR_NOMEM); /* a text of texts may grow beyond all bounds */
		return 0;
	}
	json_object_foreach(values, name, value)
		MUST(*name != '\0' && (json_is_string(value) || json_is_null(value)));
	json_decref(values);
	return 0;
}
