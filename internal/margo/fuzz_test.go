package margo_test

import (
	"bytes"
	"testing"

	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
)

// refused fails unless err is a refusal that a reader of untrusted documents
// may give.
func refused(t *testing.T, err error) {
	t.Helper()
	if code := reason.Of(err); code != reason.Malformed && code != reason.TooLarge {
		t.Errorf("refused as %q: %v", code, err)
	}
	if len(err.Error()) > 20_000 {
		t.Errorf("a message of %d bytes", len(err.Error()))
	}
}

func FuzzParseDescription(f *testing.F) {
	f.Add([]byte(own(f, descriptionExample)))
	f.Add([]byte("apiVersion: v1\nkind: ApplicationDescription\n"))
	f.Add([]byte("apiVersion: v1\nid: a\nmetadata: {name: a, version: '1', catalog: {organization: [{name: a}]}}\n" +
		"deploymentProfiles: [{type: compose, id: p, components: [{name: c, properties: {repository: 'oci://h/p', revision: 1.0.0}}]}]\n" +
		"parameters: {p: {value: 1.0, targets: [{pointer: P, components: [c]}]}}\n"))
	f.Add([]byte("apiVersion: v1\nid: a\nmetadata: {name: a, version: '1', catalog: {organization: [{name: a}]}}\n" +
		"deploymentProfiles: [{type: compose, id: p, x-consign-extensions: {secretParameters: [s]}, components: [{name: c, properties: {repository: 'oci://h/p', revision: 1.0.0}}]}]\n" +
		"parameters: {s: {targets: [{pointer: S, components: [c]}]}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := margo.ParseDescription(data)
		if err != nil {
			refused(t, err)
			return
		}
		if !bytes.Equal(d.Raw, data) {
			t.Error("Raw is not the document")
		}
		// What can be ordered of a package fits it, and is the same each time.
		for _, p := range d.DeploymentProfiles {
			in := deploymentInput(p.Type)
			in.ProfileID = p.ID
			in.Order.Bundle.Version = d.Metadata.Version
			written, err := margo.NewDeployment(d, in)
			if err != nil {
				if code := reason.Of(err); code != reason.DeploymentMismatch && code != reason.TooLarge {
					t.Errorf("order of profile %q: %v", p.ID, err)
				}
				continue
			}
			again, err := margo.NewDeployment(d, in)
			if err != nil || !bytes.Equal(written, again) {
				t.Errorf("another run gives other bytes (%v)", err)
			}
		}
	})
}

func FuzzParseDeployment(f *testing.F) {
	f.Add([]byte(own(f, helmExample)))
	f.Add([]byte(own(f, composeExample)))
	desc := parseDescription(f, own(f, descriptionExample))
	for _, profileType := range []string{margo.TypeCompose, margo.TypeHelm} {
		data, err := margo.NewDeployment(desc, deploymentInput(profileType))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := margo.ParseDeployment(data)
		if err != nil {
			refused(t, err)
			return
		}
		if _, err := d.Order(); err != nil {
			refused(t, err)
		}
		if err := d.CheckFits(desc); err == nil {
			if err := d.CheckImmutable(d, desc); err != nil {
				t.Errorf("differs from itself: %v", err)
			}
		}
		for _, c := range d.Spec.DeploymentProfile.Components {
			d.ComponentValues(c.Name)
		}
	})
}

func FuzzParseCapabilities(f *testing.F) {
	f.Add([]byte(own(f, capabilityExample)))
	f.Add([]byte(`{"properties":{"id":"a","vendor":"v","modelNumber":"m","serialNumber":"s","memory":"59 Gi"},"labels":{"a":[1]},"x-a-extensions":{}}`))
	desc := parseDescription(f, own(f, descriptionExample))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := margo.ParseCapabilities(data)
		if err != nil {
			refused(t, err)
			return
		}
		if err := desc.DeploymentProfiles[0].DeviceConstraints.Eligible(c); err != nil && !reason.Is(err, reason.Ineligible) {
			t.Errorf("judged %v", err)
		}
	})
}
