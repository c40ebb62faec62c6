package verify

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	sigstore "github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/consign-dev/consign/internal/strictjson"
)

// maxMaterial bounds the log entries and the timestamps of one bundle: each
// costs public-key operations, and one of either is what tools write (attack S15).
const maxMaterial = 8

// checkMaterial refuses, before the library parses any of it, what would cost more
// than a bundle may.
func checkMaterial(b *protobundle.Bundle) error {
	m := b.GetVerificationMaterial()
	stamps := m.GetTimestampVerificationData().GetRfc3161Timestamps()
	if n := max(len(m.GetTlogEntries()), len(stamps)); n > maxMaterial {
		return fmt.Errorf("%d log entries or timestamps, at most %d are read", n, maxMaterial)
	}
	for _, s := range stamps {
		if err := checkTimestamp(s.GetSignedTimestamp()); err != nil {
			return err
		}
	}
	for _, e := range m.GetTlogEntries() {
		if err := checkEntry(e, b.GetDsseEnvelope() != nil); err != nil {
			return err
		}
	}
	return nil
}

// maxEntryBody bounds what a log keeps of one signature; a certificate and a
// signature are some 4 KiB.
const maxEntryBody = 32 << 10

// checkEntry insists on a proof that the log has the entry, where its promise
// would do for the library, and refuses what cannot be the entry of an envelope and
// that the library would verify as it is read, with keys that it brings along: a
// request to a log, each of its signatures with each of its keys, for hours; and a
// hashedrekord of Rekor v1, with a key of any length (attack S15).
func checkEntry(e *protorekor.TransparencyLogEntry, ofEnvelope bool) error {
	if e.GetInclusionProof() == nil {
		return errors.New("a log entry without an inclusion proof")
	}
	var body struct {
		Spec struct {
			Proposed  json.RawMessage `json:"proposedContent"`
			Data      json.RawMessage `json:"data"`
			Signature json.RawMessage `json:"signature"`
			Content   struct {
				Envelope struct {
					Payload json.RawMessage `json:"payload"`
				} `json:"envelope"`
			} `json:"content"`
		} `json:"spec"`
	}
	if err := strictjson.UnmarshalOpen(e.GetCanonicalizedBody(), &body, strictjson.Limits{Bytes: maxEntryBody, Depth: maxSignatureDepth}); err != nil {
		return fmt.Errorf("log entry: %w", err)
	}
	if body.Spec.Proposed != nil || body.Spec.Content.Envelope.Payload != nil {
		return errors.New("a log entry that is a request to a log")
	}
	if ofEnvelope && (body.Spec.Data != nil || body.Spec.Signature != nil) {
		return errors.New("a log entry of a signature on something else than an envelope")
	}
	return checkForm(e)
}

// checkForm insists that entry and checkpoint are both of Rekor v1 or both of v2.
// The library compares an entry of v1 with the bundle field by field, and finds one
// of v2 in the tree by what the bundle says; of v2 under a checkpoint of v1, whose
// first line is "NAME - TREE", it does neither (attack S3).
func checkForm(e *protorekor.TransparencyLogEntry) error {
	parsed, err := tlog.ParseTransparencyLogEntry(e)
	if err != nil {
		return fmt.Errorf("log entry: %w", err)
	}
	origin, _, _ := strings.Cut(e.GetInclusionProof().GetCheckpoint().GetEnvelope(), "\n")
	if parsed.IsRekorV2() == strings.Contains(origin, " ") {
		return fmt.Errorf("log entry: the checkpoint of %.100q is of another version of Rekor than the entry", origin)
	}
	return nil
}

// inUse insists that the logs of a bundle's entries were in use when it was
// signed. The library looks at the times of certificate logs and authorities, and
// not at those of logs whose entries have no time of their own (Rekor v2).
func (r *TrustedRoot) inUse(entries []*protorekor.TransparencyLogEntry, times []sigstore.TimestampVerificationResult) error {
	logs := r.material.RekorLogs()
	for _, e := range entries {
		log, known := logs[hex.EncodeToString(e.GetLogId().GetKeyId())]
		if !known {
			continue // it did not count
		}
		for _, at := range times {
			if at.Timestamp.Before(log.ValidityPeriodStart) || !log.ValidityPeriodEnd.IsZero() && at.Timestamp.After(log.ValidityPeriodEnd) {
				return fmt.Errorf("the transparency log %s was not in use at %s", log.BaseURL, at.Timestamp.UTC().Format(time.RFC3339))
			}
		}
	}
	return nil
}
