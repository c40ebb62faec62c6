package publish

import (
	"maps"
	"slices"

	"github.com/consign-dev/consign/internal/tufrepo"
)

// findings say what became of the journalled commits, seen from the state that
// the next change is made from.
type findings struct {
	// kept are the commits with those of their changes that are in effect.
	kept []commitRecord
	// again are changes that another writer took away without having seen them.
	again []tufrepo.Change
	// lost are changes that were taken away and do not fit what is there now, or
	// of which it cannot be told whether they were undone on purpose.
	lost []tufrepo.Change
	// raise names roles that have to be signed above what was signed here, for
	// readers who have seen that.
	raise []string
	// apart are the documents that the state was made without, by role.
	apart map[string][]tufrepo.Document
	// resumed are changes in effect whose command never learned that they were.
	resumed []tufrepo.Change
}

// trace is one journalled change of one target, and how its commit stands.
type trace struct {
	tufrepo.Change
	standing tufrepo.Standing
}

// judge compares the journal with a state.
func judge(commits []commitRecord, tuf *tufrepo.Repo) findings {
	f := findings{apart: map[string][]tufrepo.Document{}}
	traces := map[target][]trace{}
	var order []target
	for _, c := range commits {
		f.judgeDocuments(c, tuf)
		for _, ch := range c.Changes {
			at := target{ch.Role, ch.Name}
			if traces[at] == nil {
				order = append(order, at)
			}
			traces[at] = append(traces[at], trace{ch, tuf.Standing(ch.Role, c.Documents[ch.Role])})
		}
	}
	keep := map[target]bool{}
	for _, at := range order {
		keep[at] = f.judgeTarget(traces[at], tuf.Target(at.role, at.name))
	}
	f.prune(commits, keep, tuf)
	return f
}

type target struct{ role, name string }

func (f *findings) judgeDocuments(c commitRecord, tuf *tufrepo.Repo) {
	for role, d := range c.Documents {
		now := tuf.Document(role)
		above := d.Version > now.Version || d.Version == now.Version && d.SHA256 != now.SHA256
		if apart(role, d, tuf) {
			f.apart[role] = append(f.apart[role], d)
		}
		// A timestamp is signed above all others at every commit.
		if above && role != tufrepo.Timestamp && !slices.Contains(f.raise, role) {
			f.raise = append(f.raise, role)
		}
	}
}

// judgeTarget decides about one target, whose changes are in order, and reports
// whether they are in effect as part of the state's history.
func (f *findings) judgeTarget(list []trace, value *tufrepo.Target) bool {
	last, missing := list[len(list)-1], false
	fits, want := true, value
	for _, t := range list {
		if t.standing == tufrepo.Part {
			continue
		}
		missing = true
		switch {
		case tufrepo.SameTarget(want, t.After):
		case t.standing == tufrepo.Apart && tufrepo.SameTarget(want, t.Before):
			want = t.After
		default:
			fits = false
		}
	}
	switch {
	case tufrepo.SameTarget(value, last.After):
		return !missing
	case !missing: // a later change, made with ours in sight
	case !fits:
		f.lost = append(f.lost, last.Change)
	case !tufrepo.SameTarget(value, want):
		f.again = append(f.again, tufrepo.Change{Role: last.Role, Name: last.Name, Before: value, After: want})
	}
	return false
}

// prune keeps what is in effect, and the last commit for its documents.
func (f *findings) prune(commits []commitRecord, keep map[target]bool, tuf *tufrepo.Repo) {
	for n, c := range commits {
		var changes []tufrepo.Change
		for _, ch := range c.Changes {
			if keep[target{ch.Role, ch.Name}] {
				changes = append(changes, ch)
			}
		}
		if !c.Done {
			f.resumed = append(f.resumed, changes...)
		}
		c.Changes, c.Done, c.Documents = changes, true, maps.Clone(c.Documents)
		maps.DeleteFunc(c.Documents, func(role string, d tufrepo.Document) bool { return apart(role, d, tuf) })
		if len(changes) > 0 || n == len(commits)-1 {
			f.kept = append(f.kept, c)
		}
	}
}

// apart reports whether a state was made without the document d of a role.
// The online roles have no history; of a timestamp it shows as long as the
// state's own has no higher version.
func apart(role string, d tufrepo.Document, tuf *tufrepo.Repo) bool {
	switch role {
	case tufrepo.Snapshot:
		return false
	case tufrepo.Timestamp:
		now := tuf.Document(role)
		return d.Version >= now.Version && d.SHA256 != now.SHA256
	}
	return tuf.Standing(role, d) == tufrepo.Apart
}

// without reports whether a state was made without a part of the commit.
func (c commitRecord) without(tuf *tufrepo.Repo) bool {
	for role, d := range c.Documents {
		if apart(role, d, tuf) {
			return true
		}
	}
	return false
}
