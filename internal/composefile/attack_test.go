package composefile

import (
	"os"
	"runtime"
	"testing"

	"github.com/consign-dev/consign/internal/composefile/hostile"
	"github.com/consign-dev/consign/internal/reason"
)

func TestAttackA1PathsOutOfTheArchive(t *testing.T)        { unpackRow(t, "A1") }
func TestAttackA2LinkThenWriteThroughIt(t *testing.T)      { unpackRow(t, "A2") }
func TestAttackA3DevicesAndSparseFiles(t *testing.T)       { unpackRow(t, "A3") }
func TestAttackA4ArchivesThatExpand(t *testing.T)          { unpackRow(t, "A4") }
func TestAttackA5NamesThatClash(t *testing.T)              { unpackRow(t, "A5") }
func TestAttackA6SecondArchiveBehindTheFirst(t *testing.T) { unpackRow(t, "A6") }

// unpackRow unpacks every archive of a row. What is refused must not have taken
// the memory that it asks for, and nothing may have been written.
func unpackRow(t *testing.T, row string) {
	outside := t.TempDir()
	archives := hostile.Archives(row, outside)
	for _, a := range archives {
		t.Run(a.Name, func(t *testing.T) {
			if len(a.Data) > MaxArchive {
				t.Fatalf("an archive of %d bytes is refused for its own length", len(a.Data))
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Unpack(a.Data)
			runtime.ReadMemStats(&after)
			if !reason.Is(err, a.Reason) {
				t.Errorf("got %v, want reason %s", err, a.Reason)
			}
			if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 256 {
				t.Errorf("%d MiB were allocated", took)
			}
		})
	}
	if len(archives) == 0 {
		t.Fatalf("no archive of row %s", row)
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("written outside: %v, %v", left, err)
	}
}

// A3: what mode, owner and time an entry has is not taken over.
func TestAttackA3ModesAreDropped(t *testing.T) {
	e := hostile.File("app/run", "x")
	e.Mode, e.Uid, e.Uname = 0o7777, 0, "root"
	files, err := Unpack(hostile.Of(e))
	if err != nil || string(files["run"]) != "x" {
		t.Errorf("got %q, %v", files, err)
	}
}
