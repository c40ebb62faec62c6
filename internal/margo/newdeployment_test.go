package margo_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/consign-dev/consign/internal/margo"
	"github.com/consign-dev/consign/internal/reason"
)

const someDigest = "sha256:0000000000000000000000000000000000000000000000000000000000000001"

func deploymentInput(profileType string) margo.NewDeploymentInput {
	in := margo.NewDeploymentInput{
		ID: "ad9b614e-8912-45f4-a523-372358765def", Name: "line-monitor", Namespace: "consign",
		DeviceID: "gateway-1/press-07", ProfileID: "line-monitor-" + profileType,
	}
	in.Order.Bundle = margo.BundleRef{Channel: "acme", Version: "1.4.0", Digest: someDigest}
	return in
}

func TestNewDeploymentFitsAndIsDeterministic(t *testing.T) {
	for _, profileType := range []string{margo.TypeHelm, margo.TypeCompose} {
		desc := parseDescription(t, own(t, descriptionExample))
		in := deploymentInput(profileType)
		in.Values = map[string]string{"pollSeconds": "60"}
		in.Previous = map[string]any{"siteName": "plant: 9 ${HOME} $$ {{x}}", "gone": true}
		in.Order.OnRemove.Volumes = "delete"
		first, err := margo.NewDeployment(desc, in)
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			again, err := margo.NewDeployment(parseDescription(t, own(t, descriptionExample)), in)
			if err != nil || !bytes.Equal(first, again) {
				t.Fatalf("another run gives other bytes (%v)", err)
			}
		}
		d := parseDeployment(t, string(first))
		order, err := d.Order()
		if err != nil || order.Bundle != in.Order.Bundle || order.OnRemove.Volumes != "delete" || order.AllowDowngrade {
			t.Errorf("order %+v, %v", order, err)
		}
		if d.Spec.Parameters["pollSeconds"].Value != int64(60) || d.Spec.Parameters["siteName"].Value != "plant: 9 ${HOME} $$ {{x}}" {
			t.Errorf("parameters %+v", d.Spec.Parameters)
		}
		if strings.Contains(string(first), "null") || strings.Contains(string(first), "secrets") {
			t.Errorf("empty fields were written:\n%s", first)
		}
	}
}

func TestNewDeploymentRefuses(t *testing.T) {
	noDefault := edit(t, own(t, descriptionExample), "    value: plant-1\n", "")
	for name, c := range map[string]struct {
		doc  string
		edit func(*margo.NewDeploymentInput)
		code reason.Code
		want string
	}{
		"unknown parameter": {"", func(in *margo.NewDeploymentInput) { in.Values = map[string]string{"siteNam": "x"} }, reason.DeploymentMismatch, `did you mean "siteName"?`},
		"bad value":         {"", func(in *margo.NewDeploymentInput) { in.Values = map[string]string{"pollSeconds": "5"} }, reason.DeploymentMismatch, "below 30"},
		"missing value":     {noDefault, func(*margo.NewDeploymentInput) {}, reason.DeploymentMismatch, `parameter "siteName" has no default`},
		"device":            {"", func(in *margo.NewDeploymentInput) { in.DeviceID = "gateway-1/*" }, reason.Malformed, "device id"},
		"dots":              {"", func(in *margo.NewDeploymentInput) { in.DeviceID = "gateway-1/.." }, reason.Malformed, "device id"},
		"id":                {"", func(in *margo.NewDeploymentInput) { in.ID = "1" }, reason.Malformed, "UUID"},
		"profile":           {"", func(in *margo.NewDeploymentInput) { in.ProfileID = "line-monitor-custom" }, reason.DeploymentMismatch, `no profile "line-monitor-custom": it has "line-monitor-helm" (helm), "line-monitor-compose" (compose)`},
		"digest":            {"", func(in *margo.NewDeploymentInput) { in.Order.Bundle.Digest = "sha256:ab" }, reason.Malformed, "bundle.digest"},
		"other version":     {"", func(in *margo.NewDeploymentInput) { in.Order.Bundle.Version = "1.5.0" }, reason.DeploymentMismatch, "version"},
		"volumes":           {"", func(in *margo.NewDeploymentInput) { in.Order.OnRemove.Volumes = "burn" }, reason.Malformed, "neither keep nor delete"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.doc == "" {
				c.doc = own(t, descriptionExample)
			}
			in := deploymentInput(margo.TypeCompose)
			c.edit(&in)
			_, err := margo.NewDeployment(parseDescription(t, c.doc), in)
			mustRefuse(t, err, c.code, c.want)
		})
	}
}

func TestAnUnknownOrderFieldIsRefused(t *testing.T) {
	data, err := margo.NewDeployment(parseDescription(t, own(t, descriptionExample)), deploymentInput(margo.TypeCompose))
	if err != nil {
		t.Fatal(err)
	}
	d := parseDeployment(t, edit(t, string(data), "        channel: acme\n", "        channel: acme\n        chanel: evil\n"))
	_, err = d.Order()
	mustRefuse(t, err, reason.Malformed, `bundle: unknown field "chanel", did you mean "channel"?`)
}

// Values that YAML readers disagree about survive being written and read.
func TestOperatorTextReachesTheEnvironmentUnchanged(t *testing.T) {
	free := edit(t, own(t, descriptionExample), "minLength: 1\n      maxLength: 45\n      allowEmpty: false", "allowEmpty: true")
	desc := parseDescription(t, free)
	for _, v := range []string{"no", "0777", "1.10", "1e999", "22:22:10", "2024-01-01", "~", "null", "<<", " a ", "a\nb\n", "#x", "- x", "é", "", "!x", "*a", "true", "\u2028", "\t"} {
		in := deploymentInput(margo.TypeCompose)
		in.Values = map[string]string{"siteName": v}
		data, err := margo.NewDeployment(desc, in)
		if err != nil {
			t.Errorf("%q: %v", v, err)
			continue
		}
		if got := parseDeployment(t, string(data)).ComponentValues("line-monitor-stack")["SITE_NAME"]; got != v {
			t.Errorf("wrote %q, read %q", v, got)
		}
	}
}
