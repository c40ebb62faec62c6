package policy

import "sync"

// maxConditionText bounds the text of the conditions that are kept: some hundred
// rules. What it compiles to takes up to a hundred times as much.
const maxConditionText = 64 << 10

// kept are compiled conditions by their exact text. A device judges by the same
// policy in every cycle, and an auditor thousands of decisions by one; what a text
// compiles to depends on nothing else, never changes and holds no state, so it is
// as good as compiled anew.
type kept struct {
	mu         sync.Mutex
	conditions map[string]*condition
	text       int // bytes of all keys
}

var keptConditions kept

// compile is [compile], once for each text. When there is too much all is
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
	k.keep(expression, c)
	return c, nil
}

func (k *kept) keep(expression string, c *condition) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.conditions == nil || k.text+len(expression) > maxConditionText {
		k.conditions, k.text = map[string]*condition{}, 0
	}
	if k.conditions[expression] == nil {
		k.text += len(expression)
	}
	k.conditions[expression] = c
}
