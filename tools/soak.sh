#!/usr/bin/env bash
# soak.sh FUZZTIME DURATION: fuzz every fuzz target for FUZZTIME each, then kill
# the programs at all of their stopping points and hundreds of times at random
# (CONSIGN_SOAK=1, which makes the tests that know it try everything), then run
# all tests again and again, shuffled and uncached, until DURATION is over. The
# first failure ends it. Run it with "make soak".
set -euo pipefail

fuzztime=$1
duration=$2
case $duration in
  *h) seconds=$((${duration%h} * 3600)) ;;
  *m) seconds=$((${duration%m} * 60)) ;;
  *s) seconds=${duration%s} ;;
  *) echo "SOAK must be a number with h, m or s, such as 30m" >&2; exit 2 ;;
esac

"$(dirname "$0")/fuzz.sh" "$fuzztime"

echo "== kills and disk faults, all of them"
CONSIGN_SOAK=1 go run ./tools/testsummary -- -count=1 -timeout 6h ./internal/world/kills
CONSIGN_SOAK=1 go run ./tools/testsummary -- -count=1 -timeout 6h -run 'TestCompose/Killed' ./internal/apply/applytest

end=$((SECONDS + seconds))
round=0
while [ $SECONDS -lt $end ]; do
  round=$((round + 1))
  echo "== round $round of all tests"
  go run ./tools/testsummary -- -count=1 -shuffle=on -timeout 15m ./...
done
echo "soak: $round rounds without a failure"
