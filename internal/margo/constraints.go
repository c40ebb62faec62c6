package margo

// DeviceConstraints are what a profile needs of a device (Margo 1.0.0-rc.3,
// Device Constraints).
type DeviceConstraints struct {
	CapacityRequirements *CapacityRequirements `yaml:"capacityRequirements,omitempty"`
	EligibilityRules     []EligibilityRule     `yaml:"eligibilityRules,omitempty"` // any one must hold
}

// CapacityRequirements are minimums.
type CapacityRequirements struct {
	CPU     *CPURequirement `yaml:"cpu,omitempty"`
	Memory  string          `yaml:"memory,omitempty"`  // ^[0-9]+(Ki|Mi|Gi)$
	Storage string          `yaml:"storage,omitempty"` // ^[0-9]+(Ki|Mi|Gi|Ti|Pi|Ei)$
}

// CPURequirement must be met by one CPU of the device; cores of different
// CPUs are not added up.
type CPURequirement struct {
	Cores         *float64 `yaml:"cores"`
	Architectures []string `yaml:"architectures,omitempty"` // any one of these
}

// EligibilityRule holds when both its selectors hold.
type EligibilityRule struct {
	PropertySelector *Selector `yaml:"propertySelector,omitempty"` // over the capabilities' properties
	LabelSelector    *Selector `yaml:"labelSelector,omitempty"`    // over the capabilities' labels
}

// Selector holds when all its expressions hold.
type Selector struct {
	MatchExpressions []MatchExpression `yaml:"matchExpressions"`
}

// MatchExpression compares one value of the device. Key is an RFC 6901 JSON
// Pointer for a property and for an item of an array, the exact key for a label.
type MatchExpression struct {
	Key          string    `yaml:"key"`
	Operator     string    `yaml:"operator"`
	Values       []any     `yaml:"values,omitempty"`
	ItemSelector *Selector `yaml:"itemSelector,omitempty"`
}

// The operators of a MatchExpression (Margo 1.0.0-rc.3, SelectorOperator).
const (
	opIn           = "In"
	opNotIn        = "NotIn"
	opExists       = "Exists"
	opDoesNotExist = "DoesNotExist"
	opGt           = "Gt"
	opLt           = "Lt"
	opContainsAll  = "ContainsAll"
	opContainsAny  = "ContainsAny"
)

// The architectures that Margo names (LinkML CpuArchitectureType).
const architectures = "amd64 arm64 arm riscv64 other"
