#!/usr/bin/env bash
# fuzz.sh FUZZTIME: fuzz every fuzz target for FUZZTIME, one after the other and
# each on one processor, so that the machine stays usable. What is new is made
# smaller for a second only: by default that takes a minute for each new input,
# in which nothing is tried. All targets are run; then those that found
# something are named, whose inputs lie in testdata/fuzz of their package. Run it
# with "make fuzz" or "make soak".
set -euo pipefail

cd "$(dirname "$0")/.."
fuzztime=$1
found=
for dir in $(grep -rlE --include='*_test.go' '^func Fuzz' cmd internal policy tools | xargs -r -n1 dirname | sort -u); do
  for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | cut -d' ' -f2); do
    echo "== fuzz $dir $target for $fuzztime"
    nice -n 19 go test -run '^$' -fuzz "^$target\$" -fuzztime "$fuzztime" -fuzzminimizetime 1s -parallel 1 "./$dir" </dev/null || found="$found $dir:$target"
  done
done
if [ -n "$found" ]; then
  echo "fuzz: found something:$found" >&2
  exit 1
fi
