package audit

import (
	"fmt"
	"slices"
)

// history holds events against what came before them: they are numbered
// without holes, the first and only the first sets the device up, all are of
// one device, and each intent is ended by exactly one event. The writer and
// the checker use the same code, so a log that breaks these rules was not
// written by this program.
type history struct {
	next   uint64
	device string
	open   map[string]Event // by deployment: the intent that has not ended
}

func (h *history) add(e Event) error {
	if err := h.check(e); err != nil {
		return err
	}
	if h.open == nil {
		h.open = map[string]Event{}
	}
	switch {
	case e.Kind == Intent:
		h.open[e.Deployment] = e
	case e.Intent != 0:
		delete(h.open, e.Deployment)
	}
	h.next, h.device = e.Seq+1, e.Device
	return nil
}

func (h *history) check(e Event) error {
	switch {
	case e.Seq != h.next:
		return fmt.Errorf("it says that it is event %d", e.Seq)
	case (e.Kind == Initialised) != (e.Seq == 0):
		return fmt.Errorf("an event of kind %s at number %d: event 0 and no other is of kind %s", e.Kind, e.Seq, Initialised)
	case h.device != "" && e.Device != h.device:
		return fmt.Errorf("it is of device %q, the events before it are of %q", e.Device, h.device)
	}
	intent, open := h.open[e.Deployment]
	switch {
	case e.Kind == Intent && open:
		return fmt.Errorf("an intent for deployment %q while its intent %d has not ended", e.Deployment, intent.Seq)
	case e.Intent != 0:
		return closes(e, intent, open)
	}
	return nil
}

// closes says whether e can end the intent that is open for its deployment.
func closes(e, intent Event, open bool) error {
	if !open || intent.Seq != e.Intent {
		return fmt.Errorf("it ends intent %d, which is not open for deployment %q", e.Intent, e.Deployment)
	}
	want := map[Kind]Action{Removed: Remove, RolledBack: Rollback}[e.Kind]
	if e.Kind == Outcome && e.Result == OK {
		want = Apply
	}
	if want != "" && intent.Action != want {
		return fmt.Errorf("an event of kind %s cannot end intent %d to %s", e.Kind, intent.Seq, intent.Action)
	}
	return nil
}

// openIntents returns the intents that have not ended, oldest first.
func (h *history) openIntents() []Event {
	var list []Event
	for _, e := range h.open {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b Event) int { return int(int64(a.Seq) - int64(b.Seq)) })
	return list
}
