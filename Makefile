# Two commands matter: `make serve` and `make test`. Everything runs from .venv, which `make setup` makes.
PYTHON ?= python3.11
RUN := .venv/bin/python
ROLE ?= customer
SOURCES := app config deployments models monitoring pipelines
export PYTHONPATH := $(CURDIR)
export HF_HUB_OFFLINE := 1

.PHONY: status prometheus dashboards setup serve stop token doctor test test-long check lint format format-check typecheck imports sql lock

setup: ## the environment to run it
	@$(PYTHON) requirements/install.py

.PHONY: setup-dev
setup-dev:
	@$(PYTHON) requirements/install.py --dev

serve: setup ## everything on this machine; Ctrl-C stops it
	@exec $(RUN) -m deployments.local.serve

stop: ## end the service of this home, and what a crash left behind
	@$(RUN) -m deployments.local.stop

token: ## an access token of a demo user: make -s token ROLE=customer|agent|supervisor|admin
	@$(RUN) -m deployments.local.token $(ROLE)

status: ## what runs, how it does, and the last errors: make status, or with JSON=1
	@$(RUN) -m deployments.local.status $(if $(JSON),--json)

prometheus: ## the project's Prometheus over the service of this home (Debian: prometheus)
	@$(RUN) -m deployments.local.prometheus

dashboards: ## write monitoring/grafana/*.json anew
	@$(RUN) -m monitoring.dashboards

doctor: ## what is missing, and how to get it
	@$$(test -x $(RUN) && echo $(RUN) || echo $(PYTHON)) -m deployments.local.doctor

.PHONY: models
models: setup-dev
	@$(RUN) -m models.preparation all

test: models ## every test that takes seconds, on real stores and the real application
	$(RUN) -m pytest -m "not long" --durations=25

.PHONY: coverage
coverage: models ## the same, and which lines and branches they reach; slower
	$(RUN) -m pytest -m "not long" --cov --cov-report=term:skip-covered

test-long: models ## what takes minutes
	$(RUN) -m pytest -m long --durations=25

.PHONY: bench chaos
bench: models ## every benchmark, or one: make bench ONLY=routing_simulation
	@$(RUN) -m benchmarks $(ONLY)

chaos: models ## stores, models, replicas and nodes killed under load; the table of failovers
	ESERVICE_TWO_NODES=1 $(RUN) -m pytest -s tests/integration/test_failover.py tests/e2e/test_outages.py tests/e2e/test_lifecycle.py \
	    tests/cluster

check: setup-dev lint format-check typecheck imports sql security ## everything that reads the code without running it

lint:
	.venv/bin/ruff check .

format:
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

format-check:
	.venv/bin/ruff format --check .

typecheck:
	.venv/bin/mypy

imports:
	.venv/bin/lint-imports

sql:
	.venv/bin/squawk app/migrations/*.sql

.PHONY: security
security: ## bandit, secrets, workflow files, Dockerfiles, lock files; offline
	.venv/bin/bandit -q -c pyproject.toml -r $(SOURCES) docker requirements
	git ls-files -z | xargs -0 .venv/bin/detect-secrets-hook --disable-plugin KeywordDetector \
	    --exclude-files '^(tests/|requirements/.*\.lock|kuberay/deploy/.*\.lock)' --exclude-lines 'user:password@host|eservice:eservice@127|sha256'
	.venv/bin/actionlint
	.venv/bin/zizmor -q --offline .github
	.venv/bin/hadolint docker/*.Dockerfile
	for lock in cpu gpu dev weights; do \
	    .venv/bin/pip-audit --disable-pip --require-hashes --dry-run -r requirements/$$lock.lock || exit 1; \
	done

.PHONY: audit
audit: setup-dev ## what is known to be vulnerable among the locked packages; asks the network
	for lock in cpu gpu dev; do \
	    .venv/bin/pip-audit --disable-pip --require-hashes -r requirements/$$lock.lock || exit 1; \
	done

.PHONY: docs
docs: ## write the generated documents: the API, the database schema, the index of decisions
	@$(RUN) -m deployments.documents

.PHONY: manifests
manifests: ## write what is generated under kuberay/: serveConfigV2, the Kustomize base
	@$(RUN) -m deployments.kubernetes.render

lock: ## resolve requirements/*.in into the lock files
	$(PYTHON) requirements/lock.py

.PHONY: failures
failures: setup-dev ## the table of what happens at every failure, made anew in docs/LLM_INTEGRATION.md
	ESERVICE_WRITE_DOCS=1 $(RUN) -m pytest -q tests/integration/test_failover.py -k every_failure
