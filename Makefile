# Everything a checkout needs; each target sets up what it uses, in .venv and build/.
#
#   make demo                train on handwritten digits, export, run in C, compare
#   make build               the package, editable, in .venv
#
#   make test                the whole suite: Python, C, fuzzing in short form; ends with pytest's summary
#   make test-quick          the same without what is marked slow (below 3 minutes)
#   make ctest               the tests in C only
#   make lint                ruff, mypy, generated files
#   make cross               C tests on AArch64 (qemu), build and run for Cortex-M4; needs the packages it names
#   make fuzz-quick          mutants of programs under sanitizers and of .pt checkpoints; FUZZ=200000 make fuzz for more
#   make size                bytes of the C core on x86-64 and Thumb-2
#
#   make oracles             PyTorch into .venv: tests compare with it where it is installed
#   make conformance-torch   replay PyTorch's own operator tests and its optimizers' on pappus; ARGS="--users 2 --dtype float64"
#   make conformance-modules the same of its layers; ARGS="--users 3"
#   make conformance-onnx    ONNX's backend tests through the importer; ARGS="--show 30", ARGS=--write for docs/onnx.md
#   make conformance-doc     the operators' as a table, written to docs/conformance.md
#   make scripts             scripts that import torch, run by PyTorch and by pappus; writes docs/scripts.md
#
#   make bench-eager         us per eager operator beside PyTorch, where installed; writes docs/eager-speed.md
#   make bench-native        the runtime's kernels behind eager operators beside numpy's; writes docs/native-kernels.md
#   make bench-compile       what pp.compile gains at batch 1: eager, compiled, PyTorch's eager
#   make figures             measure everything the documents speak of and write docs/figures.md
#
#   make schema              write the Python and C sides of runtime_c/schema/program.fbs again
#   make clean               remove .venv, build, .make and out

PYTHON ?= python3
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
JOBS ?= 2
FUZZ ?= 200000
FUZZ_SEED ?= 1
export PATH := $(BIN):$(PATH)

C_SOURCES := $(shell find runtime_c cmake CMakeLists.txt tests/c -type f -not -name '*.py' -not -name '*.pyi' -not -name '*.so')

.PHONY: help demo build build-c test test-quick ctest lint cross fuzz-quick fuzz size oracles conformance-torch \
	conformance-modules conformance-onnx conformance-doc scripts bench-eager bench-native bench-compile figures schema clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^#   //p' Makefile

# The tools and dependencies that pyproject.toml names, and nothing from the user's own environment.
.make/deps: pyproject.toml
	@mkdir -p .make
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Pappus needs Python 3.11 or newer: make PYTHON=python3.11")'
	$(BIN)/pip install -q --upgrade pip
	$(BIN)/python .ci/requirements.py dev > .make/requirements.txt
	$(BIN)/pip install -q -r .make/requirements.txt
	touch $@

# Editable: Python files are used where they are, the C part is compiled into .venv.
.make/build: .make/deps $(C_SOURCES)
	$(BIN)/pip install -q --no-build-isolation --no-deps -e .
	touch $@

build: .make/build

build/c/build.ninja: .make/deps
	cmake -S . -B build/c -G Ninja -DPAPPUS_WERROR=ON > /dev/null

build-c: build/c/build.ninja
	cmake --build build/c

ctest: build-c
	ctest --test-dir build/c --output-on-failure -j $(JOBS) --quiet

demo: build
	$(BIN)/pappus demo

test: build ctest fuzz-quick size
	$(BIN)/python -m pytest -n $(JOBS)

test-quick: build ctest
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow"

lint: .make/build
	ruff check .
	mypy
	$(BIN)/python runtime_c/schema/generate.py --check

schema: .make/deps
	$(BIN)/python runtime_c/schema/generate.py

cross: .make/deps
	sh runtime_c/tools/cross.sh

fuzz-quick: .make/build
	$(BIN)/python tests/frontend/torch_file_mutants.py --count 10000
	$(BIN)/python runtime_c/tools/fuzz/run.py --count 100000 --jobs $(JOBS)

fuzz: .make/build
	$(BIN)/python tests/frontend/torch_file_mutants.py --count $(FUZZ) --seed $(FUZZ_SEED)
	$(BIN)/python runtime_c/tools/fuzz/run.py --count $(FUZZ) --jobs $(JOBS) --seed $(FUZZ_SEED)

size:
	sh runtime_c/tools/size.sh

oracles: .make/deps
	$(BIN)/python .ci/requirements.py conformance > .make/conformance.txt
	$(BIN)/python -c 'import torch, expecttest, scipy, onnx' 2> /dev/null || $(BIN)/pip install -q -r .make/conformance.txt

scripts: build oracles
	$(BIN)/python tests/scripts/compare.py --write

conformance-doc: build oracles
	$(BIN)/python tests/conformance/table.py --write

conformance-torch: build oracles
	$(BIN)/python tests/conformance/$(if $(ARGS),torch_ops.py $(ARGS),table.py)
	$(BIN)/python tests/conformance/torch_optim.py

conformance-modules: build oracles
	$(BIN)/python tests/conformance/torch_modules.py $(ARGS)

conformance-onnx: build oracles
	$(BIN)/python tests/conformance/onnx_backend.py $(ARGS)

figures: build
	$(BIN)/python benchmarks/figures.py

bench-compile: build
	$(BIN)/python benchmarks/compile.py $(ARGS)

bench-native: build
	$(BIN)/python benchmarks/native.py --write docs/native-kernels.md $(ARGS)

bench-eager: build
	$(BIN)/python benchmarks/eager.py --write docs/eager-speed.md $(ARGS)

clean:
	rm -rf build .make .venv out
