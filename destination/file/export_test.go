package file

import "os"

const KeptBatches = keptBatches

// SetKept makes journals forget earlier, so that a test does not need 100,000 Batches.
func (d *Destination) SetKept(batches int) { d.kept = batches }

// SetSync takes the place of fsync(2), so that a test can say when it fails.
func (d *Destination) SetSync(fsync func(*os.File) error) { d.fsync = fsync }
