#!/usr/bin/env bash
# Tests keys in tokens with SoftHSM and a C compiler, which are installed from
# Debian's packages where they are missing.
set -euo pipefail

cd "$(dirname "$0")/.."
missing=()
{ [ -e /usr/lib/softhsm/libsofthsm2.so ] && command -v softhsm2-util >/dev/null; } || missing+=(softhsm2)
command -v gcc >/dev/null || missing+=(gcc libc6-dev)
if [ "${#missing[@]}" -gt 0 ]; then
  command -v apt-get >/dev/null || { echo "pkcs11: install ${missing[*]}: there is no apt-get here" >&2; exit 1; }
  root=()
  [ "$(id -u)" -eq 0 ] || root=(sudo -n)
  echo "pkcs11: apt-get install ${missing[*]}" >&2
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq update >&2
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "${missing[@]}" >&2
fi
CGO_ENABLED=1 go test -count=1 -tags pkcs11 ./internal/pkcs11
