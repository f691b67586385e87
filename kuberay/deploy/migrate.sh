#!/bin/sh
# kuberay/deploy/migrate.sh MANIFEST NAMESPACE: the migration Job and what its pod needs, before the rest.
set -eu
kubectl --namespace "$2" delete job eservice-migrate --ignore-not-found --wait
python3 - "$1" <<'PYTHON' | kubectl apply --server-side --force-conflicts -f -
import re, sys

NEEDED = ("ConfigMap", "ExternalSecret", "NetworkPolicy", "PersistentVolumeClaim", "ServiceAccount", "Job")
objects = re.split(r"^---\n", open(sys.argv[1]).read(), flags=re.MULTILINE)
print("---\n".join(each for each in objects if re.search(r"^kind: (\w+)$", each, re.M)[1] in NEEDED))
PYTHON
kubectl --namespace "$2" wait job/eservice-migrate --for=condition=complete --timeout=30m
