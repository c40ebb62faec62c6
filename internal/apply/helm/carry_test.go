package helm

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/apply/task"
)

func decoded(t *testing.T, v any) string {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(fmt.Sprint(v))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func volatile(out task.ChartResult) (kept, anew []string) {
	for _, v := range out.Volatile {
		if v.Kept {
			kept = append(kept, v.Object+v.Field)
		} else {
			anew = append(anew, v.Object+v.Field)
		}
	}
	return kept, anew
}

func TestAPasswordStaysAndPodsDoNotRestart(t *testing.T) {
	in := input(t, chartOf(t, "database"))
	first, render := mustRender(t, in)
	all := []string{
		"Secret/r-auth/data/password", "Secret/r-auth/stringData/url",
		"StatefulSet.apps/r/spec/template/metadata/annotations/checksum~1secret",
	}
	if kept, anew := volatile(first); len(kept) != 0 || !slices.Equal(anew, all) {
		t.Errorf("first: kept %v, anew %v", kept, anew)
	}
	password := decoded(t, get(t, render, "Secret/r-auth", "data", "password"))
	if len(password) != 20 {
		t.Fatalf("password of %d bytes", len(password))
	}

	in.Previous = first.Render
	second, _ := mustRender(t, in)
	if kept, _ := volatile(second); !slices.Equal(kept, all) || !bytes.Equal(first.Render, second.Render) {
		t.Errorf("the same again: kept %v, same bytes %v", kept, bytes.Equal(first.Render, second.Render))
	}

	_, other := mustRender(t, set(in, "settings.maxConnections", "200"))
	const sum = "checksum/secret"
	path := []string{"spec", "template", "metadata", "annotations", sum}
	if got := decoded(t, get(t, other, "Secret/r-auth", "data", "password")); got != password {
		t.Error("the password changes with a setting")
	}
	if get(t, other, "StatefulSet.apps/r", path...) == get(t, render, "StatefulSet.apps/r", path...) {
		t.Error("the sum stays although content has changed")
	}

	// The address has another user now: it is made of that and of the password, which
	// stays.
	third, changed := mustRender(t, set(in, "auth.user", `"other"`))
	if kept, _ := volatile(third); !slices.Equal(kept, all[:1]) {
		t.Errorf("kept %v beside another user", kept)
	}
	now := decoded(t, get(t, changed, "Secret/r-auth", "data", "password"))
	if url := get(t, changed, "Secret/r-auth", "stringData", "url"); now != password || url != "postgres://other:"+now+"@r/app" {
		t.Error("password and address no longer belong together")
	}
}

func TestNothingVolatileIsInAnError(t *testing.T) {
	template := "{{ $p := randAlphaNum 30 }}" + configMap + "data: {a: {{ $p }}}\n---\n" + pod(`{containers: [{name: a, image: "app:1", command: ["{{ $p }}"]}]}`)
	_, err := Render(t.Context(), input(t, small(template)))
	if err == nil {
		t.Fatal("not refused")
	}
	for _, word := range strings.FieldsFunc(err.Error(), func(r rune) bool { return r == ' ' || r == '"' }) {
		if len(word) == 30 && !strings.ContainsAny(word, "/.:") {
			t.Errorf("the error has %q", word)
		}
	}
}

func TestCertificateKeyAndCABelongTogether(t *testing.T) {
	in := input(t, chartOf(t, "certificates"))
	first, before := mustRender(t, in)
	all := []string{
		"ConfigMap/trust/data/ca.crt", "Deployment.apps/server/metadata/annotations/rolled",
		"Deployment.apps/server/spec/template/metadata/annotations/checksum~1tls",
		"Secret/chain/stringData/chain.pem", "Secret/server-tls/data/tls.crt", "Secret/server-tls/data/tls.key",
	}
	if _, anew := volatile(first); !slices.Equal(anew, all) {
		t.Errorf("volatile %v", anew)
	}
	if sum := get(t, before, "Deployment.apps/server", "spec", "template", "metadata", "annotations", "checksum/tls"); len(sum.(string)) != 40 {
		t.Errorf("sum %v", sum)
	}
	in.Previous = first.Render
	second, _ := mustRender(t, in)
	if !bytes.Equal(first.Render, second.Render) {
		t.Error("the same chart makes another render")
	}

	// A setting beside the CA is another field: it arrives, and the rest stays.
	third, after := mustRender(t, set(in, "setting", `"two"`))
	if kept, anew := volatile(third); len(anew) != 1 || len(kept) != 5 {
		t.Errorf("kept %v, anew %v", kept, anew)
	}
	if get(t, after, "ConfigMap/trust", "data", "setting") != "two" {
		t.Error("a setting does not arrive")
	}

	// A chain in another object is made of what stays.
	chart := chartOf(t, "certificates")
	chart["templates/all.yaml"] = strings.Replace(chart["templates/all.yaml"], "name: chain", "name: links", 1)
	in.Chart = pack(t, chart)
	_, renamed := mustRender(t, in)
	ca := get(t, renamed, "ConfigMap/trust", "data", "ca.crt").(string)
	if chain := get(t, renamed, "Secret/links", "stringData", "chain.pem").(string); !strings.Contains(chain, strings.TrimSpace(ca)) {
		t.Error("chain and CA no longer belong together")
	}
	if ca != get(t, before, "ConfigMap/trust", "data", "ca.crt") {
		t.Error("the CA changes with the name of another object")
	}

	// A certificate that was not there before, in an object of its own: nobody can see
	// whether the CA signed it, so all certificates and keys are made anew.
	chart = chartOf(t, "certificates")
	chart["templates/all.yaml"] += "---\napiVersion: v1\nkind: Secret\nmetadata: {name: client}\nstringData: {key: {{ genPrivateKey \"ecdsa\" | quote }}}\n"
	in.Chart = pack(t, chart)
	fourth, _ := mustRender(t, in)
	if kept, _ := volatile(fourth); !slices.Equal(kept, []string{"Deployment.apps/server/metadata/annotations/rolled"}) {
		t.Errorf("kept %v beside a new key", kept)
	}

	// The CA in a further object has the value that the other keeps.
	chart = chartOf(t, "certificates")
	chart["templates/all.yaml"] = strings.Replace(chart["templates/all.yaml"], "kind: Secret\nmetadata: {name: chain}", "kind: Secret\nmetadata: {name: more}\ndata: {ca: {{ $ca.Cert | trim | b64enc }}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: chain}", 1)
	in.Chart = pack(t, chart)
	_, more := mustRender(t, in)
	if decoded(t, get(t, more, "Secret/more", "data", "ca")) != get(t, before, "ConfigMap/trust", "data", "ca.crt") {
		t.Error("a new object with the same CA has another one")
	}
}

// A date of two renders within one second would be the same.
func TestEveryWayToPrintTheTimeIsVolatile(t *testing.T) {
	for _, call := range []string{
		`now | date "2006-01-02"`, `now | date "2006"`, `now | date "15"`, `date "04" now`, `now.Year`, `now.Unix`, `(now).Month`, `now | unixEpoch`,
		`now | htmlDate`, `dateInZone "Jan" (now) "UTC"`, `now | dateModify "1h" | date "05"`, `$x := now }}{{ $x.Year`, `if true }}{{ now }}{{ else }}{{ now }}{{ end`,
	} {
		chart := small("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, annotations: {a: \"{{ " + call + " }}\"}}\ndata: {now: \"{{ \"now\" }}\"} # now\n")
		out, err := Render(t.Context(), input(t, chart))
		if err != nil || len(out.Volatile) != 1 || out.Volatile[0].Field != "/metadata/annotations/a" {
			t.Errorf("%s: %v, %v", call, out.Volatile, err)
		}
	}
}

func TestKeepable(t *testing.T) {
	for name, c := range map[string]struct {
		a, b, old string
		want      bool
	}{
		"one word":           {"abc", "xyz", "old", true},
		"bytes in base64":    {"a/b+c=", "x/y/z=", "o", true},
		"same rest":          {"user: a\npassword: x1", "user: a\npassword: x2", "user: a\npassword: x3", true},
		"other rest":         {"user: a\npassword: x1", "user: a\npassword: x2", "user: b\npassword: x3", false},
		"less rest":          {"user: a\npassword: x1", "user: a\npassword: x2", "password: x3", false},
		"other host":         {"pg://u:p1@h1/d", "pg://u:p2@h1/d", "pg://u:p3@h2/d", false},
		"longer certificate": {pem("A"), pem("B B"), pem("C C C"), true},
		"other name":         {"n1 " + pem("A"), "n1 " + pem("B B"), "n2 " + pem("C C C"), false},
	} {
		s := secret{a: c.a, b: c.b, old: c.old}
		if s.keepable() != c.want {
			t.Errorf("%s: not %v", name, c.want)
		}
	}
}

func pem(body string) string {
	return "-----BEGIN CERTIFICATE-----\n" + strings.ReplaceAll(body, " ", "\n") + "\n-----END CERTIFICATE-----\n"
}

// Two fields with one value that had two values before: neither is the one.
func TestOneValueThatWasTwo(t *testing.T) {
	two := "{{ $a := randAlpha 12 }}{{ $b := randAlpha 12 }}"
	body := "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: {{ $a }}, b: {{ %s }}}\n"
	in := input(t, small(two+fmt.Sprintf(body, "$b")))
	first, _ := mustRender(t, in)
	in.Chart, in.Previous = pack(t, small(two+fmt.Sprintf(body, "$a"))), first.Render
	second, render := mustRender(t, in)
	if kept, _ := volatile(second); len(kept) != 0 {
		t.Errorf("kept %v", kept)
	}
	if get(t, render, "Secret/s", "stringData", "a") != get(t, render, "Secret/s", "stringData", "b") {
		t.Error("one value became two")
	}
}

// A password that comes with a new version of a chart changes no other, but a hash
// that may be of one of them does.
func TestANewValueBesideOldOnes(t *testing.T) {
	secret := func(more string) map[string]string {
		return small("{{ $p := randAlphaNum 20 }}apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {a: {{ $p }}" + more + "}\n")
	}
	in := input(t, secret(""))
	first, before := mustRender(t, in)
	in.Previous = first.Render
	for name, c := range map[string]struct {
		more string
		kept bool
	}{
		"a password":       {", b: {{ randAlphaNum 20 }}", true},
		"an address":       {", b: \"pg://u:{{ $p }}@h\"", true},
		"no text":          {"}\ndata: {b: {{ randBytes 32 }}", false},
		"with more in it":  {", b: \"{{ $p }}-{{ randAlphaNum 8 }}\"", false},
		"a hash":           {", b: {{ bcrypt $p | quote }}", false},
		"a line for httpd": {", b: {{ htpasswd \"u\" $p | quote }}", false},
	} {
		in.Chart = pack(t, secret(c.more))
		_, after := mustRender(t, in)
		if same := get(t, after, "Secret/s", "stringData", "a") == get(t, before, "Secret/s", "stringData", "a"); same != c.kept {
			t.Errorf("%s: the password stays: %v", name, same)
		}
	}
}

// A file of settings with a password that stands nowhere else: what is constant in it
// arrives, and so the password is another one.
func TestSettingsAroundAPasswordArrive(t *testing.T) {
	in := input(t, small("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData:\n  conf: |\n    user: {{ .Values.user }}\n    password: {{ randAlphaNum 20 }}\n").with("values.yaml", "user: a\n"))
	first, before := mustRender(t, in)
	in.Previous = first.Render
	_, same := mustRender(t, in)
	if get(t, same, "Secret/s", "stringData", "conf") != get(t, before, "Secret/s", "stringData", "conf") {
		t.Error("the file changes without a reason")
	}
	_, after := mustRender(t, set(in, "user", `"b"`))
	if conf := get(t, after, "Secret/s", "stringData", "conf").(string); !strings.HasPrefix(conf, "user: b\n") {
		t.Error("the user does not arrive")
	}
}

// A value of a few letters within another, or one that is within it in one render
// only, is an accident: the other is no text made of it.
func TestAccidentsAreInNothing(t *testing.T) {
	secrets := []*secret{
		{a: "pin 1234 of 9", b: "pin 5678 of 9"}, {a: "1234", b: "5678"},
		{a: "x-abcdefghij", b: "x-0123456789"}, {a: "abcdefghij", b: "9876543210"},
	}
	for _, s := range secrets {
		s.group = s
	}
	decide(secrets)
	for _, s := range secrets {
		if len(s.holds) != 0 || s.root() != s {
			t.Errorf("%q holds %d, in a group: %v", s.a, len(s.holds), s.root() != s)
		}
	}
}
