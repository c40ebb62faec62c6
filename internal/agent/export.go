package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/consign-dev/consign/internal/audit"
	"github.com/consign-dev/consign/internal/bundle"
	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/inputs"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/store"
)

// The directories of an export.
const (
	exportLog     = "log"
	exportArchive = "archive"
)

// copyTries is how often a copy of the log is made anew that caught a running
// agent between two files.
const copyTries = 5

// Exported is what [Agent.Export] copied.
type Exported struct {
	// Events is the number of events in the copy of the log.
	Events uint64 `json:"events"`
	// Decisions is the number of decisions that can be replayed from the copy, and
	// Missing of those whose inputs are past retention, or damaged, here.
	Decisions int `json:"decisions"`
	Missing   int `json:"missing"`
	// Documents is the number of documents that were copied for them, Bytes their
	// length.
	Documents int   `json:"documents"`
	Bytes     int64 `json:"bytes"`
}

// Export copies the log, and what its decisions were made from, into a new
// directory, for an auditor. Neither the device's keys nor its secrets are in it;
// values of parameters, which orders and renders hold, are. It works beside a
// running agent.
func (a *Agent) Export(ctx context.Context, dir string) (Exported, error) {
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return Exported{}, errors.Join(err, fmt.Errorf("export the log: %s is there already: name a new directory", dir))
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return Exported{}, fmt.Errorf("export the log: %w", err)
	}
	x := exporter{a: a}
	list, err := x.copyLog(ctx, filepath.Join(dir, exportLog))
	if err != nil {
		return Exported{}, fmt.Errorf("export the log: %w", err)
	}
	if x.to, err = store.Open(filepath.Join(dir, exportArchive)); err != nil {
		return Exported{}, fmt.Errorf("export the log: %w", err)
	}
	for _, d := range list {
		if err := x.copyDecision(ctx, d); err != nil {
			return Exported{}, fmt.Errorf("export the log: inputs %s: %w", d, err)
		}
	}
	return x.out, nil
}

type exporter struct {
	a   *Agent
	to  *store.Store
	out Exported
}

// copyLog copies the log and returns the inputs that it names, each once. The copy
// is checked whole by the device's own key, and made anew when it is not: the
// agent may have written meanwhile.
func (x *exporter) copyLog(ctx context.Context, to string) (list []digest.Digest, err error) {
	key, err := x.a.dirs.loadLogKey()
	if err != nil {
		return nil, err
	}
	for try := 0; ; try++ {
		list = nil
		seen := map[digest.Digest]bool{}
		err := errors.Join(durable.RemoveAll(to), copyTree(ctx, x.a.dirs.log(), to))
		if err != nil {
			return nil, err
		}
		report, err := audit.Verify(ctx, to, key.Public(), nil, func(e audit.Entry) error {
			if e.Inputs != "" && !seen[e.Inputs] {
				list, seen[e.Inputs] = append(list, e.Inputs), true
			}
			return nil
		})
		if err == nil || try == copyTries || !audit.IsTampering(err) {
			x.out.Events = report.Size + report.Pending
			return list, err
		}
	}
}

// logFiles are what an auditor reads of a log, in the order in which a reader
// beside the writer has to take them.
var logFiles = []string{"journal", "checkpoint", "tile"}

// copyTree copies the log's files. One that goes away meanwhile is left out.
func copyTree(ctx context.Context, from, to string) error {
	for _, name := range logFiles {
		err := filepath.WalkDir(filepath.Join(from, name), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return ctx.Err()
			}
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(from, path)
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			return copyFile(path, filepath.Join(to, rel))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// maxLogFile bounds a file of the log: the journal is the longest (docs/spec/limits.md).
const maxLogFile = 16 << 20

func copyFile(from, to string) error {
	data, err := durable.ReadFile(from, maxLogFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return durable.WriteFile(to, data, 0o600)
}

// copyDecision copies one inputs document after everything that it names. What is
// not whole here is left out whole.
func (x *exporter) copyDecision(ctx context.Context, d digest.Digest) error {
	doc, err := x.a.inputsOf(d)
	if err == nil {
		err = x.copyRefs(ctx, doc.Refs())
	}
	if gone(err) {
		x.out.Missing++
		return nil
	}
	if err != nil {
		return err
	}
	data, err := doc.Encode()
	if err != nil {
		return err
	}
	x.out.Decisions++
	return x.to.Put(ctx, bundle.Describe("application/json", data), data)
}

// gone reports whether a document is past retention, was collected meanwhile, or
// is not what was written.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || reason.Is(err, reason.DigestMismatch) || reason.Is(err, reason.Malformed) || reason.Is(err, reason.TooLarge)
}

func (x *exporter) copyRefs(ctx context.Context, refs []inputs.Ref) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelPuts)
	for _, ref := range refs {
		if x.to.Has(ref.Digest) {
			continue
		}
		x.out.Documents++
		x.out.Bytes += ref.Size
		group.Go(func() error {
			desc := ocispec.Descriptor{Digest: ref.Digest, Size: ref.Size}
			data, err := x.a.store.Bytes(desc, inputs.MaxRef)
			if err != nil {
				return err
			}
			return x.to.Put(ctx, desc, data)
		})
	}
	return group.Wait()
}
