# What people do here. Each target is also a plain command.
.PHONY: test race lint fuzz bench crash quickstart ci

test: ## all tests
	go test ./...
race: ## all tests with the race detector
	go test -race ./...
lint:
	gofmt -l . && go vet ./... && go tool -modfile=tools/go.mod staticcheck ./...
fuzz: ## one target, for a minute: make fuzz PKG=./cron TARGET=FuzzParse
	go test -run '^$$' -fuzz '^$(TARGET)$$' -fuzztime 1m $(PKG)
bench:
	go test -run '^$$' -bench . ./...
crash: ## nodes are killed, stopped and cut off, for some minutes: make crash SCALE=10 SEED=7
	go test -count=1 -v -timeout 3h -run '^TestCrash_' ./internal/crashtest -crash.scale=$(or $(SCALE),1) -crash.seed=$(or $(SEED),0)
quickstart:
	go run ./examples/quickstart
ci: ## what must pass before anything lands
	.ci/run
