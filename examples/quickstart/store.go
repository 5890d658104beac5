package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/store/file"
	"github.com/callsheet-go/callsheet/store/memory"
	"github.com/callsheet-go/callsheet/store/postgres"
)

// openStore opens the Store that -store names. With one that lasts, the next start goes on where this one stopped.
func openStore(ctx context.Context, name string) (store callsheet.Store, closing func() error, err error) {
	kind, where, _ := strings.Cut(name, ":")
	switch {
	case name == "memory":
		return memory.New(), func() error { return nil }, nil
	case kind == "file" && where != "":
		kept, err := file.Open(ctx, where)
		if err != nil {
			return nil, nil, err
		}
		return kept, kept.Close, nil
	case kind == "postgres" && where != "":
		if strings.HasPrefix(where, "//") {
			where = name // it is a URL as it stands
		}
		kept, err := postgres.Open(ctx, where, postgres.WithMigrate())
		if err != nil {
			return nil, nil, err
		}
		return kept, kept.Close, nil
	}
	bad := &usageError{}
	bad.add("-store %q: must be memory, file:PATH or postgres:DSN", name)
	return nil, nil, fmt.Errorf("%w", bad)
}
