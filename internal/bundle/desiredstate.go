package bundle

import (
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// DesiredState is what one device shall run.
type DesiredState struct {
	// Deployments are Margo ApplicationDeployments, each the bytes that were
	// written for the device. None at all means that the device shall run
	// nothing, which is an instruction like any other.
	Deployments []ocispec.Descriptor
}

// BuildDesiredState returns the manifest of a desired state. The order of the
// deployments is kept. A manifest must have a layer (OCI Image Spec 1.1,
// Image Manifest), so an empty desired state has the empty descriptor.
func BuildDesiredState(s DesiredState) ([]byte, ocispec.Descriptor, error) {
	if err := s.check(); err != nil {
		return nil, ocispec.Descriptor{}, err
	}
	var layers []ocispec.Descriptor
	for _, d := range s.Deployments {
		layers = append(layers, bare(d))
	}
	if len(layers) == 0 {
		layers = []ocispec.Descriptor{ocispec.DescriptorEmptyJSON}
	}
	return encodeArtifact(artifact(MediaTypeDesiredState, layers))
}

// ParseDesiredState reads the manifest of a desired state.
func ParseDesiredState(data []byte) (*DesiredState, error) {
	const name = "desired state"
	m, err := parseArtifact(name, MediaTypeDesiredState, data)
	if err != nil {
		return nil, err
	}
	if err := plain(name, m); err != nil {
		return nil, err
	}
	if err := checkCount(name, len(m.Layers), 1, MaxDeployments); err != nil {
		return nil, err
	}
	if len(m.Layers) == 1 && m.Layers[0].MediaType == ocispec.MediaTypeEmptyJSON {
		return &DesiredState{}, checkEmpty(name+": layers[0]", m.Layers[0])
	}
	for n, l := range m.Layers {
		if err := checkKeys(fmt.Sprintf("%s: layers[%d]: annotations", name, n), l.Annotations); err != nil {
			return nil, err
		}
	}
	s := &DesiredState{Deployments: m.Layers}
	return s, s.check()
}

func (s *DesiredState) check() error {
	if err := checkCount("desired state", len(s.Deployments), 0, MaxDeployments); err != nil {
		return err
	}
	seen := map[digest.Digest]bool{}
	for n, d := range s.Deployments {
		where := fmt.Sprintf("desired state: layers[%d]", n)
		if err := checkLayer(where, d, MediaTypeDeployment, MaxDocumentBytes); err != nil {
			return err
		}
		if seen[d.Digest] {
			return malformed("%s: deployment %s is listed twice", where, d.Digest)
		}
		seen[d.Digest] = true
	}
	return nil
}
