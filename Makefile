# SPDX-License-Identifier: Apache-2.0
# What one does with this repository. `make` alone lists it.

SWIFT ?= swift
PREFIX ?= /usr/local
DESTDIR ?=

# Without the toolchain's libraries it runs where Swift is not installed; without symbols it is half the size.
release_flags := -c release --static-swift-stdlib -Xlinker -s
binary := .build/release/fdwatch
swift_files := Package.swift Sources Tests $(wildcard Benchmarks)

.DEFAULT_GOAL := help
CC ?= cc
library := .build/leakprofile
library_sources := $(wildcard Sources/CLeakProfile/*.c)
library_flags := -std=gnu11 -O2 -fno-omit-frame-pointer -Wall -Wextra -ISources/CLeakProfile/include

.PHONY: help toolchain deps build leakprofile openers-skeleton demo test tsan bench evaluate fuzz install deb format lint \
  clean

help: ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

toolchain:
	@command -v $(SWIFT) >/dev/null || { \
	  echo "There is no '$(SWIFT)' here: fdwatch needs a Swift toolchain, 6.2 or newer (https://www.swift.org/install)." >&2; \
	  exit 1; }

deps: ## install what is missing for build and tests (Debian packages)
	@packaging/install-deps.sh build test

build: toolchain ## build a release: .build/release/fdwatch
	$(SWIFT) build $(release_flags) --product fdwatch
	@touch $(binary) # up to date, though nothing may have been linked: tests of the package look at this

leakprofile: ## build the C library: .build/leakprofile/libleakprofile.a and .so
	@mkdir -p $(library)
	$(CC) $(library_flags) -fPIC -fvisibility=default -shared -Wl,-soname,libleakprofile.so.1 $(library_sources) \
	  -o $(library)/libleakprofile.so.1 -lpthread -ldl
	ln -sf libleakprofile.so.1 $(library)/libleakprofile.so
	cd $(library) && $(CC) $(patsubst -I%,-I$(CURDIR)/%,$(library_flags)) -fPIC -c $(addprefix $(CURDIR)/,$(library_sources)) && \
	  $(AR) rcs libleakprofile.a $(notdir $(library_sources:.c=.o))

# The compiler is the toolchain's own; bpftool is Debian's. Below its own folder, so that no path gets into the result.
openers-skeleton: toolchain ## compile the BPF program anew: Sources/COpeners/bpf/openers.lskel.h
	@packaging/install-deps.sh skeleton
	@packaging/openers-skeleton.sh Sources/COpeners/bpf/openers.lskel.h

demo: toolchain ## install what is missing, build, and watch a leaking server until the alert
	@packaging/install-deps.sh build demo
	@$(MAKE) --no-print-directory build
	@Demo/run.sh $(binary)

# A release, too: some tests install the package of it where a real systemd runs.
test: toolchain deps build ## install what is missing, build, and run all tests
	$(SWIFT) build --build-tests
	@Tests/run.sh
	JOBS=$$(nproc) Tests/Fuzz/run.sh 2

# With GCC, which brings the sanitizer's library.
tsan: ## run the C library's threads under ThreadSanitizer
	@mkdir -p $(library)
	gcc -fsanitize=thread -g $(library_flags) Tests/leakstress/main.c $(library_sources) -o $(library)/leakstress-tsan -lpthread
	TSAN_OPTIONS=halt_on_error=1 $(library)/leakstress-tsan 125000 < /dev/null

bench: toolchain ## compare with the kernel's floor, lsof and lsfd; takes some minutes
	@packaging/install-deps.sh build bench
	@Benchmarks/run.sh

# The tables in Sources/Detection/README.md.
evaluate: build ## replay labelled recordings and score the detector (CORPORA="folder folder")
	@test -n "$(CORPORA)" || { echo 'Say where recordings are: make evaluate CORPORA="folder folder"' >&2; exit 1; }
	@Tests/Evaluation/evaluate.py --write Sources/Detection/README.md $(binary) $(CORPORA)

fuzz: toolchain ## fuzz every decoder of foreign bytes, each for SECONDS=60
	@packaging/install-deps.sh build test
	@Tests/Fuzz/run.sh $(or $(SECONDS),60)

install: ## install what `make build` made (PREFIX=/usr/local, DESTDIR=)
	@test -x $(binary) || { echo "Run 'make build' first." >&2; exit 1; }
	@PREFIX=$(PREFIX) DESTDIR=$(DESTDIR) packaging/install.sh $(binary)

deb: build ## build a Debian package, in packaging/deb
	@packaging/install-deps.sh package
	@packaging/deb/build.sh $(binary)

format: toolchain ## format all Swift files in place
	$(SWIFT) format --in-place --parallel --recursive $(swift_files)

lint: toolchain ## check format and style
	$(SWIFT) format lint --strict --parallel --recursive $(swift_files)
	@for script in .ci/run Demo/run.sh Tests/*.sh Tests/bed/*.sh Tests/Fuzz/*.sh packaging/*.sh packaging/deb/*.sh; do \
	  bash -n "$$script" || exit 1; done

clean: ## remove what was built
	rm -rf .build .build-fuzz Benchmarks/.build packaging/deb/*.deb
