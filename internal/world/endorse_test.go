package world_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/agent"
	"github.com/consign-dev/consign/internal/keys"
	"github.com/consign-dev/consign/internal/publish"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

// twoParties is a world whose policy asks for the word of an integrator beside
// the supplier's. It returns the file of the integrator's key.
func twoParties(t *testing.T) (*world.World, string) {
	w := world.New(t)
	file, pem := party(w, "integrator")
	signing, err := w.Party("acme").Keys.Signers("signing")
	w.Must(err)
	supplier, err := keys.MarshalPublic(signing[0].Public())
	w.Must(err)
	w.Signers = block("keys", string(supplier)) +
		"      - role: integrator\n        listedIn: deployment\n        threshold: 1\n" + block("keys", pem)
	w.SetPolicy("")
	return w, file
}

func block(field, pem string) string {
	return "        " + field + ":\n          - |\n            " + strings.ReplaceAll(strings.TrimSpace(pem), "\n", "\n            ") + "\n"
}

// party makes a key and returns its file and the public half.
func party(w *world.World, name string) (file, pem string) {
	key, err := keys.Generate()
	w.Must(err)
	file = filepath.Join(w.T.(*testing.T).TempDir(), name+".pem")
	w.Must(keys.Save(file, key, []byte("test"), 1))
	public, err := keys.MarshalPublic(key.Public())
	w.Must(err)
	return file, string(public)
}

// endorse lets somebody sign a release, as a file for the operator.
func endorse(w *world.World, version, key, statement string) publish.Attestation {
	w.T.Helper()
	in := publish.EndorseInput{Channel: w.Deployments, Application: "hello", Version: version, SigningKey: key}
	if statement != "" {
		a, err := publish.ReadAttestation(writeFile(w, "statement.json", []byte(statement)), "")
		w.Must(err)
		in.Statement = &a
	}
	done, err := w.Party("plant").Endorse(w.Context(), in)
	w.Must(err)
	a, err := publish.ReadEndorsement(writeFile(w, version+".sigstore.json", done.Evidence))
	w.Must(err)
	return a
}

func writeFile(w *world.World, name string, data []byte) string {
	file := filepath.Join(w.Dir, name)
	w.Must(os.WriteFile(file, data, 0o600))
	return file
}

func order(w *world.World, device, version string, with ...publish.Attestation) error {
	_, err := w.Party("plant").Deploy(w.Context(), publish.DeployInput{
		Channel: w.Deployments, Application: "hello", Version: version, Device: device, Endorsements: with,
	})
	return err
}

// TestTwoParties is the life of an application that two must have signed: the
// operator's tools and the device take it with both words and with no less.
func TestTwoParties(t *testing.T) {
	w, integrator := twoParties(t)
	d := w.Recorded("press-07")
	w.Publish("acme", "1.0.0", nil)
	if err := order(w, d.ID, "1.0.0"); !reason.Is(err, reason.Threshold) || !strings.Contains(err.Error(), "integrator") {
		t.Errorf("without the integrator: %v", err)
	}
	w.Must(order(w, d.ID, "1.0.0", endorse(w, "1.0.0", integrator, "")))
	res, err := d.Sync()
	if err != nil || res.Changes[0].Action != agent.Installed {
		t.Fatalf("%v, %+v", err, res.Changes)
	}
	// Other parameters need no new word; another version does.
	_, err = w.Party("plant").Deploy(w.Context(), publish.DeployInput{
		Channel: w.Deployments, Application: "hello", Version: "1.0.0", Device: d.ID, Values: map[string]string{"greeting": "still"},
	})
	w.Must(err)
	if res, err := d.Sync(); err != nil || res.Changes[0].Action != agent.Updated {
		t.Errorf("%v, %+v", err, res.Changes)
	}
	w.Publish("acme", "1.1.0", nil)
	if err := order(w, d.ID, "1.1.0"); !reason.Is(err, reason.Threshold) {
		t.Errorf("the word for 1.0.0 counts for 1.1.0: %v", err)
	}
	if err := order(w, d.ID, "1.1.0", endorse(w, "1.0.0", integrator, "")); !reason.Is(err, reason.Signature) {
		t.Errorf("an endorsement of 1.0.0 is listed for 1.1.0: %v", err)
	}
	// The word is kept on the device and travels with media, as all else that a
	// verdict rests on.
	w.Must(order(w, d.ID, "1.1.0", endorse(w, "1.1.0", integrator, "")))
	other := w.Recorded("press-08")
	w.Must(order(w, other.ID, "1.1.0", endorse(w, "1.1.0", integrator, "")))
	media := w.Media()
	if _, err := d.SyncScope(agent.FetchOnly); err != nil {
		t.Fatal(err)
	}
	w.StopRegistry()
	if res, err := other.SyncFrom(media); err != nil || res.Changes[0].Action != agent.Installed {
		t.Errorf("from media: %v, %+v", err, res.Changes)
	}
	if res, err := d.SyncScope(agent.ApplyOnly); err != nil || res.Changes[0].Action != agent.Upgraded {
		t.Errorf("without a network: %v, %+v", err, res.Changes)
	}
}

// TestEndorsedByNobodyAsked: neither the supplier itself, nor a stranger, nor a
// statement that is no signature stands for the integrator, on the device as for
// the operator.
func TestEndorsedByNobodyAsked(t *testing.T) {
	w, integrator := twoParties(t)
	d := w.Recorded("press-07")
	w.Publish("acme", "1.0.0", nil)
	w.Must(order(w, d.ID, "1.0.0", endorse(w, "1.0.0", integrator, "")))
	if _, err := d.Sync(); err != nil {
		t.Fatal(err)
	}
	runs := d.Runs()
	w.Publish("acme", "1.1.0", nil)
	stranger, _ := party(w, "stranger")
	strict := w.Signers
	loose, _, _ := strings.Cut(strict, "      - role: integrator")
	for name, c := range map[string]struct {
		by   []publish.Attestation
		code reason.Code
	}{
		"nobody":       {nil, reason.Threshold},
		"the supplier": {[]publish.Attestation{endorse(w, "1.1.0", filepath.Join(w.Dir, "acme", "signing.pem"), "")}, reason.UntrustedSigner},
		"a stranger":   {[]publish.Attestation{endorse(w, "1.1.0", stranger, "")}, reason.UntrustedSigner},
		"a statement":  {[]publish.Attestation{endorse(w, "1.1.0", integrator, report(w.Release("1.1.0").Digest))}, reason.Signature},
	} {
		if err := order(w, d.ID, "1.1.0", c.by...); !reason.Is(err, c.code) {
			t.Errorf("%s, for the operator: %v", name, err)
		}
		// A policy that comes and goes lets the order be signed.
		w.Signers = loose
		w.SetPolicy("")
		w.Must(order(w, d.ID, "1.1.0", c.by...))
		w.Signers = strict
		w.SetPolicy("")
		if _, err := d.Sync(); !reason.Is(err, c.code) {
			t.Errorf("%s, on the device: %v", name, err)
		}
		w.Must(order(w, d.ID, "1.0.0", endorse(w, "1.0.0", integrator, "")))
		if _, err := d.Sync(); err != nil || !slices.Equal(d.Runs(), runs) {
			t.Errorf("%s: %v; %q runs", name, err, d.Runs())
		}
	}
}

// report is a test report about a bundle.
func report(bundle digest.Digest) string {
	return fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"b","digest":{"sha256":%q}}],"predicateType":"https://in-toto.io/attestation/test-result/v0.1","predicate":{"result":"PASSED"}}`, bundle.Encoded())
}
