# SPDX-License-Identifier: BSD-2-Clause
# Sandem. `make help` lists the targets; README.md tells which two you want.

SHELL := /bin/bash
BUILD ?= build
CC ?= gcc
PREFIX ?= /usr
VARIANT_CFLAGS ?=
Q = $(if $(V),,@)# make V=1 shows the commands

CFLAGS ?= -O2 -g
SANDEM_CFLAGS = -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -Werror=switch -Wmissing-prototypes \
	-Wstrict-prototypes -Wpointer-arith -fno-strict-aliasing -fno-omit-frame-pointer -msse4.2 \
	-I. -I$(BUILD) -MMD -MP $(VARIANT_CFLAGS)

# A room of the house → its archive. The order is the order of the arrows: a room may use those after it.
ROOMS = daemon drivers cluster pr-sync alua media directory core
room_src = $(sort $(wildcard $(1)/*.c) $(wildcard $(1)/*/*.c))
room_obj = $(patsubst %.c,$(BUILD)/%.o,$(call room_src,$(1)))
archive = $(BUILD)/$(1).a

LIBS_core = -luring -lurcu-common -lisal
LIBS_alua = -lprotobuf-c
LIBS_media = -lprotobuf-c
LIBS_directory = -lprotobuf-c
LIBS_pr-sync = -lprotobuf-c
LIBS_cluster = -lcurl -ljansson -lcpg -lquorum -lcmap -lprotobuf-c -lssl -lcrypto -lqb
LIBS_drivers = -lisal -lcrypto
LIBS_daemon = -lprotobuf-c -lcyaml -lyaml -ljansson -lqb -lcrypto
# What a program of this room links: its archive and those it may know.
LINK_core = core
LINK_alua = alua core
LINK_media = media core
LINK_directory = directory core
LINK_pr-sync = pr-sync core
LINK_drivers = drivers core
LINK_cluster = cluster pr-sync alua core
LINK_daemon = $(ROOMS)
LINK_tools =
archives = $(foreach r,$(LINK_$(1)),$(call archive,$(r)))
libs = $(sort $(foreach r,$(LINK_$(1)),$(LIBS_$(r)))) -lpthread

PROTOS = $(wildcard cluster/*.proto pr-sync/*.proto alua/*.proto media/*.proto directory/*.proto \
	daemon/*.proto daemon/*/*.proto)
PROTO_C = $(patsubst %.proto,$(BUILD)/%.pb-c.c,$(PROTOS))
PROTO_H = $(PROTO_C:.c=.h)
proto_obj = $(patsubst $(1)/%.proto,$(BUILD)/$(1)/%.pb-c.o,$(wildcard $(1)/*.proto $(1)/*/*.proto))

UNIT_SRC = $(sort $(wildcard tests/unit/*/*_test.c))
UNIT_BIN = $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(UNIT_SRC))
CLUSTER_BIN = $(patsubst tests/cluster/%.c,$(BUILD)/tests/cluster/%,$(wildcard tests/cluster/*.c)) \
	$(patsubst tests/cluster/preload/%.c,$(BUILD)/tests/cluster/%.so,$(wildcard tests/cluster/preload/*.c))
VM_BIN = $(BUILD)/tests/vm/block_writer
BENCH_BIN = $(patsubst tests/bench/%.c,$(BUILD)/tests/bench/%,$(wildcard tests/bench/*.c))
FUZZ_BIN = $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/*_fuzz.c))

.DEFAULT_GOAL := all
.PHONY: all help
all: $(BUILD)/sandemd $(BUILD)/sandemctl $(BUILD)/sandem-load tests-bin
.PHONY: tests-bin unit-bin fuzz-bin
unit-bin: $(UNIT_BIN)
fuzz-bin: $(FUZZ_BIN)
tests-bin: $(VM_BIN) $(CLUSTER_BIN) $(BENCH_BIN)

# ---- objects --------------------------------------------------------------------------------
$(BUILD)/%.pb-c.c $(BUILD)/%.pb-c.h: %.proto
	@mkdir -p $(@D)
	$(Q)protoc-c --proto_path=. --c_out=$(BUILD) $<

$(BUILD)/%.o: %.c | $(PROTO_H)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANDEM_CFLAGS) $(CFLAGS) -c -o $@ $<

$(BUILD)/%.pb-c.o: $(BUILD)/%.pb-c.c
	$(Q)$(CC) $(SANDEM_CFLAGS) $(CFLAGS) -Wno-error -c -o $@ $<

define room_rule
$(call archive,$(1)): $(call room_obj,$(1)) $(call proto_obj,$(1))
	@rm -f $$@
	$$(Q)ar rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call room_rule,$(r))))

# ---- programs -------------------------------------------------------------------------------
$(BUILD)/sandemd: $(call archives,daemon)
	$(Q)$(CC) $(CFLAGS) $(VARIANT_CFLAGS) -o $@ -Wl,--whole-archive $(call archive,daemon) -Wl,--no-whole-archive \
		-Wl,--start-group $(call archives,daemon) -Wl,--end-group $(call libs,daemon)

CTL_OBJ = $(patsubst %.c,$(BUILD)/%.o,$(wildcard tools/ctl_*.c))
$(BUILD)/sandemctl: $(BUILD)/tools/sandemctl.o $(CTL_OBJ)
	$(Q)$(CC) $(CFLAGS) $(VARIANT_CFLAGS) -o $@ $^ -ljansson

LOAD_OBJ = $(patsubst %.c,$(BUILD)/%.o,tools/sandem-load.c $(wildcard tools/load_*.c))
$(BUILD)/sandem-load: $(LOAD_OBJ)
	$(Q)$(CC) $(CFLAGS) $(VARIANT_CFLAGS) -o $@ $^ -liscsi -ljansson -lisal -lm

$(BUILD)/tests/cluster/%: tests/cluster/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANDEM_CFLAGS) $(CFLAGS) -o $@ $< -liscsi -ljansson -lcpg -lpthread

$(BUILD)/tests/cluster/%.so: tests/cluster/preload/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANDEM_CFLAGS) $(CFLAGS) -Wno-missing-prototypes -fPIC -shared -o $@ $< -ldl

# runs in a virtual machine, which has no libraries of ours
$(BUILD)/tests/vm/%: tests/vm/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANDEM_CFLAGS) $(CFLAGS) -static -o $@ $< -lpthread

$(BUILD)/tests/bench/%: tests/bench/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(SANDEM_CFLAGS) $(CFLAGS) -o $@ $< -lm -lpthread

# A unit test may use what its room may use, and fakes in tests/unit/<room>/fake_*.c.
define unit_rule
$(BUILD)/tests/unit/$(1)/%_test: $(BUILD)/tests/unit/$(1)/%_test.o \
		$(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/unit/$(1)/fake_*.c)) $(call archives,$(1))
	$$(Q)$$(CC) $$(CFLAGS) $$(VARIANT_CFLAGS) -o $$@ $$(filter %.o,$$^) \
		-Wl,--start-group $(call archives,$(1)) -Wl,--end-group $(call libs,$(1)) -lcmocka -ldl
endef
$(foreach r,$(ROOMS),$(eval $(call unit_rule,$(r))))
$(BUILD)/tests/unit/daemon/sandemctl_test: $(CTL_OBJ)
$(BUILD)/tests/unit/tools/%_test: $(BUILD)/tests/unit/tools/%_test.o \
		$(filter-out $(BUILD)/tools/sandem-load.o,$(LOAD_OBJ))
	$(Q)$(CC) $(CFLAGS) $(VARIANT_CFLAGS) -o $@ $^ -lcmocka -liscsi -ljansson -lisal -lm
# A fuzz harness may use everything, and the fakes of core and of the iSCSI driver.
FUZZ_MAIN = $(BUILD)/tests/fuzz/fuzz_run.o# empty: the compiler's own (libFuzzer)
FUZZ_FAKE = $(BUILD)/tests/unit/core/fake_target.o $(BUILD)/tests/unit/drivers/fake_portal.o
$(BUILD)/tests/fuzz/%_fuzz: $(BUILD)/tests/fuzz/%_fuzz.o $(FUZZ_MAIN) $(FUZZ_FAKE) $(call archives,daemon)
	$(Q)$(CC) $(CFLAGS) $(VARIANT_CFLAGS) $(FUZZ_LINK) -o $@ $< $(FUZZ_MAIN) $(FUZZ_FAKE) \
		-Wl,--start-group $(call archives,daemon) -Wl,--end-group $(call libs,daemon) -lcmocka
# The simulator: the daemon's own objects, with the functions that touch the world defined by tests/sim instead.
SIM_WRAP = $(addprefix -Xlinker --wrap=,cluster_state cluster_proposer lu_barrier_start range_lock_wait start_allowed lapse_outrun \
	store_file_open crc32_iscsi mkdir open openat flock fstat pread pwrite ftruncate fsync fdatasync renameat unlinkat close \
	reactor_sqe socket setsockopt bind listen shutdown sendmsg link_key_load remote_begin remote_execute \
	lu_admit lu_unadmit link_dup_done link_is_write gate_again cmd_sense)
SIM_OBJ = $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/sim/*.c) tests/unit/pr-sync/fake_pr_model.c)
$(BUILD)/tests/sim/sim: $(SIM_OBJ) $(call archives,daemon)
	$(Q)$(CC) $(CFLAGS) $(VARIANT_CFLAGS) -o $@ $(SIM_OBJ) $(SIM_WRAP) \
		-Wl,--start-group $(call archives,daemon) -Wl,--end-group $(call libs,daemon)
.PRECIOUS: $(BUILD)/%.o $(BUILD)/%.pb-c.c $(BUILD)/%.pb-c.h
.SECONDARY:

# ---- set-up: Debian packages ----------------------------------------------------------------
PACKAGES_BUILD = gcc libc6-dev liburing-dev liburcu-dev libqb-dev libcpg-dev libquorum-dev libcmap-dev \
	libprotobuf-c-dev protobuf-c-compiler libjansson-dev libcyaml-dev libyaml-dev libssl-dev libisal-dev \
	libiscsi-dev libcurl4-openssl-dev
PACKAGES_LAB = corosync pacemaker pacemaker-cli-utils crmsh resource-agents iproute2 nftables perl procps psmisc \
	util-linux bc python3 corosync-qdevice corosync-qnetd etcd-server etcd-client
PACKAGES_TEST = libcmocka-dev python3-pytest libiscsi-bin tgt libxml2-utils
PACKAGES = $(PACKAGES_BUILD) $(PACKAGES_LAB) $(PACKAGES_TEST)

# The virtual machine; its own kernel and programs are downloaded by tests/vm/prepare, not installed here.
PACKAGES_VM = qemu-system-x86 busybox-static kmod cpio binutils xz-utils zstd

# $(1): packages; $(2): what to do where they can't be had
define install_missing
	@missing=; for p in $(1); do \
		dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	[ -z "$$missing" ] && exit 0; \
	echo "installing:$$missing"; \
	[ "$$(id -u)" = 0 ] || { echo "make deps: only root can install them; run: sudo make deps" >&2; $(2); }; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing \
		</dev/null >$(BUILD)-deps.log 2>&1 || { tail -n 20 $(BUILD)-deps.log >&2; $(2); }; rm -f $(BUILD)-deps.log
endef

.PHONY: deps deps-vm
deps:
	$(call install_missing,$(PACKAGES),exit 1)
deps-vm: deps
	$(call install_missing,$(PACKAGES_VM),echo "the tests in a virtual machine will be skipped" >&2; exit 0)

# ---- the main jobs --------------------------------------------------------------------------
JOBS = -j$(shell nproc)
ASAN = BUILD=$(BUILD)/asan VARIANT_CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all" CFLAGS="-O1 -g"
TSAN = BUILD=$(BUILD)/tsan VARIANT_CFLAGS="-fsanitize=thread" CFLAGS="-O1 -g"

.PHONY: demo run check check-unit check-asan check-tsan check-cli check-conformance check-cluster check-vm check-bench
.PHONY: bench
demo: deps
	@$(MAKE) --no-print-directory $(JOBS) all
	@SANDEM_BUILD=$(abspath $(BUILD)) tests/cluster/demo

run: deps
	@$(MAKE) --no-print-directory $(JOBS) all
	@SANDEM_BUILD=$(abspath $(BUILD)) tools/first-lun

check: deps deps-vm
	@$(MAKE) --no-print-directory $(JOBS) all unit-bin $(BUILD)/tests/sim/sim
	@$(MAKE) --no-print-directory $(JOBS) $(ASAN) $(BUILD)/asan/sandemd unit-bin fuzz-bin $(BUILD)/asan/tests/sim/sim
	@tests/check $(BUILD)

check-unit: deps
	@$(MAKE) --no-print-directory $(JOBS) unit-bin
	@tests/check $(BUILD) unit

check-asan: deps
	@$(MAKE) --no-print-directory $(JOBS) $(ASAN) $(BUILD)/asan/sandemd unit-bin $(BUILD)/asan/tests/sim/sim
	@tests/check $(BUILD) unit-asan sim-asan conformance-asan

check-tsan: deps
	@$(MAKE) --no-print-directory $(JOBS) $(TSAN) $(BUILD)/tsan/sandemd unit-bin
	@tests/check $(BUILD) unit-tsan conformance-tsan

FUZZ_SECONDS ?= 60
FUZZ_CC ?= clang
.PHONY: check-fuzz fuzz
check-fuzz: deps
	@$(MAKE) --no-print-directory $(JOBS) $(ASAN) fuzz-bin
	@tests/check $(BUILD) fuzz

fuzz: deps
	@command -v $(FUZZ_CC) >/dev/null || { \
		echo "make fuzz: there is no $(FUZZ_CC); install clang, or make check-fuzz" >&2; exit 1; }
	@$(MAKE) --no-print-directory $(JOBS) BUILD=$(BUILD)/fuzz CC=$(FUZZ_CC) FUZZ_MAIN= FUZZ_LINK=-fsanitize=fuzzer \
		CFLAGS="-O1 -g" VARIANT_CFLAGS="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all" fuzz-bin
	@tests/fuzz/explore $(BUILD)/fuzz $(FUZZ_SECONDS)

SEEDS ?= 1000000
.PHONY: sim check-sim
check-sim: deps
	@$(MAKE) --no-print-directory $(JOBS) $(BUILD)/tests/sim/sim
	@$(MAKE) --no-print-directory $(JOBS) $(ASAN) $(BUILD)/asan/tests/sim/sim
	@tests/check $(BUILD) sim sim-asan

sim: deps
	@$(MAKE) --no-print-directory $(JOBS) $(BUILD)/tests/sim/sim
	@tests/sim/run $(BUILD) --seeds $(SEEDS)

check-vm: deps-vm
check-cli check-conformance check-cluster check-vm check-bench: check-%: deps
	@$(MAKE) --no-print-directory $(JOBS) all
	@tests/check $(BUILD) $*

bench: deps
	@$(MAKE) --no-print-directory $(JOBS) all
	@SANDEM_BUILD=$(abspath $(BUILD)) tests/bench/compare-tgt --full

# ---- installing -----------------------------------------------------------------------------
.PHONY: install
install: all
	install -D -m 755 $(BUILD)/sandemd $(DESTDIR)$(PREFIX)/sbin/sandemd
	install -D -m 755 $(BUILD)/sandemctl $(DESTDIR)$(PREFIX)/sbin/sandemctl
	install -D -m 755 $(BUILD)/sandem-load $(DESTDIR)$(PREFIX)/bin/sandem-load
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/lib/ocf/resource.d/sandem agents/ocf/sandemd agents/ocf/group
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/share/pacemaker/alerts agents/alerts/sandem_fencing
	install -D -m 755 -t $(DESTDIR)$(PREFIX)/lib/sandem agents/move_group
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/sandem LICENSE
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/sandem/examples configs/*
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 docs/man/*.8
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man5 docs/man/*.5
	install -d -m 700 $(DESTDIR)/var/lib/sandem
	install -d -m 755 $(DESTDIR)/etc/sandem

help:
	@echo "make demo       a two-node pair in namespaces, verified I/O, a planned move, a node killed (root)"
	@echo "make check      every test; the closing line counts them (root)"
	@echo "make run        one node on embedded defaults, with the lines to connect (root)"
	@echo "make all        build/sandemd, build/sandemctl, build/sandem-load"
	@echo "make deps       install the Debian packages that are missing (root)"
	@echo "make check-unit check-asan check-tsan check-cli check-conformance check-cluster check-vm check-bench"
	@echo "make check-sim  60,000 schedules of a simulated cluster and the planted faults, 4,000 under ASan and UBSan;"
	@echo "                make sim SEEDS=n: any number"
	@echo "make check-fuzz the corpus of inputs and mutations of it;"
	@echo "                make fuzz FUZZ_SECONDS=n: clang's fuzzer, n seconds for each harness"
	@echo "make bench      compare with tgt      make install PREFIX=/usr DESTDIR=      make clean"

clean:
	rm -rf $(BUILD)
.PHONY: clean

OTHERS = $(foreach v,old asan tsan vm fuzz,-not -path '$(BUILD)/$(v)/*')
-include $(shell find $(BUILD) -name '*.d' -type f $(OTHERS) 2>/dev/null)
