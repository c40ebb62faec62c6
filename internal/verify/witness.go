package verify

import (
	"encoding/hex"
	"fmt"

	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"golang.org/x/mod/sumdb/note"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/policy"
)

// Witnessed returns the instance with the demand that enough of the witnesses have
// cosigned the trees of its logs; with nil, the instance as it is. A key that
// cannot be read is malformed.
func (r *TrustedRoot) Witnessed(by *policy.Witnesses) (*TrustedRoot, error) {
	if by == nil {
		return r, nil
	}
	verifiers, err := by.Verifiers()
	if err != nil {
		return nil, reason.New(reason.Malformed, "witnesses.%w", err)
	}
	if by.Threshold < 1 || by.Threshold > len(verifiers) {
		return nil, reason.New(reason.Malformed, "witnesses.threshold: %d of %d", by.Threshold, len(verifiers))
	}
	return &TrustedRoot{material: r.material, witnesses: verifiers, cosigned: by.Threshold}, nil
}

// checkWitnesses insists that each entry of a known log is proven to be in a tree
// that enough witnesses have seen: else a log, or a thief of its key, could show
// this device a tree that nobody else is shown (attack S9). The library has
// verified the log's signature and the proof against the same text.
func (r *TrustedRoot) checkWitnesses(entries []*protorekor.TransparencyLogEntry) error {
	if r.cosigned == 0 {
		return nil
	}
	logs := r.material.RekorLogs()
	for _, e := range entries {
		log, known := logs[hex.EncodeToString(e.GetLogId().GetKeyId())]
		if !known {
			continue // it did not count
		}
		n, err := note.Open([]byte(e.GetInclusionProof().GetCheckpoint().GetEnvelope()), note.VerifierList(r.witnesses...))
		if _, none := err.(*note.UnverifiedNoteError); none {
			return fmt.Errorf("the tree of the transparency log %s is cosigned by 0 of the policy's witnesses, %d are required", log.BaseURL, r.cosigned)
		}
		if err != nil {
			return fmt.Errorf("the checkpoint of the transparency log %s: %w", log.BaseURL, err)
		}
		// Open counts a witness once, however often it signed.
		if len(n.Sigs) < r.cosigned {
			return fmt.Errorf("the tree of the transparency log %s is cosigned by %d of the policy's witnesses, %d are required", log.BaseURL, len(n.Sigs), r.cosigned)
		}
	}
	return nil
}
