# Sourced by node.sh: makes the pause image, pushes it to the registry, gives it to containerd, and sets the node label of the runtime
# classes.
mkdir -p "$state/pause/bin"
cp /bin/busybox "$state/pause/bin/busybox"
for applet in sh sleep cat nc httpd ls id dmesg true env grep dd ping wget; do ln -sf busybox "$state/pause/bin/$applet"; done
tar -C "$state/pause" --sort=name --mtime=@0 --owner=0 --group=0 -cf "$state/pause.tar" bin
until_ok crane catalog "$address:5000" --insecure
crane append --insecure --oci-empty-base --platform linux/amd64 -f "$state/pause.tar" -t "$address:5000/test/busybox:1" > /dev/null
crane mutate --insecure --entrypoint /bin/sleep --cmd 1000000000 --env PATH=/bin -t "$address:5000/test/busybox:1" "$address:5000/test/busybox:1" > /dev/null
until_ok ctr -a "$state/containerd.sock" version
ctr -a "$state/containerd.sock" -n k8s.io images pull --plain-http "$address:5000/test/busybox:1" > /dev/null
ctr -a "$state/containerd.sock" -n k8s.io images tag "$address:5000/test/busybox:1" localhost/pause:1 > /dev/null
kubectl label node $node fnctl.dev/sandbox=gvisor > /dev/null
# CoreDNS is a process of the node, so its service has no pods to select.
kubectl apply -f - > /dev/null <<T
{"apiVersion":"v1","kind":"List","items":[
  {"apiVersion":"v1","kind":"Service","metadata":{"name":"kube-dns","namespace":"kube-system"},
   "spec":{"clusterIP":"$dns","ports":[{"name":"dns","port":53,"protocol":"UDP"},{"name":"dns-tcp","port":53,"protocol":"TCP"}]}},
  {"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"kube-dns-node","namespace":"kube-system","labels":{"kubernetes.io/service-name":"kube-dns"}},
   "addressType":"IPv4","endpoints":[{"addresses":["$address"]}],
   "ports":[{"name":"dns","port":53,"protocol":"UDP"},{"name":"dns-tcp","port":53,"protocol":"TCP"}]}]}
T
