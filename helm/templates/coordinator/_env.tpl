{{/* The coordinator's environment: variables of coordinator/config.ts and coordinator/platform/kubernetes/settings.ts. */}}
{{- define "holdfast.coordinatorEnv" -}}
{{ include "holdfast.targetEnv" . }}
- name: HOLDFAST_JOB_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['batch.kubernetes.io/job-name']
- name: HOLDFAST_JOB_UID
  valueFrom:
    fieldRef:
      fieldPath: metadata.labels['batch.kubernetes.io/controller-uid']
- name: HOLDFAST_LISTEN
  value: "[::]:8080"
- name: HOLDFAST_COORDINATOR_URL
  value: http://{{ .Values.coordinator.name }}:8080
- name: HOLDFAST_WORKER_TEMPLATE
  value: /etc/holdfast/worker.yaml
- name: HOLDFAST_CLEANUP
  value: {{ .Values.coordinator.cleanup }}
{{- with merge dict .Values.worker.jobAnnotations .Values.commonAnnotations }}
- name: HOLDFAST_WORKER_JOB_ANNOTATIONS
  value: {{ toJson . | quote }}
{{- end }}
- name: HOLDFAST_OUT
  value: /tmp/reports
{{- if .Values.history.volume }}
- name: HOLDFAST_HISTORY_FOLDER
  value: /history
{{- end }}
{{- if .Values.faults.enabled }}
{{- $servers := list }}
{{- range list "mysql" "redis" }}
{{- if (get $.Values .).enabled }}
{{- $servers = append $servers . }}
{{- end }}
{{- end }}
- name: HOLDFAST_SERVER_FAULTS
  value: {{ join "," $servers | quote }}
{{- if .Values.redis.replica.enabled }}
{{- $replicas := list }}
{{- range include "holdfast.redisUrls" . | fromYamlArray }}
{{- $replicas = append $replicas (. | replace ":6379" ":6380") }}
{{- end }}
- name: HOLDFAST_REDIS_REPLICA_URLS
  value: {{ join "," $replicas | quote }}
{{- end }}
{{- if .Values.mysql.enabled }}
{{ include "holdfast.mysqlFaultsPasswordEnv" . }}
{{- end }}
{{- end }}
{{ include "holdfast.prometheusEnv" . }}
{{ include "holdfast.serverEnv" (dict "root" . "monitor" true) }}
{{ include "holdfast.runEnv" . }}
{{- end }}

{{/* The Job and the report: all that `reset` and `verdict` need in addition to the Job's name. */}}
{{- define "holdfast.targetEnv" -}}
- name: HOLDFAST_LAUNCHER
  value: kubernetes
- name: HOLDFAST_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: HOLDFAST_POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: HOLDFAST_RELEASE
  value: {{ .Release.Name | quote }}
- name: HOLDFAST_REPORT_CONFIGMAP
  value: {{ include "holdfast.reportName" . | quote }}
{{- end }}

{{/* The run's options: values at the top level, under the names that the coordinator reads. */}}
{{- define "holdfast.runEnv" -}}
{{- range $option := list "scenario" "strategies" "faults" "workers" "concurrency" "duration" "hold" "pause" "rows" "lockTtl" "extend" "lockTimeout" "keyScope" "guard" "seed" "repeat" "startDeadline" "verbose" }}
{{- $value := get $.Values $option }}
{{- if eq $option "faults" }}
{{- $value = $value.names }}
{{- end }}
{{- if kindIs "slice" $value }}
{{- $value = join "," $value }}
{{- else if kindIs "float64" $value }}
{{- $value = $value | int64 }}
{{- end }}
- name: HOLDFAST_{{ snakecase $option | upper }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- $locks := list }}
{{- range $name, $lock := .Values.locks }}
{{- $words := list }}
{{- range $lock.command }}
{{- /* For the shell, and so that Kubernetes expands nothing. */}}
{{- $words = append $words (printf "'%s'" (. | replace "'" `'\''` | replace "$(" "$$(")) }}
{{- end }}
{{- $locks = append $locks (printf "%s=%s" $name (empty $lock.image | ternary (join " " $words) (printf "unix:%s" (include "holdfast.ownLockSocket" $)))) }}
{{- end }}
{{- with $locks }}
- name: HOLDFAST_LOCK
  value: {{ join "\n" . | quote }}
{{- end }}
{{- end }}
