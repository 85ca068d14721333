{{/*
Names, labels and the parts that all pods share. Most helpers take a component: a dict with root (the root context), name
(used in object names and in the component label) and values (its section of values.yaml).
*/}}


{{- define "holdfast.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/*
The prefix of all names. It has at most 40 characters, so that no suffix is ever cut, not even one that a StatefulSet adds.
A longer prefix is cut and ends in a hash, so that the names of two releases differ.
*/}}
{{- define "holdfast.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- $full := .Values.fullnameOverride | default (contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name)) }}
{{- if gt (len $full) 40 }}
{{- $full = printf "%s-%s" ($full | trunc 31 | trimSuffix "-") ($full | sha256sum | trunc 8) }}
{{- end }}
{{- $full }}
{{- end }}

{{- define "holdfast.componentName" -}}
{{- printf "%s-%s" (include "holdfast.fullname" .root) .name }}
{{- end }}

{{- define "holdfast.reportName" -}}
{{- printf "%s-report" (include "holdfast.fullname" .) }}
{{- end }}

{{/* Selector labels do not depend on the version of the chart. */}}
{{- define "holdfast.selectorLabels" -}}
app.kubernetes.io/name: {{ include "holdfast.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- define "holdfast.labels" -}}
{{- $labels := include "holdfast.selectorLabels" . | fromYaml }}
{{- $_ := set $labels "app.kubernetes.io/version" (.root.Chart.AppVersion | toString) }}
{{- $_ := set $labels "app.kubernetes.io/part-of" "holdfast" }}
{{- $_ := set $labels "app.kubernetes.io/managed-by" .root.Release.Service }}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") }}
{{- toYaml (merge $labels (.podLabels | default dict) .root.Values.commonLabels) }}
{{- end }}

{{/* Metadata of an object; `as` replaces the component's name, `annotations` and `podLabels` are dicts. */}}
{{- define "holdfast.metadata" -}}
name: {{ .as | default (include "holdfast.componentName" .) }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "holdfast.labels" . | nindent 2 }}
{{- with merge dict (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Annotations that keep autoscalers from moving a pod to another node: a run without it would be unknown. */}}
{{- define "holdfast.stayAnnotations" -}}
cluster-autoscaler.kubernetes.io/safe-to-evict: "false"
karpenter.sh/do-not-disrupt: "true"
{{- end }}

{{/*
Metadata of a pod template; `annotations` is a dict, `run` is true for pods that are created for each run. Other pods have
no version label, or each new version of the chart would restart servers that it does not change.
*/}}
{{- define "holdfast.podMetadata" -}}
{{- $labels := include "holdfast.labels" . | fromYaml }}
{{- if not .run }}
{{- $labels = omit $labels "app.kubernetes.io/version" "helm.sh/chart" }}
{{- end }}
{{- $stay := dict }}
{{- if .run }}
{{- $stay = include "holdfast.stayAnnotations" . | fromYaml }}
{{- end -}}
labels:
  {{- toYaml (merge $labels .values.podLabels) | nindent 2 }}
{{- with merge dict (.annotations | default dict) .values.podAnnotations $stay .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "holdfast.serviceAccountName" -}}
{{- if .values.serviceAccount.create }}
{{- .values.serviceAccount.name | default (include "holdfast.componentName" .) }}
{{- else }}
{{- .values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{/*
The pod spec without containers; `token` is true for pods that need one. No value can take a pod out of the restricted
profile.
*/}}
{{- define "holdfast.podSpec" -}}
serviceAccountName: {{ include "holdfast.serviceAccountName" . }}
automountServiceAccountToken: {{ or .token .values.serviceAccount.automount }}
# With service links, a Service named redis would set the variable REDIS_PORT=tcp://... .
enableServiceLinks: false
{{- with .root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- $users := .values.podSecurityContext }}
{{- if .root.Values.openshift.enabled }}
{{- $users = omit $users "runAsUser" "runAsGroup" "fsGroup" }}
{{- end }}
securityContext:
  {{- toYaml (merge (dict "runAsNonRoot" true "seccompProfile" (dict "type" "RuntimeDefault")) $users) | nindent 2 }}
{{- with .values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- $own := dict "labelSelector" (dict "matchLabels" (include "holdfast.selectorLabels" $ | fromYaml)) }}
  {{- range . }}
  {{- toYaml (list (merge (dict) . $own)) | nindent 2 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Takes a component with the values of an image in `image`. */}}
{{- define "holdfast.container" -}}
{{- $registry := .image.registry | default .root.Values.global.imageRegistry }}
{{- $name := printf "%s%s" (empty $registry | ternary "" (printf "%s/" $registry)) .image.repository -}}
image: {{ .image.digest | empty | ternary (printf "%s:%s" $name (.image.tag | default .root.Chart.AppVersion | toString)) (printf "%s@%s" $name .image.digest) }}
imagePullPolicy: {{ .image.pullPolicy }}
terminationMessagePolicy: FallbackToLogsOnError
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- with .values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/*
The variables of `env` (YAML) and extraEnv, each name once, because server-side apply rejects duplicates. A secret that
extraEnv gives in another way (NAME, NAME_FILE or NAME_COMMAND) replaces the chart's.
*/}}
{{- define "holdfast.env" -}}
{{- $byName := dict }}
{{- range .values.extraEnv }}
{{- if hasKey $byName .name }}
{{- fail (printf "%s.extraEnv names %s twice: remove one" $.name .name) }}
{{- end }}
{{- $_ := set $byName .name . }}
{{- end }}
{{- $env := list }}
{{- range fromYamlArray .env }}
{{- $name := .name | trimSuffix "_FILE" }}
{{- if not (or (hasKey $byName .name) (hasKey $byName $name) (hasKey $byName (printf "%s_FILE" $name)) (hasKey $byName (printf "%s_COMMAND" $name))) }}
{{- $env = append $env . }}
{{- end }}
{{- end }}
{{- toYaml (concat $env .values.extraEnv | default list) }}
{{- end }}

{{/* The volumes in `volumes` (YAML) and those of extraVolumes. The next template does the same for the mounts. */}}
{{- define "holdfast.volumes" -}}
{{- $volumes := fromYamlArray .volumes }}
{{- range $extra := .values.extraVolumes }}
{{- range $volumes }}
{{- if eq .name $extra.name }}
{{- fail (printf "%s.extraVolumes: the chart or another entry already has a volume named %s: choose another name" $.name .name) }}
{{- end }}
{{- end }}
{{- $volumes = append $volumes $extra }}
{{- end }}
{{- toYaml $volumes }}
{{- end }}

{{- define "holdfast.volumeMounts" -}}
{{- toYaml (concat (fromYamlArray .mounts) .values.extraVolumeMounts) }}
{{- end }}

{{/*
Arguments that run a program, and again when it has ended without an error, as a fault ends it. What comes behind them are
the arguments of the program.
*/}}
{{- define "holdfast.runAgain" -}}
- sh
- -c
- |
  trap 'kill "$server"; wait "$server"; exit' TERM
  while {{ . }} "$@" & server=$!; wait "$server"; do :; done
  exit 1
- {{ . }}
{{- end }}
