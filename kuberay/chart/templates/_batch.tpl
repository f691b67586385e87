{{- /* A Ray cluster for one job: a head that schedules nothing and workers of the CPU image. */}}
{{- define "batchCluster" -}}
rayVersion: {{ .Values.rayVersion | quote }}
authOptions: {mode: token, secretName: eservice-ray-token}
headGroupSpec:
  rayStartParams: {dashboard-host: 0.0.0.0, num-cpus: "0"}
  template:
    metadata:
      labels:
        {{- include "labels" . | nindent 8 }}
        eservice/part: batch
    spec:
      {{- include "batchPod" (dict "root" . "name" "ray-head" "cpu" "2" "memory" "8Gi" "path" "/api/gcs_healthz" "port" 8265) | nindent 6 }}
workerGroupSpecs:
  - groupName: embedding
    replicas: 2
    minReplicas: 2
    maxReplicas: 2
    rayStartParams: {}
    template:
      metadata:
        labels:
          {{- include "labels" . | nindent 10 }}
          eservice/part: batch
      spec:
        {{- include "batchPod" (dict "root" . "name" "ray-worker" "cpu" "4" "memory" "16Gi" "path" "/api/local_raylet_healthz" "port" 52365) | nindent 8 }}
{{- end }}

{{- define "batchPod" -}}
serviceAccountName: eservice-worker
automountServiceAccountToken: false
securityContext: {{- include "podSecurity" .root | nindent 2 }}
containers:
  - name: {{ .name }}
    image: {{ include "image" (dict "root" .root "name" "cpu") }}
    {{- include "environment" .root | nindent 4 }}
    resources:
      requests: {cpu: {{ .cpu | quote }}, memory: {{ .memory }}}
      limits: {cpu: {{ .cpu | quote }}, memory: {{ .memory }}}
    livenessProbe:
      httpGet: {path: {{ .path }}, port: {{ .port }}}
      initialDelaySeconds: 30
      periodSeconds: 10
      failureThreshold: 12
    readinessProbe:
      httpGet: {path: {{ .path }}, port: {{ .port }}}
      periodSeconds: 5
      failureThreshold: 10
    securityContext: {{- include "containerSecurity" .root | nindent 6 }}
    volumeMounts: {{- include "mounts" .root | nindent 6 }}
volumes: {{- include "volumes" (dict "shm" "2Gi") | nindent 2 }}
{{- end }}

{{- define "submitter" -}}
metadata:
  labels:
    {{- include "labels" . | nindent 4 }}
    eservice/part: batch
spec:
  restartPolicy: Never
  serviceAccountName: eservice-worker
  automountServiceAccountToken: false
  securityContext: {{- include "podSecurity" . | nindent 4 }}
  containers:
    - name: submit
      image: {{ include "image" (dict "root" . "name" "cpu") }}
      resources:
        requests: {cpu: 200m, memory: 512Mi}
        limits: {cpu: "1", memory: 1Gi}
      securityContext: {{- include "containerSecurity" . | nindent 8 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        - {name: home, mountPath: /home/eservice}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: 1Gi}
    - name: home
      emptyDir: {sizeLimit: 1Gi}
{{- end }}
