//go:build race

package extract

// raceDetector says that memory and time are not those of a program.
const raceDetector = true
