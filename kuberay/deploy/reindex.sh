#!/bin/sh
# kuberay/deploy/reindex.sh NAMESPACE: the index anew from PostgreSQL by the RayJob; waits until it has ended.
set -eu
kubectl --namespace "$1" delete rayjob eservice-reindex --ignore-not-found --wait
sed "s|^  namespace: .*|  namespace: $1|" kuberay/components/reindex/reindex.yaml \
    | kubectl --namespace "$1" apply -f -
kubectl --namespace "$1" wait rayjob/eservice-reindex --timeout=170m \
    --for=jsonpath='{.status.jobDeploymentStatus}'=Complete
