# Sourced by node.sh: writes the parts' configuration files.

# A routed (ptp) pod network: with a bridge, traffic between two pods of a node would never pass the policy rules. One rule masks all pods'
# addresses (node.sh), because the plugin's own masking calls iptables four times for each pod.
cat > "$state/cni/10-test.conflist" <<T
{"cniVersion":"1.0.0","name":"test","plugins":[
  {"type":"ptp","ipMasq":false,"ipam":{"type":"host-local","ranges":[[{"subnet":"$pods"}]],"dataDir":"$state/ipam","routes":[{"dst":"0.0.0.0/0"}]}}]}
T
# One shim for a pod instead of one for each container: its start takes 200 ms less, and it costs a process less.
cat > "$state/runsc.toml" <<T
grouping = true
[runsc_config]
  platform = "systrap"
T
# restrict_oom_score_adj: the host may lack CAP_SYS_RESOURCE. pod_annotations stay empty, so that no annotation of a pod changes runsc's
# flags.
cat > "$state/containerd.toml" <<T
version = 3
root = "$state/containerd/root"
state = "$state/containerd/state"
[grpc]
  address = "$state/containerd.sock"
[ttrpc]
  address = "$state/containerd.sock.ttrpc"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "localhost/pause:1"
[plugins."io.containerd.cri.v1.images".registry]
  config_path = "$state/certs.d"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["$bin/cni"]
  conf_dir = "$state/cni"
[plugins."io.containerd.cri.v1.runtime".containerd]
  default_runtime_name = "runc"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runsc]
  runtime_type = "io.containerd.runsc.v1"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runsc.options]
    TypeUrl = "io.containerd.runsc.v1.options"
    ConfigPath = "$state/runsc.toml"
T
# The registry speaks plain HTTP on the node's address.
mkdir -p "$state/certs.d/$address:5000"
cat > "$state/certs.d/$address:5000/hosts.toml" <<T
[host."http://$address:5000"]
  capabilities = ["pull", "resolve"]
T
cat > "$state/registry.yaml" <<T
version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: $state/registry}, delete: {enabled: true}}
http: {addr: "$address:5000"}
T
# cgroup v1 still serves kubelet 1.34; later ones need failCgroupV1: false.
cat > "$state/kubelet.yaml" <<T
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, x509: {clientCAFile: $pki/ca.crt}, webhook: {enabled: true}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
containerRuntimeEndpoint: unix://$state/containerd.sock
clusterDNS: [$dns]
clusterDomain: cluster.local
failSwapOn: false
failCgroupV1: false
tlsCertFile: $pki/kubelet.crt
tlsPrivateKeyFile: $pki/kubelet.key
address: $address
healthzBindAddress: 127.0.0.1
evictionHard: {memory.available: 100Mi, nodefs.available: 1Gi, imagefs.available: 1Gi}
serializeImagePulls: false
podPidsLimit: 1024
maxPods: 250
T
# Tests read what the platform's own service accounts do.
cat > "$state/audit.yaml" <<T
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - {level: Metadata, userGroups: ["system:serviceaccounts"]}
  - {level: None}
T
# The cluster's DNS; other names are asked of the machine's own resolvers.
cat > "$state/Corefile" <<T
.:53 {
  bind $address
  errors
  kubernetes cluster.local {
    kubeconfig $pki/admin.conf
  }
  forward . /etc/resolv.conf
  cache 30
}
T
