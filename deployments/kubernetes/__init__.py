"""Between this application and a Kubernetes cluster: rendered manifests, draining pods, roll-outs."""
