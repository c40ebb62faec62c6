#!/usr/bin/env bash
# The main job, from an empty directory to an audited device, and what happens
# when somebody tries to get in between. Run it with "make demo": that builds
# the programs and provides a Docker engine (CONSIGN_TEST_ENGINE).
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
bin=${CONSIGN_BIN:-$root/bin}
engine=${CONSIGN_TEST_ENGINE:?run this with: make demo}
work=$(mktemp -d "${TMPDIR:-/tmp}/consign-demo.XXXXXX")
port=${CONSIGN_DEMO_PORT:-18080}
registry_pid=

bold() { if [ -t 1 ]; then printf '\033[1m%s\033[0m\n' "$*"; else printf '%s\n' "$*"; fi; }
chapter() { printf '\n'; bold "== $*"; }
say() { printf '   %s\n' "$*"; }
run() { printf '\n   $ %s\n' "${*//$work\//}" >&2; "$@" 2>&1 | sed 's/^/     /'; return "${PIPESTATUS[0]}"; }

cleanup() {
  code=$?
  trap - EXIT INT TERM
  set +e
  if [ -f "$work/agent.yaml" ]; then
    "$bin/agent" --config "$work/agent.yaml" teardown >/dev/null 2>&1
  fi
  [ -n "$registry_pid" ] && kill "$registry_pid" 2>/dev/null && wait "$registry_pid" 2>/dev/null
  rm -rf "$work"
  exit "$code"
}
trap cleanup EXIT INT TERM
