# make demo: install, build, start the server with the small trained model, make pictures. make test: all checks.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PRESET ?= release
JOBS ?= 2

.PHONY: help dependencies build demo test test-long test-parity bench shapes-pack format lint

help: ## Lists the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

dependencies: ## Installs what the build needs (Debian packages, libtorch), pinned and re-runnable
	@scripts/install_dependencies.sh

build: dependencies ## Configures and builds build/$(PRESET)
	@scripts/build.sh $(PRESET) $(JOBS)

demo: build ## Starts the server with the small trained model, makes pictures and says where they are
	@scripts/demo.sh build/$(PRESET)

test: build ## Runs every check that needs no Python torch
	@ctest --preset $(PRESET) -j $(JOBS)

test-parity: build ## Compares the built server with diffusers, live, in a pinned Python environment
	@tests/parity/run.sh build/$(PRESET)

test-long: test test-parity ## Everything, the full-size networks against double precision, and the sanitizer presets
	@tests/parity/run_full_size.sh build/$(PRESET)
	@scripts/build.sh tsan $(JOBS) && ctest --preset tsan -j $(JOBS)
	@scripts/build.sh asan $(JOBS) && ctest --preset asan -j $(JOBS)
	@scripts/build.sh clang $(JOBS)

bench: build ## Prints the benchmark table: ours against a peer in the same run
	@scripts/bench.sh build/$(PRESET)

shapes-pack: build ## Trains the models in models/shapes anew, from nothing (about 110 minutes on 2 cores after the build, resumable)
	@scripts/make_shapes_pack.sh build/$(PRESET)

format: ## Formats the C++ sources in place
	@scripts/install_packages.sh clang-format-16
	@git ls-files '*.h' '*.cc' | xargs clang-format-16 -i

lint: build ## Checks formatting and runs the chosen clang-tidy checks
	@scripts/lint.sh build/$(PRESET) $(JOBS)
