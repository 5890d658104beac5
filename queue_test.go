package callsheet_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/queue/local"
	"github.com/callsheet-go/callsheet/queue/queuetest"
	"github.com/stretchr/testify/assert"
)

func TestRun_EveryExecutionEndsWhateverTheQueueDoes(t *testing.T) {
	for name, rates := range map[string]queuetest.Rates{
		"a queue that loses half and doubles some": {Seed: 1, Lose: 0.5, Duplicate: 0.3, Delay: 0.3, Reorder: 0.3, MaxDelay: 3 * time.Second},
		"a queue that fails now and then":          {Seed: 2, Fail: 0.3},
		"a queue that loses nearly everything":     {Seed: 3, Lose: 0.9},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sched := newScheduler(t, succeed, callsheet.WithQueue(queuetest.Faulty(local.New(4), rates)))
				define(t, sched, callsheet.Schedule{ID: "s"}, callsheet.Schedule{ID: "cron", Cron: every("20")})
				start(t, sched)
				for range 50 {
					_, err := sched.Execute(t.Context(), "s")
					assert.NoError(t, err, "a lost ring is no failure of Execute")
				}
				time.Sleep(20 * time.Minute)
				var recount callsheet.Tally
				for _, e := range executions(t, sched, "s") {
					assert.Equal(t, callsheet.StateSucceeded, e.State)
					assert.Len(t, e.Attempts, 1, "rings that come twice are nothing")
					recount.Applied(nil, e)
				}
				assert.EqualValues(t, 50, recount.Succeeded)
			})
		})
	}
}
