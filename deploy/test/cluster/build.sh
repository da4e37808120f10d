#!/usr/bin/env bash
# Builds every part of a real one-node Kubernetes with gVisor from Go modules. `build.sh OUT [scale]`: writes binaries to OUT/bin and keeps
# those that exist. With `scale` it also builds kwok, which simulates nodes. About nine minutes on two cores with an empty Go cache, under a
# minute with a warm one. Needs Go >= 1.26, gcc, python3.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$(mkdir -p "${1:?usage: build.sh OUT}" && cd "$1" && pwd)
bin=$out/bin; work=$out/src
mkdir -p "$bin/cni" "$work"
export CGO_ENABLED=0 GOFLAGS="-mod=mod -trimpath -buildvcs=false" GOWORK=off
strip="-s -w"
has() { [ -x "$bin/$1" ]; }
say() { printf '· %s\n' "$*" >&2; }

pin() { awk -v m="$1" -v f="$2" '$1 == m { print $f }' "$here/pins"; }
version() { pin "$1" 2; }
# Makes a Go module that requires the pinned ones; its go.sum begins with the checksums in `pins`, so that other files under the same
# version are refused.
module() {
  mkdir -p "$work/$1" && cd "$work/$1"
  local name=$1; shift
  rm -f go.mod go.sum && go mod init "test.local/$name" 2> /dev/null
  for wanted in "$@"; do
    echo "$wanted $(version "$wanted") $(pin "$wanted" 3)" >> go.sum
    [ -z "$(pin "$wanted" 4)" ] || echo "$wanted $(version "$wanted")/go.mod $(pin "$wanted" 4)" >> go.sum
    go mod edit -require "$wanted@$(version "$wanted")"
  done
}
download() { go mod download -json "$1@$(version "$1")" | python3 -c "import json, sys; print(json.load(sys.stdin)['$2'])"; }

# Kubernetes replaces its staging modules by folders of its own repository; here the published modules of the same release are used.
build_kubernetes() {
  say "Kubernetes"
  module kubernetes k8s.io/kubernetes
  local release; release=$(version k8s.io/kubernetes)
  python3 - "$(download k8s.io/kubernetes GoMod)" "$release" <<'P'
import re, sys
text, release = open(sys.argv[1]).read(), sys.argv[2]
staging = "v0" + release[2:]
cut = text.index("replace (")
names = re.findall(r"^\s*(k8s\.io/\S+) => \./staging", text[cut:], re.M)
requires = text[text.index("require ("):cut]
for name in names:
    requires = requires.replace(f"{name} v0.0.0", f"{name} {staging}")
replaces = "".join(f"\t{name} => {name} {staging}\n" for name in names)
open("go.mod", "w").write(
    f"module test.local/kubernetes\n\ngo 1.24.0\n\ngodebug default=go1.24\n\n{requires}\nrequire k8s.io/kubernetes {release}\n\nreplace (\n{replaces})\n")
P
  local v=k8s.io/component-base/version
  CGO_ENABLED=1 go build -ldflags "$strip -X $v.gitVersion=$release -X $v.gitMajor=1 -X $v.gitMinor=$(cut -d. -f2 <<< "$release")" -o "$bin/" \
    k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kube-proxy,kubelet,kubectl}
}

build_gvisor() {
  say "gVisor and its containerd shim"
  module gvisor gvisor.dev/gvisor
  printf '//go:build tools\n\npackage tools\n\nimport (\n\t_ "gvisor.dev/gvisor/runsc"\n\t_ "gvisor.dev/gvisor/shim"\n)\n' > tools.go
  go mod tidy
  local day; day=$(version gvisor.dev/gvisor | sed -E 's/.*-([0-9]{8})[0-9]{6}-.*/\1/')
  go build -ldflags "$strip -X gvisor.dev/gvisor/runsc/version.version=release-$day.0" -o "$bin/runsc" gvisor.dev/gvisor/runsc
  go mod vendor # Go's -overlay refuses files in the module cache
  cp "$here/build/oom_linux.go.txt" vendor/github.com/containerd/containerd/v2/pkg/sys/oom_linux.go
  GOFLAGS="-mod=vendor -trimpath -buildvcs=false" go build -ldflags "$strip" -o "$bin/containerd-shim-runsc-v1" gvisor.dev/gvisor/shim
}

build_containerd() {
  say "containerd and CNI plugins"
  module containerd github.com/containerd/containerd/v2 github.com/containernetworking/plugins
  go build -ldflags "$strip" -o "$bin/" github.com/containerd/containerd/v2/cmd/{containerd,containerd-shim-runc-v2,ctr}
  go build -ldflags "$strip" -o "$bin/cni/" github.com/containernetworking/plugins/plugins/{main/ptp,main/loopback,ipam/host-local,meta/portmap}
}

# The NetworkPolicy enforcer of SIG Network. Its own go.sum has the checksums of its dependencies.
build_netpol() {
  say "kube-network-policies"
  module netpol sigs.k8s.io/kube-network-policies
  local folder; folder=$(download sigs.k8s.io/kube-network-policies Dir)
  sort -u go.sum "$folder/go.sum" -o go.sum
  sed 's#^module .*#module test.local/netpol#' "$folder/go.mod" > go.mod
  go mod edit -require "sigs.k8s.io/kube-network-policies@$(version sigs.k8s.io/kube-network-policies)"
  go build -ldflags "$strip" -o "$bin/kube-network-policies" sigs.k8s.io/kube-network-policies/cmd
}

# build_one BINARY MODULE PACKAGE
build_one() {
  say "$1"
  module "$1" "$2"
  go build -ldflags "$strip" -o "$bin/$1" "$3"
}

has kubelet || build_kubernetes
has containerd-shim-runsc-v1 || build_gvisor
has containerd || build_containerd
has etcd || build_one etcd go.etcd.io/etcd/server/v3 go.etcd.io/etcd/server/v3
has kube-network-policies || build_netpol
has helm || build_one helm helm.sh/helm/v3 helm.sh/helm/v3/cmd/helm
has registry || build_one registry github.com/distribution/distribution/v3 github.com/distribution/distribution/v3/cmd/registry
has crane || build_one crane github.com/google/go-containerregistry github.com/google/go-containerregistry/cmd/crane
has coredns || build_one coredns github.com/coredns/coredns github.com/coredns/coredns
[ "${2:-}" != scale ] || has kwok || build_one kwok sigs.k8s.io/kwok sigs.k8s.io/kwok/cmd/kwok
rm -rf "$work"
