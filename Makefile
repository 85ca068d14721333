# Holdfast. `make` lists the targets.
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh

##@ One machine

# Options of the run: make demo ARGS="--workers 8 --strategies redis,row-lock". Environment variables (HOLDFAST_WORKERS,
# MYSQL_URL, ...) are passed through.
ARGS ?=
# The test files (those of test/e2e need a cluster: make e2e), and how many run at the same time. Tests start their own
# servers and fleets.
TESTS ?= test/{,!(e2e)/**/}*.test.ts
TEST_CONCURRENCY ?= 2

# The project's own node, whatever version the machine has. Only `npm ci` runs with the machine's node, because it
# replaces the project's.
IN_PROJECT := PATH="$(CURDIR)/node_modules/.bin:$$PATH"
INSTALLED := node_modules/.installed

.PHONY: help
help: ## list these targets
	@awk 'BEGIN { FS = ":.*## " } \
	  /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: deps ## set up everything, then run the main job: which locks hold? (options: ARGS="--workers 8")
	@npm run --silent build
	@npm run --silent holdfast -- $(ARGS)

.PHONY: test
test: ## set up everything, then check the source and run all tests that need no cluster
	@env -u MYSQL_URL -u REDIS_URL -u PROMETHEUS_URL $(MAKE) deps INSTALL_FOR=tests
	@npm run --silent check
	@npm run --silent build
	@$(IN_PROJECT) NODE_COMPILE_CACHE="$(CURDIR)/dist/compile-cache" node --test --test-concurrency=$(TEST_CONCURRENCY) '$(TESTS)'

.PHONY: check
check: $(INSTALLED) ## check format, lint rules and types of the source
	@npm run --silent check

.PHONY: build
build: $(INSTALLED) ## bundle worker and coordinator into dist/
	@npm run --silent build

.PHONY: deps
deps: $(INSTALLED) ## install what is missing: npm packages, and MariaDB, Redis and Prometheus from Debian
	@sh coordinator/platform/local/servers/install.sh $(INSTALL_FOR) $(ARGS)

.PHONY: clean
clean: ## remove dist/ and reports/
	rm -rf dist reports

# Whatever NODE_ENV and npm's own configuration say: without the development packages there are no compiler and no node.
$(INSTALLED): package-lock.json
	@command -v node >/dev/null || { echo "make: node is missing: install Node.js 20 or later (Debian, Ubuntu: sudo apt-get install nodejs npm)" >&2; exit 1; }
	@node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20 ? 1 : 0)' || { echo "make: node $$(node --version) is too old: install Node.js 20 or later" >&2; exit 1; }
	@command -v npm >/dev/null || { echo "make: npm is missing: install it (Debian, Ubuntu: sudo apt-get install npm)" >&2; exit 1; }
	@echo "installing npm packages (npm ci)"
	@npm ci --include=dev --include=optional --no-audit --no-fund --no-update-notifier --loglevel=error
	@touch $@

##@ Kubernetes

# The kind cluster, and the context that every command below uses, whatever the current context is.
CLUSTER ?= holdfast
KUBE_CONTEXT ?= kind-$(CLUSTER)
NAMESPACE ?= default
RELEASE ?= demo
# Options of the chart: make install HELM_ARGS="--set workers=8"
HELM_ARGS ?=
# Name of the coordinator's Job (value coordinator.name), timeout of `make wait` in seconds, and local port of
# `make dashboard`.
JOB ?= coordinator
TIMEOUT ?= 900
PORT ?= 3000

KUBECTL = kubectl --context $(KUBE_CONTEXT) --namespace $(NAMESPACE)
HELM = helm --kube-context $(KUBE_CONTEXT) --namespace $(NAMESPACE)
comma := ,
RELEASE_LABEL = app.kubernetes.io/instance=$(RELEASE)
PART = $(RELEASE_LABEL),app.kubernetes.io/component
IMAGES = sed -n 's/^ *image: *//p' helm/Chart.yaml
ON_DEMAND = ^zookeeper:|/etcd:|/consul:
OWN_IMAGE = $$($(IMAGES) | grep '^holdfast:')
# A report of a scheduled run, for make report ID=0a1b2c3d: make reports lists them.
ID =
REPORT = $$($(KUBECTL) get configmap --selector $(if $(ID),$(RELEASE_LABEL)$(comma)holdfast.dev/report=$(ID),$(PART)=report) --output name)
# The id of the report, read from its state; empty if there is no report yet.
REPORT_ID = $$($(KUBECTL) get $(REPORT) --output 'jsonpath={.data.state\.json}' | sed -n 's/.*"report":"\([^"]*\)".*/\1/p')

.PHONY: kind-up
kind-up: need-kind need-kubectl image ## create the kind cluster if it does not exist, and load all images into it
	@kind get clusters 2>/dev/null | grep -qx $(CLUSTER) || kind create cluster --name $(CLUSTER) --config kind-config.yaml --wait 120s
	@kubectl config get-contexts --output name | grep -qx kind-$(CLUSTER) || kind export kubeconfig --name $(CLUSTER)
	@$(MAKE) load
	@test "$$(kubectl config current-context)" = kind-$(CLUSTER) || \
	  echo "note: kubectl's and helm's current context is $$(kubectl config current-context): kubectl config use-context kind-$(CLUSTER), or use the make targets"
	@echo "ready: helm install demo ./helm"

.PHONY: image
image: need-docker ## build the image of coordinator and workers
	docker build --tag $(OWN_IMAGE) .

# Third-party images are loaded as well, so that a new cluster does not pull them again. An image that cannot be pulled
# here is left to the nodes, and so is one of a server that is off by default, unless docker has it already. Images are
# loaded one by one: kind skips an image that a node has, but sends all images of a call if one is missing.
.PHONY: load
load: need-docker need-kind ## load the images into the kind cluster
	@available=""; for image in $$($(IMAGES)); do \
	  if docker image inspect "$$image" >/dev/null 2>&1; then available="$$available $$image"; \
	  elif echo "$$image" | grep -Eq '$(ON_DEMAND)'; then :; \
  elif docker pull --quiet "$$image"; then available="$$available $$image"; \
	  else echo "warning: $$image is missing and cannot be pulled; the nodes will pull it when they need it"; fi; done; \
	nodes=$$(kind get nodes --name $(CLUSTER) | grep -v control-plane | paste -sd, -); \
	for image in $$available; do echo "loading $$image"; \
	  output=$$(kind load docker-image $$image --name $(CLUSTER) $${nodes:+--nodes "$$nodes"} 2>&1) || { echo "$$output" >&2; exit 1; }; done

.PHONY: kind-down
kind-down: need-kind ## delete the kind cluster
	kind delete cluster --name $(CLUSTER)

.PHONY: install
install: need-helm ## install the chart, or run again with other options (HELM_ARGS="--set workers=8")
	$(HELM) upgrade --install $(RELEASE) ./helm --create-namespace $(HELM_ARGS)

.PHONY: rerun
rerun: need-helm ## run again with the options of the last run, changed by HELM_ARGS
	$(HELM) upgrade $(RELEASE) ./helm --reset-then-reuse-values $(HELM_ARGS)

.PHONY: logs
logs: need-kubectl ## follow the coordinator's log: progress, then the report
	@$(KUBECTL) wait --for=create job/$(JOB) --timeout=60s >/dev/null
	$(KUBECTL) logs --follow job/$(JOB) --pod-running-timeout=2m

# A failed Job never becomes complete, and `kubectl wait` can wait for only one of the two conditions. Make itself exits
# with 2 for every status except 0; `helm test` and the Job's own status tell the statuses apart.
.PHONY: wait
wait: need-kubectl ## wait for the end of the run and print the verdict; fail unless everything is as expected
	@end=$$(($$(date +%s) + $(TIMEOUT))); \
	until $(KUBECTL) get job $(JOB) --output 'jsonpath={.status.conditions[*].type}' | grep -Eqw 'Complete|Failed'; do \
	  test "$$(date +%s)" -lt $$end || { echo "make wait: job/$(JOB) has not finished after $(TIMEOUT) s: see make status" >&2; exit 1; }; \
	  sleep 2; done
	@$(KUBECTL) get pods --selector batch.kubernetes.io/job-name=$(JOB) --sort-by=.metadata.creationTimestamp \
	  --output 'jsonpath={.items[-1:].status.containerStatuses[0].state.terminated.message}{"\nexit status "}{.items[-1:].status.containerStatuses[0].state.terminated.exitCode}{"\n"}'
	@$(KUBECTL) get job $(JOB) --output 'jsonpath={.status.conditions[*].type}' | grep -qw Complete

.PHONY: report
report: need-kubectl ## write the last report, or ID=<id>, to reports/<id>/ as a page, text, Markdown, JSON and JUnit
	@report=$(REPORT); test -n "$$report" && id=$(REPORT_ID); \
	test -n "$$id" || { echo "make report: release $(RELEASE) in namespace $(NAMESPACE) has no $(if $(ID),report $(ID): make reports lists them,report yet: run make wait first)" >&2; exit 1; }; \
	mkdir -p "reports/$$id"; \
	for file in report.txt report.md report.json junit.xml; do \
	  $(KUBECTL) get "$$report" --output "go-template={{index .data \"$$file\"}}" >"reports/$$id/$$file"; done; \
	$(KUBECTL) get "$$report" --output 'go-template={{with .binaryData}}{{index . "report.html.gz"}}{{end}}' | \
	  base64 --decode | gzip --decompress >"reports/$$id/report.html" 2>/dev/null || rm -f "reports/$$id/report.html"; \
	echo "reports/$$id"

.PHONY: reports
reports: need-kubectl ## list the reports with their verdicts: the last one, and those of scheduled runs
	@$(KUBECTL) get configmaps --selector $(RELEASE_LABEL),holdfast.dev/verdict --sort-by=.metadata.creationTimestamp \
	  --label-columns holdfast.dev/report,holdfast.dev/verdict

.PHONY: dashboard
dashboard: need-kubectl ## forward a local port to Grafana and print the address, with the last report selected
	@service=$$($(KUBECTL) get service --selector $(PART)=grafana --output name); \
	test -n "$$service" || { echo "make dashboard: release $(RELEASE) in namespace $(NAMESPACE) has no Grafana: --set grafana.enabled=true" >&2; exit 1; }; \
	id=$(REPORT_ID); uid=$$(sed -n 's/^  "uid": "\([^"]*\)".*/\1/p' helm/files/dashboard.json); \
	echo "http://127.0.0.1:$(PORT)/d/$$uid?from=now-1h&to=now$${id:+&var-report=$$id}   (Ctrl-C stops it)"; \
	$(KUBECTL) port-forward "$$service" $(PORT):3000 >/dev/null

.PHONY: status
status: need-kubectl ## show the release's jobs and pods, and its last events
	@$(KUBECTL) get cronjobs,jobs,pods --selector $(RELEASE_LABEL) --output wide
	@$(KUBECTL) get events --sort-by=.lastTimestamp 2>/dev/null | tail -n 10

.PHONY: uninstall
uninstall: need-helm need-kubectl ## remove the release and everything that it created
	@$(HELM) uninstall $(RELEASE) --wait
	@$(KUBECTL) delete pod --selector $(PART)=verdict --ignore-not-found

##@ The chart

.PHONY: chart
chart: $(INSTALLED) ## generate helm/values.schema.json and the table of values in helm/README.md
	@$(IN_PROJECT) node helm/tools/main.ts chart

.PHONY: k8s
k8s: $(INSTALLED) need-helm ## generate k8s/: what the chart renders with its defaults
	@$(IN_PROJECT) node helm/tools/main.ts k8s

.PHONY: chart-golden
chart-golden: $(INSTALLED) ## update test/golden/chart: what the chart renders for each helm/ci/*-values.yaml
	@$(IN_PROJECT) UPDATE_GOLDEN=1 node --test 'test/chart/*.test.ts'

# E2E="test/e2e/values.test.ts" runs one file only. E2E_CONCURRENCY is how many files run at the same time;
# test/e2e/faults.test.ts stops nodes and server-faults.test.ts has faults at their times, so no other file may run beside
# them.
E2E ?= test/e2e/*.test.ts
E2E_CONCURRENCY ?= 1

.PHONY: e2e
e2e: $(INSTALLED) need-helm need-kubectl ## test against the cluster of KUBE_CONTEXT (takes minutes; uses its own namespaces)
	@case $(KUBE_CONTEXT) in kind-*) test/e2e/images/load.sh "$(KUBE_CONTEXT:kind-%=%)" ;; esac
	@$(IN_PROJECT) HOLDFAST_E2E_CONTEXT=$(KUBE_CONTEXT) node --test --test-concurrency=$(E2E_CONCURRENCY) '$(E2E)'

.PHONY: need-docker need-kind need-kubectl need-helm
need-docker:
	@command -v docker >/dev/null || { echo "make: docker is missing: install Docker Engine or Docker Desktop, https://docs.docker.com/engine/install" >&2; exit 1; }
	@docker info >/dev/null 2>&1 || { echo "make: docker does not answer: start it, or add this user to the group docker" >&2; exit 1; }
need-kind:
	@command -v kind >/dev/null || { echo "make: kind is missing: go install sigs.k8s.io/kind@latest, or https://kind.sigs.k8s.io/docs/user/quick-start" >&2; exit 1; }
need-kubectl:
	@command -v kubectl >/dev/null || { echo "make: kubectl is missing: install it, https://kubernetes.io/docs/tasks/tools" >&2; exit 1; }
need-helm:
	@command -v helm >/dev/null || { echo "make: helm is missing: install Helm 3.17 or later, https://helm.sh/docs/intro/install" >&2; exit 1; }
