# `make demo` and `make test` need Rust, a C++ compiler, make and Python 3, and see to the rest themselves.
# After either, plain `cargo build`, `cargo test` and `cargo run` work as well.

# A Python with torch 2.11 and numpy, for comparisons.
PYTHON ?= python3
TARGET := $(or $(CARGO_TARGET_DIR),target)

.DEFAULT_GOAL := help
.PHONY: help setup demo test check lint bench bench-gpu clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.* ## /\1\t/p' $(firstword $(MAKEFILE_LIST)) | while IFS="$$(printf '\t')" read -r target text; do \
		printf '  make %-7s %s\n' "$$target" "$$text"; done

setup: ## check the tools, find or fetch libtorch (options: make setup SETUP=--help)
	@sh scripts/setup.sh $(SETUP)

demo: setup ## build with optimisations and run scenarios/quickstart.toml
	cargo build --release
	$(TARGET)/release/fedrobust run scenarios/quickstart.toml

test: setup ## all tests
	cargo test

# The dev profile, as for the tests, so that torch-sys (minutes of C++) is built once.
check: setup ## check every scenario file without running it
	cargo build
	@find scenarios -name '*.toml' | sort | while read -r file; do \
		echo "$$file"; $(TARGET)/debug/fedrobust plan "$$file" --no-calibrate --allow-absent-data || exit 1; done

lint: setup ## formatting, clippy and docs, warnings denied
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

bench: setup ## benchmarks
	cargo bench
	cargo build --release && python3 benches/growth.py
	$(if $(DATA),python3 benches/against_pytorch.py $(DATA) --python $(PYTHON),@echo "for the comparison with PyTorch: make bench DATA=DATA/uci_har.npz PYTHON=PYTHON")

bench-gpu: setup ## check and time a GPU: make bench-gpu DATA=DATA/uci_har.npz
	cargo build --release
	python3 benches/gpu.py $(DATA) --python $(PYTHON)

clean: ## remove what cargo built; the fetched libtorch stays in .libtorch
	cargo clean
