/* Times and durations. */
#include <string.h>

#include "client/base/duration.h"
#include "client/base/text.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE char *text = fuzz_string(data, size);
	char buf[TIME_TEXT_SIZE];
	struct error err;
	int64_t us;
	time_us time;
	time_us again;
	double seconds;

	if (duration_parse(text, &us, &err) != 0)
		fuzz_must_be_clean(err.text, /* lines= */ false);
	else
		fuzz_must_be_clean(span_format(us / 1000, buf), /* lines= */ false);
	if (time_parse(text, &time)) {
		fuzz_must_be_clean(time_format_human(time, buf), /* lines= */ false);
		/* An offset can lead out of the years that can be written. */
		if (time >= TIME_MIN_US && time <= TIME_MAX_US)
			MUST(time_parse(time_format(time, buf), &again) && again == time);
	}
	if (size >= sizeof seconds) {
		memcpy(&seconds, data, sizeof seconds);
		if (duration_from_seconds(seconds, &us, &err) != 0)
			fuzz_must_be_clean(err.text, /* lines= */ false);
	}
	return 0;
}
