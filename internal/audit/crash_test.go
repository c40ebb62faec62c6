//go:build faults

package audit

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/fault"
)

// TestKilledAtEveryPoint is attack D11: the writer is killed at its first
// fault point, then at its second, and so on to the end. Each time the log
// opens, holds every event that Append had acknowledged, is whole to a checker
// before and after the next integration, and names the intent that was open.
// Run it with: go test -tags faults ./internal/audit
func TestKilledAtEveryPoint(t *testing.T) {
	if dir := os.Getenv("AUDIT_HISTORY"); dir != "" {
		crashHistory(t, dir)
		return
	}
	begun := newLog(t)
	begun.grow(1)
	begun.integrate()
	must(t, begun.Close())
	private := filepath.Join(t.TempDir(), "key")
	must(t, os.WriteFile(private, []byte(begun.private), 0o600))
	for n := 1; ; n++ {
		l := begun.copyTo(filepath.Join(t.TempDir(), "log"))
		child := exec.Command(os.Args[0], "-test.run=^TestKilledAtEveryPoint$")
		child.Env = append(os.Environ(), "AUDIT_HISTORY="+l.dir, "AUDIT_KEY="+private, fmt.Sprintf("%s=*:%d:kill", fault.Variable, n))
		var out bytes.Buffer
		child.Stdout = &out
		err := child.Run()
		if err != nil && child.ProcessState.ExitCode() != -1 {
			t.Fatalf("point %d: the child was not killed: %v\n%s", n, err, out.String())
		}
		acknowledged := strings.Count(out.String(), "acknowledged")
		if _, err := l.verify(nil); err != nil {
			t.Fatalf("point %d: %v", n, err)
		}
		l.open()
		if size := int(l.Size()); size != 1+acknowledged && size != 2+acknowledged {
			t.Errorf("point %d: %d events, %d were acknowledged", n, size, acknowledged)
		}
		for _, e := range l.OpenIntents() {
			l.append(Event{Kind: Gap, Deployment: e.Deployment, Intent: e.Seq, Message: "stopped"})
		}
		l.integrate()
		l.mustVerify(l.Size(), 0)
		l.fsck()
		must(t, l.Close())
		if err == nil {
			if n < 20 {
				t.Errorf("the history passed only %d points", n-1)
			}
			return
		}
	}
}

func crashHistory(t *testing.T, dir string) {
	private, err := os.ReadFile(os.Getenv("AUDIT_KEY"))
	must(t, err)
	key, err := ParseKey(string(private))
	must(t, err)
	l := &testLog{t: t, dir: dir, key: key}
	l.open()
	step := func(e Event) {
		l.append(e)
		fmt.Println("acknowledged " + strconv.FormatUint(l.Size()-1, 10))
	}
	for range 2 {
		step(Event{Kind: Refreshed, Channel: "c", Metadata: 1, State: dg("s")})
		step(intent("d1"))
		seq := l.Size() - 1
		l.integrate()
		step(Event{Kind: Outcome, Deployment: "d1", Intent: seq, Result: OK})
		l.integrate()
	}
}
