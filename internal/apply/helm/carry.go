package helm

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/reason"
	"github.com/consign-dev/consign/internal/strictjson"
)

// previous is the render before: its objects by key, and which of their fields
// were volatile.
type previous struct {
	objects  map[string]map[string]any
	volatile map[place]bool
}

type place struct{ object, field string }

// parsePrevious reads the render before. Nil is an empty one.
func parsePrevious(in task.ChartInput) (*previous, error) {
	p := &previous{objects: map[string]map[string]any{}, volatile: map[place]bool{}}
	if len(in.Previous) == 0 {
		return p, nil
	}
	var render task.ChartRender
	if err := strictjson.Unmarshal(in.Previous, &render, task.RenderLimits); err != nil {
		return nil, reason.Wrap(reason.Malformed, errAt("previous", err))
	}
	if render.Release != in.Release || render.Namespace != in.Namespace {
		return nil, reason.New(reason.Malformed, "previous: is a render of %.60q in %.63q", render.Release, render.Namespace)
	}
	for _, data := range render.Objects {
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		var raw map[string]any
		if err := dec.Decode(&raw); err != nil {
			return nil, reason.New(reason.Malformed, "previous: an object is none")
		}
		o, err := newObject("previous", raw)
		if err != nil {
			return nil, reason.Wrap(reason.Malformed, err)
		}
		p.objects[o.key(in.Namespace)] = raw
	}
	for _, v := range render.Volatile {
		p.volatile[place{v.Object, v.Field}] = true
	}
	return p, nil
}

// value returns what the render before has in a field that was volatile there,
// too.
func (p *previous) value(f *field, own string) (string, bool) {
	key := f.object.key(own)
	if !p.volatile[place{key, f.pointer()}] {
		return "", false
	}
	var v any = p.objects[key]
	for _, token := range f.tokens {
		v = child(v, token)
	}
	text, ok := v.(string)
	return text, ok
}

// secret is one value that a chart makes anew, with all fields that have it.
type secret struct {
	a, b   string // in the two renders, decoded
	old    string // in the render before
	known  bool   // the render before has it
	now    string // what it becomes
	fields []*field
	holds  []*secret // the values within it, the longest first
	group  *secret   // towards the one that stands for its group

	composed bool // all that varies in it is what it holds
}

// carry puts the values of the render before in the place of new ones and
// returns what is volatile, sorted.
//
// What belongs together is carried over together or not at all (link.go). A text
// that is made of other values, such as an address with a password, is made of what
// they have become. So is a sum over content that varies, which restarts pods when
// the content changes.
func (p *previous) carry(varying []*field, list []*object, own string) []task.VolatileField {
	var sums, rest []*field
	for _, f := range varying {
		if f.isSum() {
			sums = append(sums, f)
		} else {
			rest = append(rest, f)
		}
	}
	decide(p.secrets(rest, own))
	if len(sums) > 0 {
		content := contentSum(list)
		for _, f := range sums {
			f.set(content[:len(f.a)])
		}
	}
	return p.report(varying, own)
}

// decide decides what each value becomes, and writes it. Values that are within
// others come first.
func decide(secrets []*secret) {
	slices.SortStableFunc(secrets, func(a, b *secret) int { return cmp.Compare(len(a.a), len(b.a)) })
	link(secrets)
	anew := map[*secret]bool{}
	for _, s := range secrets {
		if !s.known || !s.keepable() {
			anew[s.root()] = true
		}
	}
	for _, s := range secrets {
		switch {
		case s.composed:
			s.now = s.made()
		case anew[s.root()]:
			s.now = s.a
		default:
			s.now = s.old
		}
		if s.now != s.a {
			for _, f := range s.fields {
				f.set(s.now)
			}
		}
	}
}

// secrets gathers fields by value, in their order.
func (p *previous) secrets(fields []*field, own string) []*secret {
	byValue := map[[2]string]*secret{}
	var list []*secret
	for _, f := range fields {
		value := [2]string{f.plain(f.a), f.plain(f.b)}
		s := byValue[value]
		if s == nil {
			s = &secret{a: value[0], b: value[1], known: true}
			s.group = s
			byValue[value] = s
			list = append(list, s)
		}
		s.fields = append(s.fields, f)
	}
	for _, s := range list {
		s.find(p, own)
	}
	return list
}

// find looks the value up in the render before. One field that had it is enough,
// since the others have the same now; two that had different ones are not.
func (s *secret) find(p *previous, own string) {
	found := map[string]bool{}
	for _, f := range s.fields {
		if text, ok := p.value(f, own); ok {
			s.old = f.plain(text)
			found[s.old] = true
		}
	}
	s.known = len(found) == 1
}

// report says of each field whether it has what the render before had.
func (p *previous) report(varying []*field, own string) []task.VolatileField {
	var list []task.VolatileField
	for _, f := range varying {
		var now any = f.object.raw
		for _, token := range f.tokens {
			now = child(now, token)
		}
		old, ok := p.value(f, own)
		list = append(list, task.VolatileField{Object: f.object.key(own), Field: f.pointer(), Kept: ok && now == old})
	}
	slices.SortFunc(list, func(a, b task.VolatileField) int {
		return cmp.Or(strings.Compare(a.Object, b.Object), strings.Compare(a.Field, b.Field))
	})
	return list
}
