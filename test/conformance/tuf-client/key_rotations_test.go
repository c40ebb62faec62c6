package main

import (
	"bytes"
	"testing"
)

// keyed is a version of a role by its keys in office, its threshold, and the
// keys that sign it. Keys are digits.
type keyed struct {
	keys      string
	threshold int
	signs     string
}

func ten(t testing.TB) []*signer {
	out := make([]*signer, 10)
	for n := range out {
		out[n] = newSigner(t)
	}
	return out
}

func pick(all []*signer, digits string) []*signer {
	var out []*signer
	for _, d := range digits {
		out = append(out, all[d-'0'])
	}
	return out
}

func (r *simulator) key(role string, k keyed, all []*signer) {
	r.t.Helper()
	r.setKeys(role, k.threshold, pick(all, k.keys), pick(all, k.signs))
}

// Sequences of roots. Those whose last must be refused end with the root before.
func TestRootRotation(t *testing.T) {
	for name, c := range map[string]struct {
		refused bool
		roots   []keyed
	}{
		"1-of-1-key-rotation":                                             {false, []keyed{{"1", 1, "1"}, {"2", 1, "21"}, {"2", 1, "2"}}},
		"1-of-1-key-rotation-unused-signatures":                           {false, []keyed{{"1", 1, "314"}, {"2", 1, "3214"}, {"2", 1, "324"}}},
		"3-of-5-sign-with-different-keycombos":                            {false, []keyed{{"01234", 3, "024"}, {"01234", 3, "041"}, {"01234", 3, "013"}, {"01234", 3, "013"}}},
		"3-of-5-one-key-rotated":                                          {false, []keyed{{"01234", 3, "024"}, {"01345", 3, "041"}}},
		"3-of-5-one-key-rotated-with-intermediate-step":                   {false, []keyed{{"01234", 3, "024"}, {"01345", 3, "0245"}, {"01345", 3, "045"}}},
		"3-of-5-all-keys-rotated-with-intermediate-step":                  {false, []keyed{{"01234", 3, "024"}, {"56789", 3, "024567"}, {"56789", 3, "567"}}},
		"1-of-3-threshold-increase-to-2-of-3":                             {false, []keyed{{"123", 1, "1"}, {"123", 2, "12"}}},
		"2-of-3-threshold-decrease-to-1-of-3":                             {false, []keyed{{"123", 2, "12"}, {"123", 1, "12"}, {"123", 1, "1"}}},
		"1-of-2-threshold-increase-to-2-of-2":                             {false, []keyed{{"1", 1, "1"}, {"12", 2, "12"}}},
		"1-of-1-key-rotation-fail-not-signed-with-old-key":                {true, []keyed{{"1", 1, "1"}, {"2", 1, "234"}}},
		"1-of-1-key-rotation-fail-not-signed-with-new-key":                {true, []keyed{{"1", 1, "1"}, {"2", 1, "134"}}},
		"3-of-5-one-key-rotate-fails-not-signed-with-3-new-keys":          {true, []keyed{{"01234", 3, "024"}, {"01345", 3, "024"}}},
		"3-of-5-one-key-rotate-fails-not-signed-with-3-old-keys":          {true, []keyed{{"01234", 3, "024"}, {"01345", 3, "045"}}},
		"1-of-3-threshold-bump-to-2-of-3-fails-new-threshold-not-reached": {true, []keyed{{"123", 1, "1"}, {"123", 2, "2"}}},
		"2-of-3-threshold-decr-to-1-of-3-fails-old-threshold-not-reached": {true, []keyed{{"123", 2, "12"}, {"123", 1, "1"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo, all := newSimulator(t), ten(t)
			delete(repo.published, "root")
			for _, k := range c.roots {
				repo.key("root", k, all)
				repo.publish("root")
			}
			client := newClient(t, repo)
			client.mustInit()
			last := len(c.roots) - 1
			if c.refused {
				client.mustRefresh(1)
				last--
			} else {
				client.mustRefresh(0)
			}
			if !bytes.Equal(client.file("root"), repo.published["root"][last]) {
				t.Errorf("the client's root is not version %d", last+1)
			}
		})
	}
}

// The same for the other roles, one after the other in one repository.
func TestNonRootRotations(t *testing.T) {
	for name, c := range map[string]struct {
		refused bool
		keyed
	}{
		"1-of-1-key-rotation":                                            {false, keyed{"2", 1, "2"}},
		"1-of-1-key-rotation-unused-signatures":                          {false, keyed{"1", 1, "314"}},
		"1-of-1-key-rotation-fail-not-signed-with-new-key":               {true, keyed{"2", 1, "134"}},
		"3-of-5-one-key-signature-wrong-not-signed-with-3-expected-keys": {true, keyed{"01345", 3, "024"}},
		"2-of-5-one-key-signature-missing-threshold-not-reached":         {true, keyed{"01345", 3, "04"}},
		"3-of-5-sign-first-combo":                                        {false, keyed{"01234", 3, "024"}},
		"3-of-5-sign-second-combo":                                       {false, keyed{"01234", 3, "041"}},
		"3-of-5-sign-third-combo":                                        {false, keyed{"01234", 3, "013"}},
		"3-of-5-sign-fourth-combo":                                       {false, keyed{"01234", 3, "123"}},
		"3-of-5-sign-fifth-combo":                                        {false, keyed{"01234", 3, "234"}},
	} {
		t.Run(name, func(t *testing.T) {
			repo, client := begin(t)
			all := ten(t)
			for _, role := range []string{"timestamp", "snapshot", "targets"} {
				repo.key(role, c.keyed, all)
				repo.publish("root", "targets", "snapshot", "timestamp")
				if c.refused {
					client.mustRefresh(1)
					continue
				}
				client.mustRefresh(0)
				if !bytes.Equal(client.file(role), repo.latest(role)) {
					t.Errorf("the client's %s is not the newest", role)
				}
			}
		})
	}
}
