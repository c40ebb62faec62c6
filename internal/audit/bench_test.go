package audit

import (
	"fmt"
	"testing"
)

func BenchmarkAppend(b *testing.B) {
	l := newLog(b)
	l.grow(1)
	for i := 0; b.Loop(); i++ {
		l.grow(1)
		if i%1000 == 999 {
			b.StopTimer()
			l.integrate()
			b.StartTimer()
		}
	}
}

func BenchmarkIntegrate(b *testing.B) {
	for _, n := range []int{1, 8, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			l := newLog(b)
			l.grow(1)
			l.integrate()
			for b.Loop() {
				b.StopTimer()
				l.grow(n)
				b.StartTimer()
				l.integrate()
			}
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	l := newLog(b)
	l.grow(5000)
	l.integrate()
	for b.Loop() {
		l.reopen()
	}
}

func BenchmarkVerify5000(b *testing.B) {
	l := newLog(b)
	for l.Size() < 5000 {
		l.grow(500)
		l.integrate()
	}
	for b.Loop() {
		l.mustVerify(5000, 0)
	}
}
