package helm

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/consign-dev/consign/internal/apply/task"
	"github.com/consign-dev/consign/internal/lazyregexp"
	"github.com/consign-dev/consign/internal/reason"
)

// ours is what only Consign may put on an object.
const ours = "dev.consign."

var (
	labelKey   = lazyregexp.New(`^([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
	labelValue = lazyregexp.New(`^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$`)
)

// marks are the labels and annotations of a deployment.
type marks struct{ labels, annotations map[string]string }

func (m marks) check() error {
	if m.labels[task.LabelDeployment] == "" {
		return reason.New(reason.Malformed, "labels: %s is missing", task.LabelDeployment)
	}
	for key, value := range m.labels {
		if !labelKey.MatchString(key) || !labelValue.MatchString(value) {
			return reason.New(reason.Malformed, "labels: %.100q: %.100q cannot be a label", key, value)
		}
	}
	for key := range m.annotations {
		if !labelKey.MatchString(key) {
			return reason.New(reason.Malformed, "annotations: %.100q cannot be the name of one", key)
		}
	}
	return nil
}

// put marks an object and what it makes objects of: its pod template and, of a
// CronJob, the template of its jobs. Selectors stay what they are. Templates of volume
// claims, which may never change, get the labels: those are the same for as long as
// there is the deployment, and tell whose the data is.
func (m marks) put(o *object) error {
	path, makes := o.templatePath()
	places := [][]string{nil}
	if makes && len(path) > 0 {
		places = append(places, path)
	}
	if o.kind == "CronJob" && makes {
		places = append(places, []string{"spec", "jobTemplate"})
	}
	for _, place := range places {
		if err := m.putAt(o, place); err != nil {
			return err
		}
	}
	if o.kind == "StatefulSet" && makes {
		return m.putOnClaims(o)
	}
	return nil
}

func (m marks) putOnClaims(o *object) error {
	spec, err := o.at([]string{"spec"})
	if err != nil || spec == nil {
		return err
	}
	templates, err := o.list(spec, "spec", "volumeClaimTemplates")
	if err != nil {
		return err
	}
	for i, template := range templates {
		if err := (marks{labels: m.labels}).putOn(o, template, fmt.Sprintf("spec.volumeClaimTemplates[%d]", i)); err != nil {
			return err
		}
	}
	return nil
}

func (m marks) putAt(o *object, path []string) error {
	holder, err := o.at(path)
	if err != nil {
		return err
	}
	at := strings.Join(path, ".")
	if holder == nil {
		return o.refuse(at+".metadata", "its template is missing")
	}
	return m.putOn(o, holder, at)
}

// putOn marks something with metadata, which is at a place of an object.
func (m marks) putOn(o *object, holder map[string]any, place string) error {
	metadata, err := o.below(holder, place, "metadata")
	if err != nil {
		return err
	}
	at := strings.TrimPrefix(place+".metadata", ".")
	holder["metadata"] = metadata
	for field, wanted := range map[string]map[string]string{"labels": m.labels, "annotations": m.annotations} {
		have, err := o.below(metadata, at, field)
		if err != nil {
			return err
		}
		if err := o.mark(have, at+"."+field, wanted); err != nil {
			return err
		}
		if len(have) > 0 {
			metadata[field] = have
		}
	}
	return nil
}

func (o *object) mark(have map[string]any, at string, wanted map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(have)) {
		want, known := wanted[key]
		if (known || strings.HasPrefix(key, ours)) && (!known || have[key] != want) {
			return o.refuse(at+"."+key, "is for Consign to set")
		}
	}
	for key, value := range wanted {
		have[key] = value
	}
	return nil
}
