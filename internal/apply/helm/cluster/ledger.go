package cluster

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/release"
	"helm.sh/helm/v3/pkg/storage/driver"
	helmtime "helm.sh/helm/v3/pkg/time"
)

// ledger is where Helm reads and writes its records. It writes them to Secrets, as
// Helm always does, for people and their tools; it reads only what this process put
// there. A Secret that somebody writes meanwhile, or under another name with Helm's
// labels, can so neither have Helm remove the objects of others nor end it.
type ledger struct {
	*driver.Memory
	secrets *driver.Secrets
}

func newLedger(namespace string, secrets *driver.Secrets) *ledger {
	l := &ledger{driver.NewMemory(), secrets}
	l.Memory.SetNamespace(namespace)
	return l
}

// Name implements [driver.Driver].
func (l *ledger) Name() string { return l.secrets.Name() }

// know enters a record that is in the cluster already.
func (l *ledger) know(key string, r *release.Release) error { return l.Memory.Create(key, r) }

// Create implements [driver.Driver].
func (l *ledger) Create(key string, r *release.Release) error {
	if err := step("record"); err != nil {
		return err
	}
	if err := l.secrets.Create(key, r); err != nil {
		return err
	}
	return l.Memory.Create(key, r)
}

// Update implements [driver.Driver].
func (l *ledger) Update(key string, r *release.Release) error {
	if err := step("record"); err != nil {
		return err
	}
	if err := l.secrets.Update(key, r); err != nil {
		return err
	}
	return l.Memory.Update(key, r)
}

// maxRecord bounds a record that somebody may have written, unpacked. A Secret holds
// 1 MiB.
const maxRecord = 64 << 20

// record is what is read of a record that is in the cluster: enough to tell whether
// it is the one that should be there.
type record struct {
	Namespace, Manifest string
	Version             int
	Hooks               json.RawMessage
	Info                struct {
		Status        release.Status
		FirstDeployed helmtime.Time `json:"first_deployed"`
	}
	Chart struct {
		Metadata struct{ Name, Version string }
	}
}

// readRecord reads a record as it stands in a Secret: JSON, compressed, in base64.
func readRecord(data []byte) (*record, error) {
	packed, err := base64.StdEncoding.AppendDecode(nil, data)
	if err != nil {
		return nil, err
	}
	unzip, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(unzip, maxRecord+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxRecord {
		return nil, fmt.Errorf("more than %d bytes", maxRecord)
	}
	r := &record{}
	return r, json.Unmarshal(text, r)
}

// is reports whether a record is, in all that matters to Helm, the wanted one.
func (r *record) is(want *release.Release) bool {
	return r.Info.Status == want.Info.Status && r.Manifest == want.Manifest && r.Namespace == want.Namespace && r.hookless() && r.of(want.Chart)
}

func (r *record) hookless() bool {
	text := string(bytes.TrimSpace(r.Hooks))
	return text == "" || text == "null" || text == "[]"
}

func (r *record) of(c *chart.Chart) bool {
	return r.Chart.Metadata.Name == c.Metadata.Name && r.Chart.Metadata.Version == c.Metadata.Version
}
