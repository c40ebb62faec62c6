// Package margo reads and writes the documents of the Margo specification,
// version 1.0.0-rc.3: the ApplicationDescription of a package (margo.yaml),
// the ApplicationDeployment that orders one device to run it, and the
// DeviceCapabilities that a package's constraints are matched with.
//
// Reading is strict. The three Parse functions accept what the specification
// allows and nothing else: an unknown field is refused and the nearest known
// one named, a document of an older release is refused with what changed, and
// extensions (x-<name>-extensions) are kept. The exact bytes stay with the
// parsed value as Raw; digests and signatures are over these and nothing here
// ever writes a parsed document back.
//
// Where the specification leaves room, this package decides:
//
//   - A value for an integer, double or boolean parameter may be written as
//     text ("60") if the text is exactly the decimal number or true or false;
//     it then is that number. The specification's examples do this.
//   - A whole number is one value however it is written: 1 and 1.0 are equal.
//   - One pointer of one component is set by one parameter only.
//   - A regexMatch is a Go (RE2) expression and matches anywhere in the value,
//     as JSON Schema patterns do; anchor it to match the whole.
//   - metadata.version may be any OCI tag, since the tag of the package must
//     equal it; MAJOR.MINOR is read as MAJOR.MINOR.0 when compared.
//
// The order of one's own that a deployment carries for Consign is an extension
// of its profile, [ExtensionKey]. [ApplicationDeployment.CheckFits] compares a
// deployment with the package it is for, so that whoever may write deployments
// can choose values of declared parameters and nothing more.
package margo

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictyaml"
)

// DescriptionFile is the name of the ApplicationDescription in a package
// directory.
const DescriptionFile = "margo.yaml"

// ExtensionKey is the extension of a profile that is ours: in a deployment it
// holds an [Order], in a package at most secretParameters, the names of the
// parameters whose values never travel in a deployment.
const ExtensionKey = "x-consign-extensions"

// ParseDescription reads an ApplicationDescription (Margo 1.0.0-rc.3,
// Application Description). The error has reason malformed or too-large and
// lists what is wrong.
func ParseDescription(data []byte) (*ApplicationDescription, error) {
	var d ApplicationDescription
	if err := strictyaml.Unmarshal(data, &d, strictyaml.Limits{}); err != nil {
		return nil, named(DescriptionFile, err)
	}
	d.normalise()
	var p problems
	d.validate(&p)
	if err := p.err(reason.Malformed, DescriptionFile); err != nil {
		return nil, err
	}
	d.Raw = bytes.Clone(data)
	return &d, nil
}

// ParseDeployment reads an ApplicationDeployment (Margo 1.0.0-rc.3, Desired
// State). The error has reason malformed or too-large and lists what is wrong.
func ParseDeployment(data []byte) (*ApplicationDeployment, error) {
	var d ApplicationDeployment
	if err := strictyaml.Unmarshal(data, &d, strictyaml.Limits{}); err != nil {
		return nil, named("deployment", err)
	}
	d.normalise()
	var p problems
	d.validate(&p)
	if err := p.err(reason.Malformed, "deployment"); err != nil {
		return nil, err
	}
	d.Raw = bytes.Clone(data)
	return &d, nil
}

// named puts the name of the document in front of a refusal.
func named(document string, err error) error {
	var r *reason.Error
	if errors.As(err, &r) {
		return reason.New(r.Code, "%s: %w", document, r.Err)
	}
	return fmt.Errorf("%s: %w", document, err)
}

// maxProblems bounds the length of a message.
const maxProblems = 8

// problems collects what is wrong with a document, so that an author corrects
// it in one go.
type problems struct{ list []string }

func (p *problems) add(format string, args ...any) {
	if len(p.list) < maxProblems {
		p.list = append(p.list, fmt.Sprintf(format, args...))
	}
}

func (p *problems) err(code reason.Code, document string) error {
	if len(p.list) == 0 {
		return nil
	}
	return reason.New(code, "%s: %s", document, strings.Join(p.list, "; "))
}
