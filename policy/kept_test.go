package policy

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestConditionsAreCompiledOnceAndNotKeptWithoutEnd(t *testing.T) {
	var k kept
	first, err := k.compile(`device.id == "press-07"`)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := k.compile(`device.id == "press-07"`); err != nil || again != first {
		t.Errorf("compiled anew: %v", err)
	}
	if other, err := k.compile(`device.id == "press-08"`); err != nil || other == first {
		t.Errorf("another text is the same condition: %v", err)
	}
	for range 2 {
		if _, err := k.compile(`device.id == 7`); err == nil {
			t.Error("what does not compile was kept")
		}
	}
	long := strings.Repeat(" ", 2000)
	for i := range 2 * maxConditionText / len(long) {
		if _, err := k.compile(fmt.Sprintf("%d > 0%s", i, long)); err != nil {
			t.Fatal(err)
		}
		text := 0
		for expression := range k.conditions {
			text += len(expression)
		}
		if text > maxConditionText || text != k.text {
			t.Fatalf("%d bytes of text are kept, %d were counted, at most %d", text, k.text, maxConditionText)
		}
	}
}

// Two policies with one text are judged at the same time, each by its own view.
func TestAKeptConditionHoldsNoState(t *testing.T) {
	var k kept
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			c, err := k.compile(`device.id == "press-0"`)
			if err != nil {
				t.Error(err)
				return
			}
			vars, err := View{Device: DeviceView{ID: fmt.Sprintf("press-%d", i%2)}}.variables(false)
			if err != nil {
				t.Error(err)
				return
			}
			for range 100 {
				want := no
				if i%2 == 0 {
					want = yes
				}
				if got, err := c.evaluate(vars, nil); err != nil || got != want {
					t.Errorf("of press-%d it came to %v, %v", i%2, got, err)
				}
			}
		})
	}
	all.Wait()
}
