package publish

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/durable"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
	"github.com/consign-dev/consign/internal/tufrepo"
)

// Bounds of the journal. A commit that falls out of it is not missed any more.
const (
	maxJournal = 1 << 20
	maxCommits = 32
)

const journalFormat = 1

// journal is what the commands with one key directory have signed, as far as
// it may still have to be signed again. It is the file commits.json beside the keys.
type journal struct {
	Format int `json:"format"`
	// Channel is the id of the channel.
	Channel string `json:"channel"`
	// Taken is the highest version of each role that was ever signed here,
	// whether or not anybody saw it.
	Taken map[string]int64 `json:"taken"`
	// Commits are in the order in which they were made.
	Commits []commitRecord `json:"commits"`
}

// commitRecord is written before the tag moves.
type commitRecord struct {
	// Manifest is the channel manifest that the tag was to name.
	Manifest digest.Digest `json:"manifest"`
	// Done says that the channel was read back with the commit in it.
	Done bool `json:"done"`
	// Documents are those that the commit signed, by role.
	Documents map[string]tufrepo.Document `json:"documents"`
	Changes   []tufrepo.Change            `json:"changes"`
}

var sha256Hex = lazyregexp.New(`^[0-9a-f]{64}$`)

func parseJournal(data []byte) (*journal, error) {
	j := &journal{}
	if err := strictjson.Unmarshal(data, j, strictjson.Limits{Bytes: maxJournal}); err != nil {
		return nil, err
	}
	if j.Format != journalFormat {
		return nil, reason.New(reason.Malformed, "format: %d is not %d: it was written by another version of this program", j.Format, journalFormat)
	}
	if len(j.Commits) > maxCommits {
		return nil, reason.New(reason.TooLarge, "commits: %d, at most %d are kept", len(j.Commits), maxCommits)
	}
	for role, v := range j.Taken {
		if v < 1 {
			return nil, reason.New(reason.Malformed, "taken.%q: version %d is less than 1", role, v)
		}
	}
	for n, c := range j.Commits {
		if err := c.check(); err != nil {
			return nil, fmt.Errorf("commits[%d]: %w", n, err)
		}
	}
	return j, nil
}

func (c commitRecord) check() error {
	if err := c.Manifest.Validate(); err != nil {
		return reason.New(reason.Malformed, "manifest: %w", err)
	}
	for role, d := range c.Documents {
		if d.Version < 1 || !sha256Hex.MatchString(d.SHA256) {
			return reason.New(reason.Malformed, "documents.%q: want a version from 1 and a sha256", role)
		}
	}
	for n, ch := range c.Changes {
		if _, ok := c.Documents[ch.Role]; !ok || ch.Name == "" {
			return reason.New(reason.Malformed, "changes[%d]: want a name, and a role that the commit signed", n)
		}
		for _, t := range []*tufrepo.Target{ch.Before, ch.After} {
			if t != nil && (t.Digest.Validate() != nil || t.Length < 1) {
				return reason.New(reason.Malformed, "changes[%d]: want a digest and a length", n)
			}
		}
	}
	return nil
}

// loadJournal reads the journal of a channel; a directory without one has
// committed nothing yet.
func (k KeyDir) loadJournal(channelID string) (*journal, error) {
	data, err := durable.ReadFile(k.journalFile(), maxJournal)
	if errors.Is(err, fs.ErrNotExist) {
		return &journal{Format: journalFormat, Channel: channelID, Taken: map[string]int64{}}, nil
	}
	if err != nil {
		return nil, err
	}
	j, err := parseJournal(data)
	if err == nil && j.Channel != channelID {
		err = reason.New(reason.WrongChannel, "it is of channel %s, the keys are of %s", j.Channel, channelID)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w; restore the file from a backup, or remove it: then a change that another writer took away is not noticed", k.journalFile(), err)
	}
	if j.Taken == nil {
		j.Taken = map[string]int64{}
	}
	return j, nil
}

// save writes the journal, without its oldest commits where it is too long.
func (k KeyDir) save(j *journal) error {
	j.Commits = j.Commits[max(0, len(j.Commits)-maxCommits):]
	for {
		data, err := json.Marshal(j)
		if err != nil {
			return err
		}
		if len(data) <= maxJournal || len(j.Commits) == 0 {
			return durable.WriteFile(k.journalFile(), data, 0o600)
		}
		j.Commits = j.Commits[1:]
	}
}

// with is the journal after a further commit, whose versions are versions.
func (j *journal) with(c commitRecord, versions map[string]int64) *journal {
	next := &journal{Format: j.Format, Channel: j.Channel, Taken: map[string]int64{}, Commits: append(slices.Clone(j.Commits), c)}
	maps.Copy(next.Taken, j.Taken)
	for role, v := range versions {
		next.Taken[role] = max(next.Taken[role], v)
	}
	return next
}
