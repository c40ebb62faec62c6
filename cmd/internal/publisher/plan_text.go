package publisher

import (
	"fmt"
	"io"
	"strings"

	"github.com/consign-dev/consign/internal/cli"
	"github.com/consign-dev/consign/internal/plan"
	"github.com/consign-dev/consign/internal/publish"
)

// planText writes plans for people. Everything that a package, a channel or a
// command line named goes through [cli.Safe].
type planText struct{ w io.Writer }

func (t planText) line(format string, args ...any) {
	for i, a := range args {
		args[i] = cli.Safe(fmt.Sprint(a))
	}
	fmt.Fprintf(t.w, format+"\n", args...)
}

func (planText) ofPackage(p *plan.Package) func(io.Writer) {
	return func(w io.Writer) {
		t := planText{w}
		t.line("%s %s: a plan, nothing is signed or pushed", p.Application, p.Version)
		t.line("  bundle     %s", p.Bundle)
		t.line("  package    %s", p.Manifest)
		for _, c := range p.Components {
			t.line("  component  %s %s, archive of %s", c.Name, c.Digest, size(c.Size))
		}
		for _, i := range p.Images {
			t.line("  image      %s %s", i.Reference, i.Digest)
			for _, at := range i.Platforms {
				t.line("             %s %s, %s", at.Platform, at.Digest, size(at.Size))
			}
		}
		for _, pin := range p.Pins {
			t.line("  would pin  %s %s in consign.lock", pin.Name, pin.Digest)
		}
		for _, name := range p.Unpinned {
			t.line("  would unpin %s in consign.lock", name)
		}
		for _, profile := range p.Profiles {
			t.line("profile %s, for %s:", profile.ID, p.Platform)
			t.objects(profile.Objects)
			for _, name := range profile.Secrets {
				t.line("  parameter  %s is secret: an order names a file of the device for it", name)
			}
			for _, v := range profile.Volatile {
				t.line("  made anew  %s: %s%s: the value of the first install is kept", v.Component, v.Object, v.Field)
			}
			t.limits(profile.Limits)
		}
		t.privileges(p.Privileges)
		writeWarnings(w, p.Warnings)
		if p.Policy != nil {
			t.judgement("the policy", *p.Policy)
		}
	}
}

func (t planText) objects(list []plan.Object) {
	for _, o := range list {
		text := ""
		switch {
		case o.Service != "":
			text = " of service " + o.Service
		case o.Image != "":
			text = " runs " + o.Image
		}
		if o.Replicas != "" {
			text += ", " + o.Replicas + " times"
		}
		t.line("  %s  %s: %s%s", fmt.Sprintf("%-9s", o.Kind), o.Component, o.Name, text)
	}
}

func (t planText) limits(l plan.Limits) {
	if len(l.Defaulted) == 0 {
		return
	}
	text := fmt.Sprintf("cpus %v, memory %s", l.CPUs, size(l.Memory))
	if l.PIDs > 0 {
		text += fmt.Sprintf(", pids %d, logs %d x %s, each tmpfs %s", l.PIDs, l.LogFiles, size(l.LogFile), size(l.Tmpfs))
	}
	t.line("  limits that the package does not set: %s", text)
	for _, at := range l.Defaulted {
		t.line("    %s", at)
	}
}

func (t planText) privileges(p plan.Privileges) {
	if p.Grants == "" && len(p.Never) == 0 {
		t.line("privileges: nothing beyond what is granted")
		return
	}
	if p.Grants != "" {
		t.line("privileges: it asks for more; to grant it, this goes into the application's entry of the policy:")
		for _, l := range strings.Split(strings.TrimRight(p.Grants, "\n"), "\n") {
			t.line("    %s", l)
		}
	}
	for _, n := range p.Never {
		t.line("no policy can grant: %s", n)
	}
	if p.More > 0 {
		t.line("no policy can grant: %s more", p.More)
	}
}

func (t planText) judgement(who string, j plan.Judgement) {
	if j.Accepted {
		t.line("%s would accept it, as far as can be told here", who)
	} else {
		t.line("%s would REFUSE it (%s): %s", who, j.Reason, j.Message)
	}
	for _, u := range j.Unknown {
		t.line("  not known here: %s", u)
	}
}

func (planText) ofOrders(p *publish.Planned) func(io.Writer) {
	return func(w io.Writer) {
		t := planText{w}
		t.line("%s %s: a plan, nothing is signed or ordered", p.Application, p.Version)
		t.line("  bundle  %s", p.Bundle)
		t.line("  policy  %s", p.Policy)
		for _, o := range p.Orders {
			t.order(o)
		}
	}
}

func (t planText) order(o *plan.Order) {
	if o.From == "" {
		t.line("device %s: first installation of %s%s, for %s", o.Device, o.To, as(o), o.Platform)
	} else {
		t.line("device %s: from %s to %s%s, for %s", o.Device, o.From, o.To, as(o), o.Platform)
	}
	for _, p := range o.Parameters {
		kind := "parameter"
		if p.Secret {
			kind = "secret"
		}
		if p.From+p.To == "" {
			t.line("  %s  %s %s", fmt.Sprintf("%-9s", kind), p.How, p.Name)
			continue
		}
		t.line("  %s  %s %s: %s -> %s", fmt.Sprintf("%-9s", kind), p.How, p.Name, orNone(p.From), orNone(p.To))
	}
	for _, i := range o.Images {
		t.line("  image      %s %s %s", i.How, i.Reference, i.Digest)
	}
	for _, c := range o.Objects {
		t.line("  %s  %s %s: %s", fmt.Sprintf("%-9s", c.Kind), c.How, c.Component, c.Name)
		for _, at := range c.Fields {
			t.line("               %s", at)
		}
	}
	for _, r := range o.Replaced {
		t.line("  container  replaced %s", r)
	}
	if o.Policy.Accepted && len(o.Parameters)+len(o.Images)+len(o.Objects) == 0 {
		t.line("  nothing changes on the device")
	}
	if o.From == "" {
		t.limits(o.Limits)
	}
	if o.Policy.Accepted || o.Policy.Reason == "grant" {
		t.privileges(o.Privileges)
	}
	if o.Data != "" {
		t.line("  ! %s", o.Data)
	}
	t.judgement("the device", o.Policy)
}

// as is the profile that an order is of, if one fits.
func as(o *plan.Order) string {
	if o.Profile == "" {
		return ""
	}
	return " as " + o.Profile
}

func orNone(text string) string {
	if text == "" {
		return "(none)"
	}
	return text
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%d bytes", n)
	}
}
