# prefect-janitor: make, make check, make demo, make bench. `make help` lists the rest.
#
# BUILD picks the kind: (empty) release, asan (AddressSanitizer and UndefinedBehaviorSanitizer), tsan
# (ThreadSanitizer), coverage, fuzz (clang, for tests/fuzz). Each has a folder of its own under build/. WERROR=1 makes warnings errors.

VERSION := 0.1.0
BUILD ?=
OUT := build$(if $(BUILD),/$(BUILD))
CC := gcc
PACKAGES := libcurl jansson libconfig libcrypto libmicrohttpd uuid

WARNINGS := -Wall -Wextra -Wconversion -Wcast-qual -Wformat=2 -Wformat-signedness -Wmissing-prototypes \
            -Wstrict-prototypes -Wvla -Wwrite-strings -Wshadow -Wundef $(if $(WERROR),-Werror)
HARDENING := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
KIND_ := -O2 $(HARDENING)
KIND_asan := -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
KIND_tsan := -O1 -fno-omit-frame-pointer -fsanitize=thread
KIND_coverage := -O0 --coverage
KIND_fuzz := -O1 -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined \
             -Wno-unknown-warning-option
ifeq ($(BUILD),fuzz)
CC := clang
endif
CFLAGS := -std=c11 -g -pthread -D_GNU_SOURCE -DJANITOR_VERSION='"$(VERSION)"' -I. -MMD -MP \
          $(WARNINGS) $(KIND_$(BUILD)) $(shell pkg-config --cflags $(PACKAGES))
LDFLAGS := -pthread $(KIND_$(BUILD)) $(if $(BUILD),,-pie -Wl,-z,relro,-z,now -Wl,--as-needed)
LDLIBS := $(shell pkg-config --libs $(PACKAGES)) -lm

# What was tested is what scripts/prefect-servers has lock files for.
comma := ,
space := $(subst ,, )
TESTED := $(shell basename -s .txt scripts/prefect-servers/*.txt | sort --version-sort)

SOURCES := $(wildcard client/*/*.c flows/*.c flows/*/*.c worker/*.c cli/*.c)
EMBED_FILES := $(wildcard flows/*/*.json flows/*/*.md worker/*.json cli/*/*.json)
OBJECTS := $(SOURCES:%.c=$(OUT)/%.o) $(EMBED_FILES:%=$(OUT)/%.o)
UNIT_SOURCES := $(wildcard tests/unit/*.c tests/unit/*/*.c tests/unit/*/*/*.c)
UNIT_OBJECTS := $(UNIT_SOURCES:%.c=$(OUT)/%.o)

MAN_PAGES := $(patsubst man/%.in,$(OUT)/man/%,$(wildcard man/*.in))

# Failing allocations are counted by the linker's --wrap; waits take no time there.
INJECTION_SOURCES := $(wildcard tests/injection/*.c)
INJECTION_OBJECTS := $(INJECTION_SOURCES:%.c=$(OUT)/%.o) $(patsubst %,$(OUT)/tests/unit/%.o,unit http_server api \
                     flows/database_cleanup/server_of_runs)
INJECTION_WRAPS := malloc calloc realloc strdup strndup vasprintf stop_wait stop_wait_nudged

.PHONY: all unit injection fuzz fuzzers coverage check check-faults demo bench stall torture headers install clean help
.DELETE_ON_ERROR:
.SECONDARY:

all: $(OUT)/prefect-janitor $(MAN_PAGES)

$(OUT)/prefect-janitor: $(OBJECTS)
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$(OUT)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -c -o $@ $<

$(OUT)/client/prefect/version.o: scripts/prefect-servers
$(OUT)/client/prefect/version.o: CFLAGS += -DPREFECT_TESTED='"$(subst $(space),$(comma)$(space),$(TESTED))"' \
	-DPREFECT_OLDEST='"$(firstword $(TESTED))"' -DPREFECT_NEWEST='"$(lastword $(TESTED))"'

# A file as it is, under a symbol made from its path: client/base/embed.h
$(EMBED_FILES:%=$(OUT)/%.o): $(OUT)/%.o: %
	@mkdir -p $(@D)
	ld -r -b binary -z noexecstack -o $@ $<

$(OUT)/unit-tests: $(UNIT_OBJECTS) $(filter-out $(OUT)/cli/main.o,$(OBJECTS))
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS) -lcunit

# The options in them are those of the program: cli/manual.h
$(MAN_PAGES): $(OUT)/man/%: man/%.in $(OUT)/man/make_page
	$(OUT)/man/make_page $< >$@

$(OUT)/man/make_page: $(OUT)/man/make_page.o $(filter-out $(OUT)/cli/main.o,$(OBJECTS))
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

# The MCP client alone, for tests/integration/test_mcp.py.
$(OUT)/mcp-client: $(OUT)/tests/integration/mcp_client.o $(filter $(OUT)/client/base/%.o $(OUT)/client/mcp/%.o,$(OBJECTS))
	$(CC) $(LDFLAGS) -o $@ $^ $(LDLIBS)

unit: $(OUT)/unit-tests ## unit tests of this BUILD
	$(OUT)/unit-tests

$(OUT)/injection-tests: $(INJECTION_OBJECTS) $(filter-out $(OUT)/cli/main.o,$(OBJECTS))
	$(CC) $(LDFLAGS) $(INJECTION_WRAPS:%=-Wl,--wrap=%) -o $@ $^ $(LDLIBS) -lcunit

injection: $(OUT)/injection-tests ## a whole run with the Nth allocation and the Nth request failing, for every N
	$(OUT)/injection-tests

# Their requests go nowhere: tests/fuzz/fuzz.h
FUZZ_SOURCES := $(wildcard tests/fuzz/*.c)
FUZZERS := $(patsubst tests/fuzz/%.c,$(OUT)/%,$(filter-out tests/fuzz/fuzz.c,$(FUZZ_SOURCES)))
fuzzers: $(FUZZERS)

$(FUZZERS): $(OUT)/%: $(OUT)/tests/fuzz/%.o $(OUT)/tests/fuzz/fuzz.o $(filter-out $(OUT)/cli/main.o,$(OBJECTS))
	$(CC) $(LDFLAGS) -fsanitize=fuzzer -Wl,--wrap=http_call -o $@ $^ $(LDLIBS)

fuzz: ## every fuzz target, FUZZ_SECONDS (60) for all together
	scripts/fuzz

INTEGRATION ?= 1
coverage: ## line coverage of the unit tests, and (INTEGRATION=1) of the integration tests
	scripts/coverage $(INTEGRATION)

headers: ## every header compiles alone
	@for h in $$(git ls-files '*.h'); do \
		$(CC) $(CFLAGS) -MF /dev/null -fsyntax-only -x c $$h || exit 1; done

check: ## everything: scripts/check
	scripts/check

check-faults: all ## every fault at every moment, into docs/faults.md; half an hour
	scripts/server install --with tests/requirements.txt
	.prefect/venv-$$(basename -s .txt scripts/prefect-servers/*.txt | sort --version-sort | tail -n 1)/bin/python \
		tests/integration/faults.py

demo: ## the whole path on a server of its own: scripts/demo
	scripts/demo

bench: all ## speed and memory, as a table
	scripts/bench

stall: all ## how long a default server stands still while twenty cleanups begin at once: scripts/stall
	scripts/stall

torture: all ## everything at once on a real server; MINUTES=5, SEED= to have a run again, PREFECT_DATABASE=postgres
	scripts/torture $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED))

PREFIX ?= /usr/local
install: all ## to PREFIX, /usr/local by default
	install -D -m 755 $(OUT)/prefect-janitor $(DESTDIR)$(PREFIX)/bin/prefect-janitor
	install -D -m 644 $(OUT)/man/prefect-janitor.1 $(DESTDIR)$(PREFIX)/share/man/man1/prefect-janitor.1
	install -D -m 644 $(OUT)/man/prefect-janitor.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5/prefect-janitor.conf.5
	$(OUT)/prefect-janitor completion bash >$(OUT)/completion.bash
	$(OUT)/prefect-janitor completion zsh >$(OUT)/completion.zsh
	install -D -m 644 $(OUT)/completion.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/prefect-janitor
	install -D -m 644 $(OUT)/completion.zsh $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_prefect-janitor
	install -D -m 644 conf/prefect-janitor.conf $(DESTDIR)$(PREFIX)/share/doc/prefect-janitor/prefect-janitor.conf
	install -D -m 644 conf/prefect-janitor.service $(DESTDIR)$(PREFIX)/share/doc/prefect-janitor/prefect-janitor.service

clean: ## remove build/
	rm -rf build

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

-include $(OBJECTS:.o=.d) $(UNIT_OBJECTS:.o=.d) $(INJECTION_OBJECTS:.o=.d) $(FUZZ_SOURCES:%.c=$(OUT)/%.d) \
	$(OUT)/tests/integration/mcp_client.d $(OUT)/man/make_page.d
