# make demo: install, build what it runs, start the server with the small trained model, make images. make test: all checks.
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

demo: ## Installs and builds what it runs, starts the server with the small trained model and makes images
	@echo "The first run takes about 8 minutes on 2 cores besides the downloads, later ones seconds. It installs what is missing of 25 Debian packages (115 MB with what they need) and libtorch (545 MB, unpacked 0.6 GB), and builds the 3 programs that it runs, less than half of the sources."
	@scripts/install_dependencies.sh programs
	@scripts/build.sh $(PRESET) $(JOBS) kandinsky-demo
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
