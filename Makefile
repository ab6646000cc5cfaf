# minembed: `make demo` and `make test` are the two commands of the README; `make` alone lists the rest.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
export PYTHONSAFEPATH = 1
unexport PYTHONDONTWRITEBYTECODE  # the tests start a hundred processes, which find each other's bytecode
export PIP_DISABLE_PIP_VERSION_CHECK = 1

help:              ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

demo: $(VENV)/user ## make a virtual environment, install, pull the default model, run the demo
	$(BIN)/minembed pull
	$(BIN)/minembed demo

test: $(VENV)/dev  ## install what the tests need, pull the default model, run all tests on all cores
	$(BIN)/minembed pull
	$(BIN)/pytest -n auto --dist worksteal

check: $(VENV)/dev ## format, lint, types, and the contracts on imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	rm -rf $(VENV)/typed build && $(BIN)/pip install -q --no-deps --target $(VENV)/typed . && rm -rf build
	cd $(VENV) && PYTHONPATH=typed bin/mypy --config-file ../pyproject.toml -p minembed
	cd $(VENV) && PYTHONPATH=typed bin/lint-imports ../pyproject.toml --no-cache --no-logo

fuzz: $(VENV)/dev  ## the heavy tests: exhaustive, fuzzed and soaked (tens of minutes)
	$(BIN)/minembed pull
	$(BIN)/pytest -m "slow or fuzz"

test-types: $(VENV)/dev ## what mypy and basedpyright make of a user's script (a minute)
	$(BIN)/pip install -q -e '.[dev,types]'
	$(BIN)/pytest tests/house/test_types.py

test-maps: $(VENV)/dev ## the tests of maps with UMAP too, which the other tests leave out (a minute)
	$(BIN)/pip install -q -e '.[dev,viz]'
	$(BIN)/pytest tests/maps/test_maps.py tests/maps/test_maps_files.py

test-columns:      ## columns of pandas, polars and pyarrow, in an environment of their own (a minute)
	$(PYTHON) -m venv $(VENV)/columns
	$(VENV)/columns/bin/pip install -q -e . pytest hypothesis pandas polars pyarrow
	$(VENV)/columns/bin/pytest tests/models/test_columns.py tests/runtime/test_text_columns.py

OLDEST ?= python3.10
OLDEST_EXTRAS = numba arrow viz serve
OLDEST_TESTS = $(addprefix tests/,text transformer search data weights evaluation runtime maps serve)
OLDEST_TESTS += --ignore tests/maps/test_maps_files.py  # its runner of commands needs click 8.2
# pyarrow before 26 writes a null among lists of a fixed size to parquet, and cannot read it
OLDEST_TESTS += --deselect "tests/data/test_outputs.py::test_cells_of_csv_stay_texts[parquet]"

proof: $(VENV)/dev ## the promises at full size, where it stopped (hours): ROWS="weights jobs" SHARE=0.1 SEED=3 COUNT=1000 AGE=1
	$(BIN)/minembed pull
	PYTHONPATH=tests/support $(BIN)/python tests/support/proof_run.py --rows $(ROWS) $(SHARE:%=--share %) \
		$(SEED:%=--seed %) $(COUNT:%=--count %) $(if $(filter 1,$(AGE)),--age)

test-oldest:       ## the oldest versions that pyproject.toml allows, on the oldest Python: make test-oldest OLDEST=python3.10 (ten minutes)
	$(OLDEST) -m venv --clear $(VENV)/oldest
	$(OLDEST) tests/support/oldest.py $(OLDEST_EXTRAS) > $(VENV)/oldest/oldest.txt
	$(VENV)/oldest/bin/pip install -q --only-binary :all: -r $(VENV)/oldest/oldest.txt "pyparsing<3.3" pytest hypothesis pytest-xdist
	$(VENV)/oldest/bin/pip install -q --no-deps -e . && $(VENV)/oldest/bin/pip check
	$(VENV)/oldest/bin/minembed pull && $(VENV)/oldest/bin/minembed doctor
	$(VENV)/oldest/bin/pytest -n auto --dist worksteal $(OLDEST_TESTS)

WHEEL_TESTS = $(addprefix tests/,kernels models transformer text weights search runtime data train evaluation)
test-wheel: $(VENV)/dev ## the tests that concern kernels, by this platform's wheel alone, without Numba: built (half an hour), or WHEEL=file
	rm -rf $(VENV)/alone-wheel
	$(if $(WHEEL),,$(BIN)/python -m minembed.kernels.ahead.wheels --keep $(VENV)/kept -o $(VENV)/alone-wheel \
		--platform $$($(BIN)/python -c "from minembed.kernels.libraries import platform_here; print(platform_here())"))
	$(PYTHON) -m venv --clear $(VENV)/alone
	$(VENV)/alone/bin/pip install -q $(or $(WHEEL),$(VENV)/alone-wheel/*.whl) pytest hypothesis pytest-xdist pyarrow scikit-learn
	$(VENV)/alone/bin/minembed pull
	$(VENV)/alone/bin/pytest -n auto --dist worksteal $(WHEEL_TESTS)

LIGHT = langchain llama_index haystack chroma sklearn keybert bertopic docs
WITH_TORCH = mteb txtai docs
TORCH ?= torch==2.13.0+cpu --extra-index-url https://download.pytorch.org/whl/cpu
# so that folders of tests/ do not stand in for packages of their names; and UMAP's warning
CHECK = pytest --import-mode=importlib -W "ignore:Tensorflow not installed"

SERVE_CLIENTS = openai huggingface_hub langchain-openai llama-index-embeddings-text-embeddings-inference schemathesis

test-integrations: ## the frameworks themselves, in two environments of their own, one without torch (about 15 minutes)
	$(PYTHON) -m venv $(VENV)/integrations
	$(VENV)/integrations/bin/pip install -q -e '.[numba,langchain,llama-index,haystack,chroma,sklearn,bertopic,keybert]' pytest hypothesis
	$(VENV)/integrations/bin/pip install -q --no-deps bertopic keybert
	$(VENV)/integrations/bin/minembed pull
	$(VENV)/integrations/bin/$(CHECK) $(LIGHT:%=tests/integrations/check_%.py)
	$(PYTHON) -m venv $(VENV)/integrations-torch
	$(VENV)/integrations-torch/bin/pip install -q $(TORCH)
	$(VENV)/integrations-torch/bin/pip install -q -e '.[numba,mteb,txtai]' pytest hypothesis
	$(VENV)/integrations-torch/bin/$(CHECK) $(WITH_TORCH:%=tests/integrations/check_%.py)

test-serve:        ## a real server: its clients, schemathesis, hostile and many clients, in an environment of its own (an hour)
	$(PYTHON) -m venv $(VENV)/serve
	$(VENV)/serve/bin/pip install -q -e '.[numba,serve]' $(SERVE_CLIENTS) pytest hypothesis
	$(VENV)/serve/bin/minembed pull
	$(VENV)/serve/bin/pytest -s -W default tests/serve/check_clients.py tests/serve/check_many.py tests/serve/check_hostile.py tests/serve/check_schema.py

RAY = ray[data]==2.60.0

test-ray:          ## jobs on a cluster of Ray, three nodes on this machine, one killed, in an environment of its own (five minutes, 600 MB)
	$(PYTHON) -m venv $(VENV)/ray
	$(VENV)/ray/bin/pip install -q -e '.[numba,ray]' '$(RAY)' pytest hypothesis
	$(VENV)/ray/bin/minembed pull
	$(VENV)/ray/bin/pytest -W default tests/jobs/check_ray.py

measure-ray:       ## jobs on Ray against the local engine on an idle machine of two cores, into docs/jobs.md (an hour)
	$(PYTHON) -m venv $(VENV)/ray
	$(VENV)/ray/bin/pip install -q -e '.[numba,ray]' '$(RAY)'
	$(VENV)/ray/bin/minembed pull
	$(VENV)/ray/bin/python tests/jobs/measure_ray.py --write

MOTO = moto[server]==5.2.5

test-s3:           ## jobs on S3, which moto's server plays on this machine, in an environment of its own (three minutes)
	$(PYTHON) -m venv $(VENV)/s3
	$(VENV)/s3/bin/pip install -q -e '.[arrow]' '$(MOTO)' pytest hypothesis
	$(VENV)/s3/bin/pytest -W default tests/jobs/check_s3.py

measure-extras:    ## what each extra brings, its size and its first vector, into docs/integrations.md (about 15 minutes)
	$(PYTHON) docs/measure_extras.py $(VENV)/extra "$(TORCH)" $(EXTRAS)

MADE ?= 0
FOLDER ?= $(VENV)/scale
DTYPE ?= float32

measure-scale: $(VENV)/dev ## the tables of docs/scale.md: make measure-scale ROWS=100000 MADE=10000000 FOLDER=(with room) (hours)
	$(BIN)/minembed pull
	PYTHONSAFEPATH= $(BIN)/python docs/measure_scale.py $(FOLDER) --rows $(or $(ROWS),100000) --made $(MADE) --dtype $(DTYPE)

PRECISION ?= int8

measure-parts:     ## one index, and the same in parts on Ray, into docs/jobs.md: make measure-parts MADE=10000000 FOLDER=(with room) (half an hour)
	$(PYTHON) -m venv $(VENV)/ray
	$(VENV)/ray/bin/pip install -q -e '.[numba,ray]' '$(RAY)'
	$(VENV)/ray/bin/minembed pull
	PYTHONSAFEPATH= PYTHONPATH=tests/jobs $(VENV)/ray/bin/python docs/measure_parts.py $(FOLDER) --made $(MADE) --precision $(PRECISION)

test-mpnet: $(VENV)/dev ## all-mpnet-base-v2 against the reference: make test-mpnet PYTHON=(with sentence-transformers) STSB=(folder)
	$(BIN)/minembed pull all-mpnet-base-v2 | tee $(VENV)/mpnet.txt
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(PYTHON) tests/goldens/make/make_mpnet_goldens.py \
		"$$(head -n 1 $(VENV)/mpnet.txt)" $(VENV)/mpnet.npz $(STSB)
	MPNET_VECTORS=$(VENV)/mpnet.npz STSB=$(STSB) $(BIN)/pytest -rs -s tests/weights/check_mpnet.py

PEERS = sentence-transformers==6.2.0 transformers==5.24.0 peft==0.21.0 datasets faiss-cpu usearch pillow scikit-learn

test-sentence-transformers: ## the drop-in beside sentence-transformers itself, in an environment of their own (ten minutes)
	$(PYTHON) -m venv $(VENV)/sentence-transformers
	$(VENV)/sentence-transformers/bin/pip install -q $(TORCH)
	$(VENV)/sentence-transformers/bin/pip install -q -e . $(PEERS) pytest hypothesis
	$(VENV)/sentence-transformers/bin/minembed pull
	$(VENV)/sentence-transformers/bin/pytest -m "slow or not slow" tests/dropin

STORES ?=

test-stores:       ## the pages on vector stores, each in an environment of its own, and their tables (ten minutes, 2 GB)
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(PYTHON) tests/stores/run_stores.py $(VENV)/stores $(STORES)

test-browser: $(VENV)/dev ## maps, a server's page and a report, in headless Chromium (a few minutes)
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
		{ echo "make test-browser needs Chromium: apt-get install chromium chromium-driver"; exit 1; }
	$(BIN)/pip install -q -e '.[dev,browser]'
	$(BIN)/pytest tests/browser/check_page.py tests/browser/check_serve_page.py tests/browser/check_report.py

goldens:           ## write the goldens anew: make goldens PYTHON=(with torch and sentence-transformers) MODEL=(its folder)
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(PYTHON) tests/goldens/make/make_goldens.py $(MODEL) tests/goldens
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(PYTHON) tests/goldens/make/make_family_goldens.py tests/goldens/families
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(PYTHON) tests/goldens/make/make_adapter_goldens.py tests/goldens/adapters
	PYTHONSAFEPATH= PYTHONPATH=tests/support:tests/goldens/make $(PYTHON) \
		tests/goldens/make/make_adapter_mutation_goldens.py tests/goldens/adapter_mutations.npz 5000
	PYTHONSAFEPATH= PYTHONPATH=tests/support:. $(PYTHON) \
		tests/goldens/make/make_tokenizer_mutation_goldens.py tests/goldens/tokenizer_mutations.npz 5000
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(PYTHON) tests/goldens/make/make_module_goldens.py tests/goldens/modules
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(PYTHON) tests/goldens/make/make_static_goldens.py tests/goldens/static
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(PYTHON) tests/goldens/make/make_tokenizer_goldens.py tests/goldens/tokenizers
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(PYTHON) tests/goldens/make/make_saved_tokenizer_goldens.py tests/goldens
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(PYTHON) tests/goldens/make/make_search_goldens.py tests/goldens/search
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(PYTHON) tests/goldens/make/make_head_goldens.py tests/goldens/heads
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(PYTHON) tests/goldens/make/make_gradient_goldens.py tests/goldens/gradients.npz
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(PYTHON) tests/goldens/make/make_edit_goldens.py tests/goldens/edits.npz
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(PYTHON) tests/goldens/make/make_loss_goldens.py tests/goldens/losses.npz
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(PYTHON) tests/goldens/make/make_masked_goldens.py tests/goldens/masked.npz
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(PYTHON) tests/goldens/make/make_optim_goldens.py tests/goldens/optim.npz
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(PYTHON) tests/goldens/make/make_signature_goldens.py tests/goldens/calls/signatures.json.xz
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(PYTHON) tests/goldens/make/make_evaluator_goldens.py tests/goldens/calls/evaluators.json.xz
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(PYTHON) tests/goldens/make/make_call_goldens.py $(MODEL) tests/goldens/calls

verify-models:     ## compare checkpoints with sentence-transformers: make verify-models NAMES="org/name ..." PYTHON=(with both)
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(PYTHON) tests/goldens/make/verify_models.py $(NAMES)

call-table: $(VENV)/dev ## write the tables of docs/sentence-transformers.md
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(BIN)/python tests/goldens/make/make_call_table.py docs/sentence-transformers.md

model-table: $(VENV)/dev ## measure every family on its goldens, write the table of docs/models.md
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(BIN)/python tests/goldens/make/make_model_table.py docs/models.md

compare-table:     ## write the tables of docs/compare.md from docs/compare.json
	$(PYTHON) docs/make_compare.py

docs:              ## build the site of the docs, strictly, in an environment of its own: site/index.html (a minute)
	$(PYTHON) -m venv $(VENV)/site
	$(VENV)/site/bin/pip install -q -r docs/site/requirements.txt
	$(VENV)/site/bin/pip install -q . && rm -rf build
	PYTHONSAFEPATH= $(VENV)/site/bin/python docs/site/build.py $(VENV)/site/stage site

test-site: $(VENV)/dev docs ## the site in headless Chromium: three widths, light and dark, search, no request elsewhere
	@command -v chromium >/dev/null && command -v chromedriver >/dev/null || \
		{ echo "make test-site needs Chromium: apt-get install chromium chromium-driver"; exit 1; }
	$(BIN)/pip install -q -e '.[dev,browser]'
	$(BIN)/pytest tests/browser/check_site.py tests/browser/check_lessons.py

check-workflows:   ## .github/ against GitHub's schemas, and zizmor's audit, in an environment of their own; nothing is asked online
	$(PYTHON) -m venv $(VENV)/workflows
	$(VENV)/workflows/bin/pip install -q check-jsonschema==0.39.0 zizmor==1.32.0
	$(VENV)/workflows/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(VENV)/workflows/bin/check-jsonschema --builtin-schema vendor.github-issue-forms \
		$(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))
	$(VENV)/workflows/bin/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	$(VENV)/workflows/bin/zizmor --offline --strict-collection --persona pedantic .github

pictures: $(VENV)/dev ## draw the pictures of the docs from the real model
	$(BIN)/minembed pull
	$(BIN)/python docs/make_pictures.py

map-pictures: $(VENV)/dev ## draw and measure the maps of the docs (about five minutes)
	$(BIN)/pip install -q -e '.[dev,viz,browser]'
	PYTHONSAFEPATH= $(BIN)/python docs/make_map_pictures.py

lessons: $(VENV)/dev ## run the lessons of docs/learn: write what they print and draw into their pages (half a minute)
	$(BIN)/minembed pull
	$(BIN)/python docs/learn/build.py $(LESSONS)

test-study: $(VENV)/dev ## run all lessons again and compare every number; the tests of the exercises (a minute)
	$(BIN)/minembed pull
	$(BIN)/python docs/learn/build.py --check
	$(BIN)/pytest tests/study/test_lessons.py tests/study/test_exercises.py

study-peers:       ## the table of docs/report.md: BertViz and TransformerLens beside trace and report (2 GB; TORCH=a wheel)
	$(PYTHON) -m venv $(VENV)/study-peers && $(PYTHON) -m venv $(VENV)/study-ours
	$(VENV)/study-peers/bin/pip install -q $(TORCH)
	$(VENV)/study-peers/bin/pip install -q bertviz==1.4.1 transformer_lens==4.3.0
	$(VENV)/study-ours/bin/pip install -q . && rm -rf build
	$(VENV)/study-ours/bin/python docs/study_peers.py $(VENV)/study-peers/bin/python $(VENV)/study-ours/bin/python

from-nothing: $(VENV)/dev ## train the encoder of docs/from-nothing.md, measure it, draw its pictures (about ten minutes)
	$(BIN)/pip install -q -e '.[dev,viz]'
	PYTHONSAFEPATH= $(BIN)/python docs/train_from_nothing.py $(VENV)/from-nothing

wheel: $(VENV)/dev ## build the wheel and try it outside the checkout
	rm -rf build dist && $(BIN)/python -m build --wheel && rm -rf build
	$(PYTHON) -m venv --clear $(VENV)/wheel && $(VENV)/wheel/bin/pip install -q dist/*.whl
	cd $(VENV) && wheel/bin/minembed demo

native: $(VENV)/dev ## compile the kernels ahead of time for this CPU: nothing is left to compile (a minute)
	$(BIN)/python -m minembed.kernels.ahead

native-all: $(VENV)/dev ## the same for every instruction set of this platform, as its wheel carries them (ten minutes)
	$(BIN)/python -m minembed.kernels.ahead --all

test-native: $(VENV)/dev ## whether the libraries of native or native-all compute what Numba does, bit for bit (minutes each)
	test -f kernels/native/manifest.json || $(MAKE) native
	$(BIN)/pytest -m slow -s tests/kernels/test_kernel_ahead.py tests/kernels/test_kernel_native.py

test-arm: $(VENV)/dev ## the kernels for ARM, in its wheel, run by qemu-user-static, of Debian (some ten minutes; ARM_NUMBA=1: an hour)
	PYTHONSAFEPATH= PYTHONPATH=tests/support $(BIN)/python -c "import sys, arm_machine; sys.exit(arm_machine.missing() or 0)"
	$(BIN)/pip install -q ziglang
	rm -rf $(VENV)/arm/dist
	$(BIN)/python -m minembed.kernels.ahead.wheels --platform linux-aarch64 -o $(VENV)/arm/dist
	PYTHONPATH=tests/support $(BIN)/python tests/support/arm_machine.py $(VENV)/arm
	ARM_MACHINE=$(VENV)/arm $(BIN)/pytest -s -m "slow or not slow" tests/kernels/check_arm.py

wheels: $(VENV)/dev ## build the wheels of all platforms into dist/, with their kernels compiled (15 minutes)
	$(BIN)/pip install -q ziglang
	$(BIN)/python -m minembed.kernels.ahead.wheels $(WHEELS)

RELEASE = VENV="$(VENV)" PYTHONSAFEPATH= $(PYTHON) tests/release

release: $(VENV)/dev ## everything that is published, checked, in dist/release: make release [REHEARSAL=1] [TESTS=0] [TWICE=1] [HEAVY=1] (two hours)
	$(BIN)/minembed pull
	$(RELEASE)/make_release.py $(if $(filter 1,$(REHEARSAL)),--rehearsal) $(if $(filter 0,$(TESTS)),--no-tests) \
		$(if $(filter 1,$(TWICE)),--twice) \
		$(if $(filter 1,$(HEAVY)),--heavy) $(RELEASE_PLATFORMS:%=--platform %)

check-release: $(VENV)/dev ## artefacts, each in an environment of its own: make check-release [RELEASED=dist/release] [EXTRAS="base arrow s3"] [RECORD=1]
	$(BIN)/minembed pull
	$(RELEASE)/smoke.py $(RELEASED) $(VENV)/release/smoke $(if $(filter 1,$(HEAVY)),--heavy) $(EXTRAS:%=--only %) \
		$(if $(filter 1,$(RECORD)),--record) $(RELEASE_PLATFORMS:%=--platform %)

RELEASED ?= dist/release
RELEASE_PLATFORMS ?=
REHEARSAL ?=
TESTS ?= 1
TWICE ?=
HEAVY ?=
RECORD ?=
BENCH_OPTIONS ?=
LESSONS ?=
REVISION ?= HEAD
ROWS ?=
SHARE ?=
SEED ?=
COUNT ?=
AGE ?=
WHEELS ?=
WHEEL ?=

bench:             ## measure beside the peers in their own environment, write bench/REPORT.md (about an hour)
	$(PYTHON) bench setup
	$(PYTHON) bench all $(BENCH_OPTIONS)

bench-targets:     ## the same for the table of targets alone: who may be the best, and wide encoders (about 15 minutes)
	$(PYTHON) bench setup
	$(PYTHON) bench targets $(BENCH_OPTIONS)

bench-stream:      ## peak memory while 100,000 texts stream by (about 4 minutes), then the report again
	$(PYTHON) bench setup
	$(PYTHON) bench stream $(BENCH_OPTIONS)
	$(PYTHON) bench report

bench-serve:       ## servers under load beside ours (half an hour), then the report again
	$(PYTHON) bench setup-serve
	$(PYTHON) bench serve --starts $(BENCH_OPTIONS)
	$(PYTHON) bench report

soak-serve:        ## a server at full load for 20 minutes: memory and latencies, then the report again
	$(PYTHON) bench setup-serve
	$(PYTHON) bench soak $(BENCH_OPTIONS)
	$(PYTHON) bench report

check-speed: $(VENV)/dev ## is REVISION (HEAD) more than 5 % slower than its parent, in seconds of a core? (ten minutes)
	$(BIN)/minembed pull
	PYTHONSAFEPATH= $(BIN)/python bench/history.py check $(REVISION)
	PYTHONSAFEPATH= $(BIN)/python bench/history.py table

$(VENV)/user: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -e .
	touch $@

$(VENV)/dev: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q -e '.[dev]'
	touch $@

.PHONY: help demo test check fuzz proof test-oldest test-wheel test-types test-maps test-columns test-mpnet test-integrations test-serve test-ray test-s3 measure-ray test-sentence-transformers measure-extras measure-scale measure-parts test-browser goldens verify-models call-table model-table compare-table docs test-site check-workflows pictures map-pictures lessons test-study study-peers from-nothing wheel native native-all test-native test-arm wheels release check-release bench bench-targets bench-stream bench-serve soak-serve check-speed test-stores
