{{/* Addresses and passwords of MySQL, Redis and Prometheus: of the bundled servers, or of the user's own. */}}

{{/* The users of files/users.acl that have a password, in the file's spelling: LOCK, MONITOR. */}}
{{- define "holdfast.redisUsers" -}}
{{- $users := list }}
{{- range regexFindAll "#%[A-Z_]+%" (.Files.Get "files/users.acl") -1 | uniq }}
{{- $users = append $users (. | trimPrefix "#%" | trimSuffix "%") }}
{{- end }}
{{- toYaml $users }}
{{- end }}

{{- define "holdfast.redisPasswordKey" -}}
{{- printf "redis-%s-password" (lower . | replace "_" "-") }}
{{- end }}

{{/*
Sets .Values.computed to the passwords that this chart keeps in its Secret. Each is the given one, or the one in the live
Secret, or a new one. They are computed once per render, so that the Secret and the hashes in the users file agree.
*/}}
{{- define "holdfast.passwords" -}}
{{- if not (hasKey .Values "computed") }}
{{- $wanted := dict "token" .Values.token }}
{{- if not .Values.mysql.auth.existingSecret }}
{{- $_ := set $wanted "mysql-password" .Values.mysql.auth.password }}
{{- if .Values.mysql.enabled }}
{{- $_ := set $wanted "mysql-root-password" .Values.mysql.auth.rootPassword }}
{{- end }}
{{- end }}
{{- if not .Values.redis.auth.existingSecret }}
{{- range include "holdfast.redisUsers" . | fromYamlArray }}
{{- $_ := set $wanted (include "holdfast.redisPasswordKey" .) (get $.Values.redis.auth.passwords (lower .)) }}
{{- end }}
{{- end }}
{{- if and .Values.grafana.enabled (not .Values.grafana.existingSecret) }}
{{- $_ := set $wanted "grafana-admin-password" .Values.grafana.adminPassword }}
{{- end }}
{{- $secret := lookup "v1" "Secret" .Release.Namespace (include "holdfast.fullname" .) | default dict }}
{{- $live := get $secret "data" | default dict }}
{{- $computed := dict }}
{{- range $key, $given := $wanted }}
{{- $_ := set $computed $key ($given | default (get $live $key | b64dec) | default (randAlphaNum 32)) }}
{{- end }}
{{- $_ := set .Values "computed" $computed }}
{{- end }}
{{- end }}

{{- define "holdfast.mysqlHost" -}}
{{- .Values.mysql.enabled | ternary (printf "%s-mysql" (include "holdfast.fullname" .)) .Values.mysql.external.host }}
{{- end }}

{{- define "holdfast.mysqlPort" -}}
{{- .Values.mysql.enabled | ternary 3306 .Values.mysql.external.port }}
{{- end }}

{{/* host:port of each independent Redis server. Each has a Service, whose name resolves before the pod is ready. */}}
{{- define "holdfast.redisNodes" -}}
{{- $nodes := .Values.redis.external.nodes }}
{{- if .Values.redis.enabled }}
{{- $nodes = list }}
{{- range until (.Values.redis.instances | int) }}
{{- $nodes = append $nodes (printf "%s-redis-%d:6379" (include "holdfast.fullname" $) .) }}
{{- end }}
{{- end }}
{{- toYaml $nodes }}
{{- end }}

{{- define "holdfast.prometheusUrl" -}}
{{- .Values.prometheus.enabled | ternary (printf "http://%s-prometheus:9090" (include "holdfast.fullname" .)) .Values.prometheus.external.url }}
{{- end }}

{{- define "holdfast.mysqlPasswordRef" -}}
secretKeyRef:
  name: {{ .Values.mysql.auth.existingSecret | default (include "holdfast.fullname" .) }}
  key: {{ .Values.mysql.auth.existingSecret | empty | ternary "mysql-password" .Values.mysql.auth.passwordKey }}
{{- end }}

{{- define "holdfast.mysqlRootPasswordRef" -}}
secretKeyRef:
  name: {{ .Values.mysql.auth.existingSecret | default (include "holdfast.fullname" .) }}
  key: {{ .Values.mysql.auth.existingSecret | empty | ternary "mysql-root-password" .Values.mysql.auth.rootPasswordKey }}
{{- end }}

{{/* Environment variables that locate the servers. `monitor` adds the password that only the coordinator has. */}}
{{- define "holdfast.serverEnv" -}}
{{- $root := .root }}
{{- $urls := list }}
{{- range include "holdfast.redisNodes" $root | fromYamlArray }}
{{- $urls = append $urls (printf "redis://%s" .) }}
{{- end }}
- name: MYSQL_URL
  value: {{ printf "mysql://%s@%s:%v/%s" $root.Values.mysql.auth.username (include "holdfast.mysqlHost" $root) (include "holdfast.mysqlPort" $root) $root.Values.mysql.auth.database | quote }}
- name: MYSQL_PASSWORD
  valueFrom:
    {{- include "holdfast.mysqlPasswordRef" $root | nindent 4 }}
- name: REDIS_URL
  value: {{ first $urls | quote }}
- name: REDIS_URLS
  value: {{ join "," $urls | quote }}
{{- range include "holdfast.redisUsers" $root | fromYamlArray }}
{{- if or $.monitor (ne . "MONITOR") }}
- name: REDIS_PASSWORD_{{ . }}
  valueFrom:
    secretKeyRef:
      name: {{ $root.Values.redis.auth.existingSecret | default (include "holdfast.fullname" $root) }}
      key: {{ include "holdfast.redisPasswordKey" . }}
{{- end }}
{{- end }}
- name: HOLDFAST_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ include "holdfast.fullname" $root }}
      key: token
{{- end }}
