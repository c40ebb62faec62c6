package verify

import (
	"fmt"

	"github.com/consign-dev/consign/internal/reason"
)

// Much of what others wrote is read by libraries. One that panics over one bundle
// must not take the agent with it, and with that the judgement of all others
// (attack S16). A panic becomes a refusal where it can do no harm: a judgement
// keeps nothing that it could leave half done.

// contain is deferred where one piece of evidence is read: it does not count then.
func contain(err *error) {
	if p := recover(); p != nil {
		*err = stumbled(reason.Malformed, p)
	}
}

// contain is deferred where a whole is judged.
func (t *trail) contain(err *error) {
	if p := recover(); p != nil {
		*err = t.refuse("verifier", "the verifier reads everything to its end", "", reason.Internal, stumbled(reason.Internal, p))
	}
}

func stumbled(code reason.Code, p any) error {
	return reason.New(code, "the verifier stumbled over it, which is a defect to be reported: %.500s", fmt.Sprint(p))
}
