#!/bin/sh
# kuberay/deploy/reindex.sh NAMESPACE: the index anew from PostgreSQL by the RayJob; waits until it has ended.
# It runs the image that the service there runs.
set -eu
image=$(kubectl --namespace "$1" get rayservice eservice \
    --output jsonpath='{.spec.rayClusterConfig.headGroupSpec.template.spec.containers[0].image}')
kubectl --namespace "$1" delete rayjob eservice-reindex --ignore-not-found --wait
sed -e "s|^  namespace: .*|  namespace: $1|" -e "s|image: registry.example.com/eservice:.*|image: $image|" \
    kuberay/components/reindex/reindex.yaml | kubectl --namespace "$1" apply -f -
kubectl --namespace "$1" wait rayjob/eservice-reindex --timeout=170m \
    --for=jsonpath='{.status.jobDeploymentStatus}'=Complete
