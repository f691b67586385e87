#!/bin/sh
# kuberay/deploy/migrate.sh MANIFEST NAMESPACE: the migration Job and what its pod needs, before the rest.
set -eu
kubectl --namespace "$2" delete job eservice-migrate --ignore-not-found --wait
python3 -m deployments.kubernetes.parts "$1" --of migration > migration.yaml
kubectl apply --server-side --force-conflicts -f migration.yaml
kubectl --namespace "$2" wait job/eservice-migrate --for=condition=complete --timeout=30m
