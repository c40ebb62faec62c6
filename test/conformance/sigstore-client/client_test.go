package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/sigstoretest"
	"github.com/consign-dev/consign/internal/verify"
)

// asProgram makes the test binary the client.
const asProgram = "SIGSTORE_CLIENT_UNDER_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	code := m.Run()
	if err := sigstoretest.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// runIn runs the client, with a directory of instances.
func runIn(t *testing.T, instances string, args ...string) (code int, stderr string) {
	t.Helper()
	var text bytes.Buffer
	code = run(t.Context(), args, instances, &text)
	return code, text.String()
}

// TestProgram runs the client as the suite does, which sees of it the exit code.
func TestProgram(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	instances := t.TempDir()
	if err := os.CopyFS(filepath.Join(instances, "public"), os.DirFS(testdata("cosign"))); err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]int{tag: 0, "refs/heads/main": 1} {
		args := append([]string{"verify-bundle", "--bundle", testdata("cosign", "blob.json")}, identity(t, "cosign", ref)...)
		cmd := exec.Command(self, append(args, testdata("cosign", "artifact.txt"))...)
		cmd.Env = []string{asProgram + "=1", instancesVariable + "=" + instances}
		out, err := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Errorf("%s: exit code %d, want %d: %v: %s", ref, got, want, err, out)
		}
	}
}

// testdata are the files that our code and cosign made with a real Sigstore.
func testdata(parts ...string) string {
	return filepath.Join(append([]string{"..", "..", "..", "internal", "verify", "testdata"}, parts...)...)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// identity are the flags for whom a golden bundle's certificate names, by its
// issuer of one kind.
func identity(t *testing.T, set, ref string) []string {
	t.Helper()
	file := map[string]string{"certified": "tag.json", "cosign": "signature.json"}[set]
	_, signer := verify.UnverifiedSigner(read(t, testdata(set, file)))
	return []string{
		"--certificate-identity", "https://git.example.test/acme/hello/.github/workflows/release.yml@" + ref,
		"--certificate-oidc-issuer", signer.Issuer,
	}
}

// expect runs verify-bundle for a file and for its digest.
func expect(t *testing.T, want int, says string, bundle, artifact string, flags ...string) {
	t.Helper()
	sum := string(digest.FromBytes(read(t, artifact)))
	for _, about := range []string{artifact, sum} {
		args := append([]string{"verify-bundle", "--bundle", bundle}, flags...)
		if code, stderr := runIn(t, "", append(args, about)...); code != want || !strings.Contains(stderr, says) {
			t.Errorf("%s: exit code %d, want %d and %q: %s", strings.Join(args, " "), code, want, says, stderr)
		}
	}
}

const tag = "refs/tags/v1.0.0"

func TestVerifyByIdentity(t *testing.T) {
	t.Parallel()
	bundle := write(t, []byte("a bundle")) // what the files in certified are on
	for name, c := range map[string]struct {
		set, file, artifact string
		want                int
		says                string
	}{
		"ours":                  {"certified", "tag", bundle, 0, ""},
		"ours, unnamed":         {"certified", "unnamed", bundle, 0, ""},
		"ours, provenance":      {"certified", "another-kind", bundle, 0, ""},
		"ours, of a branch":     {"certified", "branch", bundle, 1, "identity"},
		"ours, of a fork":       {"certified", "fork", bundle, 1, "identity"},
		"ours, another issuer":  {"certified", "gitlab", bundle, 1, "identity"},
		"ours, another subject": {"certified", "another-subject", bundle, 1, "signature"},
		"cosign sign":           {"cosign", "signature", testdata("cosign", "index.json"), 0, ""},
		"cosign attest":         {"cosign", "attestation", testdata("cosign", "index.json"), 0, ""},
		"cosign sign-blob":      {"cosign", "blob", testdata("cosign", "artifact.txt"), 0, ""},
		"another file":          {"cosign", "blob", bundle, 1, "signature"},
		"another index":         {"cosign", "signature", bundle, 1, "signature"},
		"by a key":              {"cosign", "blob-keyed", testdata("cosign", "artifact.txt"), 1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			flags := append(identity(t, c.set, tag), "--trusted-root", testdata(c.set, "trusted_root.json"))
			expect(t, c.want, c.says, testdata(c.set, c.file+".json"), c.artifact, flags...)
		})
	}
}

func TestVerifyByAnotherIdentity(t *testing.T) {
	t.Parallel()
	root := []string{"--trusted-root", testdata("cosign", "trusted_root.json")}
	right := identity(t, "cosign", tag)
	for name, flags := range map[string][]string{
		"subject": identity(t, "cosign", "refs/heads/main"),
		"pattern": {"--certificate-identity", "^https://.*$", right[2], right[3]},
		"issuer":  {right[0], right[1], "--certificate-oidc-issuer", "https://issuer.example"},
		"key":     {"--key", testdata("cosign", "cosign.pub")},
	} {
		for _, file := range []string{"blob", "signature"} {
			artifact := map[string]string{"blob": "artifact.txt", "signature": "index.json"}[file]
			t.Run(name+" "+file, func(t *testing.T) {
				t.Parallel()
				expect(t, 1, "", testdata("cosign", file+".json"), testdata("cosign", artifact), append(flags, root...)...)
			})
		}
	}
	other := append(right, "--trusted-root", testdata("certified", "trusted_root.json"))
	expect(t, 1, "untrusted-signer", testdata("cosign", "blob.json"), testdata("cosign", "artifact.txt"), other...)
}

// TestVerifyByKey: the protocol wants an entry in the log for keys as well.
func TestVerifyByKey(t *testing.T) {
	t.Parallel()
	flags := []string{"--key", testdata("cosign", "cosign.pub"), "--trusted-root", testdata("cosign", "trusted_root.json")}
	for file, artifact := range map[string]string{"blob-keyed": "artifact.txt", "signature-keyed": "index.json", "attestation-keyed": "index.json"} {
		expect(t, 0, "", testdata("cosign", file+".json"), testdata("cosign", artifact), flags...)
		without := edit(t, file, func(doc map[string]any) { delete(material(doc), "tlogEntries") })
		expect(t, 1, "signature", without, testdata("cosign", artifact), flags...)
		stamp := edit(t, file, func(doc map[string]any) {
			material(doc)["timestampVerificationData"] = material(document(t, "blob"))["timestampVerificationData"]
		})
		expect(t, 1, "timestamp", stamp, testdata("cosign", artifact), flags...)
	}
}

func document(t *testing.T, file string) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(read(t, testdata("cosign", file+".json")), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func material(doc map[string]any) map[string]any {
	return doc["verificationMaterial"].(map[string]any)
}

// edit changes a bundle of cosign's.
func edit(t *testing.T, file string, change func(doc map[string]any)) string {
	t.Helper()
	doc := document(t, file)
	change(doc)
	data, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, data)
}

// TestVerifyChangedBundles: signatures on the bytes of a file are held to all that
// statements are.
func TestVerifyChangedBundles(t *testing.T) {
	t.Parallel()
	flags := append(identity(t, "cosign", tag), "--trusted-root", testdata("cosign", "trusted_root.json"))
	take := func(member string) func(doc map[string]any) {
		return func(doc map[string]any) { material(doc)[member] = material(document(t, "signature"))[member] }
	}
	message := func(doc map[string]any) map[string]any { return doc["messageSignature"].(map[string]any) }
	for name, change := range map[string]func(doc map[string]any){
		"no timestamp": func(doc map[string]any) { delete(material(doc), "timestampVerificationData") },
		"no log entry": func(doc map[string]any) { delete(material(doc), "tlogEntries") },
		"no proof": func(doc map[string]any) {
			delete(material(doc)["tlogEntries"].([]any)[0].(map[string]any), "inclusionProof")
		},
		"another's timestamp":   take("timestampVerificationData"),
		"another's log entry":   take("tlogEntries"),
		"another's certificate": take("certificate"),
		"another's signature":   func(doc map[string]any) { message(doc)["signature"] = message(document(t, "blob-keyed"))["signature"] },
		"no signature":          func(doc map[string]any) { delete(doc, "messageSignature") },
		"an unknown member":     func(doc map[string]any) { doc["more"] = true },
		"another version":       func(doc map[string]any) { doc["mediaType"] = "application/vnd.dev.sigstore.bundle.v9.9+json" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, 1, "sigstore-client: ", edit(t, "blob", change), testdata("cosign", "artifact.txt"), flags...)
		})
	}
}

// TestVerifyAnotherArtifact: what looks like a digest and is none is a file's name.
func TestVerifyAnotherArtifact(t *testing.T) {
	t.Parallel()
	args := append([]string{"verify-bundle", "--bundle", testdata("cosign", "blob.json")}, identity(t, "cosign", tag)...)
	args = append(args, "--trusted-root", testdata("cosign", "trusted_root.json"))
	for _, about := range []string{"absent", "sha256:", "sha256:12", "sha512:" + strings.Repeat("0", 64), "sha256:" + strings.Repeat("x", 64), "sha256:" + strings.Repeat("0", 64)} {
		if code, stderr := runIn(t, "", append(args, about)...); code != 1 {
			t.Errorf("%s: accepted: %s", about, stderr)
		}
	}
}

// TestInstances: what the command line leaves out is in the directory of the
// public instances, and nowhere else.
func TestInstances(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for instance, set := range map[string]string{"public": "cosign", "staging": "certified"} {
		if err := os.Mkdir(filepath.Join(dir, instance), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, instance, "trusted_root.json"), read(t, testdata(set, "trusted_root.json")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := append([]string{"--bundle", testdata("cosign", "blob.json")}, append(identity(t, "cosign", tag), testdata("cosign", "artifact.txt"))...)
	for _, c := range []struct {
		dir, staging string
		want         int
	}{{dir, "--staging=false", 0}, {dir, "--staging", 1}, {"", "--staging=false", 1}, {t.TempDir(), "--staging=false", 1}} {
		if code, stderr := runIn(t, c.dir, append([]string{"verify-bundle", c.staging}, args...)...); code != c.want {
			t.Errorf("%+v: exit code %d: %s", c, code, stderr)
		}
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"", "verify", "verify-bundle", "verify-bundle a", "verify-bundle --bundle b a", "verify-bundle --bundle b --certificate-identity i a",
		"verify-bundle --bundle b --key k --certificate-identity i --certificate-oidc-issuer u a", "verify-bundle --bundle b --key k", "verify-bundle --bundle b --key k a a",
		"sign-bundle --bundle b a", "sign-bundle --identity-token t a", "sign-bundle --key k --identity-token t --bundle b a",
	} {
		if code, stderr := runIn(t, "", strings.Fields(args)...); code != 1 || stderr == "" {
			t.Errorf("%q: exit code %d: %s", args, code, stderr)
		}
	}
}
