package agent

import (
	"errors"
	"io/fs"
	"math/rand/v2"
	"time"
)

// maxTimeStep bounds how far one signed time may lift the floor. A stolen
// timestamp key could otherwise date one document far ahead and make every
// later, honest document look expired for ever; in bounded steps the damage is
// visible and ends with a new root. Two years cover a device that lay in a
// store room.
const maxTimeStep = 2 * 365 * 24 * time.Hour

// clockFloor is time.json: the latest time that the operator's or a supplier's
// timestamp role has signed. The system clock may be wrong in either direction
// after a power cut, so the agent never believes a time before the floor; and
// the clock itself never raises the floor, since one wrong boot would then
// freeze the device for good.
type clockFloor struct {
	Signed time.Time `json:"signed"`
}

func (d dirs) loadFloor() (time.Time, error) {
	var f clockFloor
	err := readJSON(d.time(), &f)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	return f.Signed, err
}

// raiseFloor stores signed as the new floor when it is later than floor.
func (d dirs) raiseFloor(floor, signed time.Time) (time.Time, error) {
	if !signed.After(floor) {
		return floor, nil
	}
	if !floor.IsZero() && signed.After(floor.Add(maxTimeStep)) {
		signed = floor.Add(maxTimeStep)
	}
	return signed, writeJSON(d.time(), clockFloor{Signed: signed})
}

// latest returns the latest of the given times.
func latest(times ...time.Time) time.Time {
	var max time.Time
	for _, t := range times {
		if t.After(max) {
			max = t
		}
	}
	return max.UTC()
}

// jitter varies an interval by up to a tenth in both directions, so that the
// devices of a site do not all ask in the same second after a power cut.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
}
