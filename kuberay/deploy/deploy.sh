#!/bin/sh
# kuberay/deploy/deploy.sh ENVIRONMENT IMAGES PROMETHEUS: render, migrate, roll out; back where an alert fires.
# Credentials of the deployer's service account are in KUBECONFIG.
set -eu
here=$(dirname "$0")
"$here/render.sh" "$1" "$2" > manifest.yaml
"$here/migrate.sh" manifest.yaml "eservice-$1"
python3 -m deployments.kubernetes.rollout manifest.yaml --namespace "eservice-$1" --prometheus "$3"
