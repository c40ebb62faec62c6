// Mutants shows that the tests of attacks can fail. Each patch in test/mutants
// takes one defence out of the product; in a copy of the checkout with the patch,
// the tests of its row must fail, and without it they must pass:
//
//	go run ./tools/mutants [-since REF] [-part plain|cluster] [ROW...]
//
// Without rows it runs all of them. With -since it runs those whose patch, or a
// file that the patch changes, is another one than at the commit REF. A patch is
// named after its row, as T2.patch or T2-root.patch, and begins with a line that
// says where the tests are, that they need a Kubernetes, or that nothing of ours is
// the defence:
//
//	# packages: ./internal/world/attacks ./policy
//	# cluster: ./internal/world/cells
//	# library: go-tuf refuses such a threshold
//
// Where a Kubernetes is needed and CONSIGN_TEST_CLUSTER names none, one is started
// for the run. -part plain leaves out what needs one, -part cluster the rest.
//
// A second line may name the one test that judges the patch, where others of the row
// need a cluster:
//
//	# tests: TestAttackH12RecordsAreCompared
//
// The exit status is 1 when a mutant was missed or could not be made.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	var want selection
	flag.StringVar(&want.since, "since", "", "only rows whose patch or patched files differ from the commit `REF`")
	flag.StringVar(&want.part, "part", "", "only those that need no Kubernetes (plain), or that need one (cluster)")
	flag.Parse()
	want.rows = flag.Args()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, ".", want, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

// selection says which mutants are to be run: all, or those of certain rows, of a
// part ("plain" or "cluster"), and of what changed since a commit.
type selection struct {
	since, part string
	rows        []string
}

const plainPart, clusterPart = "plain", "cluster"

func run(ctx context.Context, root string, want selection, out io.Writer) error {
	if !slices.Contains([]string{"", plainPart, clusterPart}, want.part) {
		return fmt.Errorf("-part %q: want %s or %s", want.part, plainPart, clusterPart)
	}
	all, err := readMutants(filepath.Join(root, "test", "mutants"))
	if err != nil {
		return err
	}
	chosen, err := choose(ctx, root, all, want)
	if err != nil || len(chosen) == 0 {
		return err
	}
	if os.Getenv(clusterVariable) == "" && slices.ContainsFunc(chosen, func(m mutant) bool { return m.cluster }) {
		return withCluster(root, out)
	}
	begin := time.Now()
	c, err := newCopy(ctx, root)
	if err != nil {
		return err
	}
	defer c.remove()
	failed := judge(ctx, c, chosen, out)
	fmt.Fprintf(out, "mutants: %d, %d not caught, %.1f minutes\n", len(chosen), len(failed), time.Since(begin).Minutes())
	if len(failed) > 0 {
		return fmt.Errorf("not caught: %s", strings.Join(failed, ", "))
	}
	return ctx.Err()
}

// choose picks mutants by row and by what changed.
func choose(ctx context.Context, root string, all []mutant, want selection) ([]mutant, error) {
	changed, err := changedSince(ctx, root, want.since)
	if err != nil {
		return nil, err
	}
	var out []mutant
	for _, m := range all {
		if m.wanted(want) && (want.since == "" || m.touches(changed)) {
			out = append(out, m)
		}
	}
	for _, row := range want.rows {
		if !hasRow(all, row) {
			return nil, fmt.Errorf("no patch in test/mutants is of row %s", row)
		}
	}
	return out, nil
}

// judge tries each mutant and returns the names of those that were not caught.
// The tests of a row have to pass without any patch first.
func judge(ctx context.Context, c *checkout, chosen []mutant, out io.Writer) (failed []string) {
	sound := map[string]error{}
	for _, m := range chosen {
		if ctx.Err() != nil {
			return failed
		}
		begin, key := time.Now(), m.tests()+" "+strings.Join(m.packages, " ")
		if _, done := sound[key]; !done {
			sound[key] = c.passes(ctx, m)
		}
		err := sound[key]
		if err == nil {
			err = c.catches(ctx, m)
		}
		verdict := "caught"
		if err != nil {
			verdict, failed = err.Error(), append(failed, m.name)
		}
		fmt.Fprintf(out, "%-16s %-6s %5.1fs\n", m.name, verdict, time.Since(begin).Seconds())
	}
	return failed
}
