# gradd: make run, make test. `make help` lists the rest.

# ---- knobs ---------------------------------------------------------------------------------------
CC         ?= cc
PKG_CONFIG ?= pkg-config
PREFIX     ?= /usr/local
# debug release asan tsan fuzz
VARIANT    ?= release
# which tests: folders under tests/, and "scripts" for tests/*.sh
RINGS      ?= engine storage api server scripts
# and of these under tsan, where the others show nothing and last long: those that run threads
TSAN_TESTS ?= engine/test_crew storage/test_store_commit storage/test_store_backup storage/test_store_crash storage/test_store_here storage/test_store_patient server/test_%
# seconds for each fuzzer of fuzz-smoke
FUZZ_TIME  ?= 15
# how often make crash kills the daemon and stops it, and for how many seconds at most, each
KILLS         ?= 1000
STOPS         ?= 100
CRASH_SECONDS ?= 1200
# how often make power-loss loses the power, and make bitflips flips a bit
SEEDS      ?= 10000
FLIPS      ?= 1000
# how much of it make parity tries: short or long
PARITY     ?= short
VERSION    := 0.1.0
# nothing is ever written outside build/
B := build/$(VARIANT)

CFLAGS_debug   := -O1 -g3
CFLAGS_release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong
CFLAGS_asan    := -O1 -g -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_tsan    := -O1 -g -fsanitize=thread
CFLAGS_fuzz    := $(CFLAGS_asan) -fsanitize=fuzzer-no-link
ifeq ($(origin CFLAGS_$(VARIANT)),undefined)
$(error VARIANT is debug, release, asan, tsan or fuzz, not "$(VARIANT)")
endif

WARN := -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wstrict-prototypes \
        -Wmissing-prototypes -Wswitch-enum -Wvla -Wformat=2 -Wno-unknown-warning-option
# Same bits everywhere: no contraction behind our back, no fast-math, ever.
ALL_CFLAGS = -std=c11 -D_POSIX_C_SOURCE=200809L -I. -pthread -fPIE -ffp-contract=off \
             -fno-math-errno -fno-trapping-math $(WARN) $(CFLAGS_$(VARIANT)) $(CFLAGS)
ALL_LDFLAGS = -pthread -pie -Wl,-z,relro,-z,now -Wl,--as-needed $(CFLAGS_$(VARIANT)) $(LDFLAGS)

# ---- layers: engine <- storage <- api <- server ----------------------------------------------------
PKG_engine  :=
PKG_storage := sqlite3
PKG_api     := libcjson
PKG_server  := libmicrohttpd
PKG_tests   := cmocka libcurl
packages    = $(foreach layer,$(1),$(PKG_$(layer)))
pkg_libs    = $(if $(strip $(1)),$(shell $(PKG_CONFIG) --libs $(1)))

# Kernel files are compiled once per instruction set (engine/isa.h); all variants give the same bits.
KERNEL_SRC := $(wildcard engine/op_*.c) engine/matmul.c engine/sweep.c $(wildcard engine/decimal_floats_*.c)
ARCH       := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))
ISAS       := $(if $(filter x86_64,$(ARCH)),avx512 avx2) baseline
ISA_avx512   := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mbmi -mbmi2 -mprefer-vector-width=512
ISA_avx2     := -mavx2 -mfma -mbmi -mbmi2
ISA_baseline :=
# Only here does -O3 pay; with a sanitizer's checks in it the tiles of matmul.c would compile for minutes.
# A loop of six instructions took twice as long across two lines; without this any change may move one there.
# -g1: lines, but no variables: to follow these took half of the time that matmul.c compiled.
KERNEL_release := -O3 -falign-loops=64 -g1

ENGINE_SRC  := $(filter-out $(KERNEL_SRC),$(wildcard engine/*.c))
STORAGE_SRC := $(wildcard storage/*.c)
API_SRC     := $(wildcard api/*.c)
SERVER_SRC  := $(filter-out server/main.c,$(wildcard server/*.c))
obj = $(patsubst %.c,$(B)/%.o,$(1))
KERNEL_OBJ := $(foreach isa,$(ISAS),$(patsubst engine/%.c,$(B)/engine/$(isa)/%.o,$(KERNEL_SRC)))
LIBS := $(B)/server.a $(B)/api.a $(B)/storage.a $(B)/engine.a

# ---- build ---------------------------------------------------------------------------------------
all: $(B)/gradd ## build the daemon (VARIANT=debug, release, asan, tsan; CC=clang-14)

$(B)/gradd: $(call obj,server/main.c) $(LIBS)
	$(CC) -o $@ $^ $(ALL_LDFLAGS) $(call pkg_libs,$(call packages,server api storage)) -lm

$(B)/engine.a:  $(call obj,$(ENGINE_SRC)) $(KERNEL_OBJ)
$(B)/storage.a: $(call obj,$(STORAGE_SRC))
$(B)/api.a:     $(call obj,$(API_SRC))
$(B)/server.a:  $(call obj,$(SERVER_SRC))
$(B)/%.a: ; @rm -f $@ && $(AR) rcs $@ $^

compile = @mkdir -p $(@D) && $(CC) $(ALL_CFLAGS) $(1) -MMD -MP -c -o $@ $<
define kernel_rule
$(B)/engine/$(1)/%.o: engine/%.c $(B)/flags ; $$(call compile,$$(KERNEL_$(VARIANT)) -DISA=$(1) $$(ISA_$(1)))
endef
$(foreach isa,$(ISAS),$(eval $(call kernel_rule,$(isa))))
$(B)/engine/kernels.o: ; $(call compile,$(addprefix -DHAVE_,$(ISAS)))
$(B)/engine/kernels.o: engine/kernels.c $(B)/flags
$(B)/server/%.o: server/%.c $(B)/flags ; $(call compile,-DGRADD_VERSION='"$(VERSION)"')
$(B)/%.o: %.c $(B)/flags ; $(call compile)

# All that decides an object besides its source. Changes when they do, so that objects of two kinds
# never meet in one folder.
FLAGS = $(CC) $(ALL_CFLAGS) $(KERNEL_$(VARIANT)) $(foreach isa,$(ISAS),$(ISA_$(isa))) $(VERSION)
$(B)/flags: FORCE
	@mkdir -p $(@D) && echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' >$@

# ---- tests: each ring links its own layer and those to its left ---------------------------------------
TEST_SRC := $(foreach ring,$(RINGS),$(wildcard tests/$(ring)/test_*.c))
SCRIPTS  := $(if $(filter scripts,$(RINGS)),$(wildcard tests/*.sh))
ifeq ($(VARIANT),tsan)
TEST_SRC := $(filter $(TSAN_TESTS:%=tests/%.c),$(TEST_SRC))
SCRIPTS  :=
endif
TESTS    := $(patsubst %.c,$(B)/%,$(TEST_SRC))
support   = $(patsubst %.c,$(B)/%.o,$(filter-out $(wildcard tests/$(1)/test_*.c),$(wildcard tests/$(1)/*.c)) $(wildcard tests/*.c))
FAULTS    = $(patsubst %.c,$(B)/%.o,$(wildcard tests/storage/fault_*.c) tests/storage/journal_table.c)
test_link = $(CC) -o $@ $^ $(ALL_LDFLAGS) $(call pkg_libs,$(PKG_tests) $(call packages,$(1))) -lm
$(B)/tests/engine/test_%:  $(B)/tests/engine/test_%.o  $(call support,engine)  $(B)/engine.a ; $(call test_link,)
$(B)/tests/storage/test_%: $(B)/tests/storage/test_%.o $(call support,storage) $(B)/storage.a $(B)/engine.a ; $(call test_link,storage)
# The api is tested over a store whose disk and memory fail, too.
$(B)/tests/api/test_%:     $(B)/tests/api/test_%.o     $(call support,api)     $(FAULTS) $(B)/api.a $(B)/storage.a $(B)/engine.a ; $(call test_link,api storage)
$(B)/tests/server/test_%:  $(B)/tests/server/test_%.o  $(call support,server)  $(LIBS) ; $(call test_link,server api storage)
# The server's own tests run it over canned handlers in place of the api; `alone` builds that daemon.
FAKED := $(patsubst %,$(B)/tests/server/test_%,acceptor config connections errands guard limits log log_batch pool spin transport shutdown)
alone := $(B)/tests/server/fake/fake_api.o $(B)/server.a $(B)/engine.a
$(FAKED): %: %.o $(call support,server) $(alone) ; $(call test_link,server api)
$(B)/tests/server/fake/gradd: $(B)/server/main.o $(alone) ; $(call test_link,server)
$(patsubst %,$(B)/tests/server/test_%,connections transport shutdown): | $(B)/tests/server/fake/gradd
$(filter-out $(FAKED),$(patsubst %.c,$(B)/%,$(wildcard tests/server/test_*.c))): | $(B)/gradd

# A fuzz target is linked twice: for libFuzzer, and with a main that replays the corpus in make test.
FUZZERS := $(patsubst %.c,$(B)/%,$(wildcard tests/fuzz/fuzz_*.c))
REPLAYS := $(subst /fuzz_,/replay_,$(FUZZERS))
$(B)/tests/fuzz/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(LIBS)
	$(CC) -o $@ $^ $(ALL_LDFLAGS) -fsanitize=fuzzer $(call pkg_libs,$(call packages,server api storage)) -lm

$(B)/tests/fuzz/replay_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/replay_main.o $(LIBS)
	$(CC) -o $@ $^ $(ALL_LDFLAGS) $(call pkg_libs,$(call packages,server api storage)) -lm

# Benches load OpenBLAS and BLIS at run time; nothing links them.
BENCHES     := $(patsubst %.c,$(B)/%,$(wildcard tests/bench/bench_*.c))
BENCH_PARTS := $(call obj,$(filter-out tests/bench/bench_%,$(wildcard tests/bench/*.c)))
$(B)/tests/bench/bench_%: $(B)/tests/bench/bench_%.o $(BENCH_PARTS) $(LIBS)
	$(CC) -o $@ $^ $(ALL_LDFLAGS) $(call pkg_libs,$(call packages,server api storage)) -ldl -lm

SYMBOLIZER := $(wildcard /usr/lib/llvm-14/bin/llvm-symbolizer)
export ASAN_OPTIONS  := detect_leaks=1:detect_stack_use_after_return=1:external_symbolizer_path=$(SYMBOLIZER)
export UBSAN_OPTIONS := print_stacktrace=1:external_symbolizer_path=$(SYMBOLIZER)
export TSAN_OPTIONS  := halt_on_error=1:second_deadlock_stack=1:$(patsubst %,suppressions=%:,$(wildcard $(CURDIR)/tests/tsan.supp))external_symbolizer_path=$(SYMBOLIZER)

# ---- what a person types -----------------------------------------------------------------------------
# The build runs in a second make, since only after the installing can this file find the compiler.
build = +@$(MAKE) --no-print-directory $(if $(findstring -j,$(MAKEFLAGS)),,-j$$(nproc))
install_for = @docker/install.sh $(1) $(if $(findstring clang,$(CC)),check)

run: ## build and start the daemon; ARGS="--listen 127.0.0.1:9000 --data my.db"
	$(call install_for,build)
	$(build) $(B)/gradd
	@exec $(B)/gradd $(ARGS)

test: ## build and run the tests; RINGS="engine storage" for some, VARIANT=asan CC=clang-14
	$(call install_for,build test)
	$(build) $(if $(SCRIPTS),$(B)/gradd $(REPLAYS)) $(TESTS)
	@GRADD=$(abspath $(B)/gradd) tests/tools/run.sh $(TESTS) $(SCRIPTS)

fuzz-smoke: ## run each fuzzer for FUZZ_TIME seconds over its corpus
	@docker/install.sh build check
	$(build) VARIANT=fuzz CC=clang-14 fuzzers
	@tests/tools/fuzz.sh $(FUZZ_TIME) build/fuzz/tests/fuzz
fuzzers: $(FUZZERS)

crash: ## kill the daemon under load a thousand times, and stop it a hundred; KILLS=, STOPS=, SEED=
	$(call install_for,build test)
	$(build) $(B)/gradd $(B)/tests/server/test_kill $(B)/tests/server/test_drain
	@$(B)/tests/server/test_kill $(KILLS) $(CRASH_SECONDS) $(SEED)
	@$(B)/tests/server/test_drain $(STOPS) $(CRASH_SECONDS) $(SEED)

power-loss: ## lose the power in the middle of changes, at SEEDS (10000) moments
	$(call install_for,build test)
	$(build) $(B)/tests/api/test_power
	@tests/tools/seeds.sh $(B)/tests/api/test_power $(SEEDS)

faults: ## fail every single call of the disk and every allocation, and fill the disk at each write
	$(call install_for,build test)
	$(build) $(B)/tests/api/test_disk $(B)/tests/api/test_memory
	@tests/tools/seeds.sh $(B)/tests/api/test_disk 100
	@tests/tools/seeds.sh $(B)/tests/api/test_memory 20

bitflips: ## flip each of FLIPS (1000) bits of a closed file, and of a killed one with its log
	$(call install_for,build test)
	$(build) $(B)/tests/api/test_bitflip
	@tests/tools/seeds.sh $(B)/tests/api/test_bitflip $(FLIPS)

parity: ## compare with PyTorch, op by op and program by program; PARITY=long for more of it
	@docker/install.sh build parity
	$(build) $(B)/gradd
	@tests/parity/parity.py $(if $(filter long,$(PARITY)),--long) $(B)/gradd build/parity

bench: ## measure beside PyTorch, FastAPI, Node, libmicrohttpd, OpenBLAS, BLIS and cJSON; the figures stay in build/bench/
bench-quick: ## most of it in about two minutes, with fewer rounds and smaller ranges
bench bench-quick:
	@docker/install.sh build bench
	$(build) VARIANT=release build/release/gradd benches
	@tests/bench/bench.py $(if $(filter bench-quick,$@),--quick) build/release build/bench
benches: $(BENCHES)
bench-why: ## where the daemon's time goes meanwhile, by perf, and what this machine can do at most
	@docker/install.sh build bench-why
	$(build) VARIANT=release build/release/gradd benches
	@build/release/tests/bench/bench_limits
	@tests/bench/why.py build/release build/bench
bench-plot: ## draw what the last bench found: pictures in build/bench/
	@docker/install.sh bench-plot
	@test -f build/bench/bench.json || { echo "make bench first" >&2; exit 1; }
	@tests/bench/plot.py build/bench

soak: ## train more models than fit into memory, some minutes long: throughput, and the memory's curve
	@docker/install.sh build soak
	$(build) VARIANT=release build/release/gradd
	@tests/long/cache.py build/release/gradd build/soak

lint: ## layout of the source, direction of includes, headers alone, locks, scripts
	@docker/install.sh build test check
	@CFLAGS='$(ALL_CFLAGS)' tests/tools/lint.sh

image: ## build the container image and smoke-test it
	@docker/image.sh localhost/gradd:$(VERSION)

install: $(B)/gradd ## put the daemon and its systemd unit under PREFIX (DESTDIR is honoured)
	install -D -m 755 $(B)/gradd $(DESTDIR)$(PREFIX)/bin/gradd
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/local|$(PREFIX)|' docker/gradd.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/gradd.service

clean: ## remove build/
	rm -rf build

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

FORCE:
.PHONY: FORCE all run test crash power-loss faults bitflips fuzz-smoke fuzzers parity bench bench-quick bench-why bench-plot benches soak lint image install clean help
.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
