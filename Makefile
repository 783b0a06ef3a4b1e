# The script runner. "make help" lists the targets; every target sets up what it needs.
SHELL := bash
GO    ?= go
BIN   := bin/onnx-inject
FUZZTIME ?= 30s
KILLS ?= 200

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

.PHONY: build
build: ## build bin/onnx-inject
	@$(GO) build -o $(BIN) ./cmd/onnx-inject

.PHONY: setup
setup: build ## install the ONNX Runtime library into the user cache, if it is not there
	@$(BIN) ort install >/dev/null

.PHONY: demo
demo: setup ## set everything up and run the main job on the embedded model
	@$(BIN) demo

.PHONY: test
test: setup ## set everything up and run all tests
	$(GO) test -shuffle=on -timeout 60m ./...

.PHONY: check
check: ## format, vet, lint and the import rule, without running a model
	@test -z "$$(gofmt -l cmd graph models rewrite runtime scripts)" || { gofmt -l cmd graph models rewrite runtime scripts; echo "gofmt would change these files"; exit 1; }
	@$(GO) vet ./...
	@$(GO) tool staticcheck ./...
	@$(GO) test -run '^TestImports' ./cmd/onnx-inject

.PHONY: bench
bench: setup ## measure costs as ratios against peers and limits, on files of real size
	@$(GO) run ./scripts/bench -binary $(BIN)

.PHONY: conformance
conformance: build ## patch every fixture and compare it in Python's ONNX Runtime with PyTorch
	@ONNX_INJECT=$(BIN) scripts/conformance/run.sh

.PHONY: hosts
hosts: build ## the same for GPT-2 in other hosts: OpenVINO, tract, the ONNX reference, WebAssembly, Java; and the programs of README.md
	@ONNX_INJECT=$(BIN) scripts/hosts/run.sh

.PHONY: references
references: ## compute the references of interventions, generation and lens in PyTorch again and compare
	@scripts/interventions/run.sh
	@scripts/generate/run.sh
	@$$(scripts/venv.sh fixtures) scripts/lens/reference.py

.PHONY: parity
parity: setup ## compare vectors, log-probabilities, ranks and plans with TransformerLens
	@ONNX_INJECT=$(BIN) scripts/parity/run.sh
	@ONNX_INJECT=$(BIN) scripts/parity/run.sh families

.PHONY: capture
capture: setup ## capture activations and compare every value with Python's ONNX Runtime
	@ONNX_INJECT=$(BIN) scripts/capture/run.sh

.PHONY: controlvector
controlvector: setup ## make control vectors with repeng too, compare them and read each other's files
	@ONNX_INJECT=$(BIN) scripts/controlvector/run.sh

.PHONY: tokenizers
tokenizers: build ## compare the ids of six real tokenizers with Hugging Face's
	@ONNX_INJECT=$(BIN) scripts/tokenizers/run.sh

.PHONY: sites
sites: setup ## evaluate memories of every kind at every site of the demo model, and knock out each head (minutes)
	@ONNX_INJECT=$(BIN) scripts/experiments/sites.py

.PHONY: sets
sets: setup ## evaluate entity memories of the demo model on three hops, two phrases and wrong names
	@ONNX_INJECT=$(BIN) scripts/experiments/sets.py

.PHONY: realmodel
realmodel: setup ## export a real pretrained model and run the experiments of the paper on it (hours)
	@ONNX_INJECT=$(BIN) scripts/realmodel/run.sh

.PHONY: browser
browser: setup ## open reports in headless Chromium, light and dark, and check them
	@ONNX_INJECT=$(BIN) scripts/browser/run.sh

.PHONY: kill
kill: setup ## kill 200 rewrites, 200 evaluations and 50 captures at random times: nothing is lost, doubled or changed
	$(GO) test ./cmd/onnx-inject -v -timeout 60m -run '^Test(C03KilledRewrite|D01KilledEval)$$' -kills $(KILLS)
	$(GO) test ./cmd/onnx-inject -v -timeout 60m -run '^TestKilledCapture$$' -kills 50

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$pkg; \
	  done; done

FUZZRUNS ?= 40000000
FUZZSEED ?= 1
.PHONY: fuzz-long
fuzz-long: ## read FUZZRUNS random files with the field-aware harness (about an hour on one idle core); see graph/testdata/FUZZ.md
	@GOMAXPROCS=1 GOGC=800 nice -n 15 $(GO) test ./graph -run '^TestFieldFuzz$$' -v -timeout 0 -field-runs $(FUZZRUNS) -field-seed $(FUZZSEED)

.PHONY: differential
differential: setup ## read 20,000 mutants and every fixture with package graph and ONNX Runtime and compare (minutes)
	$(GO) test ./runtime/ort -run ReadAlike -v -timeout 0 -mutants 20000

.PHONY: matrix
matrix: setup ## run the tests of every row of the reliability matrices and print the results; ROWS="A05 S" selects
	@$(GO) run ./scripts/matrix $(ROWS)

.PHONY: opened
opened: build ## show with strace that reading commands open nothing outside the folder of the model (Linux)
	@$(GO) run ./scripts/matrix/opens

.PHONY: cgroup
cgroup: setup ## evaluate in a memory cgroup: a lack of memory is an error, and a killed run loses nothing (Linux, root, minutes)
	@scripts/matrix/cgroup.sh

.PHONY: cover
cover: setup ## print the statement coverage of the packages that must have 95 %
	@scripts/cover.sh

.PHONY: race
race: setup ## run the tests of every package under the race detector
	@scripts/race.sh

.PHONY: slurm
slurm: setup ## run the array job on a real Slurm on this machine, kill and requeue tasks, compare the results
	@ONNX_INJECT=$(BIN) scripts/jobs/slurm-local.sh

.PHONY: kubernetes
kubernetes: ## validate the manifest of the indexed job against the schemas of Kubernetes
	@scripts/jobs/kubernetes.sh

.PHONY: cuda-check
cuda-check: build ## test the logic of scripts/cuda/check.sh on the CPU
	@ONNX_INJECT=$(BIN) scripts/cuda/try.sh

.PHONY: licences
licences: ## check the licences of all linked modules, and write their texts to bin/licences.txt
	@mkdir -p bin
	@$(GO) run ./scripts/supply >bin/licences.txt
	@sed -n '/^[a-z].* v[0-9]/p; /^std/p; /^====/q' bin/licences.txt

.PHONY: sbom
sbom: build ## write bin/onnx-inject.cdx.json, the bill of materials of the program and its HTML pages (CycloneDX)
	@$(GO) run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0 bin -json -std -noserial -output bin/onnx-inject.cdx.json $(BIN)
	@$(GO) run ./scripts/supply -bom bin/onnx-inject.cdx.json

.PHONY: vuln
vuln: ## search the linked modules for known vulnerabilities (needs the Go project's database, or GOVULNDB)
	@scripts/supply/vuln.sh

.PHONY: dist
dist: ## build archives, Python wheels and an npm package in dist/, with bill of materials, licences and SHA-256 sums
	@$$(scripts/venv.sh dist) scripts/dist/dist.py

.PHONY: dist-test
dist-test: dist ## install what dist built without Go and a C compiler on the PATH, and test the program, the Python API and npx
	@scripts/dist/test.sh

PREFIX ?= /usr/local
.PHONY: install
install: build ## put the program, its manual page and completions into PREFIX (default: /usr/local)
	@scripts/dist/install.sh $(BIN) "$(DESTDIR)$(PREFIX)"

.PHONY: clean
clean: ## remove what was built and measured
	@rm -rf bin dist .cache onnx-inject-demo
