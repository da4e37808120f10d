# Sourced by node.sh: starts the NetworkPolicy enforcer. Its own rules need nft; the queue rules here replace them on kernels that have only
# xt_NFQUEUE.
kubectl create serviceaccount netpol -n kube-system > /dev/null
kubectl create clusterrolebinding netpol --clusterrole=view --serviceaccount=kube-system:netpol > /dev/null
kubectl create clusterrole netpol-nodes --verb=get,list,watch --resource=nodes,namespaces,pods,networkpolicies.networking.k8s.io > /dev/null
kubectl create clusterrolebinding netpol-nodes --clusterrole=netpol-nodes --serviceaccount=kube-system:netpol > /dev/null
# The enforcer reads an in-cluster configuration only.
sa=/run/secrets/kubernetes.io/serviceaccount
mkdir -p $sa
kubectl create token netpol -n kube-system --duration=24h > $sa/token
cp "$pki/ca.crt" $sa/
printf kube-system > $sa/namespace
start netpol env KUBERNETES_SERVICE_HOST="$address" KUBERNETES_SERVICE_PORT=6443 kube-network-policies --hostname-override=$node --disable-nri --metrics-bind-address=127.0.0.1:9080
iptables -t mangle -N NETPOL
iptables -t mangle -A POSTROUTING -j NETPOL
iptables -t mangle -A NETPOL -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN
# A node always reaches its own pods (Kubernetes, "Network Policies"): probes come from there. Traffic from a pod to its node must obey the
# pod's policies here, although Kubernetes leaves that to the node's firewall.
iptables -t mangle -A NETPOL -m addrtype --src-type LOCAL -j RETURN
iptables -t mangle -A INPUT -s $pods -j NETPOL
iptables -t mangle -A NETPOL -s $pods -j NFQUEUE --queue-num 100
iptables -t mangle -A NETPOL -d $pods -j NFQUEUE --queue-num 100
