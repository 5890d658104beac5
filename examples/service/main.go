// Service is an HTTP service of a host's own that has callsheet inside: the host keeps its main, its
// flags, its logger and its server, and adds three routes over the scheduler.
//
//	go run ./examples/service
//	curl -s localhost:8080/schedules
//	curl -s -X POST localhost:8080/schedules/rates/run
//	curl -s 'localhost:8080/executions?schedule=rates&state=succeeded'
//
// What it polls is a demo endpoint of its own, so that it works without a network.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/store/memory"
	"golang.org/x/sync/errgroup"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "`address` to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends at once

	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	listener, err := net.Listen("tcp", *addr)
	if err == nil {
		err = serve(ctx, listener, logger)
	}
	if err != nil {
		logger.Error("service stopped", "error", err)
		os.Exit(1)
	}
}

// serve runs the service on listener until ctx ends, then lets what is under way finish.
func serve(ctx context.Context, listener net.Listener, logger *slog.Logger) error {
	defer listener.Close()
	host, _, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return err
	}
	scheduler, err := callsheet.New(memory.New(),
		callsheet.WithAllowedHosts(host), // it polls itself, and only public addresses are open by default
		callsheet.WithLogger(logger),
		callsheet.WithDrainTimeout(10*time.Second))
	if err != nil {
		return err
	}
	self := "http://" + listener.Addr().String()
	if err := scheduler.Define(ctx, sheet(self)); err != nil {
		return err
	}
	server := &http.Server{Handler: routes(scheduler), ReadHeaderTimeout: 5 * time.Second}
	logger.Info("listening", "url", self)

	// When one of the two ends, the group's context ends, and with it the other.
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve HTTP: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		err := scheduler.Run(ctx)
		// The server goes last: callers may want to look while executions finish.
		patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return errors.Join(err, server.Shutdown(patience))
	})
	return group.Wait()
}

// sheet says what the service polls. A real one would name a Delivery, too; without it records are
// counted and dropped.
func sheet(self string) callsheet.Sheet {
	return callsheet.Sheet{
		Sources:  []callsheet.Source{{ID: "demo", BaseURL: self + "/demo"}},
		Requests: []callsheet.Request{{ID: "rates", Source: "demo", Path: "/rates"}},
		Extracts: []callsheet.Extract{{ID: "rates", Records: "$.rates[*]", Fields: []callsheet.Field{
			{Name: "currency", Path: "$.currency", Required: true},
			{Name: "rate", Path: "$.rate", Required: true},
		}}},
		Schedules: []callsheet.Schedule{
			{ID: "rates", Name: "Exchange rates", Cron: "*/10 * * * * *", Request: "rates", Extract: "rates"},
			{ID: "rates-once", Name: "Exchange rates, on demand", Request: "rates", Extract: "rates"},
		},
	}
}
