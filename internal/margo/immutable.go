package margo

import (
	"reflect"

	"github.com/consign-dev/consign/internal/reason"
)

// CheckImmutable reports whether the settings that the package declares
// immutable have the values they had in the deployment that is installed. A nil
// previous, or a parameter that had no value yet, leaves the choice free. The
// error has reason deployment-mismatch.
func (d *ApplicationDeployment) CheckImmutable(previous *ApplicationDeployment, desc *ApplicationDescription) error {
	if previous == nil {
		return nil
	}
	for _, name := range sortedKeys(desc.Parameters) {
		setting, schema := desc.setting(name)
		old, had := previous.Spec.Parameters[name]
		if setting == nil || !setting.Immutable || !had {
			continue
		}
		if !schema.same(old.Value, d.Spec.Parameters[name].Value) {
			return reason.New(reason.DeploymentMismatch,
				"parameters.%s is immutable: it was set when the application was installed and cannot change", shortName(name))
		}
	}
	return nil
}

// same compares two values in the schema's type; "60" and 60 are one integer.
// An old value that the new schema does not accept is compared as it is.
func (s *Schema) same(a, b any) bool {
	ta, errA := s.Accept(a)
	tb, errB := s.Accept(b)
	if errA != nil || errB != nil {
		return reflect.DeepEqual(a, b)
	}
	return reflect.DeepEqual(ta, tb)
}
