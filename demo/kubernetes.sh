# shellcheck shell=bash
# What demo.sh does with a Kubernetes. It is read by demo.sh, whose functions and
# variables it uses. The cluster is the one of the tests (tools/testenv), started
# for this run, and ends with it.

tls_port=${CONSIGN_DEMO_TLS_PORT:-5443}
cluster_pid=
unset CONSIGN_TEST_CLUSTER

# begin_cluster has the cluster come up while the story is told: its programs are
# built first, unless they are in the cache, and out of the way of everything else.
begin_cluster() {
  (cd "$root" && go build -buildvcs=false -o "$work/testenv" ./tools/testenv)
  cluster >cluster.out 2>cluster.log &
  cluster_pid=$!
}

cluster() {
  local child
  trap 'kill "$child"; wait "$child"; exit 143' TERM
  nice -n 19 "$root/tools/tool.sh" kube >kube.dir &
  child=$!
  wait "$child"
  CONSIGN_KUBE_BIN=$(cat kube.dir) ./testenv cluster run --dir "${CONSIGN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/consign}" &
  child=$!
  wait "$child"
}

# cluster_progress says how far the build is, as long as there is one.
cluster_progress() {
  [ -n "$cluster_pid" ] && [ ! -s kube.dir ] && [ -s cluster.log ] || return 0
  say "(meanwhile, at low priority, Kubernetes is built for the chapter on it, once: $((SECONDS / 60)) min, of about 20 on two processors)"
}

await_cluster() {
  local next=$SECONDS
  until grep -q '^export' cluster.out; do
    kill -0 "$cluster_pid" 2>/dev/null || fail "the Kubernetes did not start: $(tail -n 5 cluster.log)"
    [ "$SECONDS" -lt "$next" ] || { cluster_progress; next=$((SECONDS + 30)); }
    sleep 0.2
  done
  cluster=$(sed -n 's/^export CONSIGN_TEST_CLUSTER=//p' cluster.out)
}

stop_cluster() {
  [ -z "$cluster_pid" ] || { kill "$cluster_pid" && wait "$cluster_pid"; } 2>/dev/null || true
  cluster_pid=
}

kubectl() { "$(cat kube.dir)/kubectl" --kubeconfig "$cluster/kubeconfig" "$@"; }

# in_node runs a command in the network of the cluster's one node, as a program that
# runs on the node has it: 127.0.0.1 is the node's own, and where its images are from.
in_node() {
  local net
  net=--net=/proc/$(cat "$cluster/init.pid")/ns/net
  if [ "$(id -u)" -eq 0 ]; then
    nsenter "$net" -- "$@"
  else
    sudo -n nsenter "$net" --setuid="$(id -u)" --setgid="$(id -g)" -- env -i PATH="$PATH" HOME="$HOME" "$@"
  fi
}

on_cell() {
  printf '   cell-02$ %s\n' "$*"
  record in_node "$@"
}

# expect_cell TEXT: what the application's Service says, which the cluster sends on
# a moment after the pod is ready.
expect_cell() {
  local address got
  address=$(kubectl get services --all-namespaces --selector "dev.consign.deployment=$cell_deployment" --output 'jsonpath={.items[0].spec.clusterIP}')
  for _ in $(seq 150); do
    got=$(answer "$app_port" "$address" 2>/dev/null) || got=
    [ "$got" != "$1" ] || { say "GET http://$address:$app_port/ answers: $got"; return; }
    sleep 0.2
  done
  fail "on cell-02 the application answers '$got', expected '$1'"
}

# both_registries has the registry serve the node as well, which it can reach with
# TLS only: the publisher's own machine goes on as before.
both_registries() {
  local node host
  node=$(sed -n 's|.*"https://\(.*\):6443".*|\1|p' "$cluster/kubeconfig")
  host=${node%.*}.1 # where the node sees this machine
  go run "$(go env GOROOT)/src/crypto/tls/generate_cert.go" --ca --ecdsa-curve P256 --duration 24h --host "$host" 2>/dev/null
  registry_address=$host:$tls_port
  registry_flags=(--listen "$registry_address" --tls-cert cert.pem --tls-key key.pem --loopback "$registry")
  ca=(--ca-file cert.pem)
  stop_registry
  start_registry
  say "the registry serves https://$registry_address as well, with a certificate of the plant's own authority"
}

kubernetes() {
  chapter "The same release for a device with Docker and for one with Kubernetes"
  await_cluster
  say "cell-02 is a real Kubernetes $(kubectl version --output json | sed -n '/serverVersion/,$s/.*"gitVersion": "\(.*\)".*/\1/p') of one node, in a network of its own"
  both_registries
  devices_releases=$registry_address/acme/releases
  write_policy "$grants" "$(key_signer; workflow_signer "$tags")"
  set_policy
  for config in agent*.yaml; do printf 'caFile: %s/cert.pem\n' "$work" >>"$config"; done
  cat >cell.yaml <<END
stateDir: $work/state-cell
engine: ""
kubeconfig: $cluster/kubeconfig
registryAddress: 127.0.0.1:$content_port
caFile: $work/cert.pem
END
  on_cell agent init --config cell.yaml --channel "$registry_address/plant/deployments" --root plant/root.json --device cell-02
  cell_key=$(sed -n 's/^log key: //p' out)
  run publisher device add cell-02 --profile-type helm --log-key "$cell_key" --channel "$deployments" --keys plant --passphrase-file passphrase

  release 1.4.0
  say "1.4.0 is one package with a compose.yaml and a chart, whose image is the same:"
  run publisher plan package-1.4.0 --policy policy.yaml
  publish 1.4.0
  run publisher deploy hello@1.4.0 --set "greeting=Good morning" --device press-07 --device cell-02 "${ca[@]}" \
    --channel "$deployments" --keys plant --passphrase-file passphrase
  run agent sync --config agent.yaml
  on_cell agent sync --config cell.yaml
  cell_deployment=$(kubectl get namespaces --selector dev.consign.deployment --output 'jsonpath={.items[0].metadata.labels.dev\.consign\.deployment}')
  in_node agent log checkpoint --config cell.yaml >kept-cell.checkpoint
  expect 'Good morning (hello 1.4.0)'
  expect_cell 'Good morning (hello 1.4.0)'
  run agent status --config agent.yaml
  on_cell agent status --config cell.yaml
  cell_attacks
}

# cell_attacks: somebody in the cluster, and a supplier who wants too much.
cell_attacks() {
  local namespace image pod code=0
  namespace=$(kubectl get namespaces --selector dev.consign.deployment --output 'jsonpath={.items[0].metadata.name}')
  image=$(kubectl get deployments --namespace "$namespace" --output 'jsonpath={.items[0].spec.template.spec.containers[0].image}')
  pod="{\"metadata\": {\"labels\": {\"dev.consign.deployment\": \"$cell_deployment\"}},
    \"spec\": {\"hostPID\": true, \"containers\": [{\"name\": \"meddler\", \"image\": \"$image\", \"securityContext\": {\"privileged\": true}}]}}"
  say ""
  say "-- an administrator of cell-02 runs a privileged pod as if it were the application's: its namespace does not let it in"
  if record kubectl run meddler --namespace "$namespace" --image "$image" --overrides "$pod"; then fail "the cluster took a privileged pod"; fi
  say "-- so the administrator opens the namespace"
  record kubectl label namespace "$namespace" --overwrite pod-security.kubernetes.io/enforce=privileged
  record kubectl run meddler --namespace "$namespace" --image "$image" --overrides "$pod"
  on_cell agent sync --config cell.yaml
  kubectl wait --for=delete pod/meddler --namespace "$namespace" --timeout=1m >/dev/null 2>&1 || fail "the pod is still there"
  [ "$(kubectl get namespace "$namespace" --output 'jsonpath={.metadata.labels.pod-security\.kubernetes\.io/enforce}')" != privileged ] || fail "the namespace is still open"
  expect_cell 'Good morning (hello 1.4.0)'
  say "the pod is gone, the namespace is closed, and the log says what was found"

  say ""
  say "-- the chart of 1.5.0 asks for privileged mode, and the operator orders it"
  release 1.5.0
  sed -i 's/allowPrivilegeEscalation: false/privileged: true/' package-1.5.0/components/hello-chart/templates/deployment.yaml
  publish 1.5.0
  run publisher deploy hello@1.5.0 --device cell-02 "${ca[@]}" --channel "$deployments" --keys plant --passphrase-file passphrase
  on_cell agent sync --config cell.yaml || code=$?
  [ "$code" -ne 0 ] || fail "the device accepted what it must refuse"
  grep -q "(grant)" out || fail "the refusal does not say grant"
  expect_cell 'Good morning (hello 1.4.0)'
  say "refused with reason grant (exit $code), as press-07 refused 1.2.0; the running application was not touched"
}

audit_cell() {
  run auditor verify state-cell/log --key "$cell_key" --since kept-cell.checkpoint
  run auditor events state-cell/log --key "$cell_key"
}
