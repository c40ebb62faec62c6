package main

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	sigkms "github.com/sigstore/sigstore/pkg/signature/kms"
	"github.com/sigstore/sigstore/pkg/signature/kms/aws"
	"github.com/sigstore/sigstore/pkg/signature/kms/azure"
	"github.com/sigstore/sigstore/pkg/signature/kms/gcp"
	"github.com/sigstore/sigstore/pkg/signature/kms/hashivault"

	"github.com/consign-dev/consign/cmd/internal/publisher"
	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/kms"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/world"
)

func TestMain(m *testing.M) { os.Exit(world.Main(m)) }

// run is the program with arguments, in this process.
func run(t *testing.T, args ...string) (exit int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	root := publisher.Command()
	root.SetOut(&out)
	root.SetErr(&errs)
	exit = cli.Execute(t.Context(), root, args)
	return exit, out.String(), errs.String()
}

// trust makes a policy that counts the signatures of the key and no others, as its
// operator would: by what "key show" prints.
func trust(w *world.World, t *testing.T, uri string) {
	t.Helper()
	exit, out, errs := run(t, "key", "show", uri, "--output", "json")
	var shown struct{ PublicKey string }
	if err := json.Unmarshal([]byte(out), &shown); exit != 0 || err != nil {
		t.Fatalf("key show: exit %d, %v: %s", exit, err, errs)
	}
	w.Signers = "        keys:\n          - |\n            " + strings.ReplaceAll(strings.TrimSpace(shown.PublicKey), "\n", "\n            ") + "\n"
	w.SetPolicy("")
}

func publish(w *world.World, t *testing.T, version, uri string) (exit int, stderr string) {
	t.Helper()
	pass := filepath.Join(w.Dir, "pass")
	w.Must(os.WriteFile(pass, []byte("test\n"), 0o600))
	exit, _, stderr = run(t, "publish", w.Package(version, nil), "--channel", w.Releases,
		"--keys", filepath.Join(w.Dir, "acme"), "--passphrase-file", pass, "--key", uri)
	return exit, stderr
}

// TestReleaseSignedInAKMS: a device accepts what a key signed that never left
// Vault, whose public half was asked for once. The signing key in the file no longer
// counts.
func TestReleaseSignedInAKMS(t *testing.T) {
	v, w := newVault(t), world.New(t)
	uri := v.key("releases", "ecdsa-p256")
	trust(w, t, uri)
	v.reads.Store(0)
	if exit, errs := publish(w, t, "1.0.0", uri); exit != 0 {
		t.Fatalf("exit %d: %s", exit, errs)
	}
	if reads, signs := v.reads.Load(), v.signs.Load(); reads != 1 || signs == 0 {
		t.Errorf("the public half was read %d times, and %d things signed", reads, signs)
	}
	d := w.Device("press-07", "")
	w.Deploy("press-07", "1.0.0", nil)
	if _, err := d.Verify(); err != nil {
		t.Error(err)
	}
	w.Publish("acme", "1.1.0", nil)
	if _, err := w.TryDeploy("press-07", "1.1.0", nil, nil); !reason.Is(err, reason.UntrustedSigner) {
		t.Errorf("signed by the key in the file: %v", err)
	}
}

// TestNotTheKeysSignature: a proxy, or a service, that lets another key sign.
// Nothing of it is published, and nothing stands in the way afterwards.
func TestNotTheKeysSignature(t *testing.T) {
	v, w := newVault(t), world.New(t)
	uri, other := v.key("releases", "ecdsa-p256"), "other"
	v.key(other, "ecdsa-p256")
	trust(w, t, uri)
	v.swap.Store(&other)
	exit, errs := publish(w, t, "1.0.0", uri)
	if exit != 3 || !strings.Contains(errs, "refused (signature)") || !strings.Contains(errs, uri) || v.signs.Load() == 0 {
		t.Errorf("exit %d: %s", exit, errs)
	}
	v.swap.Store(nil)
	if exit, errs := publish(w, t, "1.0.0", uri); exit != 0 {
		t.Errorf("afterwards: exit %d: %s", exit, errs)
	}
}

func TestKeyRotatedMeanwhile(t *testing.T) {
	v := newVault(t)
	k, err := kms.Open(t.Context(), v.key("releases", "ecdsa-p256"))
	if err != nil {
		t.Fatal(err)
	}
	v.rotate("releases")
	sum := sha256.Sum256([]byte("a bundle"))
	if _, err := k.Sign(nil, sum[:], crypto.SHA256); !reason.Is(err, reason.Signature) || !strings.Contains(err.Error(), "rotated") {
		t.Error(err)
	}
}

// TestKindsOfKeys: those that devices accept sign; others are refused by name, and
// the service is not asked for a signature.
func TestKindsOfKeys(t *testing.T) {
	v := newVault(t)
	message := []byte("a bundle")
	sum256, sum384 := sha256.Sum256(message), crypto.SHA384.New().Sum(nil)
	for kind, c := range map[string]struct {
		data []byte
		hash crypto.Hash
	}{"ecdsa-p256": {sum256[:], crypto.SHA256}, "ecdsa-p384": {sum384, crypto.SHA384}, "ed25519": {message, 0}} {
		k, err := kms.Open(t.Context(), v.key(kind, kind))
		if err != nil {
			t.Errorf("%s: %v", kind, err)
		} else if _, err := k.Sign(nil, c.data, c.hash); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	v.signs.Store(0)
	for kind, says := range map[string]string{
		"ecdsa-p521": "P-521", "rsa-2048": "RSA key of 2048 bits", "rsa-3072": "RSA key of 3072 bits", "aes256-gcm96": "public half",
	} {
		uri := v.key(kind, kind)
		exit, _, errs := run(t, "key", "show", uri)
		if exit == 0 || !strings.Contains(errs, says) || !strings.Contains(errs, uri) {
			t.Errorf("%s: exit %d: %s", kind, exit, errs)
		}
	}
	if v.signs.Load() != 0 {
		t.Error("a signature was asked for")
	}
}

func TestServiceThatGivesNoKey(t *testing.T) {
	v, w := newVault(t), world.New(t)
	uri := v.key("releases", "ecdsa-p256")
	says := func(name, uri string, want int, words ...string) {
		t.Helper()
		exit, errs := publish(w, t, "1.0.0", uri)
		if exit != want || slices.ContainsFunc(append(words, uri, "VAULT_ADDR"), func(s string) bool { return !strings.Contains(errs, s) }) {
			t.Errorf("%s: exit %d, want %d: %s", name, exit, want, errs)
		}
	}
	says("no such key", "hashivault://absent", 1, "could not read data from transit key path")
	t.Setenv("VAULT_TOKEN", "s.wrong")
	says("another token", uri, 1, "permission denied")
	t.Setenv("VAULT_ADDR", "http://127.0.0.1:"+world.FreePort(t))
	says("no server", uri, 4, "unreachable", "refused")
	if v.signs.Load() != 0 {
		t.Error("a signature was asked for")
	}
}

// TestEveryServiceHasItsClient: the URIs that are read here are read there, and
// lead to a client.
func TestEveryServiceHasItsClient(t *testing.T) {
	for scheme, c := range map[string]struct {
		key   string
		valid func(string) error
	}{
		"awskms://":     {"kms.example/arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab", aws.ValidReference},
		"azurekms://":   {"acme.vault.azure.net/releases/0123456789abcdef0123456789abcdef", azure.ValidReference},
		"gcpkms://":     {"projects/acme/locations/europe-west3/keyRings/r/cryptoKeys/k/cryptoKeyVersions/2", gcp.ValidReference},
		"hashivault://": {"releases", hashivault.ValidReference},
	} {
		if uri := scheme + c.key; !kms.IsURI(uri) || c.valid(uri) != nil || !slices.Contains(sigkms.SupportedProviders(), scheme) {
			t.Errorf("%s: %v, clients of %q", uri, c.valid(uri), sigkms.SupportedProviders())
		}
	}
}

// TestOtherServiceUnreachable asks by the client of AWS, where nobody listens.
func TestOtherServiceUnreachable(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull, "AWS_REGION": "eu-central-1",
		"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "none", "AWS_MAX_ATTEMPTS": "1", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	exit, _, errs := run(t, "key", "show", "awskms://127.0.0.1:"+world.FreePort(t)+"/alias/releases")
	if exit != 4 || !strings.Contains(errs, "unreachable") || !strings.Contains(errs, "AWS_REGION") {
		t.Errorf("exit %d: %s", exit, errs)
	}
}
