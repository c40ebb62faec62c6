// Mutants shows that the tests of attacks can fail. Each patch in test/mutants
// takes one defence out of the product; in a copy of the checkout with the patch,
// the tests of its row must fail, and without it they must pass:
//
//	go run ./tools/mutants [-since REF] [ROW...]
//
// Without rows it runs all of them. With -since it runs those whose patch, or a
// file that the patch changes, is another one than at the commit REF. A patch is
// named after its row, as T2.patch or T2-root.patch, and begins with a line that
// says where the tests are, or that nothing of ours is the defence:
//
//	# packages: ./internal/world/attacks ./policy
//	# library: go-tuf refuses such a threshold
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
	"strings"
	"syscall"
	"time"
)

func main() {
	since := flag.String("since", "", "only rows whose patch or patched files differ from the commit `REF`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, ".", *since, flag.Args(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root, since string, rows []string, out io.Writer) error {
	all, err := readMutants(filepath.Join(root, "test", "mutants"))
	if err != nil {
		return err
	}
	chosen, err := choose(ctx, root, all, since, rows)
	if err != nil || len(chosen) == 0 {
		return err
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
func choose(ctx context.Context, root string, all []mutant, since string, rows []string) ([]mutant, error) {
	changed, err := changedSince(ctx, root, since)
	if err != nil {
		return nil, err
	}
	var out []mutant
	for _, m := range all {
		if m.packages != nil && m.wanted(rows) && (since == "" || m.touches(changed)) {
			out = append(out, m)
		}
	}
	for _, row := range rows {
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
