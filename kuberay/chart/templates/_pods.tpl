{{- /* What every container of ours has. `dict "root" $ ...` where the root context is needed too. */}}

{{- define "image" -}}
{{- $image := index .root.Values.image .name -}}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}{{ else }}{{ $image.repository }}:{{ $image.tag }}{{ end }}
{{- end }}

{{- define "labels" -}}
app.kubernetes.io/name: eservice
app.kubernetes.io/part-of: eservice
{{- end }}

{{- define "podSecurity" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "environment" -}}
envFrom:
  - configMapRef: {name: eservice}
  - secretRef: {name: eservice}
{{- end }}

{{- /* The root file system is read-only: what is written goes here, and ends with the pod. */}}
{{- define "mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: home, mountPath: /home/eservice}
- {name: cache, mountPath: /cache}
- {name: shm, mountPath: /dev/shm}
- {name: artefacts, mountPath: /artefacts}
{{- end }}

{{- define "volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: 20Gi}
- name: home
  emptyDir: {sizeLimit: 2Gi}
- name: cache
  emptyDir: {sizeLimit: 80Gi}
- name: shm
  emptyDir: {medium: Memory, sizeLimit: {{ .shm }}}
- name: artefacts
  persistentVolumeClaim: {claimName: eservice-artefacts}
{{- end }}

{{- /* Let the node's replicas finish what they stream before the container is told to end. */}}
{{- define "drain" -}}
lifecycle:
  preStop:
    exec: {command: [python, -m, deployments.kubernetes.drain, --within, "360"]}
{{- end }}

{{- define "gpuPlacement" -}}
nodeSelector: {nvidia.com/gpu.product: {{ . }}}
tolerations:
  - {key: nvidia.com/gpu, operator: Exists, effect: NoSchedule}
{{- end }}
