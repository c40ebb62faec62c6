package agent

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/inputs"
)

// What is kept of decisions: those of what runs, always; those of past
// installations, of which the state holds maxPast, and the latest others
// (refusals, tries that failed, returns, corrections), each within a budget of
// its own, so that refusals push no installation out. docs/spec/replay.md.
const (
	maxOthers    = 64
	maxOthersOf  = 16 // of one deployment
	archiveBytes = 64 << 20
	// archiveSlack is how many more there may be, and archiveMost how many bytes
	// they may name, before a cycle without any change drops what may go.
	archiveSlack = 32
	archiveMost  = 3 * archiveBytes
)

// archived is an inputs document of the archive.
type archived struct {
	digest digest.Digest
	doc    *inputs.Document
}

// crowded reports whether much more is archived than is kept. It looks only after
// a decision was added.
func (a *Agent) crowded() (bool, error) {
	if !a.kept {
		return false, nil
	}
	a.kept = false
	all, err := a.archive()
	var b budget
	for _, e := range all {
		b.add(e.doc)
	}
	return len(all) > maxOthers+maxPast+len(a.state.Installed)+archiveSlack || b.bytes > archiveMost, err
}

// thin drops inputs documents where there are too many and the orders cannot be
// read. What they name stays until a cycle knows what is ordered.
func (a *Agent) thin() error {
	if crowded, err := a.crowded(); err != nil || !crowded {
		return err
	}
	return a.thinInto(map[digest.Digest]bool{})
}

// thinInto drops the inputs documents that are past retention and adds what the
// others name to keep. The documents go before what they name.
func (a *Agent) thinInto(keep map[digest.Digest]bool) error {
	all, err := a.archive()
	if err != nil {
		return err
	}
	stay := map[digest.Digest]bool{}
	for _, e := range a.retained(all) {
		stay[e.digest] = true
		for _, ref := range e.doc.Refs() {
			keep[ref.Digest] = true
		}
	}
	return a.inputs.GC(stay)
}

// archive reads the inputs documents, the newest first. One that is damaged is of
// no use to anybody and is left out.
func (a *Agent) archive() ([]archived, error) {
	list, err := a.inputs.Digests()
	if err != nil {
		return nil, err
	}
	var out []archived
	for _, d := range list {
		doc, err := a.inputsOf(d)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read archived inputs: %w", err)
		}
		out = append(out, archived{d, doc})
	}
	slices.SortFunc(out, func(a, b archived) int {
		return cmp.Or(cmp.Compare(b.doc.Event, a.doc.Event), cmp.Compare(a.digest, b.digest))
	})
	return out, nil
}

// inputsOf reads one inputs document, for what it names.
func (a *Agent) inputsOf(d digest.Digest) (*inputs.Document, error) {
	size, err := a.inputs.Size(d)
	if err != nil {
		return nil, err
	}
	data, err := a.inputs.Bytes(ocispec.Descriptor{Digest: d, Size: size}, inputs.MaxBytes)
	if err != nil {
		return nil, err
	}
	return inputs.Parse(data)
}

// retained chooses what stays of all, which is sorted from the newest on.
func (a *Agent) retained(all []archived) []archived {
	current, past := map[digest.Digest]bool{}, map[digest.Digest]bool{}
	for _, in := range a.state.Installed {
		current[in.Inputs] = true
	}
	for _, in := range a.state.Past {
		past[in.Inputs] = true
	}
	var stay []archived
	earlier, others := budget{}, budget{count: maxOthers, each: maxOthersOf}
	for _, e := range all {
		switch {
		case current[e.digest] || past[e.digest] && earlier.admits(e.doc):
			stay = append(stay, e)
		case !past[e.digest] && others.admits(e.doc):
			stay = append(stay, e)
		}
	}
	return stay
}

// budget bounds a class of decisions: by number, by number for one deployment
// (zero is no bound), and by the bytes of the documents that they name, each
// counted once.
type budget struct {
	count, each int
	bytes       int64
	full        bool
	of          map[string]int
	seen        map[digest.Digest]bool
}

// add counts the bytes of what a decision names and was not counted yet.
func (b *budget) add(d *inputs.Document) {
	if b.of == nil {
		b.of, b.seen = map[string]int{}, map[digest.Digest]bool{}
	}
	for _, ref := range d.Refs() {
		if !b.seen[ref.Digest] {
			b.seen[ref.Digest] = true
			b.bytes += ref.Size
		}
	}
	b.of[d.Deployment]++
}

// admits takes a decision into the budget if it fits. The first that does not fit
// by its bytes ends the class, so that what is kept has no holes.
func (b *budget) admits(d *inputs.Document) bool {
	if b.full || b.each > 0 && b.of[d.Deployment] == b.each {
		return false
	}
	b.add(d)
	if b.count > 0 {
		b.count--
		b.full = b.count == 0
	}
	if b.bytes > archiveBytes {
		b.full = true
		return false
	}
	return true
}
