package outputs

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// watcher reads the list of processes again and again, as anybody on a machine
// may: the arguments of every process, and the environment of ours.
type watcher struct {
	stop chan struct{}
	done sync.WaitGroup
	mu   sync.Mutex
	seen map[string]bool
}

// watch begins to look at the processes of programs in dir.
func watch(dir string) *watcher {
	w := &watcher{stop: make(chan struct{}), seen: map[string]bool{}}
	w.done.Go(func() {
		for tick := time.NewTicker(40 * time.Millisecond); ; {
			select {
			case <-w.stop:
				tick.Stop()
				return
			case <-tick.C:
				w.look(dir)
			}
		}
	})
	return w
}

func (w *watcher) look(dir string) {
	links, _ := filepath.Glob("/proc/[0-9]*/exe")
	for _, link := range links {
		exe, err := os.Readlink(link)
		if err != nil || filepath.Dir(exe) != dir {
			continue
		}
		for _, file := range []string{"cmdline", "environ"} {
			data, _ := os.ReadFile(filepath.Join(filepath.Dir(link), file)) // it may have ended meanwhile
			w.mu.Lock()
			w.seen[filepath.Base(exe)+" "+file+": "+strings.ReplaceAll(string(data), "\x00", " ")] = true
			w.mu.Unlock()
		}
	}
}

// end returns what was seen.
func (w *watcher) end() []string {
	close(w.stop)
	w.done.Wait()
	var out []string
	for s := range w.seen {
		out = append(out, s)
	}
	return out
}
