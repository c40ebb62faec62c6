package tufrepo

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"

	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/tufclient"
)

// LineageField is the signed field of a targets role with the history of its
// document: {"from": [...], "merged": [...]}, each the hexadecimal SHA-256 of a
// file, newest first. "from" has the documents that it was made from, one after
// the other without a gap; "merged" has those of lost branches whose changes
// were dealt with on the way. It is for writers: it tells a change that was undone on
// purpose from one that another writer never saw. The keys of the role itself
// sign it, so whoever only serves the channel, or holds its online keys, cannot
// make a change look lost.
const LineageField = "x-consign-lineage"

// MaxLineage is how many documents each list of a lineage names at most.
const MaxLineage = 128

type lineage struct{ from, merged []string }

// Standing says how a document stands to the history of a role.
type Standing int

const (
	// Unsettled: the lineage does not reach far enough back to tell.
	Unsettled Standing = iota
	// Part: it is the role's document, or one that this was made from.
	Part
	// Apart: the role's document was made without it.
	Apart
)

// Document is one signed document of a role.
type Document struct {
	Version int64 `json:"version"`
	// SHA256 is that of its file, in hexadecimal.
	SHA256 string `json:"sha256"`
}

var hexDigest = lazyregexp.New(`^[0-9a-f]{64}$`)

// lineageOf reads the field of a role; a document without it names nothing.
func lineageOf(role string, fields map[string]any) (lineage, error) {
	v, ok := fields[LineageField]
	if !ok {
		return lineage{}, nil
	}
	m, _ := v.(map[string]any)
	if len(m) != 2 {
		return lineage{}, reason.New(reason.Malformed, "%s: %s: want an object with from and merged", role, LineageField)
	}
	from, err := digestList(role+": "+LineageField+".from", m["from"])
	if err != nil {
		return lineage{}, err
	}
	merged, err := digestList(role+": "+LineageField+".merged", m["merged"])
	return lineage{from, merged}, err
}

func digestList(where string, v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok || len(list) > MaxLineage {
		return nil, reason.New(reason.Malformed, "%s: want an array of at most %d texts", where, MaxLineage)
	}
	out := make([]string, 0, len(list))
	for n, item := range list {
		s, _ := item.(string)
		if !hexDigest.MatchString(s) {
			return nil, reason.New(reason.Malformed, "%s[%d]: is not 64 lower-case hexadecimal digits", where, n)
		}
		out = append(out, s)
	}
	return out, nil
}

func (l lineage) field() map[string]any {
	return map[string]any{"from": anyList(l.from), "merged": anyList(l.merged)}
}

func anyList(list []string) []any {
	out := make([]any, len(list))
	for n, s := range list {
		out[n] = s
	}
	return out
}

func prepend(s string, list []string) []string {
	list = append([]string{s}, list...)
	return list[:min(len(list), MaxLineage)]
}

// Merged says that the change in d, a document of a lost branch of role, was
// dealt with. It counts when the role is signed next.
func (r *Repo) Merged(role string, d Document) {
	l := r.lineage[role]
	l.merged = prepend(d.SHA256, l.merged)
	r.lineage[role] = l
}

// descend makes the document of role name the one that it takes the place of.
func (r *Repo) descend(role string) {
	old := r.Document(role)
	if old.SHA256 == "" {
		return
	}
	l := r.lineage[role]
	l.from = prepend(old.SHA256, l.from)
	r.lineage[role] = l
	fields := maps.Clone(r.roles[role].Signed.UnrecognizedFields)
	fields[LineageField] = l.field()
	r.roles[role].Signed.UnrecognizedFields = fields
}

// Document is the signed document of a role as it is now; zero when there is none.
func (r *Repo) Document(role string) Document {
	version := r.Versions()[role]
	data := r.files[tufclient.FileName(role, version)]
	if data == nil {
		return Document{}
	}
	sum := sha256.Sum256(data)
	return Document{Version: version, SHA256: hex.EncodeToString(sum[:])}
}

// Standing says whether the targets role's document was made from d. Versions
// rise by one at least, so the last of n documents in from is at least n
// versions older than the role's: what is not older than that and is not named
// was not there.
func (r *Repo) Standing(role string, d Document) Standing {
	now, l := r.Document(role), r.lineage[role]
	switch {
	case now.SHA256 == d.SHA256 || slices.Contains(l.from, d.SHA256) || slices.Contains(l.merged, d.SHA256):
		return Part
	case now.Version-int64(len(l.from)) <= d.Version:
		return Apart
	}
	return Unsettled
}
