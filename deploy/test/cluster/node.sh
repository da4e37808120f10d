#!/usr/bin/env bash
# The first process of the node's namespaces; started by cluster.sh with BIN, STATE and ADDRESS. Starts every part of Kubernetes and stays.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bin=$BIN; state=$STATE; address=$ADDRESS
pki=$state/pki; node=node1
pods=10.200.0.0/24; services=10.96.0.0/16; dns=10.96.0.10
export PATH=$bin:$PATH KUBECONFIG=$pki/admin.conf
mkdir -p "$pki" "$state/cni" "$state/log"
# These mounts are in this mount namespace only.
mount -t tmpfs node /run
mkdir -p /run/lock
cp /etc/hosts "$state/hosts" && echo "$address $node" >> "$state/hosts" && mount --bind "$state/hosts" /etc/hosts

start() { local name=$1; shift; "$@" > "$state/log/$name.log" 2>&1 < /dev/null & }
until_ok() { for _ in $(seq 240); do "$@" > /dev/null 2>&1 && return; sleep 0.25; done; echo "not in time: $*" >&2; return 1; }

. "$here/pki.sh"
. "$here/config.sh"
sysctl -qw net.ipv4.ip_forward=1
iptables -t nat -A POSTROUTING -s $pods ! -d $pods -j MASQUERADE

start etcd etcd --data-dir "$state/etcd" --unsafe-no-fsync --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
start containerd containerd -c "$state/containerd.toml"
start registry registry serve "$state/registry.yaml"
start apiserver kube-apiserver --etcd-servers=http://127.0.0.1:2379 --service-cluster-ip-range=$services \
  --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" --client-ca-file="$pki/ca.crt" \
  --kubelet-client-certificate="$pki/admin.crt" --kubelet-client-key="$pki/admin.key" --kubelet-certificate-authority="$pki/ca.crt" \
  --service-account-key-file="$pki/sa.pub" --service-account-signing-key-file="$pki/sa.key" --service-account-issuer=https://kubernetes.default.svc \
  --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true --bind-address=0.0.0.0 --advertise-address="$address" --secure-port=6443 \
  --audit-policy-file="$state/audit.yaml" --audit-log-path="$state/log/audit.ndjson"
until_ok kubectl get --raw /readyz
start manager kube-controller-manager --kubeconfig="$pki/manager.conf" --service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" --use-service-account-credentials --leader-elect=false --bind-address=127.0.0.1
start scheduler kube-scheduler --kubeconfig="$pki/scheduler.conf" --leader-elect=false --bind-address=127.0.0.1
start kubelet kubelet --kubeconfig="$pki/kubelet.conf" --config="$state/kubelet.yaml" --hostname-override=$node --root-dir="$state/kubelet" --node-ip="$address"
# Limits of connection tracking belong to the host's own network namespace and are left alone.
start proxy kube-proxy --kubeconfig="$pki/proxy.conf" --proxy-mode=iptables --cluster-cidr=$pods --hostname-override=$node --bind-address=127.0.0.1 \
  --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0s --conntrack-tcp-timeout-close-wait=0s
start coredns coredns -conf "$state/Corefile"
. "$here/netpol.sh"
until_ok kubectl wait --for=condition=Ready "node/$node" --timeout=1s
# The first pod of a namespace needs its service account, which appears a moment after the namespace.
until_ok kubectl get serviceaccount default -n default
. "$here/base.sh"
touch "$state/ready"
while :; do sleep 3600 & wait $!; done
