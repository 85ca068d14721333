{{/* A server of Redis: the component with the name of the container in `container` and its port in `port`. */}}
{{- define "holdfast.redisContainer" -}}
{{- $port := .port | toString }}
{{- $ping := list "sh" "-c" (printf "redis-cli%s --user health -a none --no-auth-warning ping | grep -q PONG" (eq $port "6379" | ternary "" (printf " -p %s" $port))) | toJson -}}
name: {{ .container }}
{{ include "holdfast.container" . }}
{{- if .root.Values.faults.enabled }}
# A fault ends the server with SHUTDOWN. It is started again here, because the kubelet waits for ten seconds
# before the second restart of a container, and for longer before each further one.
args:
  {{- include "holdfast.runAgain" "redis-server" | nindent 2 }}
  - /usr/local/etc/redis/config/redis.conf
  - --port
  - {{ $port | quote }}
  - --include
  - /usr/local/etc/redis/acl/users.acl
  - --dir
  - /data
{{- else }}
args: [redis-server, /usr/local/etc/redis/config/redis.conf, --port, {{ $port | quote }}, --include, /usr/local/etc/redis/acl/users.acl, --dir, /data]
{{- end }}
env:
  {{- include "holdfast.env" (merge (dict "env" "[]") .) | nindent 2 }}
ports:
  - name: {{ .container }}
    containerPort: {{ $port }}
# The user `health` may only PING. redis-cli exits with 0 even if access is denied, so the probe reads the
# answer.
startupProbe:
  exec:
    command: {{ $ping }}
  periodSeconds: 1
  timeoutSeconds: 5
  failureThreshold: 300
readinessProbe:
  exec:
    command: {{ $ping }}
  periodSeconds: 5
  timeoutSeconds: 5
  # A server that is slow while a fleet starts on its node must not lose its address.
  failureThreshold: 12
livenessProbe:
  exec:
    command: {{ $ping }}
  periodSeconds: 20
  timeoutSeconds: 10
  failureThreshold: 6
volumeMounts:
  - name: data
    mountPath: /data
    {{- if ne .container "redis" }}
    subPath: {{ .container }}
    {{- end }}
  - name: config
    mountPath: /usr/local/etc/redis/config
    readOnly: true
  - name: users
    mountPath: /usr/local/etc/redis/acl
    readOnly: true
{{- end }}
