package policy

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// Bounds of a rule.
const (
	maxExpression = 4096 // bytes, and code points of the parser
	maxMessage    = 300
	// maxCost is CEL's estimate of the work that one evaluation may do, some tens of
	// milliseconds; a rule over a thousand images takes less than a tenth of it.
	maxCost = 200_000
)

// condition is a compiled expression.
type condition struct {
	program cel.Program
	// predicates says that it may look into attestations.
	predicates bool
}

// truth is what a condition comes to.
type truth int

const (
	no truth = iota
	yes
	unknown
)

// environment declares what expressions may name and the functions that they
// have: CEL's own, and no clock, file or network.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	return cel.NewEnv(
		declared(viewTypes),
		cel.Variable("bundle", cel.ObjectType("policy.BundleView")),
		cel.Variable("evidence", cel.ObjectType("policy.EvidenceView")),
		cel.Variable("deployment", cel.ObjectType("policy.DeploymentView")),
		cel.Variable("device", cel.ObjectType("policy.DeviceView")),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.ParserRecursionLimit(64),
	)
})

// declared is ext.NativeTypes of cel-go, without the other extensions of that
// package, which would make every program a megabyte longer.
func declared(goTypes []any) cel.EnvOption {
	return func(env *cel.Env) (*cel.Env, error) {
		provider, adapter, err := types.ComposeTypes(env.CELTypeProvider(), env.CELTypeAdapter(), append([]any{types.ParseStructTags(true)}, goTypes...)...)
		if err != nil {
			return nil, err
		}
		if env, err = cel.CustomTypeAdapter(adapter)(env); err != nil {
			return nil, err
		}
		return cel.CustomTypeProvider(provider)(env)
	}
}

// compile checks an expression against the types of a [View].
func compile(expression string) (*condition, error) {
	if len(expression) > maxExpression {
		return nil, fmt.Errorf("%d bytes, at most %d", len(expression), maxExpression)
	}
	if strings.TrimSpace(expression) == "" {
		return nil, errors.New("is missing: say what must hold, such as device.platform.architecture == \"arm64\"")
	}
	env, err := environment()
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(expression)
	if err := issues.Err(); err != nil {
		return nil, fmt.Errorf("%.500s", err)
	}
	if ast.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("yields %s, and a rule yields true or false", ast.OutputType())
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptPartialEval), cel.CostLimit(maxCost))
	if err != nil {
		return nil, err
	}
	return &condition{program: program, predicates: strings.Contains(expression, "predicate")}, nil
}

func (c *condition) evaluate(vars map[string]any, open []Open) (truth, error) {
	var patterns []*cel.AttributePatternType
	for _, o := range open {
		p := cel.AttributePattern(o[0])
		for _, part := range o[1:] {
			p = p.QualString(part)
		}
		patterns = append(patterns, p)
	}
	known, err := cel.PartialVars(vars, patterns...)
	if err != nil {
		return no, err
	}
	value, _, err := c.program.Eval(known)
	switch {
	case err != nil:
		return no, err
	case types.IsUnknown(value):
		return unknown, nil
	case value == types.True:
		return yes, nil
	default:
		return no, nil
	}
}
