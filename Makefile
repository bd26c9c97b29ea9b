# What people do with Bursar's source. `make` alone lists it. Every target first installs what is missing (Debian 12).

SHELL := /bin/bash
BURSAR := .build/release/bursar

.DEFAULT_GOAL := help
.PHONY: help run test soak kill kills faults histories walls schemathesis bench bench-alerts demo lint focus vendors needs build

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## Build, start a private Postgres and the server on http://127.0.0.1:8080 (ARGS="--port 9090 …")
	@exec $(BURSAR) serve --embedded $(ARGS)

# Tries the API from its document. Without Python or a package registry its test says that it is skipped.
schemathesis := .build/schemathesis/bin/schemathesis

$(schemathesis):
	@python3 -m venv .build/schemathesis && .build/schemathesis/bin/pip install --quiet --disable-pip-version-check schemathesis==4.32.5 \
	|| { rm -rf .build/schemathesis; echo "schemathesis cannot be installed: its test will be skipped" >&2; }

# The proofs keep both cores busy for minutes, and Swift's two threads with them, so they run one by one and after the others; of those
# six run at a time, as hundreds would keep each other waiting past every deadline they test.
proofs = BudgetsTests|LaneSimulation|Metamorphic|Linearizability|FaultTests|InvalidRequest|bursarTests|DispatcherTests
at-a-time = --experimental-maximum-parallelization-width

test: needs vendors $(schemathesis) ## Build everything and run all tests, against a real Postgres
	swift build --build-tests
	swift test --skip-build --skip '$(proofs)' $(at-a-time) 6
	swift test --skip-build --filter '$(proofs)' $(at-a-time) 1

soak: needs ## Hold the decision to the model of the laws for long (STEPS=number SEED=number)
	BURSAR_STEPS=$(or $(STEPS),10000000) BURSAR_TEST_SEED=$(SEED) swift test --filter 'SimulationTests.*laws'

# Further long forms of what `make test` does a little of. Each prints its seed; SEED=n repeats it.
long = BURSAR_ROUNDS=$(or $(ROUNDS),$(1)) $(if $(SEED),BURSAR_TEST_SEED=$(SEED)) swift test --skip-build --filter

kill: needs ## Kill replicas and Postgres at random moments under load and count afterwards (ROUNDS=100 SEED=n)
	swift build --build-tests
	$(call long,100) KillRoundsTests

faults: needs ## Delay, cut, silence and slow the road to Postgres under load (ROUNDS=20 SEED=n)
	swift build --build-tests
	$(call long,20) FaultTests

histories: needs ## Search histories of 1, 2 and 4 replicas for linearizability (ROUNDS=100 SEED=n)
	swift build --build-tests
	$(call long,100) ReplicaTests

# Whatever touches tenants' data.
behind-walls = ServerTests|LedgerTests|ChargebackTests|AlertsTests|StoreTests

walls: needs ## Run the tests of all that works for tenants with each of the two walls between them alone
	swift build --build-tests
	BURSAR_WALL=predicates swift test --skip-build --filter '$(behind-walls)' $(at-a-time) 6
	BURSAR_WALL=row_security swift test --skip-build --filter '$(behind-walls)' $(at-a-time) 6

kills: needs ## Kill the program while it delivers alerts, again and again (ROUNDS=50 SEED=n)
	swift build --build-tests
	$(call long,50) KilledDeliveryTests

schemathesis: needs $(schemathesis) ## Try the API with schemathesis for long (SECONDS=600 SEED=n)
	swift build --build-tests
	BURSAR_SCHEMATHESIS_SECONDS=$(or $(SECONDS),600) $(if $(SEED),BURSAR_TEST_SEED=$(SEED)) swift test --skip-build --filter SchemathesisTests

bench: build ## Measure reservations and cycles against a bare route and one transaction a call
	@exec $(BURSAR) bench $(ARGS)

bench-alerts: build ## Measure how long an alert takes to a healthy receiver while 10,000 wait for a dead one
	@exec $(BURSAR) bench-alerts $(ARGS)

# The real trace and prices where they lie beside the checkout; otherwise synthetic calls at the built-in prices.
TRACE ?= $(wildcard ../shared/data/traces/azure-llm-conv-2023.csv)
PRICES ?= $(wildcard ../shared/data/prices/litellm-1.106.2.json)

demo: build ## Watch a trace of calls go through budgets, alerts and chargeback (TRACE=file PRICES=file)
	@exec $(BURSAR) demo $(if $(TRACE),--trace '$(TRACE)') $(if $(PRICES),--prices '$(PRICES)') $(ARGS)

lint: needs ## Check the format of every Swift file
	swift format lint --strict --recursive --parallel Sources Tests Package.swift

# Release 2.2.1 starts with no newer pyarrow. The test of FOCUS exports finds it here and says so when it is missing.
focus: ## Install the official FOCUS validator for the tests (needs Python 3.12)
	python3.12 -m venv .build/focus-validator
	.build/focus-validator/bin/pip install --quiet --prefer-binary 'focus-validator==2.2.1' 'pyarrow<23'

# The vendors' own clients, in a private folder, for the tests that let them judge. Without PyPI those tests say that they are skipped.
vendors: needs ## Install the Python clients of Slack, PagerDuty and others, which judge what Bursar sends
	@cmp -s Tests/vendors/requirements.txt .build/vendors/installed.txt || { rm -rf .build/vendors && \
	python3 -m venv .build/vendors > /dev/null && .build/vendors/bin/pip install -q -r Tests/vendors/requirements.txt && \
	cp Tests/vendors/requirements.txt .build/vendors/installed.txt; } || \
	{ rm -rf .build/vendors; echo "The vendors' Python clients cannot be installed: tests with them are skipped" >&2; }

build: needs
	@swift build -c release --product bursar

# Says what is missing and installs it; silent when all is there.
needs:
	@command -v swift > /dev/null || { echo "Swift 6.3 is missing: see https://www.swift.org/install/linux/" >&2; exit 1; }
	@missing=(); \
	command -v pkg-config > /dev/null || missing+=(pkg-config); \
	pkg-config --exists libpq 2> /dev/null || missing+=(libpq-dev); \
	pkg-config --exists libcurl 2> /dev/null || missing+=(libcurl4-openssl-dev); \
	pkg-config --exists zlib 2> /dev/null || missing+=(zlib1g-dev); \
	[[ -n "$$(command -v postgres)" ]] || compgen -G '/usr/lib/postgresql/*/bin/postgres' > /dev/null || missing+=(postgresql); \
	python3 -c 'import ensurepip, venv' 2> /dev/null || missing+=(python3-venv); \
	[[ $${#missing[@]} -eq 0 ]] && exit 0; \
	command -v apt-get > /dev/null || { echo "Missing, and not to be had with apt-get: $${missing[*]}" >&2; exit 1; }; \
	sudo=(); [[ $$EUID -eq 0 ]] || sudo=(sudo); \
	echo "Installing with apt-get: $${missing[*]}"; \
	"$${sudo[@]}" apt-get update -qq && "$${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$${missing[@]}" > /dev/null
