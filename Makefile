# What people do here. Each target is also a plain command.
.PHONY: test race lint fuzz bench quickstart ci

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
quickstart:
	go run ./examples/quickstart
ci: ## what must pass before anything lands
	.ci/run
