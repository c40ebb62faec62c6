package tufclient_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/cjson"
	"github.com/theupdateframework/go-tuf/v2/metadata"

	"github.com/consign-dev/consign/internal/reason"
)

// resign changes a document as JSON and signs the result as it then stands, so
// that nothing but its form can be wrong with it.
func resign(t *testing.T, data []byte, keys []ed25519.PrivateKey, change func(signed map[string]any)) []byte {
	t.Helper()
	var doc map[string]any
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	signed := doc["signed"].(map[string]any)
	change(signed)
	payload, err := cjson.EncodeCanonical(signed)
	if err != nil {
		payload = data // a document that has no canonical form is signed somehow
	}
	var sigs []any
	for _, k := range keys {
		_, id := tufKey(k)
		sigs = append(sigs, map[string]any{"keyid": id, "sig": hex.EncodeToString(ed25519.Sign(k, payload))})
	}
	doc["signatures"] = sigs
	out, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func at(v any, path ...string) map[string]any {
	for _, p := range path {
		v = v.(map[string]any)[p]
	}
	return v.(map[string]any)
}

// Attack T12: every malformed quorum, in a root that is otherwise well signed.
func TestAttackT12RootThresholds(t *testing.T) {
	type quorum = map[string]any
	for name, c := range map[string]struct {
		change func(w *world, root, role quorum)
		text   string
	}{
		"threshold zero":     {func(_ *world, _, r quorum) { r["threshold"] = 0 }, "is less than 1"},
		"threshold negative": {func(_ *world, _, r quorum) { r["threshold"] = -1 }, "is less than 1"},
		"threshold text":     {func(_ *world, _, r quorum) { r["threshold"] = "1" }, "want a integer"},
		"threshold fraction": {func(_ *world, _, r quorum) { r["threshold"] = json.Number("1.5") }, "not an integer"},
		"threshold null":     {func(_ *world, _, r quorum) { r["threshold"] = nil }, "is null"},
		"threshold missing":  {func(_ *world, _, r quorum) { delete(r, "threshold") }, "is missing"},
		"other case":         {func(_ *world, _, r quorum) { r["Threshold"] = 1 }, "only in case"},
		"key id twice": {func(_ *world, _, r quorum) {
			ids := r["keyids"].([]any)
			r["keyids"] = append(ids, ids[0])
		}, "is listed twice"},
		"one key under two ids": {func(_ *world, root, r quorum) {
			ids := r["keyids"].([]any)
			copied := maps.Clone(at(root, "keys", ids[0].(string)))
			copied["note"] = "makes another id"
			at(root, "keys")["other"] = copied
			r["keyids"] = append(ids, "other")
		}, "are the same key"},
		"unknown key id":  {func(_ *world, _, r quorum) { r["keyids"] = []any{"nobody"} }, "there is no key"},
		"key ids null":    {func(_ *world, _, r quorum) { r["keyids"] = nil }, "is null"},
		"role missing":    {func(_ *world, root, _ quorum) { delete(at(root, "roles"), "snapshot") }, "is missing"},
		"role null":       {func(_ *world, root, _ quorum) { at(root, "roles")["snapshot"] = nil }, "is null"},
		"key null":        {func(_ *world, root, _ quorum) { at(root, "keys")["x"] = nil }, "is null"},
		"key of any type": {func(_ *world, root, _ quorum) { at(root, "keys")["x"] = key("dsa", "dsa", "00") }, "unsupported"},
		"short ed25519":   {func(_ *world, root, _ quorum) { at(root, "keys")["x"] = key("ed25519", "ed25519", "00") }, "64 hexadecimal digits"},
		"foreign scheme": {func(_ *world, root, _ quorum) {
			at(root, "keys")["x"] = key("ed25519", "rsassa-pss-sha256", strings.Repeat("0", 64))
		}, "does not fit"},
		"too many key ids": {func(_ *world, _, r quorum) { r["keyids"] = many(33) }, "at most 32"},
		"not consistent":   {func(_ *world, root, _ quorum) { root["consistent_snapshot"] = false }, "want true"},
	} {
		for _, role := range []string{"timestamp", "root"} {
			t.Run(name+" of "+role, func(t *testing.T) {
				w := newWorld(t)
				d := w.trusting()
				before, honest := d.all(), w.save()
				w.nextRoot(func() {})
				w.files["2.root.json"] = resign(t, w.files["2.root.json"], w.keys["root"], func(root map[string]any) {
					c.change(w, root, at(root, "roles", role))
				})
				_, err := d.Refresh(context.Background(), w, day0)
				if !reason.Is(err, reason.Malformed) && !reason.Is(err, reason.TooLarge) || !strings.Contains(err.Error(), c.text) {
					t.Errorf("%v, want %q", err, c.text)
				}
				d.w.files = honest
				if d.mustRefresh(day0); !maps.Equal(before, d.all()) {
					t.Error("the state changed")
				}
			})
		}
	}
}

func key(typ, scheme, public string) map[string]any {
	return map[string]any{"keytype": typ, "scheme": scheme, "keyval": map[string]any{"public": public}}
}

func many(n int) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = "k"
	}
	return out
}

// A threshold above the number of keys shuts its own role and nothing else:
// the root stands, so that the next root can repair it.
func TestAttackT12ThresholdAboveTheKeys(t *testing.T) {
	w := newWorld(t)
	d := w.trusting()
	w.nextRoot(func() { w.root.Signed.Roles["snapshot"].Threshold = 2 })
	w.bump()
	d.mustRefuse(reason.Threshold, day0)
	if versionOf(t, d.stored("root")) != 2 || versionOf(t, d.stored("snapshot")) != 1 {
		t.Error("want root 2 and snapshot 1")
	}
	w.nextRoot(func() { w.root.Signed.Roles["snapshot"].Threshold = 1 })
	d.mustRefresh(day0)
	w.nextRoot(func() { w.root.Signed.Roles["root"].Threshold = 2 })
	d.mustRefuse(reason.Threshold, day0)
}

// Attack T12: two signatures are demanded and one key makes both.
func TestAttackT12OneKeySignsTwice(t *testing.T) {
	w := newWorld(t)
	w.addKey("timestamp", newKey())
	w.root.Signed.Roles["timestamp"].Threshold = 2
	w.publishRoot()
	w.publish()
	d := w.trusting()
	before, honest := d.all(), w.save()
	_, first := tufKey(w.keys["timestamp"][0])
	_, second := tufKey(w.keys["timestamp"][1])
	for name, c := range map[string]struct {
		id   string
		want reason.Code
	}{
		"under its own id again":   {first, reason.Malformed},
		"under the other's id":     {second, reason.Threshold},
		"under an unknown id":      {strings.Repeat("0", 64), reason.Threshold},
		"under its id in capitals": {strings.ToUpper(first), reason.Threshold},
	} {
		t.Run(name, func(t *testing.T) {
			keys := w.keys["timestamp"]
			defer func() { w.keys["timestamp"] = keys }()
			w.files = maps.Clone(honest)
			w.keys["timestamp"] = keys[:1]
			w.timestamp.Signed.Version = 2
			w.publishTimestamp()
			var doc map[string]any
			if err := json.Unmarshal(w.files["timestamp.json"], &doc); err != nil {
				t.Fatal(err)
			}
			sigs := doc["signatures"].([]any)
			doc["signatures"] = append(sigs, map[string]any{"keyid": c.id, "sig": at(sigs[0])["sig"]})
			data, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			w.files["timestamp.json"] = data
			d.mustRefuse(c.want, day0)
			if !maps.Equal(before, d.all()) {
				t.Error("the state changed")
			}
		})
	}
	w.files = honest
	d.mustRefresh(day0)
}

func TestAttackT12Delegations(t *testing.T) {
	for name, change := range map[string]func(d map[string]any){
		"threshold zero":     func(d map[string]any) { first(d)["threshold"] = 0 },
		"threshold negative": func(d map[string]any) { first(d)["threshold"] = -5 },
		"key id twice": func(d map[string]any) {
			ids := first(d)["keyids"].([]any)
			first(d)["keyids"] = append(ids, ids[0])
		},
		"unknown key id":      func(d map[string]any) { first(d)["keyids"] = []any{"nobody"} },
		"role twice":          func(d map[string]any) { d["roles"] = append(d["roles"].([]any), d["roles"].([]any)[0]) },
		"null role":           func(d map[string]any) { d["roles"] = []any{nil} },
		"path hash prefixes":  func(d map[string]any) { delete(first(d), "paths"); first(d)["path_hash_prefixes"] = []any{"00"} },
		"bad pattern":         func(d map[string]any) { first(d)["paths"] = []any{"devices/["} },
		"terminating missing": func(d map[string]any) { delete(first(d), "terminating") },
		"other case":          func(d map[string]any) { first(d)["Terminating"] = true },
		"both kinds": func(d map[string]any) {
			d["succinct_roles"] = map[string]any{"keyids": first(d)["keyids"], "threshold": 1, "bit_length": 4, "name_prefix": "x"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := withDeploy(t)
			d := w.device()
			d.mustRefresh(day0, order)
			w.bump()
			data := resign(t, w.files["2.targets.json"], w.keys["targets"], func(s map[string]any) { change(at(s, "delegations")) })
			w.files["2.targets.json"] = data
			w.snapshot.Signed.Meta["targets.json"] = describe(2, data)
			w.publishSnapshot()
			d.mustRefuse(reason.Malformed, day0, order)
			if versionOf(t, d.stored("targets")) != 1 {
				t.Error("targets were stored")
			}
		})
	}
}

func first(delegations map[string]any) map[string]any {
	return delegations["roles"].([]any)[0].(map[string]any)
}

// Attack T27: JSON that two readers may read in two ways, or that breaks one.
// Where it can be, it is well signed.
func TestAttackT27JSONTricks(t *testing.T) {
	replace := func(old, new string) func(*testing.T, *world, []byte) []byte {
		return func(t *testing.T, _ *world, b []byte) []byte {
			out := bytes.Replace(b, []byte(old), []byte(new), 1)
			if bytes.Equal(out, b) {
				t.Fatalf("%s is not in %s", old, b)
			}
			return out
		}
	}
	signed := func(change func(map[string]any)) func(*testing.T, *world, []byte) []byte {
		return func(t *testing.T, w *world, b []byte) []byte { return resign(t, b, w.keys["timestamp"], change) }
	}
	for name, change := range map[string]func(*testing.T, *world, []byte) []byte{
		"duplicate key":          replace(`"_type":"timestamp"`, `"_type":"timestamp","_type":"timestamp"`),
		"escaped duplicate":      replace(`"_type":"timestamp"`, `"_type":"timestamp","\u005ftype":"timestamp"`),
		"two signed parts":       replace(`{"signatures"`, `{"signed":{},"signatures"`),
		"trailing value":         func(_ *testing.T, _ *world, b []byte) []byte { return append(bytes.Clone(b), '{', '}') },
		"invalid UTF-8":          replace(`"_type"`, "\"\xff\":1,\"_type\""),
		"byte order mark":        func(_ *testing.T, _ *world, b []byte) []byte { return append([]byte("\ufeff"), b...) },
		"empty":                  func(*testing.T, *world, []byte) []byte { return []byte{} },
		"null document":          func(*testing.T, *world, []byte) []byte { return []byte("null") },
		"array":                  func(*testing.T, *world, []byte) []byte { return []byte("[]") },
		"deep":                   func(*testing.T, *world, []byte) []byte { return []byte(strings.Repeat("[", 8000)) },
		"signed null":            replace(`"signed":{`, `"x":{`),
		"signatures null":        func(*testing.T, *world, []byte) []byte { return []byte(`{"signatures":null,"signed":{}}`) },
		"imitated field":         signed(func(s map[string]any) { s["Version"] = 9 }),
		"imitated with Kelvin":   signed(func(s map[string]any) { s["\u017fpec_version"] = "1.0.31" }),
		"meta null":              signed(func(s map[string]any) { s["meta"] = nil }),
		"meta entry null":        signed(func(s map[string]any) { at(s, "meta")["snapshot.json"] = nil }),
		"other meta entry null":  signed(func(s map[string]any) { at(s, "meta")["x.json"] = nil }),
		"meta without snapshot":  signed(func(s map[string]any) { delete(at(s, "meta"), "snapshot.json") }),
		"version zero":           signed(func(s map[string]any) { s["version"] = 0 }),
		"version negative":       signed(func(s map[string]any) { s["version"] = -1 }),
		"version text":           signed(func(s map[string]any) { s["version"] = "1" }),
		"version fraction":       signed(func(s map[string]any) { s["version"] = json.Number("1.0") }),
		"version exponent":       signed(func(s map[string]any) { s["version"] = json.Number("1e0") }),
		"version 2^53":           signed(func(s map[string]any) { s["version"] = json.Number("9007199254740992") }),
		"version 2^63":           signed(func(s map[string]any) { s["version"] = json.Number("9223372036854775808") }),
		"listed version 2^63-1":  signed(func(s map[string]any) { at(s, "meta", "snapshot.json")["version"] = json.Number("9223372036854775807") }),
		"listed version zero":    signed(func(s map[string]any) { at(s, "meta", "snapshot.json")["version"] = 0 }),
		"big unknown number":     signed(func(s map[string]any) { s["x"] = json.Number("9007199254740993") }),
		"unknown fraction":       signed(func(s map[string]any) { s["x"] = []any{json.Number("0.5")} }),
		"expires null":           signed(func(s map[string]any) { s["expires"] = nil }),
		"expires nonsense":       signed(func(s map[string]any) { s["expires"] = "tomorrow" }),
		"another major version":  signed(func(s map[string]any) { s["spec_version"] = "2.0.0" }),
		"no version of the spec": signed(func(s map[string]any) { delete(s, "spec_version") }),
		"another type":           signed(func(s map[string]any) { s["_type"] = "snapshot" }),
		"identity null":          signed(func(s map[string]any) { s["x-consign-channel"] = nil }),
		"identity with more":     signed(func(s map[string]any) { at(s, "x-consign-channel")["x"] = "y" }),
		"identity of numbers":    signed(func(s map[string]any) { s["x-consign-channel"] = map[string]any{"kind": 1, "id": 2} }),
		"identity empty":         signed(func(s map[string]any) { s["x-consign-channel"] = map[string]any{"kind": "", "id": ""} }),
		"hashes of odd length":   signed(func(s map[string]any) { at(s, "meta", "snapshot.json")["hashes"] = map[string]any{"sha256": "abc"} }),
		"signature twice": func(_ *testing.T, _ *world, b []byte) []byte {
			var doc map[string]any
			_ = json.Unmarshal(b, &doc)
			sigs := doc["signatures"].([]any)
			doc["signatures"] = append(sigs, sigs[0])
			out, _ := json.Marshal(doc)
			return out
		},
		"many signatures": func(_ *testing.T, _ *world, b []byte) []byte {
			var doc map[string]any
			_ = json.Unmarshal(b, &doc)
			for range 65 { // refused before go-tuf compares each with each other
				doc["signatures"] = append(doc["signatures"].([]any), map[string]any{"keyid": "k", "sig": ""})
			}
			out, _ := json.Marshal(doc)
			return out
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			d := w.trusting()
			before, honest := d.all(), w.save()
			w.files["timestamp.json"] = change(t, w, w.files["timestamp.json"])
			_, err := d.Refresh(context.Background(), w, day0)
			want := reason.Malformed
			if name == "many signatures" {
				want = reason.TooLarge
			}
			if !reason.Is(err, want) {
				t.Errorf("%v, want %s", err, want)
			}
			d.unmoved(before, honest)
		})
	}
}

// Nulls that go-tuf 2.4.2 would follow.
func TestAttackT27NullTarget(t *testing.T) {
	for name, change := range map[string]func(s map[string]any){
		"target null":     func(s map[string]any) { at(s, "targets")["policy"] = nil },
		"hashes null":     func(s map[string]any) { at(s, "targets", "policy")["hashes"] = nil },
		"hashes empty":    func(s map[string]any) { at(s, "targets", "policy")["hashes"] = map[string]any{} },
		"custom null":     func(s map[string]any) { at(s, "targets", "policy")["custom"] = nil },
		"delegation null": func(s map[string]any) { s["delegations"] = nil },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			data := resign(t, w.files["1.targets.json"], w.keys["targets"], change)
			w.files["1.targets.json"] = data
			w.snapshot.Signed.Meta["targets.json"] = describe(1, data)
			w.publishSnapshot()
			w.device().mustRefuse(reason.Malformed, day0)
		})
	}
}

// Attack S8 at this level: a channel's target has one hash, a sha256.
func TestTargetHashes(t *testing.T) {
	for name, hashes := range map[string]metadata.Hashes{
		"sha512 only": {"sha512": bytes.Repeat([]byte{1}, 64)},
		"both":        {"sha256": bytes.Repeat([]byte{1}, 32), "sha512": bytes.Repeat([]byte{1}, 64)},
		"unknown":     {"md5": bytes.Repeat([]byte{1}, 16)},
		"short":       {"sha256": bytes.Repeat([]byte{1}, 31)},
	} {
		w := newWorld(t)
		w.roles["targets"].Signed.Targets["policy"].Hashes = hashes
		w.publish()
		m := w.device().mustRefresh(day0)
		if _, err := m.Target("policy"); !reason.Is(err, reason.Malformed) {
			t.Errorf("%s: %v", name, err)
		}
		if len(m.All()) != 0 {
			t.Errorf("%s: it is listed", name)
		}
	}
}

// FuzzRefresh serves arbitrary bytes as the timestamp of a trusting device.
// Whatever they are, nothing panics, and what is accepted is what was signed.
func FuzzRefresh(f *testing.F) {
	w := newWorld(f)
	served := w.files["timestamp.json"]
	f.Add(served)
	f.Add(bytes.Replace(served, []byte(`"version":1`), []byte(`"version":2`), 1))
	f.Add([]byte(`{"signed":null,"signatures":[]}`))
	f.Add([]byte(`{"signed":{"_type":"timestamp","meta":{"snapshot.json":null}},"signatures":[{}]}`))
	d := w.trusting()
	before := d.all()
	f.Fuzz(func(t *testing.T, data []byte) {
		w.files["timestamp.json"] = data
		m, err := d.Refresh(context.Background(), w, day0)
		if err == nil && m.Versions()["timestamp"] != 1 {
			t.Errorf("accepted %q", data)
		}
		if !maps.Equal(before, d.all()) {
			t.Errorf("the state changed by %q", data)
		}
	})
}
