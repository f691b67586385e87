#!/bin/sh
# kuberay/deploy/render.sh ENVIRONMENT FOLDER: an overlay with the images that FOLDER/*.image name by digest.
set -eu
overlay=kuberay/overlays/$1
for kind in eservice eservice-gpu; do
    image=$(cat "$2/$kind.image")
    case $image in *@sha256:*) ;; *) echo "$image has no digest" >&2; exit 1 ;; esac
    new="{name: registry.example.com/$kind, newName: ${image%@*}, digest: ${image#*@}}"
    sed -i "s|{name: registry.example.com/$kind, new.*}|$new|" "$overlay/kustomization.yaml"
done
kubectl kustomize "$overlay"
