#!/usr/bin/env bash
# The main job, from an empty directory to an audited device, and what happens
# when somebody tries to get in between. Run it with "make demo", or with "make
# demo-compose", which leaves the Kubernetes out: that builds the programs and
# provides a Docker engine (CONSIGN_TEST_ENGINE) and a private Sigstore with two
# jobs of a CI system (CONSIGN_SIGSTORE_DIR).
set -euo pipefail

with=${1:-compose} # or kubernetes
root=$(cd "$(dirname "$0")/.." && pwd)
bin=${CONSIGN_BIN:-$root/bin}
engine=${CONSIGN_TEST_ENGINE:?run this with: make demo}
sigstore=${CONSIGN_SIGSTORE_DIR:?run this with: make demo}
work=$(mktemp -d "${TMPDIR:-/tmp}/consign-demo.XXXXXX")
registry_port=${CONSIGN_DEMO_REGISTRY_PORT:-5050}
content_port=${CONSIGN_DEMO_CONTENT_PORT:-5051}
app_port=${CONSIGN_DEMO_APP_PORT:-18080}
registry=127.0.0.1:$registry_port
releases=$registry/acme/releases
deployments=$registry/plant/deployments
# How the registry listens, where devices find the releases, and whom publishers trust
# for that.
registry_flags=(--listen "$registry")
devices_releases=$releases
ca=()
registry_pid=
export CGO_ENABLED=0

cd "$work"
export PATH=$bin:$PATH

chapters=0
chapter() {
  chapters=$((chapters + 1))
  printf '\n== %d. %s\n' "$chapters" "$*"
  [ "$with" != kubernetes ] || cluster_progress
}
say() { printf '   %s\n' "$*"; }
fail() { printf 'demo: %s\n' "$*" >&2; exit 1; }

# run shows a command and its output, indented, and keeps its exit code.
run() {
  printf '   $ %s\n' "$*"
  record "$@"
}

# record shows the output only, which is then in the file out.
record() {
  local code=0
  "$@" >out 2>&1 || code=$?
  sed 's/^/     /' out
  return "$code"
}

# refused REASON [VERSION] runs a cycle that must be refused for the given reason,
# and shows that the application, at VERSION, still answers as before.
refused() {
  local reason=$1 version=${2:-1.0.0} code=0
  run agent sync --config agent.yaml || code=$?
  [ "$code" -ne 0 ] || fail "the device accepted what it must refuse"
  grep -q "($reason)" out || fail "the refusal does not say $reason"
  expect "Hello, line 3 (hello $version)"
  say "refused with reason $reason (exit $code); the running application was not touched"
}

# answer PORT [HOST]: what the application says there.
answer() {
  exec 3<>"/dev/tcp/${2:-127.0.0.1}/$1"
  printf 'GET / HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
  sed '1,/^\r$/d' <&3
  exec 3>&-
}

# expect TEXT [PORT]
expect() {
  local got port=${2:-$app_port}
  got=$(answer "$port") || fail "the application does not answer"
  [ "$got" = "$1" ] || fail "the application answers '$got', expected '$1'"
  say "GET http://127.0.0.1:$port/ answers: $got"
}

start_registry() {
  publisher registry serve --dir registry "${registry_flags[@]}" >registry.log 2>&1 &
  registry_pid=$!
  for _ in $(seq 100); do
    if (exec 3<>"/dev/tcp/127.0.0.1/$registry_port") 2>/dev/null; then return; fi
    sleep 0.1
  done
  fail "the registry did not start: $(tail -n 3 registry.log)"
}

stop_registry() {
  [ -z "$registry_pid" ] || { kill "$registry_pid" && wait "$registry_pid"; } 2>/dev/null || true
  registry_pid=
}

cleanup() {
  local code=$?
  trap - EXIT INT TERM
  set +e
  # When the demo broke off, what it started on the engine is still ordered:
  # take the orders away and let the devices obey.
  if [ "$code" -ne 0 ] && [ -d state ]; then
    stop_registry # an interruption has reached it, too, and the cluster's network
    registry_flags=(--listen "$registry")
    start_registry
    take_back >/dev/null 2>&1
  fi
  stop_registry
  [ "$with" != kubernetes ] || stop_cluster
  cd / && rm -rf "$work"
  exit "$code"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# release packs one version of the example application into a directory of its
# own. The program is built here, into an image without a base image.
release() {
  local version=$1 dir=package-$1
  cp -r "$root/examples/hello/package" "$dir"
  rm -rf "$dir/images" "$dir/consign.lock"
  sed -i "s/1\.0\.0/$version/" "$dir/margo.yaml" "$dir/components/hello-stack/compose.yaml" "$dir/components/hello-chart/Chart.yaml"
  (cd "$root" && go build -trimpath -buildvcs=false -ldflags "-s -w -buildid=$version" -o "$work/hello" ./examples/hello)
  (cd "$root" && go run -buildvcs=false ./tools/mkimage -binary "$work/hello" -out "$work/$dir/images" \
    -ref "localhost/hello:$version" -platform "linux/$(go env GOARCH)" -env "VERSION=$version") >/dev/null
}

publish() { run publisher publish "package-$1" --channel "$releases" --keys acme --passphrase-file passphrase; }

# publish_as JOB VERSION [FLAGS]: publishes as a job of a CI system does, with no
# key for the bundle: the job's own environment says where its token is.
publish_as() {
  local job=$1 version=$2
  (
    set -a
    # shellcheck disable=SC1090
    . "$sigstore/$job.env"
    run publisher publish "package-$version" --signing-config "$sigstore/signing_config.json" --provenance auto \
      --channel "$releases" --keys acme --passphrase-file passphrase "${@:3}"
  )
}
deploy() { run publisher deploy "hello@$1" "${@:2}" --device press-07 "${ca[@]}" --channel "$deployments" --keys plant --passphrase-file passphrase; }

# key_signer, and workflow_signer REFS: whose signatures a policy accepts.
key_signer() {
  printf '        keys:\n          - |\n'
  sed 's/^/            /' acme/signing.pem.pub
}
workflow_signer() {
  cat <<EOF
        identities:
          - trustedRoot: ci
            issuer: $(cat "$sigstore/issuer")
            subject: ^https://git\\.example\\.test/acme/hello/\\.github/workflows/release\\.yml@$1$
            claims: {sourceRepositoryURI: "https://git.example.test/acme/hello", buildTrigger: push, runnerEnvironment: github-hosted}
EOF
}

# write_policy [GRANTS [SIGNERS [ATTESTATIONS]]]: the operator's policy, with grants
# for the application as "publisher plan" prints them.
write_policy() {
  cat >policy.yaml <<EOF
apiVersion: consign.dev/v1alpha1
kind: TrustPolicy
channels:
  acme:
    repository: $devices_releases
    root: acme-root.json
trustedRoots:
  ci: {file: trusted_root.json}
applications:
  - id: hello
    channel: acme
    mayRemove: true
    signatures:
      - role: supplier
        threshold: 1
${2:-$(key_signer)}
${3:-}
${1:-}
EOF
}
set_policy() { run publisher policy set policy.yaml "${ca[@]}" --channel "$deployments" --keys plant --passphrase-file passphrase; }

take_back() {
  run publisher undeploy hello --device press-07 --channel "$deployments" --keys plant --passphrase-file passphrase
  run agent sync --config agent.yaml
  [ -f agent-08.yaml ] || return 0
  run publisher undeploy hello --device press-08 --channel "$deployments" --keys plant --passphrase-file passphrase
  run agent sync --config agent-08.yaml
}

if [ "$with" = kubernetes ]; then
  # shellcheck source=demo/kubernetes.sh
  . "$root/demo/kubernetes.sh"
  begin_cluster
fi
printf 'only for this demo\n' >passphrase
chmod 600 passphrase

chapter "A registry on loopback"
start_registry
say "an OCI registry serves $work/registry on $registry; nobody trusts it"

chapter "The supplier: a release channel, and an application in it"
run publisher channel init "$releases" --kind releases --keys acme --passphrase-file passphrase
release 1.0.0
say "built a static web service into an image of its own; the package is a margo.yaml, a compose.yaml and a chart"
publish 1.0.0

chapter "The operator: a deployment channel, a policy, a device, an order"
run publisher channel init "$deployments" --kind deployments --keys plant --passphrase-file passphrase
cp acme/root.json acme-root.json
cp "$sigstore/trusted_root.json" .
write_policy
say "the policy trusts one key of that supplier, for one application"
set_policy

cat >agent.yaml <<EOF
stateDir: $work/state
engine: $engine
registryAddress: 127.0.0.1:$content_port
EOF
run agent init --config agent.yaml --channel "$deployments" --root plant/root.json --device press-07
log_key=$(sed -n 's/^log key: //p' out)
run publisher device add press-07 --profile-type compose --log-key "$log_key" --channel "$deployments" --keys plant --passphrase-file passphrase
deploy 1.0.0 --set "greeting=Hello, line 3" --set "port=$app_port"

chapter "The device: refresh, verify, fetch, apply"
run agent sync --config agent.yaml
expect 'Hello, line 3 (hello 1.0.0)'
run agent verify hello --explain --config agent.yaml
agent log checkpoint --config agent.yaml >kept.checkpoint
say "the operator keeps a checkpoint of the device's log: kept.checkpoint"

chapter "Attacks: version 1.1.0 is ordered, and somebody is in the registry"
cp registry/plant/deployments/index.json older-index.json
release 1.1.0
publish 1.1.0
deploy 1.1.0

say ""
say "-- a layer of 1.1.0, not yet fetched, is overwritten on the registry's disk"
layer=$(ls -S package-1.1.0/images/blobs/sha256 | head -n 1)
blob=registry/acme/hello/blobs/sha256/$layer
size=$(stat -c %s "$blob")
cp "$blob" genuine.layer
head -c "$size" /dev/zero >"$blob"
refused digest-mismatch

say ""
say "-- another supplier's hello 1.1.0, correctly signed by her, is put in its place"
stop_registry
mv registry/acme genuine.acme
start_registry
run publisher channel init "$releases" --kind releases --keys mallory --passphrase-file passphrase
run publisher publish package-1.1.0 --channel "$releases" --keys mallory --passphrase-file passphrase
refused untrusted-signer
stop_registry
rm -rf registry/acme
mv genuine.acme registry/acme

say ""
say "-- the registry puts an older 'tuf' tag back, from before the order"
cp registry/plant/deployments/index.json newest-index.json
cp older-index.json registry/plant/deployments/index.json
start_registry
refused rollback
stop_registry
cp newest-index.json registry/plant/deployments/index.json
start_registry

say ""
say "-- the supplier's own 1.2.0 asks for privileged mode, and the operator orders it"
release 1.2.0
sed -i 's/^    read_only: true/    privileged: true\n&/' package-1.2.0/components/hello-stack/compose.yaml
publish 1.2.0
deploy 1.2.0
refused grant

chapter "The registry is repaired: the upgrade to 1.1.0"
cp genuine.layer "$blob"
deploy 1.1.0
run agent sync --config agent.yaml
expect 'Hello, line 3 (hello 1.1.0)'
run agent status --config agent.yaml

chapter "Looking before signing, and a privilege that is granted"
release 1.2.1
sed -i 's/^    read_only: true/    extra_hosts: ["plc=10.0.0.7"]\n&/' package-1.2.1/components/hello-stack/compose.yaml
publish 1.2.1
say "1.2.1 wants a name for a machine of the plant. What would happen is seen before anything is signed:"
code=0
run publisher plan hello@1.2.1 --device press-07 --channel "$deployments" --keys plant || code=$?
[ "$code" -eq 3 ] || fail "a plan of what the device refuses ends with exit code $code, not 3"
grants=$(sed -n '/^ *grants:$/,/^[^ ]/p' out | grep '^    ' || true)
[ -n "$grants" ] || fail "the plan shows no grants to paste"
write_policy "$grants"
say "the operator agrees and pastes the plan's grants into the policy"
set_policy
deploy 1.2.1
run agent sync --config agent.yaml
expect 'Hello, line 3 (hello 1.2.1)'

chapter "A release without a key: by which workflow, from which tag"
tags='refs/tags/v[0-9.]+'
provenance="    attestations:
      - name: provenance
        predicateType: https://slsa.dev/provenance/v1
        threshold: 1
$(workflow_signer "$tags")
        provenance:
          source: {uri: https://git.example.test/acme/hello, ref: '^$tags\$'}
          materials: images"
strict() { write_policy "" "$(workflow_signer "$tags")" "$provenance"; }
strict
say "the policy now asks for the supplier's release workflow on a tag, and for its provenance; no key signs a release any more"
set_policy
release 1.2.2
publish_as tag 1.2.2
bundle=$(sed -n 's/^ *bundle *//p' out)
deploy 1.2.2
run agent sync --config agent.yaml
expect 'Hello, line 3 (hello 1.2.2)'
say "what its signers claim, as the policy that would ask for it:"
run publisher inspect "$bundle"

say ""
say "-- the same workflow, run on a branch, makes 1.2.3; with the customer's policy at hand it publishes nothing"
release 1.2.3
code=0
publish_as branch 1.2.3 --policy policy.yaml || code=$?
[ "$code" -eq 3 ] || fail "what the policy refuses was published (exit code $code)"
say "-- without it 1.2.3 is published, and ordered under a policy that trusts any ref; then that policy goes"
publish_as branch 1.2.3
write_policy "" "$(workflow_signer 'refs/.*')"
set_policy
deploy 1.2.3
strict
set_policy
refused identity 1.2.2
write_policy "$grants" "$(key_signer; workflow_signer "$tags")"
set_policy

chapter "A version that never becomes healthy"
release 1.3.0
sed -i 's|"/hello", "health"|"/hello", "unwell"|; s|retries: 5|retries: 2|; s|start_period: 10s|start_period: 0s|' package-1.3.0/components/hello-stack/compose.yaml
publish 1.3.0
deploy 1.3.0
code=0
run agent sync --config agent.yaml || code=$?
[ "$code" -eq 5 ] || fail "a failed update ends with exit code $code, not 5"
expect 'Hello, line 3 (hello 1.2.2)'
say "the device went back to 1.2.2 by itself, after judging it again; images go back, data does not"

chapter "A site without a network"
sed "s|/state$|/state-08|; s|:$content_port|:$((content_port + 1))|" agent.yaml >agent-08.yaml
run agent init --config agent-08.yaml --channel "$deployments" --root plant/root.json --device press-08
run publisher device add press-08 --profile-type compose --log-key "$(sed -n 's/^log key: //p' out)" --channel "$deployments" --keys plant --passphrase-file passphrase
run publisher deploy hello@1.1.0 --set "greeting=Hello, line 4" --set "port=$((app_port + 1))" --device press-08 --channel "$deployments" --keys plant --passphrase-file passphrase
run publisher copy "$releases" oci:stick --root acme-root.json --release hello@1.1.0
run publisher copy "$deployments" oci:stick --root plant/root.json --device press-08
stop_registry
say "the registry is gone; the stick is in the device press-08"
run agent sync --config agent-08.yaml --from stick
expect 'Hello, line 4 (hello 1.1.0)' "$((app_port + 1))"
start_registry

[ "$with" != kubernetes ] || kubernetes

chapter "The auditor: the whole story, offline"
run auditor verify state/log --key "$log_key" --since kept.checkpoint
run auditor events state/log --key "$log_key"
cp -r state/log copy
entries=$(find copy/tile/entries -type f | sort | head -n 1)
printf 'X' | dd of="$entries" bs=1 seek=300 conv=notrunc status=none
say "one byte of a copy of the log is changed:"
if run auditor verify copy --key "$log_key"; then fail "the auditor did not find the changed byte"; fi
[ "$with" != kubernetes ] || audit_cell

chapter "The end: the orders are taken back, and the devices obey"
take_back
if [ "$with" = kubernetes ]; then
  run publisher undeploy hello --device cell-02 "${ca[@]}" --channel "$deployments" --keys plant --passphrase-file passphrase
  on_cell agent sync --config cell.yaml
  stop_cluster
fi
say "done; nothing is left running"
