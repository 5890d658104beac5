package file_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/callsheet-go/callsheet"
	"github.com/callsheet-go/callsheet/destination/file"
)

const (
	crashDirVariable   = "CALLSHEET_TEST_CRASH_DIR"
	crashFirstVariable = "CALLSHEET_TEST_CRASH_FIRST"
)

var crashTargets = []string{"x.jsonl", "x.csv"}

// crashBatch is different for each number but the same each time.
func crashBatch(target string, number int) callsheet.Batch {
	records := make([]callsheet.Record, 1+number%40)
	for i := range records {
		records[i] = row("execution", strconv.Itoa(number), "place", strconv.Itoa(i), "of", strconv.Itoa(len(records)), "text", "a,\"b\"\n")
	}
	return batch(target, strconv.Itoa(number), records...)
}

// deliverUntilKilled is the life of the child process: it prints the number of every execution it
// has delivered.
func deliverUntilKilled(dir string) int {
	d, err := file.New(dir, file.WithoutSync())
	if err != nil {
		fmt.Println(err)
		return 1
	}
	// Against a kill a sync does nothing but take time, during which most kills come.
	d.SetSync(func(*os.File) error {
		time.Sleep(rand.N(300 * time.Microsecond))
		return nil
	})
	first, _ := strconv.Atoi(os.Getenv(crashFirstVariable))
	for number := first; ; number++ {
		for _, target := range crashTargets {
			if err := d.Deliver(context.Background(), crashBatch(target, number)); err != nil {
				fmt.Println(err)
				return 1
			}
		}
		fmt.Println(number)
	}
}

// A process is killed at any instant, and its successor repeats the last executions that it is not
// sure of. Files have whole batches only, each once, and all that were acknowledged.
func TestCrash_KilledAtAnyInstantLosesAndDoublesNothing(t *testing.T) {
	kills := 32
	if testing.Short() {
		kills = 5
	}
	dir := t.TempDir()
	acknowledged, debris := -1, 0
	for range kills {
		acknowledged = killChild(t, dir, acknowledged)

		sizes := map[string]int64{}
		for _, target := range crashTargets {
			sizes[target] = size(dir, target)
		}
		d, err := file.New(dir, file.WithoutSync())
		require.NoError(t, err)
		for _, target := range crashTargets {
			if size(dir, target) < sizes[target] {
				debris++
			}
			checkCrashed(t, dir, target, acknowledged)
		}
		require.NoError(t, d.Close())
	}
	t.Logf("%d executions acknowledged, %d kills, %d of them left debris that was cut off", acknowledged+1, kills, debris)
}

// killChild lets a child deliver, kills it some instant later, and returns the last execution that
// was acknowledged.
func killChild(t *testing.T, dir string, acknowledged int) int {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashDirVariable+"="+dir, fmt.Sprintf("%s=%d", crashFirstVariable, max(0, acknowledged-2)))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	lines := bufio.NewScanner(out)
	killed := false
	for lines.Scan() {
		number, err := strconv.Atoi(lines.Text())
		require.NoError(t, err, "the child failed")
		acknowledged = max(acknowledged, number)
		if !killed {
			killed = true
			time.AfterFunc(rand.N(10*time.Millisecond), func() { _ = child.Process.Kill() })
		}
	}
	_ = child.Wait()
	require.True(t, killed, "the child ended before it delivered anything")
	return acknowledged
}

func checkCrashed(t *testing.T, dir, target string, acknowledged int) {
	t.Helper()
	next := map[int]int{} // place of the next record, by execution
	of := map[int]int{}
	for _, r := range readAll(t, dir, target) {
		number, place := whole(t, r, "execution"), whole(t, r, "place")
		require.Equal(t, next[number], place, "%s: execution %d has a record twice or lost one", target, number)
		next[number]++
		of[number] = whole(t, r, "of")
	}
	for number, n := range of {
		require.Equal(t, n, next[number], "%s: execution %d is there in part", target, number)
	}
	for number := range acknowledged + 1 {
		require.NotZero(t, next[number], "%s: execution %d was acknowledged and is lost", target, number)
	}
}

func whole(t *testing.T, r callsheet.Record, name string) int {
	t.Helper()
	value, _ := r.Get(name)
	if number, ok := value.(json.Number); ok {
		value = string(number)
	}
	n, err := strconv.Atoi(value.(string))
	require.NoError(t, err)
	return n
}

func size(dir, name string) int64 {
	info, err := os.Stat(filepath.Join(dir, name))
	if err != nil {
		return 0
	}
	return info.Size()
}
