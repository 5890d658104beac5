package memory_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.uber.org/goleak"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/destinationtest"
	"github.com/callsheet-go/callsheet/destination/memory"
	"github.com/callsheet-go/callsheet/extract"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDestination(t *testing.T) {
	for _, target := range []string{"quakes", ""} {
		for _, mode := range []callsheet.WriteMode{"", callsheet.Append, callsheet.PerExecution} {
			t.Run(target+"/"+string(mode), func(t *testing.T) {
				destinationtest.Run(t, func(t *testing.T) destinationtest.Harness {
					d := memory.New()
					return destinationtest.Harness{
						Destination: d,
						Delivery:    callsheet.Delivery{ID: "d", Target: target, Mode: mode},
						Read:        func(*testing.T) []callsheet.Record { return d.Records(target) },
						Other:       callsheet.Delivery{ID: "o", Target: "other", Mode: mode},
						ReadOther:   func(*testing.T) []callsheet.Record { return d.Records("other") },
						TakesAll:    true,
					}
				})
			})
		}
	}
}

func TestBatches_KeepTheirIdentity(t *testing.T) {
	d := memory.New()
	for chunk := range 2 {
		err := d.Deliver(t.Context(), callsheet.Batch{
			Delivery: callsheet.Delivery{Target: "x"}, ExecutionID: "e1", Chunk: chunk,
			Records: []callsheet.Record{extract.NewRecord(extract.Value{Name: "n", Value: chunk})},
		})
		assert.NoError(t, err)
	}
	batches := d.Batches("x")
	assert.Len(t, batches, 2)
	batches[0].Records[0] = extract.NewRecord()
	assert.Equal(t, `{"n":0}`, d.Records("x")[0].String(), "what is given out is a copy")
	assert.Equal(t, 1, batches[1].Chunk)
	assert.Empty(t, d.Batches("y"))
	assert.Empty(t, d.Records("y"))
}
