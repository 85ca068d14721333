{{/* Addresses and passwords of MySQL, Redis and Prometheus, and all passwords: of the bundled servers, or of the user's own. */}}

{{/* The users of Redis without their passwords. Only a server of the release has the user who makes faults. */}}
{{- define "holdfast.redisUsersFile" -}}
{{- .Files.Get "files/users.acl" }}
{{- if and .Values.faults.enabled .Values.redis.enabled }}
{{- .Files.Get "files/faults.acl" }}
{{- end }}
{{- end }}

{{/* The users of that file that have a password, in the file's spelling: LOCK, MONITOR. */}}
{{- define "holdfast.redisUsers" -}}
{{- $users := list }}
{{- range regexFindAll "#%[A-Z_]+%" (include "holdfast.redisUsersFile" .) -1 | uniq }}
{{- $users = append $users (. | trimPrefix "#%" | trimSuffix "%") }}
{{- end }}
{{- toYaml $users }}
{{- end }}

{{- define "holdfast.redisPasswordKey" -}}
{{- printf "redis-%s-password" (lower . | replace "_" "-") }}
{{- end }}

{{/*
The logins at Redis: user as in redis.auth.passwords, environment variable, key in the Secret. The user's own server may have
only one login, whose user is in the URL or is `default`, and it may lack the user `guest`, who is then left out.
*/}}
{{- define "holdfast.redisLogins" -}}
{{- $logins := list }}
{{- if include "holdfast.redisHasOneLogin" . }}
{{- $key := .Values.redis.auth.defaultPasswordKey | default (include "holdfast.redisPasswordKey" "default") }}
{{- $logins = list (dict "user" "default" "variable" "REDIS_PASSWORD" "key" $key) }}
{{- else }}
{{- $redis := .Values.redis }}
{{- range include "holdfast.redisUsers" . | fromYamlArray }}
{{- $user := lower . }}
{{- if or (ne $user "guest") $redis.enabled $redis.auth.existingSecret (get $redis.auth.passwords $user) (get $redis.auth.passwordFiles $user) }}
{{- $logins = append $logins (dict "user" $user "variable" (printf "REDIS_PASSWORD_%s" .) "key" (include "holdfast.redisPasswordKey" .)) }}
{{- end }}
{{- end }}
{{- end }}
{{- toYaml $logins }}
{{- end }}

{{- define "holdfast.redisHasOneLogin" -}}
{{- $auth := .Values.redis.auth }}
{{- $inEnv := include "holdfast.hasExtraEnv" (dict "root" . "names" "^REDIS_PASSWORD(_FILE|_COMMAND)?$") }}
{{- if and (not .Values.redis.enabled) (or $auth.passwords.default $auth.defaultPasswordKey $auth.passwordFiles.default $inEnv) }}true{{ end }}
{{- end }}

{{/* Whether coordinator.extraEnv has a variable whose name matches the pattern `names`. */}}
{{- define "holdfast.hasExtraEnv" -}}
{{- range .root.Values.coordinator.extraEnv }}
{{- if regexMatch $.names .name }}true{{ end }}
{{- end }}
{{- end }}

{{/*
Sets .Values.computed to the passwords that this chart keeps in its Secret. Each is the given one, or the one in the live
Secret, or a new one. They are computed once per render, so that the Secret and the hashes in the users file agree.
*/}}
{{- define "holdfast.passwords" -}}
{{- if not (hasKey .Values "computed") }}
{{- $wanted := dict }}
{{- if not .Values.tokenExistingSecret }}
{{- $_ := set $wanted "token" .Values.token }}
{{- end }}
{{- if not (or .Values.mysql.auth.existingSecret .Values.mysql.auth.passwordFile) }}
{{- $_ := set $wanted "mysql-password" .Values.mysql.auth.password }}
{{- if .Values.mysql.enabled }}
{{- $_ := set $wanted "mysql-root-password" .Values.mysql.auth.rootPassword }}
{{- if .Values.faults.enabled }}
{{- $_ := set $wanted "mysql-faults-password" .Values.mysql.auth.faultsPassword }}
{{- end }}
{{- end }}
{{- end }}
{{- if not .Values.redis.auth.existingSecret }}
{{- range include "holdfast.redisLogins" . | fromYamlArray }}
{{- if not (get $.Values.redis.auth.passwordFiles .user) }}
{{- $_ := set $wanted .key (get $.Values.redis.auth.passwords .user) }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name := include "holdfast.usedLockServices" . | fromYamlArray }}
{{- if not (get $.Values $name).auth.existingSecret }}
{{- range include "holdfast.lockServiceSecrets" (dict "root" $ "name" $name) | fromYamlArray }}
{{- $_ := set $wanted .key .given }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.grafana.enabled (not .Values.grafana.existingSecret) }}
{{- $_ := set $wanted "grafana-admin-password" .Values.grafana.adminPassword }}
{{- end }}
{{- $secret := lookup "v1" "Secret" .Release.Namespace (include "holdfast.fullname" .) | default dict }}
{{- $live := get $secret "data" | default dict }}
{{- $computed := dict }}
{{- range $key, $given := $wanted }}
{{- /* Consul wants a UUID. */}}
{{- $new := hasPrefix "consul-" $key | ternary uuidv4 (randAlphaNum 32) }}
{{- $_ := set $computed $key ($given | default (get $live $key | b64dec) | default $new) }}
{{- end }}
{{- $_ := set .Values "computed" $computed }}
{{- end }}
{{- end }}

{{/* host:port of MySQL, or of each server of one cluster. */}}
{{- define "holdfast.mysqlNodes" -}}
{{- $external := .Values.mysql.external }}
{{- $host := $external.host }}
{{- if and (contains ":" $host) (not (hasPrefix "[" $host)) }}
{{- $host = printf "[%s]" $host }}
{{- end }}
{{- $nodes := $external.nodes | default (list (printf "%s:%v" $host $external.port)) }}
{{- toYaml (.Values.mysql.enabled | ternary (list (printf "%s-mysql:3306" (include "holdfast.fullname" .))) $nodes) }}
{{- end }}

{{/* The URL of each independent Redis server. Each has a Service, whose name resolves before the pod is ready. */}}
{{- define "holdfast.redisUrls" -}}
{{- $urls := list }}
{{- if .Values.redis.enabled }}
{{- range until (.Values.redis.instances | int) }}
{{- $urls = append $urls (printf "redis://%s-redis-%d:6379" (include "holdfast.fullname" $) .) }}
{{- end }}
{{- else if .Values.redis.external.url }}
{{- $urls = list .Values.redis.external.url }}
{{- else }}
{{- range .Values.redis.external.nodes }}
{{- $urls = append $urls (printf "%s://%s" ($.Values.redis.external.tls.enabled | ternary "rediss" "redis") .) }}
{{- end }}
{{- end }}
{{- toYaml $urls }}
{{- end }}

{{/* The ports on which Redis listens. Sentinels listen on 26379 by default, and the servers that they name on 6379. */}}
{{- define "holdfast.redisPorts" -}}
{{- $ports := .Values.redis.external.ports | default list }}
{{- range include "holdfast.redisUrls" . | fromYamlArray }}
{{- $hosts := regexReplaceAll "^[^:]+://([^@/]*@)?([^/]*).*$" . "${2}" }}
{{- $named := regexFindAll ":[0-9]+" (regexReplaceAll "\\[[^]]*\\]" $hosts "") -1 }}
{{- range $named }}
{{- $ports = append $ports (trimPrefix ":" . | int) }}
{{- end }}
{{- $sentinel := contains "+sentinel:" . }}
{{- if lt (len $named) (len (splitList "," $hosts)) }}
{{- $ports = append $ports ($sentinel | ternary 26379 6379) }}
{{- end }}
{{- if $sentinel }}
{{- $ports = append $ports 6379 }}
{{- end }}
{{- end }}
{{- range $ports }}
- {{ . }}
{{- end }}
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

{{/* The user who makes faults of the bundled MySQL. */}}
{{- define "holdfast.mysqlFaultsPasswordEnv" -}}
- name: MYSQL_PASSWORD_FAULTS
  valueFrom:
    secretKeyRef:
      name: {{ .Values.mysql.auth.existingSecret | default (include "holdfast.fullname" .) }}
      key: {{ .Values.mysql.auth.existingSecret | empty | ternary "mysql-faults-password" .Values.mysql.auth.faultsPasswordKey }}
{{- end }}

{{/* Environment variables that locate the servers. `monitor` adds what only the coordinator may know. */}}
{{- define "holdfast.serverEnv" -}}
{{- $v := .root.Values }}
{{- $urls := include "holdfast.redisUrls" .root | fromYamlArray }}
{{- $mysqlUrls := list }}
{{- range include "holdfast.mysqlNodes" .root | fromYamlArray }}
{{- $mysqlUrls = append $mysqlUrls (printf "mysql://%s@%s/%s" (urlquery $v.mysql.auth.username) . (urlquery $v.mysql.auth.database)) }}
{{- end }}
- name: MYSQL_URL
  value: {{ first $mysqlUrls | quote }}
{{- if gt (len $mysqlUrls) 1 }}
- name: MYSQL_URLS
  value: {{ join "," $mysqlUrls | quote }}
{{- end }}
{{- if $v.mysql.auth.passwordFile }}
- name: MYSQL_PASSWORD_FILE
  value: {{ $v.mysql.auth.passwordFile | quote }}
{{- else }}
- name: MYSQL_PASSWORD
  valueFrom:
    {{- include "holdfast.mysqlPasswordRef" .root | nindent 4 }}
{{- end }}
{{- if $v.mysql.external.tls.enabled }}
- name: MYSQL_TLS
  value: required
{{- end }}
- name: REDIS_URL
  value: {{ first $urls | quote }}
{{- if or $v.redis.enabled $v.redis.external.nodes }}
- name: REDIS_URLS
  value: {{ join "," $urls | quote }}
{{- end }}
{{- range include "holdfast.redisLogins" .root | fromYamlArray }}
{{- if or $.monitor (not (has .user (list "monitor" "faults"))) }}
{{- $file := get $v.redis.auth.passwordFiles .user }}
{{- if $file }}
- name: {{ .variable }}_FILE
  value: {{ $file | quote }}
{{- else }}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef:
      name: {{ $v.redis.auth.existingSecret | default (include "holdfast.fullname" $.root) }}
      key: {{ .key }}
      {{- if and (eq .user "guest") $v.redis.auth.existingSecret }}
      optional: true
      {{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- with $v.redis.auth.sentinelPasswordKey }}
- name: REDIS_SENTINEL_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $v.redis.auth.existingSecret }}
      key: {{ . }}
{{- end }}
{{- include "holdfast.lockServiceEnv" . }}
{{- range include "holdfast.certificates" . | fromYamlArray }}
{{- $server := . }}
{{- range .files }}
- name: {{ upper $server.name }}_TLS_{{ .variable }}
  value: /etc/tls/{{ $server.name }}/{{ .path }}
{{- end }}
{{- end }}
{{- range $server := include "holdfast.externalServers" . | fromYamlArray }}
{{- with (get $v $server).external.tls.serverName }}
- name: {{ upper $server }}_TLS_SERVER_NAME
  value: {{ . | quote }}
{{- end }}
{{- end }}
- name: HOLDFAST_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ $v.tokenExistingSecret | default (include "holdfast.fullname" .root) }}
      key: {{ $v.tokenExistingSecret | empty | ternary "token" $v.tokenKey }}
{{- end }}

{{/* The servers that the user provides; with `monitor` also Prometheus, which only the coordinator uses. */}}
{{- define "holdfast.externalServers" -}}
{{- $lockServices := include "holdfast.usedLockServices" .root | fromYamlArray }}
{{- range concat (list "mysql" "redis") $lockServices (empty .monitor | ternary list (list "prometheus")) }}
{{- if not (get $.root.Values .).enabled }}
- {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{/*
The certificates of external servers, as a list: name of the server, Secret, and for each file the key in the Secret, the
path below /etc/tls/<name> and the end of the variable's name.
*/}}
{{- define "holdfast.certificates" -}}
{{- $all := list }}
{{- range include "holdfast.externalServers" . | fromYamlArray }}
{{- $tls := (get $.root.Values .).external.tls }}
{{- if $tls.existingSecret }}
{{- $files := list }}
{{- range list (dict "value" "caKey" "path" "ca.crt" "variable" "CA") (dict "value" "certKey" "path" "tls.crt" "variable" "CERT") (dict "value" "keyKey" "path" "tls.key" "variable" "KEY") }}
{{- $key := get $tls .value }}
{{- if $key }}
{{- $files = append $files (dict "key" $key "path" .path "variable" .variable) }}
{{- end }}
{{- end }}
{{- $all = append $all (dict "name" . "secret" $tls.existingSecret "files" $files) }}
{{- end }}
{{- end }}
{{- toYaml $all }}
{{- end }}

{{- define "holdfast.certificateMounts" -}}
{{- range include "holdfast.certificates" . | fromYamlArray }}
- name: {{ .name }}-tls
  mountPath: /etc/tls/{{ .name }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "holdfast.certificateVolumes" -}}
{{- range include "holdfast.certificates" . | fromYamlArray }}
- name: {{ .name }}-tls
  secret:
    secretName: {{ .secret }}
    items:
      {{- range .files }}
      - key: {{ .key }}
        path: {{ .path }}
      {{- end }}
{{- end }}
{{- end }}

{{/* How the coordinator logs in to the user's own Prometheus. */}}
{{- define "holdfast.prometheusEnv" -}}
- name: PROMETHEUS_URL
  value: {{ include "holdfast.prometheusUrl" . | quote }}
{{- with .Values.prometheus.external.headers }}
{{- $lines := list }}
{{- range $name, $value := . }}
{{- $lines = append $lines (printf "%s: %s" $name $value) }}
{{- end }}
- name: PROMETHEUS_HEADERS
  value: {{ join "\n" $lines | quote }}
{{- end }}
{{- $auth := .Values.prometheus.external.auth }}
{{- if $auth.existingSecret }}
{{- with $auth.username }}
- name: PROMETHEUS_USERNAME
  value: {{ . | quote }}
{{- end }}
- name: {{ $auth.username | empty | ternary "PROMETHEUS_BEARER_TOKEN" "PROMETHEUS_PASSWORD" }}
  valueFrom:
    secretKeyRef:
      name: {{ $auth.existingSecret }}
      key: {{ $auth.username | empty | ternary $auth.bearerTokenKey $auth.passwordKey }}
{{- end }}
{{- end }}
