package policy

import "sync"

// maxConditions bounds the conditions that are kept: eight applications with as many as
// one may have. One takes some 20 KiB.
const maxConditions = 8 * maxRules

// kept are compiled conditions by their exact text. A device judges by the same
// policy in every cycle, and an auditor thousands of decisions by one; what a text
// compiles to depends on nothing else, never changes and holds no state, so it is
// as good as compiled anew.
type kept struct {
	mu         sync.Mutex
	conditions map[string]*condition
}

var keptConditions kept

// compile is [compile], once for each text. When there are too many all are
// forgotten. A text that does not compile is not kept.
func (k *kept) compile(expression string) (*condition, error) {
	k.mu.Lock()
	c := k.conditions[expression]
	k.mu.Unlock()
	if c != nil {
		return c, nil
	}
	c, err := compile(expression)
	if err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.conditions == nil || len(k.conditions) >= maxConditions {
		k.conditions = map[string]*condition{}
	}
	k.conditions[expression] = c
	return c, nil
}
