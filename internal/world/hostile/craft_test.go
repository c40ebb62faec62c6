package hostile_test

import (
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	specs "github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/consign-dev/consign/internal/channel"
	"github.com/consign-dev/consign/internal/reason"
)

func describe(data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(data), Size: int64(len(data))}
}

func named(code string) []reason.Code { return []reason.Code{reason.Code(code)} }

// crowded is a channel manifest with many files, as a registry can make one.
func crowded(files int) (ocispec.Descriptor, []byte) {
	m := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: channel.MediaTypeChannel,
		Config:       ocispec.Descriptor{MediaType: ocispec.MediaTypeEmptyJSON, Digest: ocispec.DescriptorEmptyJSON.Digest, Size: 2},
	}
	for n := range files {
		name := fmt.Sprintf("%d.root.json", n+1)
		if n == 0 {
			name = "timestamp.json"
		}
		m.Layers = append(m.Layers, ocispec.Descriptor{
			MediaType: channel.MediaTypeMetadata, Digest: digest.FromString(name), Size: 100,
			Annotations: map[string]string{ocispec.AnnotationTitle: name},
		})
	}
	data, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return describe(data), data
}

// edited is a JSON document with a change, and its new descriptor.
func edited(data []byte, edit func(doc map[string]any)) (ocispec.Descriptor, []byte) {
	var doc map[string]any
	err := json.Unmarshal(data, &doc)
	if err == nil {
		edit(doc)
		data, err = json.Marshal(doc)
	}
	if err != nil {
		panic(err)
	}
	return describe(data), data
}
