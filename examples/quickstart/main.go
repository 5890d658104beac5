// Quickstart shows callsheet at work in ten seconds, with nothing but Go: it starts a small API on
// this machine, polls it by three schedules, and reports what happened.
//
//	go run ./examples/quickstart
//
// With -url it polls an API of yours instead:
//
//	go run ./examples/quickstart -for 1m -url https://api.example.com/orders \
//	    -records '$.orders[*]' -field id='$.id' -field total='$.amount.value'
//
// With -store file:quickstart.db it goes on where it was when it is started again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/file"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // from now on Ctrl-C has its usual effect: a second one ends at once

	err := run(ctx, os.Args[1:], os.Stdout)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "quickstart:", err)
	if _, ok := errors.AsType[*usageError](err); ok {
		os.Exit(2)
	}
	os.Exit(1)
}

// run is the program: it polls until the time is over or ctx ends, then reports.
func run(ctx context.Context, args []string, stdout io.Writer) (err error) {
	f, err := parseFlags(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}

	sheet := sheetOf(f)
	if f.url == "" {
		api, err := startAPI()
		if err != nil {
			return err
		}
		defer api.Close()
		sheet = demoSheet(api.URL)
	}

	temporary := f.out == ""
	if temporary {
		if f.out, err = os.MkdirTemp("", "callsheet-"); err != nil {
			return err
		}
	}
	files, err := file.New(f.out)
	if err != nil {
		return err
	}
	defer files.Close()

	store, closeStore, err := openStore(ctx, f.store)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore()) }()

	out := newPrinter(stdout, sheet)
	sched, err := callsheet.New(store,
		callsheet.WithAllowedHosts(hostsOf(sheet)...),
		callsheet.WithDestination("files", files),
		callsheet.WithObserver(out.execution),
		callsheet.WithDrainTimeout(5*time.Second),
	)
	if err != nil {
		return err
	}
	if err := sched.Define(ctx, sheet); err != nil {
		if temporary {
			_ = os.RemoveAll(f.out)
		}
		return f.faults(err)
	}

	if err := out.opening(ctx, sched, sheet, f); err != nil {
		return err
	}
	if err := runFor(ctx, sched, f.runFor, out); err != nil {
		return err
	}
	return out.summary(context.WithoutCancel(ctx), sched, sheet, f)
}

// hostsOf returns the hosts that sheet calls: who starts the program may well mean this very machine. A
// service opens the networks that it knows; its Sources may come from people who should not.
func hostsOf(sheet callsheet.Sheet) []string {
	var hosts []string
	for _, source := range sheet.Sources {
		if u, err := url.Parse(source.BaseURL); err == nil && u.Hostname() != "" {
			hosts = append(hosts, u.Hostname())
		}
	}
	return hosts
}

// runFor runs the scheduler for d, or until ctx ends; zero is for ever.
func runFor(ctx context.Context, sched callsheet.Runner, d time.Duration, out *printer) error {
	told := make(chan struct{})
	leave := context.AfterFunc(ctx, func() { defer close(told); out.stopping() })
	defer func() {
		if !leave() {
			<-told
		}
	}()
	if d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	return sched.Run(ctx)
}

// flags are what the command line says.
type flags struct {
	runFor  time.Duration
	out     string
	url     string
	store   string
	records string
	fields  list
	cron    string
	zone    string
}

// A list is a flag that may be given several times.
type list []string

func (l *list) String() string     { return strings.Join(*l, " ") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

const usage = `Polls a built-in API, or one of yours, and reports what happened:

  quickstart
  quickstart -for 1m -url https://api.example.com/orders \
      -records '$.orders[*]' -field id='$.id' -field total='$.amount.value'

`

func parseFlags(args []string, stdout io.Writer) (flags, error) {
	var f flags
	set := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.DurationVar(&f.runFor, "for", 10*time.Second, "stop after this `time`; 0 runs until Ctrl-C")
	set.StringVar(&f.out, "out", "", "write records below this `folder` (default a fresh temporary one)")
	set.StringVar(&f.store, "store", "memory", "where to keep what happens: `memory`, file:PATH or postgres:DSN; the last two go on where they were")
	set.StringVar(&f.url, "url", "", "poll this `URL` instead of the built-in API")
	set.StringVar(&f.records, "records", "", "with -url: `path` to the records, such as '$.items[*]' (default: the answer)")
	set.Var(&f.fields, "field", "with -url: a field of each record, as `name=path`; may be repeated (default: whole records)")
	set.StringVar(&f.cron, "cron", "*/5 * * * * *", "with -url: when to poll, as a cron `expression` of 5 fields, or 6 with seconds first")
	set.StringVar(&f.zone, "zone", "UTC", "with -url: time `zone` of the cron expression, such as Europe/Berlin")

	err := set.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(stdout, usage)
		set.SetOutput(stdout)
		set.PrintDefaults()
		return f, err
	}
	bad := &usageError{}
	if err != nil {
		bad.add("%s", err)
	}
	if f.runFor < 0 {
		bad.add("-for %q: must not be negative", f.runFor)
	}
	if err == nil && set.NArg() > 0 {
		bad.add("%q: must come with a flag, such as -url", set.Arg(0))
	}
	set.Visit(func(given *flag.Flag) {
		switch given.Name {
		case "records", "field", "cron", "zone":
			if f.url == "" {
				bad.add("-%s: needs -url", given.Name)
			}
		}
	})
	return f, bad.orNil()
}

// faults turns what the library finds wrong with the sheet into what is wrong with the flags that
// it was made of.
func (f flags) faults(err error) error {
	found := callsheet.ValidationErrors(err)
	if len(found) == 0 || f.url == "" {
		return err
	}
	bad := &usageError{}
	for _, fault := range found {
		name, value, rule := "-"+fault.Field, fault.Value, fault.Rule
		var i int
		if fault.Field == "base_url" {
			name = "-url"
		} else if n, _ := fmt.Sscanf(fault.Field, "fields[%d]", &i); n == 1 {
			name, value = "-field", f.fields[i]
		}
		bad.add("%s %q: %s", name, value, rule)
	}
	return bad
}

// A usageError lists what is wrong with the command line.
type usageError struct{ lines []string }

func (e *usageError) add(format string, args ...any) {
	e.lines = append(e.lines, fmt.Sprintf(format, args...))
}

func (e *usageError) orNil() error {
	if len(e.lines) == 0 {
		return nil
	}
	return e
}

func (e *usageError) Error() string {
	return "please put this right (-h shows all flags):\n  " + strings.Join(e.lines, "\n  ")
}
