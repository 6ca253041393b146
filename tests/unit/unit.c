/* Runs the suites: all of them, or those whose name contains the argument. */
#include "tests/unit/unit.h"

#include <CUnit/Basic.h>
#include <locale.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/base/clock.h"
#include "client/base/http.h"
#include "client/base/json.h"
#include "client/base/log.h"

/* A test that hangs must end, and not as a success. Each has this time for itself: on a busy machine all of them together
 * take longer. */
#define HANG_S 300
#define TEXT_SIZE 2048

static struct unit_suite *suites;

int64_t unit_clock_ms;
int64_t unit_clock_step_ms;

int64_t unit_mono_ms(void)
{
	return unit_clock_ms += unit_clock_step_ms;
}

int64_t unit_now_us(void)
{
	return unit_mono_ms() * 1000;
}

void unit_add(struct unit_suite *suite)
{
	struct unit_suite **at = &suites;

	while (*at != NULL && strcmp((*at)->name, suite->name) < 0)
		at = &(*at)->next;
	suite->next = *at;
	*at = suite;
}

bool unit_check(bool ok, const char *file, int line, const char *fmt, ...)
{
	char text[TEXT_SIZE];
	va_list args;

	va_start(args, fmt);
	(void)vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	for (char *c = text; *c != '\0'; c++) /* whatever a row holds, the output stays readable */
		if ((*c < ' ' && *c != '\n') || *c == 0x7f)
			*c = '?';
	return CU_assertImplementation(ok, (unsigned)line, text, file, "", CU_FALSE);
}

bool unit_check_int(const char *file, int line, const char *row, const char *what, int64_t got, int64_t want)
{
	return unit_check(got == want, file, line, "%s: %s is %lld, not %lld", row, what, (long long)got, (long long)want);
}

bool unit_check_str(const char *file, int line, const char *row, const char *what, const char *got, const char *want)
{
	bool same = got == NULL || want == NULL ? got == want : strcmp(got, want) == 0;

	return unit_check(same, file, line, "%s: %s is '%s', not '%s'", row, what, got != NULL ? got : "(null)",
	                  want != NULL ? want : "(null)");
}

bool unit_check_has(const char *file, int line, const char *row, const char *text, const char *part, bool wanted)
{
	bool has = text != NULL && strstr(text, part) != NULL;

	return unit_check(has == wanted, file, line, "%s: '%s' %s '%s'", row, text != NULL ? text : "(null)",
	                  has ? "has" : "lacks", part);
}

bool unit_check_json(const char *file, int line, const char *row, const json_t *got, const char *want)
{
	AUTO_JSON *wanted = unit_json(want);
	char *text = json_dumps(got, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);

	bool same = unit_check(got != NULL && json_equal(got, wanted), file, line, "%s: got %s, not %s", row,
	                       text != NULL ? text : "nothing", want);
	free(text);
	return same;
}

bool unit_check_rc(const char *file, int line, const char *row, int rc, int want, const struct error *err)
{
	return unit_check(rc == want, file, line, "%s: returned %d, not %d; %s", row, rc, want, rc != 0 ? err->text : "");
}

json_t *unit_json(const char *text)
{
	json_error_t why;
	json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);

	if (json == NULL) {
		fprintf(stderr, "a test's own JSON is wrong: %s: %s\n", why.text, text);
		abort();
	}
	return json;
}

static void before_test(void)
{
	(void)alarm(HANG_S);
}

static unsigned register_suites(const char *only)
{
	unsigned count = 0;

	for (const struct unit_suite *s = suites; s != NULL; s = s->next) {
		if (only != NULL && strstr(s->name, only) == NULL)
			continue;
		CU_pSuite suite = CU_add_suite_with_setup_and_teardown(s->name, NULL, NULL, before_test, NULL);
		for (size_t i = 0; suite != NULL && i < s->count; i++)
			if (CU_add_test(suite, s->tests[i].name, s->tests[i].run) != NULL)
				count++;
	}
	return count;
}

int main(int argc, char **argv)
{
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	(void)setlocale(LC_CTYPE, "C.UTF-8"); /* as main() does */
	log_set_level(LOG_LEVEL_CRITICAL + 1);
	if (http_init(NULL) != 0 || CU_initialize_registry() != CUE_SUCCESS)
		return 2;

	unsigned tests = register_suites(argc > 1 ? argv[1] : NULL);
	if (tests == 0) {
		fprintf(stderr, "no suite is called '%s'; there are:\n", argc > 1 ? argv[1] : "");
		for (const struct unit_suite *s = suites; s != NULL; s = s->next)
			fprintf(stderr, "  %s\n", s->name);
		return 2;
	}
	CU_basic_set_mode(CU_BRM_VERBOSE);
	bool ran = CU_basic_run_tests() == CUE_SUCCESS;
	unsigned failed = CU_get_number_of_tests_failed();

	/* What did not run has not passed. */
	failed += tests - CU_get_number_of_tests_run();
	ran = ran && CU_get_number_of_suites_failed() == 0;
	CU_cleanup_registry();
	http_cleanup();
	printf("\nunit: %u passed, %u failed\n", tests - failed, failed);
	return ran && failed == 0 ? 0 : 1;
}
