# qfsck: fsck for QEMU disk images. One Makefile, no configure.
#
#	make                the program and the library, left at the root
#	make check          everything that must pass
#	make help           the other targets
#
#	V=1                 show the commands
#	O=DIR               build into DIR (objects, program and library)
#	CI=true, WERROR=1   warnings are errors
#	CC= CFLAGS= LDFLAGS= PREFIX= DESTDIR=     as everywhere

VERSION := 0.1
SOVERSION := 0

CC ?= cc
ifeq ($(origin CC),default)
CC := gcc
endif
AR := $(if $(findstring clang,$(CC)),ar,gcc-ar)
CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
bindir := $(DESTDIR)$(PREFIX)/bin
mandir := $(DESTDIR)$(PREFIX)/share/man
libdir := $(DESTDIR)$(PREFIX)/lib
includedir := $(DESTDIR)$(PREFIX)/include
plugindir := $(libdir)/nbdkit/plugins

# Objects always lie in $(O); the products lie at the root unless O is given.
ifeq ($(origin O),undefined)
O := build
OUT := .
else
OUT := $(O)
endif
QFSCK := $(OUT)/qfsck
LIB_A := $(OUT)/libqfsck.a
LIB_SO := $(OUT)/libqfsck.so
PROBLEMS_MAN := $(O)/qfsck-problems.7
PLUGIN := $(OUT)/nbdkit-qfsck-plugin.so

# --- sources, by wildcard: a new file needs no line here ---

LIB_SRC := $(wildcard lib/*/*.c)
PROG_SRC := $(filter-out viz/nbdkit/%,$(wildcard \
	$(foreach d,check repair viz,$(d)/*.c $(d)/*/*.c)))
MAIN_SRC := $(wildcard qfsck.c)
UNIT_SRC := $(wildcard tests/unit/test_*.c)
# What several unit tests share: any other C file beside them.
UNIT_HELP_SRC := $(filter-out $(UNIT_SRC),$(wildcard tests/unit/*.c))
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)

obj = $(patsubst %.c,$(O)/%.o,$(1))
LIB_OBJ := $(call obj,$(LIB_SRC))
PROG_OBJ := $(call obj,$(PROG_SRC))
MAIN_OBJ := $(call obj,$(MAIN_SRC))
UNIT_HELP_OBJ := $(call obj,$(UNIT_HELP_SRC))
UNIT_BIN := $(patsubst tests/unit/%.c,$(O)/tests/%,$(UNIT_SRC))
FUZZ_BIN := $(patsubst tests/fuzz/%.c,$(O)/%,$(FUZZ_SRC))
BENCH_BIN := $(patsubst %.c,$(O)/%,$(wildcard tests/bench/*.c))
# All of the program but main(), so that a unit test can link any of it.
PROG_A := $(O)/libprogram.a

# --- flags ---

PKGS := zlib libzstd jansson ncursesw
# Only their headers are asked: lib/base/dynload loads them when they are needed.
LATE_PKGS := libdeflate libmagic libcrypto cairo ext2fs libseccomp libnbd
# Asked once, and only when something is compiled: pkg-config may not be
# there yet when `make check` starts on a bare machine.
once = $(eval $(1) := $(2))$($(1))
PKG_CFLAGS = $(call once,PKG_CFLAGS,$(shell pkg-config --cflags $(PKGS) $(LATE_PKGS)))
PKG_LIBS = $(call once,PKG_LIBS,$(shell pkg-config --libs $(PKGS)) -ldl)

WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wmissing-prototypes \
	-Wstrict-prototypes -Wvla
ifneq ($(filter-out 0 false no,$(CI) $(WERROR)),)
WARN += -Werror
endif

# What makes a fault in a reader of hostile bytes harder to use. A sanitized
# build has its own ways; glibc's checks want an optimized one; the last are
# not had by every compiler and machine. HARDEN= leaves all of it away.
has = $(shell echo | $(CC) $(1) -Werror -x c -c -o /dev/null - 2>/dev/null && echo $(1))
ifeq ($(findstring -fsanitize,$(CFLAGS)),)
HARDEN = $(call once,HARDEN,-fstack-protector-strong $(FORTIFY) \
	$(foreach f,-fstack-clash-protection -fcf-protection,$(call has,$(f))))
FORTIFY := $(if $(filter -O1 -O2 -O3 -Os,$(CFLAGS)),-U_FORTIFY_SOURCE \
	-D_FORTIFY_SOURCE=3)
HARDEN_LINK := -Wl,-z,relro,-z,now,-z,noexecstack
endif

# Offsets have 64 bits on every machine.
LFS = $(call once,LFS,$(shell echo | $(CC) $(CFLAGS) -dM -E - 2>/dev/null | \
	grep -q 'define __SIZEOF_LONG__ 4' && echo -D_FILE_OFFSET_BITS=64))

DEFS = -D_GNU_SOURCE $(LFS) -DQFSCK_VERSION='"$(VERSION)"'
# The commit that is built, with a + behind it where files were changed since;
# nothing in an unpacked tarball.
COMMIT = $(call once,COMMIT,$(shell test -e .git && \
	git describe --always --abbrev=12 --exclude='*' --dirty=+ 2>/dev/null))
# One set of objects serves the archive and the shared library: hence -fPIC,
# and no interposition, so that calls inside the library can be inlined.
QF_CFLAGS = -std=c11 -I. $(DEFS) $(CPPFLAGS) $(CFLAGS) $(HARDEN) $(WARN) \
	-fopenmp -fPIC \
	-fno-semantic-interposition $(PKG_CFLAGS)
# The floor has no worse a compiler than what is measured against it.
HOT := $(call obj,$(wildcard lib/walk/walk*.c lib/walk/ledger*.c \
	lib/walk/recount*.c tests/bench/floor.c))
$(HOT): OPT := -O3
LINK = $(CC) $(CFLAGS) $(HARDEN_LINK) $(LDFLAGS) -fopenmp -Wl,--as-needed

# --- quiet by default ---

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-7s %s\n' $(1) $(2)
endif
# Checks build on every core unless the caller chose -j.
JOBS = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))

.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:
.DEFAULT_GOAL := all

all: $(if $(LIB_SRC),$(LIB_A) $(LIB_SO)) ## build the program and the library
all: $(if $(MAIN_SRC),$(QFSCK) $(PROBLEMS_MAN))
# Only where nbdkit's header is.
HAVE_NBDKIT := $(wildcard /usr/include/nbdkit-plugin.h \
	/usr/local/include/nbdkit-plugin.h)
all: $(if $(HAVE_NBDKIT),$(PLUGIN))

# Objects follow the flags: CI=true after a plain make compiles anew.
$(O)/flags: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' "$(CC) $(subst ",\",$(QF_CFLAGS) $(LDFLAGS))" >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(O)/%.o: %.c $(O)/flags
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(QF_CFLAGS) $(OPT) $(EXTRA) -MMD -MP -c -o $@ $<

# Of all objects only these know the commit.
$(O)/commit: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(COMMIT)' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi
KNOWS_COMMIT := $(MAIN_OBJ) $(call obj,viz/page/pagefacts.c)
$(KNOWS_COMMIT): $(O)/commit
$(KNOWS_COMMIT): EXTRA = -DQFSCK_COMMIT='"$(COMMIT)"'

# An archive is written anew: `ar r` would keep the objects of deleted files.
# The list of its objects is a prerequisite, so that a deletion is seen at all.
define archive
$(call say,AR,$@)
@mkdir -p $(@D)
$(Q)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)
endef
$(O)/sources: FORCE
	@mkdir -p $(@D)
	@printf '%s\n' '$(LIB_SRC) $(PROG_SRC) $(MAIN_SRC)' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(LIB_A): $(LIB_OBJ) $(O)/sources
	$(archive)
$(PROG_A): $(PROG_OBJ) $(O)/sources
	$(archive)

# What lib/qfsck.h promises: the reader and the check. lib/qfsck.map says which
# symbols are shown.
SO_OBJ := $(LIB_OBJ) $(filter $(O)/check/%,$(PROG_OBJ))
$(LIB_SO): $(SO_OBJ) lib/qfsck.map $(O)/sources
	$(call say,LINK,$@)
	$(Q)$(LINK) -shared -Wl,-z,defs -Wl,-soname,libqfsck.so.$(SOVERSION) \
		-Wl,--version-script=lib/qfsck.map -o $@ $(SO_OBJ) \
		$(PKG_LIBS) -lm

# nbdkit loads it; the library is inside.
$(PLUGIN): $(call obj,viz/nbdkit/plugin.c) $(SO_OBJ) viz/nbdkit/plugin.map \
		$(O)/sources
	$(call say,LINK,$@)
	$(Q)$(LINK) -shared -Wl,--version-script=viz/nbdkit/plugin.map -o $@ \
		$(filter %.o,$^) $(PKG_LIBS) -lm

$(QFSCK): $(MAIN_OBJ) $(PROG_OBJ) $(LIB_A)
	$(call say,LINK,$@)
	$(Q)$(LINK) -pie -o $@ $(MAIN_OBJ) $(PROG_OBJ) $(LIB_A) $(PKG_LIBS) -lm

# From the catalogue: every problem, in the program's own words. UNDER: what
# runs a program that is for another machine.
$(PROBLEMS_MAN): $(QFSCK)
	$(call say,GEN,$@)
	$(Q)$(UNDER) $(abspath $(QFSCK)) explain --man >$@ </dev/null

# --- what must be installed ---

# For make check; a longer target adds its own.
DEPS := build-essential pkg-config zlib1g-dev libzstd-dev libdeflate-dev \
	libmagic-dev libjansson-dev libssl-dev libcairo2-dev libncurses-dev \
	uthash-dev libnbd-dev libext2fs-dev libseccomp-dev libcmocka-dev qemu-utils \
	qemu-system-common tmux python3 clang-format git fonts-dejavu-core \
	e2fsprogs xfsprogs btrfs-progs ntfs-3g dosfstools mtools exfatprogs \
	genisoimage gdisk nbdkit nbdkit-plugin-dev libnbd-bin libvirt0 chromium \
	tidy libxml2-utils parallel iproute2

# --- tests ---

tests: $(UNIT_BIN) $(BENCH_BIN) ## build the unit tests and the bench's tools

$(UNIT_BIN): $(O)/tests/%: $(O)/tests/unit/%.o $(UNIT_HELP_OBJ) $(PROG_A) $(LIB_A)
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $(filter %.o %.a,$^) -lcmocka $(PKG_LIBS) -lm

$(O)/tests/bench/inflate: BENCH_LIBS = -ldeflate -lzstd
$(BENCH_BIN): %: %.o
	$(call say,LINK,$@)
	$(Q)$(LINK) -o $@ $< $(BENCH_LIBS)

RUN = QFSCK=$(abspath $(QFSCK)) QFSCK_BUILD=$(abspath $(O)) tests/run </dev/null
# What a sanitized program can be asked: not the lints, not the screens.
SAN_GROUPS := --groups unit,cli,corpus,differential

check: deps ## install what is missing, build, run every test
	+$(Q)$(MAKE) --no-print-directory $(JOBS) all tests
	$(Q)$(RUN)

test: check

check-built: all tests ## the tests alone: install nothing
	$(Q)$(RUN)

lint: all ## the rules of the house (tests/lint)
	$(Q)$(RUN) --groups lint

bless: all tests ## rewrite the expected files from what the program says now
	$(Q)QFSCK_BLESS=1 $(RUN) --groups cli,corpus,screens

LATER ?= 400
check-later: all tests $(O)/later.so ## the tests as if LATER days had passed
	$(Q)LD_PRELOAD=$(abspath $(O)/later.so) LATER_DAYS=$(LATER) $(RUN)
$(O)/later.so: tests/lib/later.c
	$(call say,LINK,$@)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -O2 -Wall -fPIC -shared -o $@ $< -ldl

check-powercut: all tests ## every cut of every repair (long)
	$(Q)if test -x tests/powercut/run; then \
		QFSCK=$(abspath $(QFSCK)) QFSCK_BUILD=$(abspath $(O)) \
		tests/powercut/run </dev/null; \
	else echo 'no tests/powercut/run yet'; fi

check-failures: all ## every read, allocation and change of a repair fails (long)
	$(Q)QFSCK=$(abspath $(QFSCK)) \
		tests/cli/repair_failures.py --all </dev/null

N ?= 1000
mutate: all ## mutate N images field by field, and judge every repair (SEED, JOBS)
	$(Q)QFSCK=$(abspath $(QFSCK)) tests/mutate/run --count $(N) \
		--seed $(or $(SEED),1) --jobs $(or $(filter-out -j%,$(JOBS)),2) \
		$(ARGS) </dev/null

calibrate: all ## measure the judge's witnesses on N images whose truth is known (SEED)
	$(Q)QFSCK=$(abspath $(QFSCK)) tests/mutate/calibrate --count $(N) \
		--seed $(or $(SEED),1) $(ARGS) </dev/null

guest-sweep: all ## measure on real file systems what the guest tells of damage (N, SEED)
	$(Q)QFSCK=$(abspath $(QFSCK)) tests/guest/sweep --count $(N) \
		--seed $(or $(SEED),1) $(ARGS) </dev/null

causes: all ## measure how often a named cause was the true one, on N images (SEED)
	$(Q)QFSCK=$(abspath $(QFSCK)) tests/mutate/causes --count $(N) \
		--seed $(or $(SEED),1) $(ARGS) </dev/null

demo: deps ## build, then check a really damaged image
	+$(Q)$(MAKE) --no-print-directory $(JOBS) all
	$(Q)QFSCK=$(abspath $(QFSCK)) tests/demo.sh </dev/null

# A sanitized build is another build: own folder, own flags. Its objects are
# kept. -O1 keeps the stacks readable.
SAN = $(MAKE) --no-print-directory $(JOBS) O=$(O)/$(1) \
	CFLAGS="-O1 -g -fno-omit-frame-pointer $(2)" $(3) SAN=$(1) .san
.san: all tests
	$(Q)$(SAN_ENV) $(RUN) $(SAN_GROUPS)

asan: ## the tests under AddressSanitizer and UBSan
	+$(Q)$(call SAN,asan,-fsanitize=address$(,)undefined -fno-sanitize-recover=all)
ubsan: ## the tests under UBSan
	+$(Q)$(call SAN,ubsan,-fsanitize=undefined -fno-sanitize-recover=all)
# gcc's OpenMP hides its barriers from ThreadSanitizer; clang's tells them
# through the archer tool.
tsan: ## the tests under ThreadSanitizer (clang, libomp-dev)
	+$(Q)$(call SAN,tsan,-fsanitize=thread,CC=clang)
, := ,
ifeq ($(SAN),asan)
# verify_asan_link_order: some tests preload a library of theirs
SAN_ENV := LSAN_OPTIONS=print_suppressions=0:suppressions=$(abspath \
	tests/lib/lsan.supp) \
	ASAN_OPTIONS=detect_leaks=1:strict_string_checks=1:verify_asan_link_order=0
else ifeq ($(SAN),tsan)
SAN_ENV = TSAN_OPTIONS=ignore_noninstrumented_modules=1 \
	OMP_TOOL_LIBRARIES=$(lastword $(wildcard /usr/lib/llvm-*/lib/libarcher.so))
SAN_GROUPS := --groups unit,corpus
endif

valgrind: DEPS := $(DEPS) valgrind
valgrind: deps all ## check and repair -n on the corpus under valgrind (long)
	$(Q)QFSCK=$(abspath $(QFSCK)) tests/valgrind.py $(ARGS) </dev/null

# Other machines: compilers, libraries and qemu-user as the target needs them.
check-m32: DEPS := $(DEPS) gcc-i686-linux-gnu mmdebstrap
check-m32: deps ## the unit tests and the corpus on a 32-bit machine
	+$(Q)MAKE="$(MAKE) $(JOBS)" tests/cross/run m32 $(O)/m32 $(CROSS_LIBS)
check-s390x: DEPS := $(DEPS) gcc-s390x-linux-gnu mmdebstrap qemu-user
check-s390x: deps ## the same on a big-endian one (s390x, under qemu-user)
	+$(Q)MAKE="$(MAKE) $(JOBS)" tests/cross/run s390x $(O)/s390x $(CROSS_LIBS)
CROSS_LIBS = $(filter-out nbdkit-plugin-dev,$(filter %-dev,$(DEPS))) \
	libgomp1 libmagic1 libseccomp2

FUZZ_SECONDS ?= 60
# libFuzzer, where clang has it; else a plain loop and the usual compiler. Its
# objects are a build of their own, as those of the sanitizers are.
FUZZ_CC = $(call once,FUZZ_CC,$(shell \
	echo 'int LLVMFuzzerTestOneInput(void); int LLVMFuzzerTestOneInput(void)' \
	'{ return 0; }' | clang -fopenmp -fsanitize=fuzzer -x c - -o /dev/null \
	2>/dev/null && echo clang || echo $(CC)))
FUZZ_SAN = address,undefined$(if $(filter clang,$(FUZZ_CC)),$(,)fuzzer-no-link)
fuzz: ## run each fuzzer for FUZZ_SECONDS (FUZZ=check: that one alone)
	+$(Q)$(MAKE) --no-print-directory $(JOBS) O=$(O)/fuzz CC=$(FUZZ_CC) \
		CFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=$(FUZZ_SAN) \
		-fno-sanitize-recover=all" .fuzz
.fuzz: $(FUZZ_BIN)
	$(Q)tests/fuzz/seeds.py $(O)/seeds
	$(Q)for f in $(if $(FUZZ),$(filter $(O)/fuzz_$(FUZZ),$(FUZZ_BIN)),$(FUZZ_BIN)); do \
		mkdir -p $$f.corpus; \
		$$f -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 -timeout=60 \
			-max_len=1200000 -artifact_prefix=$$f. \
			$$f.corpus $(O)/seeds || exit 1; \
	done
$(FUZZ_BIN): $(O)/fuzz_%: $(O)/tests/fuzz/fuzz_%.o $(O)/tests/fuzz/loop.o \
		$(PROG_A) $(LIB_A)
	$(call say,LINK,$@)
	$(Q)$(LINK) $(if $(filter clang,$(CC)),-fsanitize=fuzzer) -o $@ \
		$(filter-out $(if $(filter clang,$(CC)),%/loop.o),$^) $(PKG_LIBS) -lm

bench: all $(BENCH_BIN) ## qemu-img check and qfsck check side by side (ARGS=--quick)
	$(Q)QFSCK=$(abspath $(QFSCK)) QFSCK_BUILD=$(abspath $(O)) \
		tests/bench/bench.py $(ARGS)

pictures: all ## draw the README's pictures anew
	$(Q)if test -x tests/pictures.sh; then \
		QFSCK=$(abspath $(QFSCK)) tests/pictures.sh; \
	else echo 'no tests/pictures.sh yet'; fi

FMT_FILES = $(wildcard *.[ch] */*.[ch] */*/*.[ch])
fmt: ## let clang-format lay out every C file
	$(Q)clang-format -i $(FMT_FILES)

deps: ## install by apt what is missing, and only that
	@command -v dpkg-query >/dev/null || { \
		echo 'deps: not a Debian; needed here:' $(DEPS); exit 0; }; \
	missing=; for p in $(DEPS); do \
		dpkg-query -W -f='$${Status}' $$p 2>/dev/null | \
			grep -q 'ok installed' || missing="$$missing $$p"; \
	done; \
	test -n "$$missing" || exit 0; \
	echo "deps: installing$$missing"; \
	sudo=; test "$$(id -u)" = 0 || sudo=sudo; \
	{ $$sudo apt-get update -q && $$sudo env DEBIAN_FRONTEND=noninteractive \
		apt-get install -qy --no-install-recommends $$missing; } </dev/null \
		|| echo "deps: apt could not install$$missing; going on without" >&2

# --- install, clean, dist ---

# Where the shells and systemd look.
bashdir = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
zshdir = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
fishdir = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
unitdir = $(DESTDIR)$(PREFIX)/lib/systemd/system
exampledir = $(DESTDIR)$(PREFIX)/share/doc/qfsck/examples
HOSTS := $(wildcard share/hosts/*)

# The program and its pages; the library, its header and its pkg-config file.
SO_FILE := libqfsck.so.$(SOVERSION)
install: all ## install into $(DESTDIR)$(PREFIX)
	install -d "$(bindir)" "$(mandir)/man1" "$(mandir)/man7" \
		"$(libdir)/pkgconfig" "$(includedir)"
	install -m 755 $(QFSCK) "$(bindir)/qfsck"
	ln -sf qfsck "$(bindir)/fsck.qcow2"
	install -m 644 qfsck.1 "$(mandir)/man1/qfsck.1"
	ln -sf qfsck.1 "$(mandir)/man1/fsck.qcow2.1"
	install -m 644 $(PROBLEMS_MAN) "$(mandir)/man7/qfsck-problems.7"
	install -m 644 $(LIB_SO) "$(libdir)/$(SO_FILE)"
	ln -sf $(SO_FILE) "$(libdir)/libqfsck.so"
	install -m 644 lib/qfsck.h "$(includedir)/qfsck.h"
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' lib/qfsck.pc.in \
		>"$(libdir)/pkgconfig/qfsck.pc"
	chmod 644 "$(libdir)/pkgconfig/qfsck.pc"
	install -d "$(bashdir)" "$(zshdir)" "$(fishdir)" "$(unitdir)"
	install -m 644 share/completion/qfsck.bash "$(bashdir)/qfsck"
	ln -sf qfsck "$(bashdir)/fsck.qcow2"
	install -m 644 share/completion/_qfsck "$(zshdir)/_qfsck"
	install -m 644 share/completion/qfsck.fish "$(fishdir)/qfsck.fish"
	ln -sf qfsck.fish "$(fishdir)/fsck.qcow2.fish"
	install -m 644 share/systemd/qfsck@.timer \
		share/systemd/qfsck-fail@.service "$(unitdir)"
	sed 's|@BINDIR@|$(PREFIX)/bin|' share/systemd/qfsck@.service.in \
		>"$(unitdir)/qfsck@.service"
	chmod 644 "$(unitdir)/qfsck@.service"
	install -d "$(exampledir)"
	install -m 755 share/libvirt/qemu "$(exampledir)/libvirt-hook"
	install -m 755 $(HOSTS) "$(exampledir)"
	if test -f $(PLUGIN); then \
		install -d "$(plugindir)" && \
		install -m 644 $(PLUGIN) "$(plugindir)/$(notdir $(PLUGIN))"; \
	fi

uninstall: ## remove what install put there
	rm -f "$(bindir)/qfsck" "$(bindir)/fsck.qcow2" "$(mandir)/man1/qfsck.1" \
		"$(mandir)/man1/fsck.qcow2.1" \
		"$(mandir)/man7/qfsck-problems.7" "$(libdir)/$(SO_FILE)" \
		"$(libdir)/libqfsck.so" "$(includedir)/qfsck.h" \
		"$(libdir)/pkgconfig/qfsck.pc" "$(plugindir)/$(notdir $(PLUGIN))" \
		"$(bashdir)/qfsck" "$(bashdir)/fsck.qcow2" "$(zshdir)/_qfsck" \
		"$(fishdir)/qfsck.fish" "$(fishdir)/fsck.qcow2.fish" \
		"$(unitdir)/qfsck@.service" "$(unitdir)/qfsck@.timer" \
		"$(unitdir)/qfsck-fail@.service" "$(exampledir)/libvirt-hook" \
		$(HOSTS:share/hosts/%="$(exampledir)/%")

# `make clean O=.` must not take the tree along.
ifneq ($(filter $(CURDIR) $(CURDIR)/..,$(abspath $(O))),)
$(error O must be a folder of its own)
endif
clean: ## remove everything built
	rm -rf $(O) $(if $(filter .,$(OUT)),$(QFSCK) $(LIB_A) $(LIB_SO) $(PLUGIN))

dist: ## qfsck-VERSION.tar.gz, from the last commit
	git archive --format=tar --prefix=qfsck-$(VERSION)/ HEAD | \
		gzip -9n >qfsck-$(VERSION).tar.gz

DEB_DEPS := debhelper dpkg-dev
deb: DEPS := $(DEPS) $(DEB_DEPS)
deb: deps ## Debian packages of the last commit, in $(O)/deb
	$(Q)tests/deb/build $(O)/deb
check-deb: DEPS := $(DEPS) $(DEB_DEPS) lintian mmdebstrap
check-deb: deps $(O)/later.so ## build them twice, install them in a fresh root (long)
	$(Q)tests/deb/check $(O)/check-deb $(O)/later.so </dev/null

check-abi: DEPS := $(DEPS) abigail-tools
check-abi: deps all ## is the library the last tag's to what is linked with it
	$(Q)tests/api/abidiff $(abspath $(O)/abi) $(abspath $(LIB_SO)) $(TAG) </dev/null

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' \
		$(firstword $(MAKEFILE_LIST))

FORCE:
.PHONY: all tests check test check-built lint bless check-later \
	check-powercut check-failures mutate calibrate causes guest-sweep demo \
	.san .fuzz check-m32 check-s390x asan ubsan tsan valgrind fuzz bench pictures fmt deps install uninstall clean \
	dist deb check-deb check-abi help FORCE

-include $(patsubst %.o,%.d,$(LIB_OBJ) $(PROG_OBJ) $(MAIN_OBJ) \
	$(UNIT_HELP_OBJ) $(call obj,$(UNIT_SRC)) $(BENCH_BIN:%=%.o))
