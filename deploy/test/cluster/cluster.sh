#!/usr/bin/env bash
# A real one-node Kubernetes with gVisor for tests: `cluster.sh up`, `cluster.sh down`, `cluster.sh run COMMAND…` (inside its network). The
# node lives in network, mount and process namespaces of its own, so `down` ends all of it by ending one process, and leaves nothing behind.
# With KUBECONFIG set, `up` only checks that cluster. Prints the path of the kubeconfig to stdout.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../.." && pwd)
. "$root/deploy/single/prepare.sh"
cache=${FNCTL_CACHE_DIR:-/var/cache/fnctl}
state=${FNCTL_CLUSTER_STATE:-/var/tmp/fnctl-cluster}
name=fnctl-k8s
host_address=10.201.0.1
node_address=10.201.0.2
SYSCTLS="net.ipv4.ip_forward vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes"

prepare() {
  debian_packages runc runc iptables iptables nft nftables conntrack conntrack openssl openssl socat socat busybox busybox-static ip iproute2 gcc gcc
  key=$(cat "$here/pins" "$here/build.sh" "$here/build/oom_linux.go.txt" | sha256sum | cut -c1-12)
  bin=$cache/cluster-$key/bin
  if [ ! -x "$bin/coredns" ]; then
    say "building Kubernetes, containerd, etcd, gVisor's shim, helm, CoreDNS: about ten minutes the first time"
    "$here/build.sh" "$cache/cluster-$key" >&2
  fi
  export PATH=$bin:$PATH
}

running() { [ -f "$state/pid" ] && kill -0 "$(cat "$state/pid")" 2> /dev/null; }

network_up() {
  sysctl -qw net.ipv4.ip_forward=1
  ip netns add $name
  ip link add ${name}-h type veth peer name eth0 netns $name
  ip address add $host_address/30 dev ${name}-h
  ip link set ${name}-h up
  ip -n $name address add $node_address/30 dev eth0
  ip -n $name link set lo up
  ip -n $name link set eth0 up
  ip -n $name route add default via $host_address
  # Routes to pods and services, for tests that act as a client; they disappear with the link.
  ip route add 10.200.0.0/24 via $node_address
  ip route add 10.96.0.0/16 via $node_address
  iptables -t nat -A POSTROUTING -s $node_address/32 -j MASQUERADE
}

network_down() {
  iptables -t nat -D POSTROUTING -s $node_address/32 -j MASQUERADE 2> /dev/null || true
  ip link delete ${name}-h 2> /dev/null || true
  ip netns delete $name 2> /dev/null || true
}

up() {
  if [ -n "${KUBECONFIG:-}" ]; then kubectl get --raw /readyz > /dev/null && echo "$KUBECONFIG"; return; fi
  prepare
  if running; then echo "$state/pki/admin.conf"; return; fi
  down > /dev/null 2>&1 || true
  mkdir -p "$state"
  for key in $SYSCTLS; do echo "$key=$(sysctl -n $key)"; done > "$state/sysctls"
  network_up
  # Not `ip netns exec`: it mounts a /sys of its own, without the cgroups that the kubelet needs.
  BIN=$bin STATE=$state ADDRESS=$node_address setsid nohup nsenter --net=/run/netns/$name \
    unshare --mount --pid --fork --kill-child --mount-proc --propagation private "$here/node.sh" > "$state/node.log" 2>&1 < /dev/null &
  echo $! > "$state/pid"
  for _ in $(seq 240); do
    [ -f "$state/ready" ] && break
    running || { tail -20 "$state/node.log" >&2; echo "cluster: the node ended; its logs are in $state" >&2; return 1; }
    sleep 0.25
  done
  [ -f "$state/ready" ] || { echo "cluster: not ready after 60 s; its logs are in $state" >&2; return 1; }
  echo "$state/pki/admin.conf"
}

down() {
  if running; then
    local pid; pid=$(cat "$state/pid")
    kill -- -"$pid" 2> /dev/null || kill "$pid"
    for _ in $(seq 100); do kill -0 "$pid" 2> /dev/null || break; sleep 0.1; done
  fi
  network_down
  # Removes the deepest groups first; a group whose last process is just ending is busy for a moment.
  for _ in $(seq 50); do
    find /sys/fs/cgroup -depth -type d \( -path '*/kubepods*' -o -path '*/fnctl-k8s*' \) -exec rmdir {} + 2> /dev/null || true
    [ -z "$(find /sys/fs/cgroup -maxdepth 3 -type d -name 'kubepods*' 2> /dev/null)" ] && break
    sleep 0.1
  done
  [ -f "$state/sysctls" ] && sysctl -q -p "$state/sysctls" > /dev/null 2>&1
  rm -rf "$state"
}

case ${1:-} in
  up) up ;;
  down) down ;;
  run) shift; exec nsenter --net=/run/netns/$name "$@" ;;
  bin) prepare; echo "$bin" ;;
  bin-scale) prepare; "$here/build.sh" "$cache/cluster-$key" scale >&2; echo "$bin" ;;
  *) echo "usage: cluster.sh up|down|run COMMAND|bin|bin-scale" >&2; exit 2 ;;
esac
