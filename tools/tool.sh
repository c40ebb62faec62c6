#!/usr/bin/env bash
# tool.sh MODULE: print the directory that holds the tools of tools/MODULE,
# building them into the cache first if they are not there. With --where before
# MODULE nothing is built. The directory is
# named by the Go version, the module's pinned versions and its own source, so a
# change of one of them builds again and an unchanged module starts at once.
#
# A module may have a file build.env, which adds to ldflags and note and, with
# own_objects, has its packages compiled into a directory that is deleted after
# the build. After a build that failed or was killed it is kept, for the next
# one to go on from. What Go's own cache has already is there by hard links.
set -euo pipefail

where=
if [ "$1" = --where ]; then where=1; shift; fi
module=$1
root=$(cd "$(dirname "$0")" && pwd)
cache=${CONSIGN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/consign}
key=$({
  go env GOVERSION GOOS GOARCH
  cat "$root/$module/go.mod" "$root/$module/go.sum"
  find "$root/$module" \( -name '*.go' -o -name build.env \) -print0 | LC_ALL=C sort -z | xargs -0r cat
} | sha256sum | cut -c1-16)
dir=$cache/tools/$module-$key

# own_cache makes a directory Go's cache: an empty one, where links cannot be made.
own_cache() {
  mkdir -p "$1"
  cp -aln "$(go env GOCACHE)/." "$1/" 2>/dev/null || true
  rm -f "$1/trim.txt"
  export GOCACHE=$1
}

# build is in the background for its progress to be told: its minutes would be
# silent otherwise.
build() {
  local ldflags='-s -w' own_objects='' note='' objects="$cache/tools/.$module-objects"
  if [ -f "$root/$module/build.env" ]; then
    # shellcheck source=/dev/null
    . "$root/$module/build.env"
  fi
  [ -z "$own_objects" ] || own_cache "$objects"
  echo "building the tools of tools/$module into $dir$note" >&2
  CGO_ENABLED=0 go -C "$root/$module" build -trimpath -buildvcs=false -ldflags "$ldflags" -o "$new/" tool &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 0.2
    [ $SECONDS -lt "$next" ] || { echo "building the tools of tools/$module: $((SECONDS / 60)) min" >&2; next=$((next + 60)); }
  done
  wait "$pid"
  pid=''
  chmod 0755 "$new"
  mv -T "$new" "$dir"
  rm -rf "$objects"
}

if [ ! -d "$dir" ] && [ -z "$where" ]; then
  mkdir -p "$cache/tools"
  # Another make may be building it: its result is the same.
  exec 9>"$cache/tools/.$module.lock"
  flock 9
  if [ ! -d "$dir" ]; then
    rm -rf "$cache/tools/.$module".??????
    new=$(mktemp -d "$cache/tools/.$module.XXXXXX") pid='' next=60
    trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; rm -rf "$new"' EXIT
    build
  fi
fi
echo "$dir"
