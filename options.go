package callsheet

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/callsheet-go/callsheet/extract"
	"github.com/callsheet-go/callsheet/fetch"
	"github.com/callsheet-go/callsheet/limit"
)

// An Option changes a default of [New].
type Option func(*settings) error

// settings are what the options set, with the defaults for what none of them did.
type settings struct {
	logger       *slog.Logger
	queue        Queue
	workers      int
	destinations map[string]Destination
	transport    http.RoundTripper
	guard        fetch.Guard
	secrets      SecretResolver
	limiter      limit.Limiter
	languages    extractLanguages
	wrap         []func(Pipeline) Pipeline
	observer     func(context.Context, Execution)
	workerName   string
	lease        time.Duration
	drainTimeout time.Duration
	planInterval time.Duration
	retention    Retention
	wholeBytes   int // above which answers are delivered in parts
}

const (
	defaultWorkers      = 16
	defaultLease        = 10 * time.Second
	defaultDrainTimeout = 30 * time.Second
	defaultPlanInterval = time.Second
)

func newSettings(opts []Option) (*settings, error) {
	s := &settings{
		logger:       slog.New(slog.DiscardHandler),
		workers:      defaultWorkers,
		destinations: map[string]Destination{},
		languages:    extractLanguages{},
		limiter:      limit.New(),
		workerName:   workerName(),
		lease:        defaultLease,
		drainTimeout: defaultDrainTimeout,
		planInterval: defaultPlanInterval,
		retention:    DefaultRetention(),
		wholeBytes:   MaxAnswerBytes,
	}
	var bad faults
	for i, opt := range opts {
		if opt == nil {
			bad.field(fmt.Sprintf("opts[%d]", i), nil, "must not be nil")
			continue
		}
		bad.add(opt(s))
	}
	return s, bad.err()
}

// workerName tells processes apart, on one machine and on many.
func workerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), newID()[24:])
}

// WithDestination registers a Destination under the name by which Deliveries know it. The host
// closes what it passes in, after Run has returned.
func WithDestination(name string, d Destination) Option {
	return func(s *settings) error {
		switch {
		case !validID(name):
			return &ValidationError{Field: "WithDestination", Value: name, Rule: ruleID}
		case d == nil:
			return &ValidationError{Field: "WithDestination", Value: name, Rule: "must not be nil"}
		case s.destinations[name] != nil:
			return &ValidationError{Field: "WithDestination", Value: name, Rule: "must be registered once"}
		}
		s.destinations[name] = d
		return nil
	}
}

// WithLogger sets where operations are logged, each once. The default is silence.
func WithLogger(l *slog.Logger) Option {
	return func(s *settings) error {
		if l != nil {
			s.logger = l
		}
		return nil
	}
}

// WithWorkers sets how many executions this process runs at once with its built-in Queue.
// The default is 16. A Queue given by [WithQueue] has its own setting.
func WithWorkers(n int) Option {
	return func(s *settings) error {
		if n < 1 {
			return &ValidationError{Field: "WithWorkers", Value: fmt.Sprint(n), Rule: "must be at least 1"}
		}
		s.workers = n
		return nil
	}
}

// WithQueue replaces the built-in Queue, which works within this process.
func WithQueue(q Queue) Option {
	return func(s *settings) error {
		s.queue = q
		return nil
	}
}

// WithTransport sets what makes HTTP calls, for tests, proxies, tracing. The default is a
// transport of the Scheduler's own, without a proxy, which calls public addresses only
// ([WithAllowedNetworks]). What the host passes in is the host's: it decides which addresses it calls, and
// the host closes it. [fetch.NewTransport] makes one that is guarded and can be changed in detail.
//
// Tests in a testing/synctest bubble need a transport of their own, as the network is not part of the bubble.
func WithTransport(rt http.RoundTripper) Option {
	return func(s *settings) error {
		s.transport = rt
		return nil
	}
}

// WithAllowedNetworks opens networks to calls, such as "10.1.0.0/16", or single addresses. By default only
// public addresses are called, whatever a URL, a name or a redirect says: loopback, private,
// link-local and all other special networks are closed, metadata services too. Nothing but this option
// and [WithAllowedHosts] opens them: no Source can. They have no effect beside [WithTransport].
func WithAllowedNetworks(networks ...string) Option {
	return func(s *settings) error {
		var bad faults
		for _, text := range networks {
			network, err := netip.ParsePrefix(text)
			if addr, single := netip.ParseAddr(text); single == nil {
				network, err = addr.Prefix(addr.BitLen())
			}
			if err != nil || network != network.Masked() {
				bad.field("WithAllowedNetworks", text, "must be a network, such as 10.1.0.0/16, or an address")
				continue
			}
			s.guard.Networks = append(s.guard.Networks, network)
		}
		return bad.err()
	}
}

// WithAllowedHosts opens hosts to calls by the names that URLs give them, such as "orders.internal", wherever
// they lead; it is for names that the host program's own network answers for. See [WithAllowedNetworks].
func WithAllowedHosts(names ...string) Option {
	return func(s *settings) error {
		var bad faults
		for _, name := range names {
			if _, err := netip.ParseAddr(name); err != nil && (name == "" || strings.ContainsAny(name, "/:@*?#[] ")) {
				bad.field("WithAllowedHosts", name, "must be the name of a host, without a port")
				continue
			}
			s.guard.Hosts = append(s.guard.Hosts, name)
		}
		return bad.err()
	}
}

// WithSecrets sets who knows the secrets that Sources refer to: [EnvSecrets], [FileSecrets], or the host's own.
// Without it a Source that needs one fails with ClassAuth when it is called; a node that only plans
// needs none.
func WithSecrets(secrets SecretResolver) Option {
	return func(s *settings) error {
		if secrets == nil {
			return &ValidationError{Field: "WithSecrets", Value: "nil", Rule: "must be a SecretResolver"}
		}
		s.secrets = secrets
		return nil
	}
}

// WithLimiter sets who keeps calls within the limits of Sources. The default, [limit.New], does so within this
// process; each of several Schedulers then has the whole of every limit to itself.
func WithLimiter(l limit.Limiter) Option {
	return func(s *settings) error {
		if l == nil {
			return &ValidationError{Field: "WithLimiter", Value: "nil", Rule: "must be a Limiter, such as limit.New()"}
		}
		s.limiter = l
		return nil
	}
}

// fetcher returns what makes the calls.
func (s *settings) fetcher() *fetch.Client {
	if s.transport != nil {
		return fetch.New(s.transport)
	}
	return fetch.NewGuarded(s.guard)
}

// WithExtractor registers a language of the host's own, by the name that an Extract's Language has it: a path language, or a format
// that package extract does not know. The Mapping that compile is given is the Extract's; with a [Cursor]
// one whose only field is the cursor's. All nodes that run such an Extract need it.
func WithExtractor(language extract.Language, compile CompileExtract) Option {
	return func(s *settings) error {
		switch {
		case !validID(string(language)):
			return &ValidationError{Field: "WithExtractor", Value: string(language), Rule: ruleID}
		case slices.Contains([]extract.Language{extract.JSONPath, extract.JQ, extract.XPath}, language):
			return &ValidationError{Field: "WithExtractor", Value: string(language), Rule: "must not be one of those that are built in"}
		case compile == nil:
			return &ValidationError{Field: "WithExtractor", Value: string(language), Rule: "must have a function"}
		case s.languages[language] != nil:
			return &ValidationError{Field: "WithExtractor", Value: string(language), Rule: "must be registered once"}
		}
		s.languages[language] = compile
		return nil
	}
}

// WithPipeline puts wrap's Pipeline in the place of the default one, which wrap is given and may
// call, or not. Where it is given several times, the last is outermost.
func WithPipeline(wrap func(next Pipeline) Pipeline) Option {
	return func(s *settings) error {
		if wrap == nil {
			return &ValidationError{Field: "WithPipeline", Value: "nil", Rule: "must be a function"}
		}
		s.wrap = append(s.wrap, wrap)
		return nil
	}
}

// WithObserver has f called with every execution after each of its attempts was recorded, and
// when it ends without one (skipped, cancelled, lost); not with those that a Schedule takes with it
// when it is edited or deleted. f is called from many goroutines at once and holds up the worker that calls
// it; a panic of f is logged and changes nothing.
func WithObserver(f func(ctx context.Context, e Execution)) Option {
	return func(s *settings) error {
		s.observer = f
		return nil
	}
}

// WithWorkerName sets the name under which this process holds executions. It must be unique
// among the processes that share a Store. The default is made of host name, process ID and
// random digits.
func WithWorkerName(name string) Option {
	return func(s *settings) error {
		if name == "" {
			return &ValidationError{Field: "WithWorkerName", Value: name, Rule: "must not be empty"}
		}
		s.workerName = name
		return nil
	}
}

// WithLease sets how long a worker holds an execution without renewing it, which is how long a
// dead worker's execution waits for the next. It is renewed three times in that time.
// The default is 10 s, the least 100 ms.
func WithLease(d time.Duration) Option {
	return atLeast(100*time.Millisecond, "WithLease", d, func(s *settings) { s.lease = d })
}

// WithDrainTimeout sets how long Run, when it is stopped, lets running executions finish before
// it hands them back. The default is 30 s.
func WithDrainTimeout(d time.Duration) Option {
	return atLeast(0, "WithDrainTimeout", d, func(s *settings) { s.drainTimeout = d })
}

// WithPlanInterval sets the longest time between two planning passes. Passes are made at due times
// anyway; the interval is how soon a schedule created by another process, or a jump of the
// clock, is seen. The default is 1 s. Tests that simulate days raise it, and the lease
// ([WithLease]), a fifth of which is how often vanished workers are looked for, to go faster.
func WithPlanInterval(d time.Duration) Option {
	return atLeast(time.Millisecond, "WithPlanInterval", d, func(s *settings) { s.planInterval = d })
}

// WithRetention sets how long executions that are over are kept. See [DefaultRetention].
func WithRetention(r Retention) Option {
	return func(s *settings) error {
		var bad faults
		ages := r.ages()
		for _, state := range States() {
			if age := ages[state]; age < 0 {
				bad.field("WithRetention", age, "must not be negative for %s; zero keeps for ever", state)
			}
		}
		if r.PerSchedule < 0 {
			bad.field("WithRetention", r.PerSchedule, "must not be negative for PerSchedule; zero keeps all")
		}
		s.retention = r
		return bad.err()
	}
}

func atLeast(least time.Duration, name string, d time.Duration, set func(*settings)) Option {
	return func(s *settings) error {
		if d < least {
			return &ValidationError{Field: name, Value: d.String(), Rule: fmt.Sprintf("must be at least %s", least)}
		}
		set(s)
		return nil
	}
}

// Retention says how long after their end executions are kept, by state, and how many of each schedule.
// Zero keeps for ever. Statistics keep what they counted. What is pending or running is never pruned, nor the last
// execution of a schedule.
type Retention struct {
	Succeeded time.Duration
	Failed    time.Duration // dead letters
	Cancelled time.Duration
	Skipped   time.Duration
	// PerSchedule is how many in each of these states a schedule keeps at most, the latest.
	PerSchedule int
}

// DefaultRetention keeps dead letters for 30 days and everything else for 7, and of each schedule
// at most 20,000 in each state.
func DefaultRetention() Retention {
	const day = 24 * time.Hour
	return Retention{Succeeded: 7 * day, Failed: 30 * day, Cancelled: 7 * day, Skipped: 7 * day, PerSchedule: 20_000}
}

func (r Retention) ages() map[State]time.Duration {
	return map[State]time.Duration{
		StateSucceeded: r.Succeeded, StateFailed: r.Failed,
		StateCancelled: r.Cancelled, StateSkipped: r.Skipped,
	}
}

// request returns what goes at now, a batch of it.
func (r Retention) request(now time.Time) PruneRequest {
	p := PruneRequest{Before: map[State]time.Time{}, Keep: map[State]int{}, Limit: pruneBatch}
	for state, age := range r.ages() {
		if age > 0 {
			p.Before[state] = now.Add(-age)
		}
		if r.PerSchedule > 0 {
			p.Keep[state] = r.PerSchedule
		}
	}
	return p
}
