// Package parsers_test shows to a device, inside of bundles that are signed and
// listed as they should be, what its parsers must refuse: attacks A1 to A8 and
// A10, T27 and O5. No engine is there: a refusal comes before one is asked.
package parsers_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/composefile/hostile"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// lasting is a test as the world of all tests here sees it: what it makes stays
// until TestMain takes it away.
type lasting struct{ testing.TB }

var atEnd []func()

func (lasting) Cleanup(f func())         { atEnd = append(atEnd, f) }
func (lasting) Context() context.Context { return context.Background() }
func (l lasting) TempDir() string {
	dir, err := os.MkdirTemp("", "consign-parsers-")
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestMain(m *testing.M) {
	code := world.Main(m)
	for n := len(atEnd) - 1; n >= 0; n-- {
		atEnd[n]()
	}
	os.Exit(code)
}

// scene is the one world with its one device, which has an order for 1.0.0.
type scene struct {
	*world.World
	device *world.Device
	good   string // digest of 1.0.0
	order  string // the document that orders it
	number int
}

var shared *scene

func at(t *testing.T) *scene {
	t.Helper()
	if shared == nil {
		w := world.New(lasting{t})
		s := &scene{World: w, good: string(w.Publish("acme", "1.0.0", nil))}
		s.device = w.Device("press-07", "")
		w.Deploy(s.device.ID, "1.0.0", map[string]string{"port": "18080"})
		w.Reorder(s.device.ID, func(documents [][]byte) [][]byte {
			s.order = string(documents[0])
			return documents
		})
		shared = s
	}
	shared.T = lasting{t}
	return shared
}

// refuse publishes a forgery, orders it, and wants the device to refuse it, to
// say so in its log, to change nothing, and to accept a good release again.
func (s *scene) refuse(t *testing.T, f world.Forgery, code reason.Code, says string) {
	t.Helper()
	s.number++
	version := fmt.Sprintf("1.1.%d", s.number)
	digest := s.PublishForged("acme", version, f)
	s.Reorder(s.device.ID, func([][]byte) [][]byte {
		return [][]byte{[]byte(strings.NewReplacer("1.0.0", version, s.good, string(digest)).Replace(s.order))}
	})
	before := len(s.device.Events())
	res, err := s.device.Sync()
	if !reason.Is(err, code) || !strings.Contains(err.Error(), says) {
		t.Errorf("the device says %v, want reason %s and %q", err, code, says)
	}
	for _, c := range res.Changes {
		if c.Action != agent.Refused {
			t.Errorf("%s %s: %s", c.Application, c.Version, c.Action)
		}
	}
	news := s.device.Events()[before:]
	if !slices.Contains(news, "refused:"+string(code)) {
		t.Errorf("the log says %q, want refused:%s", news, code)
	}
	for _, event := range news {
		if strings.HasPrefix(event, "intent") || strings.HasPrefix(event, "outcome") {
			t.Errorf("the log says %q", event)
		}
	}
	s.Reorder(s.device.ID, func([][]byte) [][]byte { return [][]byte{[]byte(s.order)} })
	res, err = s.device.Verify()
	if err != nil || len(res.Changes) != 1 || res.Changes[0].Action != agent.Accepted {
		t.Errorf("a good release afterwards: %+v, %v", res, err)
	}
}

func TestAttackA1SignedPathsOutOfTheArchive(t *testing.T) { archives(t, "A1", "parent path") }
func TestAttackA2SignedLinkThenWriteThroughIt(t *testing.T) {
	archives(t, "A2", "link, then write through it")
}
func TestAttackA3SignedDevice(t *testing.T) { archives(t, "A3", "block device") }
func TestAttackA4SignedArchiveThatExpands(t *testing.T) {
	archives(t, "A4", "millions of empty entries")
}
func TestAttackA5SignedNamesThatClash(t *testing.T) { archives(t, "A5", "same but for case") }
func TestAttackA6SignedSecondArchiveBehindTheFirst(t *testing.T) {
	archives(t, "A6", "second gzip member")
}

// archives shows one archive of a row to the device: what it does about one, it
// does about all that Unpack refuses.
func archives(t *testing.T, row, name string) {
	s := at(t)
	outside := t.TempDir()
	for _, a := range hostile.Archives(row, outside) {
		if a.Name == name {
			s.refuse(t, world.Forgery{Archive: a.Data}, a.Reason, "compose archive")
			if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
				t.Errorf("written outside: %v, %v", left, err)
			}
			return
		}
	}
	t.Fatalf("row %s has no archive %q", row, name)
}

// compose is an archive of a compose.yaml and further files.
func compose(text string, files ...string) []byte {
	entries := []hostile.Entry{hostile.File("app/compose.yaml", text)}
	for n := 0; n+1 < len(files); n += 2 {
		entries = append(entries, hostile.File("app/"+files[n], files[n+1]))
	}
	return hostile.Zip(hostile.Tar(entries...))
}

func TestAttackA7SignedFilesThatGrow(t *testing.T) {
	s := at(t)
	laughs := "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
	for n := 1; n < 9; n++ {
		laughs += fmt.Sprintf("a%d: &a%d [%s*a%d]\n", n, n, strings.Repeat(fmt.Sprintf("*a%d, ", n-1), 8), n-1)
	}
	s.refuse(t, world.Forgery{Description: func(text string) string { return text + laughs }}, reason.TooLarge, "aliases")
	doubling := "A0=xxxxxxxxxx\n"
	for n := 1; n < 60; n++ {
		doubling += fmt.Sprintf("A%d=$A%d$A%d\n", n, n-1, n-1)
	}
	s.refuse(t, world.Forgery{Archive: compose(hostile.Compose+"    env_file: a.env\n", "a.env", doubling)}, reason.TooLarge, "a.env")
	s.refuse(t, world.Forgery{Archive: compose(hostile.Compose + "    command: \"" + strings.Repeat("${A:-", 50) + strings.Repeat("}", 50) + "\"\n")}, reason.TooLarge, "nested deeper")
}

// As a number of 64 bits it would be below zero, which is no limit at all.
func TestAttackA8SignedNumberThatIsLost(t *testing.T) {
	at(t).refuse(t, world.Forgery{Archive: compose(hostile.Compose + "    pids_limit: 18446744073709551616\n")}, reason.Malformed, "means different things")
}

func TestAttackA10SignedNulls(t *testing.T) {
	at(t).refuse(t, world.Forgery{Description: func(text string) string {
		return strings.Replace(text, "      - name: hello-stack\n", "      - null\n      - name: hello-stack\n", 1)
	}}, reason.Malformed, "components[0]")
}

func TestAttackT27SignedKeyInAnotherCase(t *testing.T) {
	at(t).refuse(t, world.Forgery{Bundle: func(data []byte) []byte {
		return bytes.Replace(data, []byte(`"artifactType"`), []byte(`"ArtifactType"`), 1)
	}}, reason.Malformed, "ArtifactType")
}

func TestAttackO5SignedAnnotationThatIsAPath(t *testing.T) {
	at(t).refuse(t, world.Forgery{Bundle: func(data []byte) []byte {
		return bytes.Replace(data, []byte(`:"hello-stack"`), []byte(`:"../../hello-stack"`), 1)
	}}, reason.Malformed, "../../hello-stack")
}
