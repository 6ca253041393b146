/* TOML: whatever the bytes are, a tree or an error of one clean line that names file and line. */
#include "client/base/toml.h"

#include <string.h>

#include "client/base/text.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = fuzz_string(data, size);
	struct toml toml = {0};
	struct error err = {0};
	const char *key;
	json_t *value;

	if (toml_read(text, size, "f", &toml, &err) != 0) {
		MUST(err.code == ERR_DECODE && strncmp(err.text, "f:", 2) == 0 && err.text[2] >= '1' && err.text[2] <= '9');
		fuzz_must_be_clean(err.text, /* lines= */ false);
		return 0;
	}
	MUST(json_is_object(toml.root));
	json_object_foreach(toml.root, key, value)
	{
		unsigned line = 0;
		MUST(toml_get(&toml, &key, 1, &line) == value && line >= 1);
	}
	toml_release(&toml);
	return 0;
}
