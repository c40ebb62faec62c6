#!/usr/bin/env bash
# tool.sh MODULE: print the directory that holds the tools of tools/MODULE,
# building them into the cache first if they are not there. The directory is
# named by the Go version, the module's pinned versions and its own source, so a
# change of one of them builds again and an unchanged module starts at once.
set -euo pipefail

module=$1
root=$(cd "$(dirname "$0")" && pwd)
cache=${CONSIGN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/consign}
key=$({
  go env GOVERSION GOOS GOARCH
  cat "$root/$module/go.mod" "$root/$module/go.sum"
  find "$root/$module" -name '*.go' -print0 | LC_ALL=C sort -z | xargs -0r cat
} | sha256sum | cut -c1-16)
dir=$cache/tools/$module-$key

if [ ! -d "$dir" ]; then
  mkdir -p "$cache/tools"
  new=$(mktemp -d "$cache/tools/.$module.XXXXXX")
  trap 'rm -rf "$new"' EXIT
  echo "building the tools of tools/$module into $dir" >&2
  CGO_ENABLED=0 go -C "$root/$module" build -trimpath -buildvcs=false -ldflags '-s -w' -o "$new/" tool
  chmod 0755 "$new"
  # Another make may have been faster: its result is the same.
  mv -T "$new" "$dir" 2>/dev/null || test -d "$dir"
fi
echo "$dir"
