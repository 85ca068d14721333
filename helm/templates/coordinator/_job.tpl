{{/* The spec of a coordinator's Job; `env` has variables in addition to those of every coordinator, as YAML. */}}
{{- define "holdfast.coordinatorJobSpec" -}}
{{- $root := .root }}
{{- $c := dict "root" $root "name" "coordinator" "values" $root.Values.coordinator "image" $root.Values.image "run" true }}
{{- $annotations := dict "checksum/worker" (include (print $root.Template.BasePath "/worker/configmap.yaml") $root | sha256sum) }}
{{- if $root.Values.metrics.annotations.enabled }}
{{- $_ := merge $annotations (dict "prometheus.io/scrape" "true" "prometheus.io/port" "8080" "prometheus.io/path" "/metrics") }}
{{- end }}
{{- $env := printf "%s\n%s" (include "holdfast.coordinatorEnv" $root) (.env | default "") -}}
backoffLimit: {{ $root.Values.coordinator.backoffLimit }}
{{- with $root.Values.coordinator.activeDeadlineSeconds }}
activeDeadlineSeconds: {{ . }}
{{- end }}
podFailurePolicy:
  rules:
    # A drained or evicted pod is replaced whatever its exit status, without counting as a retry.
    - action: Ignore
      onPodConditions:
        - type: DisruptionTarget
          status: "True"
    # Verdicts (1, 3) and invalid configuration (2) are final. An unreachable server (4) is retried.
    - action: FailJob
      onExitCodes:
        containerName: coordinator
        operator: In
        values: [1, 2, 3]
template:
  metadata:
    {{- include "holdfast.podMetadata" (merge (dict "annotations" $annotations) $c) | nindent 4 }}
  spec:
    {{- include "holdfast.podSpec" $c | nindent 4 }}
    restartPolicy: Never
    terminationGracePeriodSeconds: {{ $root.Values.coordinator.terminationGracePeriodSeconds }}
    containers:
      - name: coordinator
        {{- include "holdfast.container" $c | nindent 8 }}
        command: [node, /app/coordinator.js]
        env:
          {{- include "holdfast.env" (merge (dict "env" $env) $c) | nindent 10 }}
        {{- with $root.Values.coordinator.extraEnvFrom }}
        envFrom:
          {{- toYaml . | nindent 10 }}
        {{- end }}
        ports:
          - name: metrics
            containerPort: 8080
        # No liveness probe: a coordinator that hangs is ended by its own deadlines, and writes a report.
        readinessProbe:
          httpGet:
            path: /healthz
            port: metrics
          periodSeconds: 1
          failureThreshold: 5
        volumeMounts:
          {{- include "holdfast.volumeMounts" (merge (dict "mounts" (include "holdfast.coordinatorMounts" $root)) $c) | nindent 10 }}
    volumes:
      {{- include "holdfast.volumes" (merge (dict "volumes" (include "holdfast.coordinatorVolumes" $root)) $c) | nindent 6 }}
{{- end }}

{{- define "holdfast.coordinatorMounts" -}}
- name: worker
  mountPath: /etc/holdfast
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- if .Values.history.volume }}
- name: history
  mountPath: /history
{{- end }}
{{- include "holdfast.certificateMounts" (dict "root" . "monitor" true) }}
{{- end }}
{{- define "holdfast.coordinatorVolumes" -}}
- name: worker
  configMap:
    name: {{ include "holdfast.fullname" . }}-worker
- name: tmp
  emptyDir: {}
{{- with .Values.history.volume }}
- name: history
  {{- if kindIs "string" . }}
  persistentVolumeClaim:
    claimName: {{ . }}
  {{- else }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- include "holdfast.certificateVolumes" (dict "root" . "monitor" true) }}
{{- end }}
