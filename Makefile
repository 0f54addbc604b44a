# Spillway. `make help` lists what there is.
GO ?= go
BIN := bin
GOLANGCI := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
FUNCTIONS := $(notdir $(patsubst %/main.go,%,$(wildcard examples/functions/*/main.go)))

.DEFAULT_GOAL := help
.PHONY: help build functions demo test peers race fuzz lint bench bench-sim verify clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## the spillway command, in bin/
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN)/ ./cmd/...

functions: ## the example functions: Lambda packages in bin/functions/, SCF packages in bin/scf/
	@mkdir -p $(BIN)/scf
	@CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o $(BIN)/scf/ ./cmd/spillway-agent
	@for f in $(FUNCTIONS); do \
	  CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -tags lambda.norpc -o $(BIN)/functions/$$f/bootstrap ./examples/functions/$$f && \
	  mkdir -p $(BIN)/scf/$$f/lambda && cp -f $(BIN)/scf/spillway-agent $(BIN)/scf/$$f/bootstrap && \
	  cp -f $(BIN)/functions/$$f/bootstrap $(BIN)/scf/$$f/lambda/ || exit 1; \
	done

demo: build functions ## a burst to a cloud on this machine, with a bill that checks itself (needs nothing else)
	$(BIN)/spillway-demo $(DEMO_FLAGS)

test: ## all tests, with the race detector
	$(GO) test -race -timeout 30m ./...

peers: ## clients and runtimes that others wrote against ours; installs them first
	test/peers/install
	SPILLWAY_PEERS=required $(GO) test -race -count=1 ./test/peers

fuzz: ## every fuzz target for FUZZTIME (default 20s) each
	@for p in $$($(GO) list ./...); do \
	  for t in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "$$p $$t"; $(GO) test $$p -run '^$$' -fuzz "^$$t$$" -fuzztime $${FUZZTIME:-20s} || exit 1; \
	  done; \
	done

lint: ## go vet and golangci-lint, with the reasons in .golangci.yml
	$(GO) vet ./...
	$(GO) run $(GOLANGCI) run ./...

bench: ## the measured table of docs/benchmarks.md
	$(GO) run ./test/bench

.PHONY: bench-cluster
bench-cluster: ## Spillway on a real Kubernetes, beside what that does by itself (as root); half an hour
	test/cluster/install
	$(GO) run ./test/benchcluster

.PHONY: soak
SOAK ?= 1h
soak: ## online load that swings over Jobs on idle capacity, a node killed every minute, for SOAK (default 1h; as root)
	test/cluster/install
	SPILLWAY_CLUSTER=required SPILLWAY_SOAK=$(SOAK) SPILLWAY_SOAK_JOBS=$(SOAK_JOBS) $(GO) test -count=1 -v -timeout 24h -run TestNodeSoak ./test/node

bench-sim: ## replay every trace below TRACE_DIR, timed
	@test -n "$(TRACE_DIR)" || { echo 'bench-sim needs TRACE_DIR, a directory of traces: make bench-sim TRACE_DIR=traces'; exit 2; }
	TRACE_DIR="$(abspath $(TRACE_DIR))" $(GO) test ./simulator/scenario -run '^$$' -bench Traces -benchtime 1x -timeout 60m

verify: ## regenerate, tidy, format; fail if that changes anything
	$(GO) mod tidy
	$(GO) generate ./...
	gofmt -l -w $$(git ls-files '*.go')
	git diff --exit-code

.PHONY: cluster-up cluster-down cluster-k test-cluster

cluster-up: $(BIN)/cluster ## a real Kubernetes on this machine (as root; see test/cluster); KUBE_MINOR=1.35 for another
	KUBE_MINOR=$(KUBE_MINOR) $< up

cluster-down: $(BIN)/cluster ## ends it, and leaves nothing
	$< down

cluster-k: $(BIN)/cluster ## kubectl in that cluster: make cluster-k ARGS='get pods -A'
	@KUBE_MINOR=$(KUBE_MINOR) $< kubectl $(ARGS)

# Packages with tests that need a cluster, or its API server.
CLUSTER_TESTS := ./internal/kubetest ./api/... ./auth/kube ./config/cluster ./config/operator ./pools/kube ./pools/offline ./provider/... ./test/kube ./test/node

test-cluster: ## tests on a real Kubernetes; installs and builds what it needs first
	test/cluster/install
	cd test/cluster && $(GO) vet ./... && $(GO) test -race ./...
	$(GO) test -race -run '^$$' $(CLUSTER_TESTS) >/dev/null # builds them: a cluster needs the processors
	SPILLWAY_CLUSTER=required $(GO) test -race -count=1 -p 1 -timeout 30m $(CLUSTER_TESTS)

.PHONY: test-manifests
test-manifests: ## manifests, the chart and their RBAC on a real API server; builds that first
	cd test/manifests && $(GO) vet ./... && $(GO) test -race -count=1 -timeout 60m ./...

PROGRAMS := spillway spillway-agent spillway-node
BUILDER ?= docker
TAG ?= dev

.PHONY: images
images: ## images for clusters of yours: REGISTRY=registry.example/team TAG=0.5.0, BUILDER=podman; see docs/kubernetes.md
	@test -n "$(REGISTRY)" || { echo 'images needs REGISTRY, what their names begin with: make images REGISTRY=registry.example/team TAG=0.5.0'; exit 2; }
	GOOS=linux CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o $(BIN)/images/ $(PROGRAMS:%=./cmd/%)
	@for p in $(PROGRAMS); do \
	  $(BUILDER) build --platform linux/$$($(GO) env GOARCH) --target $$p -t $(REGISTRY)/$$p:$(TAG) \
	    $(if $(BASE),--build-arg BASE=$(BASE)) $(if $(RUNTIME),--build-arg RUNTIME=$(RUNTIME)) -f Dockerfile $(BIN)/images || exit 1; \
	done

.PHONY: cluster-images
cluster-images: $(BIN)/cluster functions ## Spillway, its agent and examples as images on that cluster's node
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o $(BIN)/images/ $(PROGRAMS:%=./cmd/%)
	$(BIN)/cluster image localhost/spillway:dev $(BIN)/images/spillway
	$(BIN)/cluster image localhost/spillway-agent:dev $(BIN)/images/spillway-agent
	$(BIN)/cluster image localhost/spillway-node:dev $(BIN)/images/spillway-node
	$(BIN)/cluster image localhost/spillway-report:dev $(BIN)/functions/report/bootstrap
	$(BIN)/cluster image localhost/spillway-crunch:dev $(BIN)/functions/crunch/bootstrap

.PHONY: $(BIN)/cluster
$(BIN)/cluster:
	@cd test/cluster && CGO_ENABLED=0 $(GO) build -trimpath -ldflags='-s -w' -o $(CURDIR)/$@ .

clean: ## what make built
	rm -rf $(BIN)
