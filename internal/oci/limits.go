package oci

import "time"

// Limits say when a source is given up (attacks T7 and T8). A field that is 0
// is its default: a limit can be another one, and never none. They are for the
// Go programs that use this package; no configuration file, flag or variable of
// ours reaches them.
type Limits struct {
	// MinRate is the rate in bytes per second under which a source is given
	// up, [DefaultMinRate] if 0.
	MinRate int64
	// RateWindow is the span over which a rate is judged,
	// [DefaultRateWindow] if 0.
	RateWindow time.Duration
	// ObjectTimeout is the longest time for one object whatever its size,
	// [DefaultObjectTimeout] if 0. What was received until then is kept by
	// whoever resumes.
	ObjectTimeout time.Duration
	// RequestTimeout is what any request may take before its size counts, and
	// what an answer may take to begin, with all redirects, token requests and
	// retries; [DefaultRequestTimeout] if 0.
	RequestTimeout time.Duration
	// HeaderTimeout is the longest wait for the header of one answer,
	// [DefaultHeaderTimeout] if 0.
	HeaderTimeout time.Duration
	// DialTimeout is the longest time for a connection, and again for its TLS
	// handshake, [DefaultDialTimeout] if 0.
	DialTimeout time.Duration
	// PingTimeout is how long an HTTP/2 connection may be silent before it is
	// asked for a sign of life, and how long that may take; [DefaultPingTimeout]
	// if 0.
	PingTimeout time.Duration
	// MaxRetryAfter is the longest pause that a registry may ask for,
	// [DefaultMaxRetryAfter] if 0.
	MaxRetryAfter time.Duration
}

const (
	// DefaultMinRate is below the slowest modem link in use.
	DefaultMinRate = 1 << 10
	// DefaultRateWindow is long enough not to take the pauses of a mobile
	// network for an attack.
	DefaultRateWindow = 20 * time.Second
	// DefaultObjectTimeout lets 1 GiB arrive at 50 kB/s.
	DefaultObjectTimeout = 6 * time.Hour
	// DefaultRequestTimeout covers the retries with their waits.
	DefaultRequestTimeout = 3 * time.Minute
	// DefaultHeaderTimeout is long because registries move a large blob to
	// its place before they answer its PUT.
	DefaultHeaderTimeout = 2 * time.Minute
	// DefaultDialTimeout suits a satellite link that loses packets.
	DefaultDialTimeout = 30 * time.Second
	// DefaultPingTimeout is that of a connection: what can be made in this time
	// can answer in it.
	DefaultPingTimeout = DefaultDialTimeout
	// DefaultMaxRetryAfter is as long as a person waits; an agent comes back
	// at its next poll.
	DefaultMaxRetryAfter = 30 * time.Second
)

func (l Limits) withDefaults() Limits {
	if l.MinRate <= 0 {
		l.MinRate = DefaultMinRate
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&l.RateWindow, DefaultRateWindow},
		{&l.ObjectTimeout, DefaultObjectTimeout},
		{&l.RequestTimeout, DefaultRequestTimeout},
		{&l.HeaderTimeout, DefaultHeaderTimeout},
		{&l.DialTimeout, DefaultDialTimeout},
		{&l.PingTimeout, DefaultPingTimeout},
		{&l.MaxRetryAfter, DefaultMaxRetryAfter},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return l
}

// forSize bounds one operation that moves size bytes.
func (l Limits) forSize(size int64) time.Duration {
	if seconds := size / l.MinRate; seconds < int64(l.ObjectTimeout/time.Second) {
		return min(l.ObjectTimeout, l.RequestTimeout+time.Duration(seconds)*time.Second)
	}
	return l.ObjectTimeout
}
