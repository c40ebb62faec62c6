package channel_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/reason"
)

func sampleCustom(t testing.TB) []byte {
	data, err := json.Marshal(channel.ReleaseCustom{Evidence: []channel.EvidenceRef{{Digest: digest.FromString("e"), Size: 7}}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestCustomReadsBack(t *testing.T) {
	c, err := channel.ParseReleaseCustom(sampleCustom(t))
	if err != nil || len(c.Evidence) != 1 || c.Evidence[0].Digest != digest.FromString("e") || c.Evidence[0].Size != 7 {
		t.Errorf("%+v, %v", c, err)
	}
	d, err := channel.ParseDeviceCustom([]byte(`{"logKey":"k"}`))
	if err != nil || d.LogKey != "k" || d.ProfileTypes != nil {
		t.Errorf("%+v, %v", d, err)
	}
	d, err = channel.ParseDeviceCustom([]byte(`{"logKey":"k","profileTypes":["helm","compose"]}`))
	if err != nil || !slices.Equal(d.ProfileTypes, []string{"helm", "compose"}) {
		t.Errorf("%+v, %v", d, err)
	}
	d, err = channel.ParseDeviceCustom([]byte(`{"profileTypes":[]}`))
	if err != nil || d.ProfileTypes != nil {
		t.Errorf("%+v, %v", d, err)
	}
	for _, none := range [][]byte{nil, []byte(`{}`)} {
		c, err := channel.ParseReleaseCustom(none)
		d, errD := channel.ParseDeviceCustom(none)
		if err != nil || errD != nil || len(c.Evidence) != 0 || d.LogKey != "" {
			t.Errorf("%q: %+v, %v; %+v, %v", none, c, err, d, errD)
		}
	}
}

// Attack T27: whoever signs a target could mean one thing to this program and
// another to a reader that tells "Evidence" from "evidence".
func TestAttackT27CustomHasOneReading(t *testing.T) {
	good := string(sampleCustom(t))
	for name, c := range map[string]struct{ in, want string }{
		"other case":        {strings.Replace(good, "evidence", "Evidence", 1), `did you mean "evidence"?`},
		"both":              {strings.Replace(good, `{"evidence"`, `{"Evidence":[],"evidence"`, 1), `did you mean "evidence"?`},
		"inside":            {strings.Replace(good, `"size"`, `"Size":8,"size"`, 1), `did you mean "size"?`},
		"unknown":           {`{"evidence":[],"more":1}`, `unknown field "more"`},
		"null size":         {`{"evidence":[{"digest":"","size":null}]}`, "is null"},
		"two documents":     {good + good, "byte"},
		"longer than it is": {`{"evidence":[]` + strings.Repeat(" ", 64<<10) + `}`, "at most 65536"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := channel.ParseReleaseCustom([]byte(c.in))
			if code := reason.Of(err); code != reason.Malformed && code != reason.TooLarge || !strings.Contains(err.Error(), c.want) || got.Evidence != nil {
				t.Errorf("%+v, %v, want a refusal with %q", got, err, c.want)
			}
		})
	}
	for _, in := range []string{
		`{"LogKey":"k"}`, `{"logKey":"k","LOGKEY":"l"}`, `{"logKey":"k","more":1}`, `{"logKey":"k","profileTypes":["custom"]}`,
		`{"logKey":"k","profileTypes":["Helm"]}`, `{"logKey":"k","profileTypes":["helm","helm"]}`, `{"logKey":"k","profileTypes":"helm"}`,
	} {
		if d, err := channel.ParseDeviceCustom([]byte(in)); !reason.Is(err, reason.Malformed) || d.LogKey != "" {
			t.Errorf("%s: %+v, %v", in, d, err)
		}
	}
}

func FuzzParseCustom(f *testing.F) {
	f.Add(sampleCustom(f))
	f.Add([]byte(`{"logKey":"k","profileTypes":["compose"]}`))
	f.Add([]byte(`{"Evidence":[{"digest":"","SIZE":1}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		release, err := channel.ParseReleaseCustom(data)
		checkCustom(t, release, err, channel.ParseReleaseCustom)
		device, err := channel.ParseDeviceCustom(data)
		checkCustom(t, device, err, channel.ParseDeviceCustom)
	})
}

// checkCustom holds a refusal to a reason and no content, and what was read to
// being read again from its own encoding.
func checkCustom[T any](t *testing.T, got T, err error, parse func([]byte) (T, error)) {
	t.Helper()
	if err != nil {
		if code := reason.Of(err); code != reason.Malformed && code != reason.TooLarge || !reflect.ValueOf(got).IsZero() {
			t.Errorf("%+v, %v", got, err)
		}
		return
	}
	encoded, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if len(encoded) > 64<<10 {
		return // the encoding escapes what was written plainly
	}
	if again, err := parse(encoded); err != nil || !reflect.DeepEqual(again, got) {
		t.Errorf("%+v reads back as %+v, %v", got, again, err)
	}
}
