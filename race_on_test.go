//go:build race

package callsheet_test

const raceEnabled = true
