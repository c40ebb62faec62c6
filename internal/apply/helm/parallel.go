package helm

import (
	"cmp"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// atOnce calls do with 0 to n-1, as many at a time as there are processors, and
// returns the error of the lowest.
func atOnce(n int, do func(i int) error) error {
	errs := make([]error, n)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range n {
		group.Go(func() error {
			errs[i] = do(i)
			return nil
		})
	}
	_ = group.Wait() // none of them returns an error to the group
	return cmp.Or(errs...)
}
