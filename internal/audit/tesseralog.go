package audit

import (
	"log/slog"

	"k8s.io/klog/v2"
)

// SetTesseraLogger sends what Tessera logs about itself to l. Tessera logs to
// klog, which belongs to the whole process and writes to stderr unless told
// otherwise, so only a program's main calls this, once, before anything else.
func SetTesseraLogger(l *slog.Logger) { klog.SetSlogLogger(l) }
