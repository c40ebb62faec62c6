package tufclient

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// A shape describes what a part of a TUF document must look like before it is
// decoded. go-tuf follows nulls into nil pointers and, like encoding/json,
// takes "Version" for "version"; both end here.
type shape interface {
	check(path string, v any) error
}

type (
	// object has fields; fields of other names are kept and signed over (TUF
	// 1.0.34 section 4.1), so they are allowed unless they imitate a known one.
	object map[string]member
	// dict is an object whose keys are data.
	dict struct{ each shape }
	// list is an array.
	list struct{ each shape }
	// scalar is "text", "integer" or "boolean".
	scalar string
	// present is any value but null.
	present struct{}
)

type member struct {
	shape
	optional bool
}

func must(s shape) member { return member{shape: s} }
func may(s shape) member  { return member{shape: s, optional: true} }

const (
	text    scalar = "text"
	integer scalar = "integer"
	boolean scalar = "boolean"
)

var (
	hashes  = dict{text}
	keyDict = dict{object{
		"keytype": must(text), "scheme": must(text),
		"keyval": must(object{"public": must(text)}),
	}}
	metaDict = dict{object{"version": must(integer), "length": may(integer), "hashes": may(hashes)}}
	quorum   = object{"keyids": must(list{text}), "threshold": must(integer)}

	delegatedRole = object{
		"name": must(text), "keyids": must(list{text}), "threshold": must(integer), "terminating": must(boolean),
		"paths": may(list{text}), "path_hash_prefixes": may(list{text}),
	}
	succinctRoles = object{
		"keyids": must(list{text}), "threshold": must(integer), "bit_length": must(integer), "name_prefix": must(text),
	}
	delegations = object{
		"keys": must(keyDict), "roles": may(list{delegatedRole}), "succinct_roles": may(succinctRoles),
	}
	targetDict = dict{object{"length": must(integer), "hashes": must(hashes), "custom": may(present{})}}
)

// signedShape describes the signed part of each kind of document.
var signedShape = map[string]object{
	"root": common(object{
		"consistent_snapshot": must(boolean), "keys": must(keyDict),
		"roles": must(object{"root": must(quorum), "timestamp": must(quorum), "snapshot": must(quorum), "targets": must(quorum)}),
	}),
	"timestamp": common(object{"meta": must(metaDict)}),
	"snapshot":  common(object{"meta": must(metaDict)}),
	"targets":   common(object{"targets": must(targetDict), "delegations": may(delegations)}),
}

func common(o object) object {
	for _, name := range []string{"_type", "spec_version", "expires"} {
		o[name] = must(text)
	}
	o["version"] = must(integer)
	return o
}

// checkShape checks bytes that claim to be a document of the kind typ.
func checkShape(typ string, data []byte, max int) error {
	if err := strictjson.Check(data, strictjson.Limits{Bytes: max, Depth: maxDepth}); err != nil {
		return err
	}
	var v any
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		return reason.New(reason.Malformed, "%w", err)
	}
	envelope := object{
		"signed":     must(signedShape[typ]),
		"signatures": must(list{object{"keyid": must(text), "sig": must(text)}}),
	}
	if err := envelope.check("", v); err != nil {
		return err
	}
	// go-tuf compares each with each other as it reads them.
	if n := len(v.(map[string]any)["signatures"].([]any)); n > maxSignatures {
		return reason.New(reason.TooLarge, "signatures: %d, at most %d are read", n, maxSignatures)
	}
	return checkNumbers("", v)
}

func (o object) check(path string, v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return wrongShape(path, "an object", v)
	}
	for key := range m {
		if err := o.imitated(path, key); err != nil {
			return err
		}
	}
	for key, member := range o {
		value, ok := m[key]
		if !ok && member.optional {
			continue
		}
		if !ok {
			return reason.New(reason.Malformed, "%s: is missing", join(path, key))
		}
		if err := member.check(join(path, key), value); err != nil {
			return err
		}
	}
	return nil
}

// imitated refuses a key that a lax decoder would take for a known one.
func (o object) imitated(path, key string) error {
	if _, known := o[key]; known {
		return nil
	}
	for known := range o {
		if strings.EqualFold(key, known) {
			return reason.New(reason.Malformed, "%s: unknown field %q differs from %q only in case", at(path), key, known)
		}
	}
	return nil
}

func (d dict) check(path string, v any) error {
	m, ok := v.(map[string]any)
	if !ok {
		return wrongShape(path, "an object", v)
	}
	for key, value := range m {
		if err := d.each.check(join(path, strconv.Quote(key)), value); err != nil {
			return err
		}
	}
	return nil
}

func (l list) check(path string, v any) error {
	values, ok := v.([]any)
	if !ok {
		return wrongShape(path, "an array", v)
	}
	for n, value := range values {
		if err := l.each.check(fmt.Sprintf("%s[%d]", path, n), value); err != nil {
			return err
		}
	}
	return nil
}

func (s scalar) check(path string, v any) error {
	ok := false
	switch s {
	case text:
		_, ok = v.(string)
	case integer:
		_, ok = v.(json.Number)
	case boolean:
		_, ok = v.(bool)
	}
	if !ok {
		return wrongShape(path, "a "+string(s), v)
	}
	return nil
}

func (present) check(path string, v any) error {
	if v == nil {
		return wrongShape(path, "a value", v)
	}
	return nil
}

// checkNumbers holds every number of the document to integers that all
// readers understand alike: canonical JSON has no others, and go-tuf keeps
// unknown fields as floating point, where larger ones run into each other.
func checkNumbers(path string, v any) error {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if err := checkNumbers(join(path, strconv.Quote(key)), value); err != nil {
				return err
			}
		}
	case []any:
		for n, value := range v {
			if err := checkNumbers(fmt.Sprintf("%s[%d]", path, n), value); err != nil {
				return err
			}
		}
	case json.Number:
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil || n > maxInteger || n < -maxInteger || string(v) == "-0" {
			return reason.New(reason.Malformed, "%s: %q is not an integer between -(2^53-1) and 2^53-1", at(path), string(v))
		}
	}
	return nil
}

func wrongShape(path, want string, v any) error {
	if v == nil {
		return reason.New(reason.Malformed, "%s: is null, want %s", at(path), want)
	}
	return reason.New(reason.Malformed, "%s: want %s", at(path), want)
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func at(path string) string {
	if path == "" {
		return "document"
	}
	return path
}
