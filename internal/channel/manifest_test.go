package channel_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/reason"
)

func sampleFiles() map[string][]byte {
	return map[string][]byte{
		"1.root.json": []byte("r"), "timestamp.json": []byte("t"), "7.snapshot.json": []byte("s"), "12.targets.json": []byte("T"), "3.deploy.json": []byte("d"),
	}
}

func TestManifestIsDeterministicAndReadsBack(t *testing.T) {
	data, desc, err := channel.BuildManifest(sampleFiles())
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := channel.BuildManifest(sampleFiles())
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("not deterministic: %v", err)
	}
	if desc.Digest != digest.FromBytes(data) || desc.ArtifactType != "application/vnd.consign.channel.v1+json" {
		t.Errorf("descriptor %+v", desc)
	}
	files, err := channel.ParseManifest(data)
	if err != nil || len(files) != 5 {
		t.Fatalf("%v, %v", files, err)
	}
	for name, content := range sampleFiles() {
		if files[name].Digest != digest.FromBytes(content) || files[name].Size != int64(len(content)) {
			t.Errorf("%s: %+v", name, files[name])
		}
	}
}

func TestManifestsThatAreRefused(t *testing.T) {
	good, _, err := channel.BuildManifest(sampleFiles())
	if err != nil {
		t.Fatal(err)
	}
	edit := func(change func(m map[string]any)) []byte {
		var m map[string]any
		if err := json.Unmarshal(good, &m); err != nil {
			t.Fatal(err)
		}
		change(m)
		out, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	layer := func(n int, change func(l map[string]any)) []byte {
		return edit(func(m map[string]any) { change(m["layers"].([]any)[n].(map[string]any)) })
	}
	titled := func(title string) []byte {
		return layer(0, func(l map[string]any) { l["annotations"] = map[string]any{"org.opencontainers.image.title": title} })
	}
	cases := map[string][]byte{
		"empty":              {},
		"an index too":       edit(func(m map[string]any) { m["manifests"] = []any{} }),
		"a subject":          edit(func(m map[string]any) { m["subject"] = m["config"] }),
		"another artifact":   edit(func(m map[string]any) { m["artifactType"] = "application/vnd.consign.bundle.v1+json" }),
		"another media type": edit(func(m map[string]any) { m["mediaType"] = "application/vnd.oci.image.index.v1+json" }),
		"schema version 1":   edit(func(m map[string]any) { m["schemaVersion"] = 1 }),
		"another config":     edit(func(m map[string]any) { m["config"].(map[string]any)["size"] = 3 }),
		"no layers":          edit(func(m map[string]any) { m["layers"] = []any{} }),
		"null layers":        edit(func(m map[string]any) { m["layers"] = nil }),
		"no timestamp":       edit(func(m map[string]any) { m["layers"] = m["layers"].([]any)[:4] }),
		"listed twice": edit(func(m map[string]any) {
			l := m["layers"].([]any)
			m["layers"] = append(l, l[0])
		}),
		"duplicate key":        bytes.Replace(good, []byte(`{"schemaVersion"`), []byte(`{"layers":[],"schemaVersion"`), 1),
		"other media type":     layer(0, func(l map[string]any) { l["mediaType"] = "application/json" }),
		"other algorithm":      layer(0, func(l map[string]any) { l["digest"] = digest.SHA512.FromString("x").String() }),
		"upper case digest":    layer(0, func(l map[string]any) { l["digest"] = strings.ToUpper(l["digest"].(string)) }),
		"size zero":            layer(0, func(l map[string]any) { l["size"] = 0 }),
		"size negative":        layer(0, func(l map[string]any) { l["size"] = -1 }),
		"size over the bound":  layer(0, func(l map[string]any) { l["size"] = 6 << 20 }),
		"urls":                 layer(0, func(l map[string]any) { l["urls"] = []any{"http://169.254.169.254/"} }),
		"inline data":          layer(0, func(l map[string]any) { l["data"] = "eA==" }),
		"no annotations":       layer(0, func(l map[string]any) { delete(l, "annotations") }),
		"another annotation":   layer(0, func(l map[string]any) { l["annotations"].(map[string]any)["x"] = "y" }),
		"trailing value":       append(bytes.Clone(good), '1'),
		"longer than registry": append(bytes.Clone(good), bytes.Repeat([]byte(" "), channel.MaxManifest)...),
	}
	// Attack T14: titles are TUF file names and nothing else.
	for _, title := range []string{
		"", "root.json", "../1.root.json", "/1.root.json", "1.root.json/", "1.ro/ot.json", "0.root.json", "01.root.json", "-1.root.json",
		"1.root.JSON", "1.root.json\x00", "1.root.json\n", "1..json", "1.%2e.json", "1.a.b.json", "snapshot.json", "1.timestamp.json.", "Timestamp.json",
		"99999999999999999.root.json", "1." + strings.Repeat("x", 65) + ".json", "1.rüt.json", `1.ro\ot.json`,
	} {
		cases[fmt.Sprintf("title %.30q", title)] = titled(title)
	}
	for name, data := range cases {
		t.Run(name, func(t *testing.T) {
			files, err := channel.ParseManifest(data)
			if !reason.Is(err, reason.Malformed) && !reason.Is(err, reason.TooLarge) {
				t.Errorf("%v, %v", files, err)
			}
		})
	}
}

func TestTooManyFilesAreRefused(t *testing.T) {
	files := map[string][]byte{"timestamp.json": []byte("t")}
	for n := range channel.MaxFiles - 1 {
		files[fmt.Sprintf("%d.root.json", n+1)] = []byte("r")
	}
	if _, _, err := channel.BuildManifest(files); err != nil {
		t.Errorf("at the bound: %v", err)
	}
	files["1.targets.json"] = []byte("t")
	if _, _, err := channel.BuildManifest(files); !reason.Is(err, reason.TooLarge) {
		t.Errorf("%v", err)
	}
}

func FuzzParseManifest(f *testing.F) {
	good, _, err := channel.BuildManifest(sampleFiles())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"schemaVersion":2,"layers":[{"annotations":null}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		files, err := channel.ParseManifest(data)
		if err != nil {
			if files != nil || reason.Of(err) == reason.Internal {
				t.Errorf("%v, %v", files, err)
			}
			return
		}
		for name, d := range files {
			if strings.ContainsAny(name, "/\\\x00") || d.Digest.Validate() != nil || d.Size < 1 {
				t.Errorf("%q: %+v", name, d)
			}
		}
	})
}
