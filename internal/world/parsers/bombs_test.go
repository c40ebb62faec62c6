package parsers_test

import (
	"bytes"
	"io"
	"runtime"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/composefile"
	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/oci"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

func only[T any](parse func([]byte) (T, error)) func(*testing.T, []byte) error {
	return func(_ *testing.T, data []byte) error {
		_, err := parse(data)
		return err
	}
}

// readers are the parsers of documents that others write.
var readers = map[string]func(t *testing.T, data []byte) error{
	"bundle":          only(bundle.Parse),
	"package":         only(bundle.ParsePackage),
	"component":       only(bundle.ParseComposeComponent),
	"evidence":        only(bundle.ParseEvidence),
	"desired state":   only(bundle.ParseDesiredState),
	"policy artifact": only(bundle.ParsePolicy),
	"channel":         only(channel.ParseManifest),
	"event":           only(audit.DecodeEvent),
	"capabilities":    only(margo.ParseCapabilities),
	"margo.yaml":      only(margo.ParseDescription),
	"deployment":      only(margo.ParseDeployment),
	"policy":          only(policy.Parse),
	"manifest": func(_ *testing.T, data []byte) error {
		_, err := oci.Children(ocispec.MediaTypeImageManifest, data)
		return err
	},
	"grants": func(_ *testing.T, data []byte) error { return policy.Grants{}.CheckCompose(data) },
	"compose.yaml": func(t *testing.T, data []byte) error {
		_, err := composefile.Load(t.Context(), composefile.Files{composefile.ComposeFile: data}, composefile.Vars{}, "p")
		return err
	},
	"render": func(t *testing.T, data []byte) error {
		_, err := composefile.Decode(t.Context(), data, "p")
		return err
	},
	"archive": only(composefile.Unpack),
	"request": func(t *testing.T, data []byte) error {
		err := task.Serve(t.Context(), task.Render, nil, bytes.NewReader(append(data, '\n')), io.Discard)
		return reason.Wrap(reason.Malformed, err) // the agent writes it; a fault there has no reason of its own
	},
}

// documents are short to write down and long to read.
func documents() map[string]string {
	deep := func(open, close string) string {
		return strings.Repeat(open, 20_000) + "1" + strings.Repeat(close, 20_000)
	}
	return map[string]string{
		"lists":            deep("[", "]"),
		"objects":          deep(`{"a":`, "}"),
		"lists, open":      strings.Repeat("[", 1<<20),
		"objects, open":    strings.Repeat(`{"a":`, 200_000),
		"block lists":      strings.Repeat("- ", 20_000) + "1",
		"block keys":       strings.Repeat("? ", 20_000) + "1",
		"flow mappings":    deep("{a: ", "}"),
		"long string":      `{"schemaVersion":2,"mediaType":"` + strings.Repeat("x", 10<<20) + `"}`,
		"long plain text":  "apiVersion: " + strings.Repeat("x", 10<<20),
		"long key":         `{"` + strings.Repeat("x", 3<<20) + `":1}`,
		"long key twice":   `{"` + strings.Repeat("x", 1<<20) + `":1,"` + strings.Repeat("x", 1<<20) + `":1}`,
		"long number":      `{"schemaVersion":` + strings.Repeat("9", 3<<20) + `}`,
		"large number":     `{"schemaVersion":1e999999999}`,
		"small number":     `{"schemaVersion":2e-999999999}`,
		"key twice":        `{"schemaVersion":2,"schemaVersion":2}`,
		"key in two cases": `{"schemaVersion":2,"SchemaVersion":2}`,
		"key, two forms":   "{\"schemaVersion\":2,\"ſchemaVersion\":2}",
		"wide":             "[" + strings.Repeat("1,", 100_000) + "1]",
		"tags":             "!!set {a, b}",
		"merge":            "a: &a {b: 1}\nc: {<<: *a}\n",
		"laughs":           "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n",
	}
}

// Attacks A7 and T27: every reader refuses every such document with a reason, and
// does not take the memory that it asks for.
func TestAttackA7EveryReaderEnds(t *testing.T) {
	for bomb, text := range documents() {
		t.Run(bomb, func(t *testing.T) {
			for name, read := range readers {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				err := read(t, []byte(text))
				runtime.ReadMemStats(&after)
				if err == nil || reason.Of(err) == reason.Internal {
					t.Errorf("%s: %v, want a reason", name, err)
				}
				if err != nil && len(err.Error()) > 4000 {
					t.Errorf("%s: a message of %d bytes", name, len(err.Error()))
				}
				if took := (after.TotalAlloc - before.TotalAlloc) >> 20; took > 512 {
					t.Errorf("%s: %d MiB were allocated", name, took)
				}
			}
		})
	}
}
