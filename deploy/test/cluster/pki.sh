# Sourced by node.sh: makes one certificate authority, a certificate for each part, and kubeconfigs.
(
  cd "$pki"
  openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=test-ca -days 365 2> /dev/null
  issue() {
    openssl req -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" 2> /dev/null
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -out "$1.crt" -days 365 2> /dev/null -extfile <(
      printf 'subjectAltName=DNS:localhost,DNS:%s,DNS:kubernetes,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1,IP:%s\nextendedKeyUsage=clientAuth,serverAuth' "$node" "$address")
  }
  issue apiserver /CN=kube-apiserver
  issue admin /O=system:masters/CN=admin
  issue kubelet "/O=system:nodes/CN=system:node:$node"
  issue manager /CN=system:kube-controller-manager
  issue scheduler /CN=system:kube-scheduler
  issue proxy /CN=system:kube-proxy
  openssl genrsa -out sa.key 2048 2> /dev/null
  openssl rsa -in sa.key -pubout -out sa.pub 2> /dev/null
  for user in admin kubelet manager scheduler proxy; do
    config() { kubectl --kubeconfig="$user.conf" config "$@" > /dev/null; }
    config set-cluster test --server="https://$address:6443" --certificate-authority=ca.crt --embed-certs
    config set-credentials user --client-certificate="$user.crt" --client-key="$user.key" --embed-certs
    config set-context test --cluster=test --user=user
    config use-context test
  done
)
