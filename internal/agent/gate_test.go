package agent

import (
	"strings"
	"testing"
	"time"
)

func TestWindow(t *testing.T) {
	friday := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	at := func(days int, clock string) time.Time {
		c, err := time.Parse("15:04", clock)
		if err != nil {
			t.Fatal(err)
		}
		return friday.AddDate(0, 0, days).Add(time.Duration(c.Hour())*time.Hour + time.Duration(c.Minute())*time.Minute)
	}
	night := Window{Hours: "22:00-05:00", Days: []string{"fri"}}
	for _, tt := range []struct {
		w    Window
		at   time.Time
		open bool
	}{
		{Window{}, at(0, "13:00"), true},
		{Window{Hours: "00:00-24:00"}, at(0, "23:59"), true},
		{Window{Hours: "08:00-09:30"}, at(0, "07:59"), false},
		{Window{Hours: "08:00-09:30"}, at(0, "08:00"), true},
		{Window{Hours: "08:00-09:30"}, at(0, "09:30"), false},
		{night, at(0, "21:59"), false},
		{night, at(0, "22:00"), true},
		{night, at(0, "04:59"), false}, // that is Thursday's night
		{night, at(1, "04:59"), true},
		{night, at(1, "05:00"), false},
		{night, at(1, "23:00"), false},
	} {
		if err := tt.w.validate(); err != nil {
			t.Errorf("%v: %v", tt.w, err)
		}
		if got := tt.w.open(tt.at); got != tt.open {
			t.Errorf("%v at %s: open %t, want %t", tt.w, tt.at.Format("Mon 15:04"), got, tt.open)
		}
	}
}

func TestWindowRefuses(t *testing.T) {
	for _, tt := range []struct {
		w    Window
		says string
	}{
		{Window{Hours: "22-05"}, "hours"},
		{Window{Hours: "22:00-05:00x"}, "hours"},
		{Window{Hours: "24:00-05:00"}, "hours"},
		{Window{Hours: "22:60-05:00"}, "hours"},
		{Window{Hours: "5:00-6:00"}, "hours"},
		{Window{Hours: "05:00-05:00"}, "hours"},
		{Window{Hours: "-5:00-06:00"}, "hours"},
		{Window{Days: []string{"mon"}}, "days"},
		{Window{Hours: "05:00-06:00", Days: []string{"Monday"}}, "days"},
	} {
		if err := tt.w.validate(); err == nil || !strings.HasPrefix(err.Error(), tt.says) {
			t.Errorf("%+v: %v, want an error about %s", tt.w, err, tt.says)
		}
		if tt.w.Hours != "" && tt.says == "hours" && tt.w.open(time.Now()) {
			t.Errorf("%+v: a window that cannot be read is open", tt.w)
		}
	}
}

func TestWaitsGrowAndEnd(t *testing.T) {
	if waitAfter(0) != firstWait || waitAfter(1) != 2*firstWait || waitAfter(1000) != lastWait {
		t.Errorf("waits %s, %s, %s", waitAfter(0), waitAfter(1), waitAfter(1000))
	}
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	if !early(now.Add(time.Minute), now) || early(now, now) || early(time.Time{}, now) {
		t.Error("a wait is not kept, or does not end")
	}
	// A wait that was set while the clock was years ahead holds nothing up.
	if early(now.AddDate(5, 0, 0), now) {
		t.Error("a wrong clock holds up an order for years")
	}
}
