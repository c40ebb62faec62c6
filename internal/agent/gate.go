package agent

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/consign-dev/consign/internal/lazyregexp"
)

// Window is the part of the day in which an agent may change what runs, such as
// a night without production. The zero Window is always open.
type Window struct {
	// Hours is "22:00-05:00", in the machine's local time. A window that ends
	// before it begins ends on the next day.
	Hours string `yaml:"hours"`
	// Days are the days on which the window opens: mon, tue, wed, thu, fri, sat,
	// sun. None means every day.
	Days []string `yaml:"days"`
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func (w Window) validate() error {
	if _, _, err := w.span(); err != nil {
		return fmt.Errorf("hours: %w", err)
	}
	if w.Hours == "" && len(w.Days) > 0 {
		return fmt.Errorf("days: hours are missing; \"00:00-24:00\" is the whole day")
	}
	for _, d := range w.Days {
		if !slices.Contains(weekdays, d) {
			return fmt.Errorf("days: %q is not one of %s", d, strings.Join(weekdays, ", "))
		}
	}
	return nil
}

// span returns the minutes of the day at which the window opens and closes.
func (w Window) span() (from, to int, err error) {
	if w.Hours == "" {
		return 0, 24 * 60, nil
	}
	m := hours.FindStringSubmatch(w.Hours)
	if m == nil || m[1] == m[2] {
		return 0, 0, fmt.Errorf("%q is not HH:MM-HH:MM, such as 22:00-05:00", w.Hours)
	}
	return minutes(m[1]), minutes(m[2]), nil
}

var hours = lazyregexp.New(`^((?:[01][0-9]|2[0-3]):[0-5][0-9])-((?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`)

// minutes is the minute of the day of a time that hours has matched.
func minutes(clock string) int {
	h, _ := strconv.Atoi(clock[:2])
	m, _ := strconv.Atoi(clock[3:])
	return h*60 + m
}

// open reports whether the window is open at a local time.
func (w Window) open(t time.Time) bool {
	from, to, err := w.span()
	if err != nil {
		return false
	}
	at := t.Hour()*60 + t.Minute()
	if from < to {
		return at >= from && at < to && w.opensOn(t.Weekday())
	}
	if at >= from {
		return w.opensOn(t.Weekday())
	}
	return at < to && w.opensOn(t.AddDate(0, 0, -1).Weekday())
}

func (w Window) opensOn(d time.Weekday) bool {
	return len(w.Days) == 0 || slices.Contains(w.Days, weekdays[d])
}

// mustWait says why the machine may not be changed now although the operator's
// orders are in force, "" when it may. Returning to what ran, and correcting
// what somebody changed, never wait.
func (a *Agent) mustWait(system time.Time, v *view) string {
	if a.cfg.RequireApproval && a.state.Approved != v.orders.State() {
		return fmt.Sprintf("waits for a person at the device: 'agent approve' after reading 'agent verify' (desired state %s)", v.orders.State())
	}
	if !a.cfg.ApplyWindow.open(system) {
		return fmt.Sprintf("waits for the window %s of this device's configuration", a.cfg.ApplyWindow)
	}
	return ""
}

func (w Window) String() string {
	if len(w.Days) == 0 {
		return w.Hours
	}
	return w.Hours + " on " + strings.Join(w.Days, ", ")
}
