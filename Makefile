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
	$(GO) test -shuffle=on ./...

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
hosts: build ## the same for GPT-2 in other hosts: OpenVINO, tract, the ONNX reference, WebAssembly
	@ONNX_INJECT=$(BIN) scripts/hosts/run.sh

.PHONY: references
references: ## compute the references of interventions in PyTorch again and compare
	@scripts/interventions/run.sh

.PHONY: parity
parity: setup ## compare vectors, log-probabilities, ranks and plans with TransformerLens
	@ONNX_INJECT=$(BIN) scripts/parity/run.sh
	@ONNX_INJECT=$(BIN) scripts/parity/run.sh families

.PHONY: tokenizers
tokenizers: build ## compare the ids of six real tokenizers with Hugging Face's
	@ONNX_INJECT=$(BIN) scripts/tokenizers/run.sh

.PHONY: realmodel
realmodel: setup ## export a real pretrained model and run the experiments of the paper on it (hours)
	@ONNX_INJECT=$(BIN) scripts/realmodel/run.sh

.PHONY: browser
browser: setup ## open reports in headless Chromium, light and dark, and check them
	@ONNX_INJECT=$(BIN) scripts/browser/run.sh

.PHONY: kill
kill: setup ## kill 200 rewrites and 200 evaluations at random times: nothing is lost, doubled or changed
	$(GO) test ./cmd/onnx-inject -v -timeout 60m -run '^Test(C03KilledRewrite|D01KilledEval)$$' -kills $(KILLS)

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME
	@set -e; for pkg in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "$$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$pkg; \
	  done; done

.PHONY: clean
clean: ## remove what was built and measured
	@rm -rf bin .cache onnx-inject-demo
