{{/*
The variables of the locks of the user's own, in the workers' container. The name of each begins with that of its lock: the
worker passes it to the program of that lock only, and reads none of them itself.
*/}}
{{- define "holdfast.ownLockEnv" -}}
{{- range $name, $lock := .Values.locks }}
{{- if not $lock.image }}
{{- $env := $lock.env | default list }}
{{- /* Without it, the worker passes the URL of the user guest. */}}
{{- if and (eq ($lock.redisUser | default "") "") (hasKey $lock "redisUser") }}
{{- $env = prepend $env (dict "name" "HOLDFAST_LOCK_REDIS_URL" "value" "") }}
{{- end }}
{{- range $env }}
- {{ toYaml (merge (dict "name" (printf "HOLDFAST_LOCK_ENV.%s.%s" $name .name)) .) | nindent 2 | trim }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Where the program of a lock with an image of its own listens. A pod has at most one of them. */}}
{{- define "holdfast.ownLockSocket" -}}
/run/holdfast/lock.sock
{{- end }}

{{/* Whether any lock has an image of its own. */}}
{{- define "holdfast.hasSidecars" -}}
{{- range .Values.locks }}
{{- if .image }}true{{ end }}
{{- end }}
{{- end }}

{{/*
The programs of locks with an image of their own, as containers that start before the worker and end after it. For each run
the coordinator keeps only that of the run's lock.
*/}}
{{- define "holdfast.ownLockSidecars" -}}
{{- $defaults := dict "registry" "" "tag" "" "digest" "" "pullPolicy" "IfNotPresent" }}
{{- $resources := dict "requests" (dict "cpu" "50m" "memory" "64Mi") "limits" (dict "memory" "256Mi") }}
{{- range $name, $lock := .Values.locks }}
{{- if $lock.image }}
- name: lock-{{ $name }}
  restartPolicy: Always
  {{- include "holdfast.container" (dict "root" $ "image" (merge (dict) $lock.image $defaults) "values" (dict "resources" ($lock.resources | default $resources))) | nindent 2 }}
  {{- with $lock.command }}
  command:
    {{- range . }}
    - {{ . | replace "$(" "$$(" | quote }}
    {{- end }}
  {{- end }}
  env:
    - name: HOLDFAST_LOCK_SOCKET
      value: {{ include "holdfast.ownLockSocket" $ }}
    {{- if $.Values.worker.lockVolume }}
    - name: HOLDFAST_LOCK_FOLDER
      value: /locks
    {{- end }}
    {{- with include "holdfast.guestEnv" (dict "root" $ "lock" $lock) | trim }}
    {{- . | nindent 4 }}
    {{- end }}
    {{- with $lock.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumeMounts:
    - name: lock-socket
      mountPath: {{ include "holdfast.ownLockSocket" $ | dir }}
    - name: lock-tmp
      mountPath: /tmp
    {{- if $.Values.worker.lockVolume }}
    - name: locks
      mountPath: /locks
    {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/*
The URL of Redis for the user guest, in a container where no worker makes it: Kubernetes puts the password into it. A Secret
of the user's own may lack this user, so there the lock must ask for it.
*/}}
{{- define "holdfast.guestEnv" -}}
{{- $v := .root.Values }}
{{- $names := list }}
{{- range .lock.env }}
{{- $names = append $names .name }}
{{- end }}
{{- $none := or (and $v.redis.auth.existingSecret (not .lock.redisUser)) (and (hasKey .lock "redisUser") (not .lock.redisUser)) (has "HOLDFAST_LOCK_REDIS_URL" $names) (has "HOLDFAST_LOCK_REDIS_PASSWORD" $names) }}
{{- $url := include "holdfast.redisUrls" .root | fromYamlArray | first }}
{{- if and (not $none) (not $v.redis.auth.passwordFiles.guest) (regexMatch "^rediss?://" $url) }}
{{- range include "holdfast.redisLogins" .root | fromYamlArray }}
{{- if eq .user "guest" }}
- name: HOLDFAST_LOCK_REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $v.redis.auth.existingSecret | default (include "holdfast.fullname" $.root) }}
      key: {{ .key }}
- name: HOLDFAST_LOCK_REDIS_URL
  value: {{ regexReplaceAll "^(rediss?://)([^@/]*@)?" $url "${1}guest:$(HOLDFAST_LOCK_REDIS_PASSWORD)@" | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Rejects what the API server would reject only when a run begins, and what could not work. */}}
{{- define "holdfast.validateOwnLocks" -}}
{{- $logins := list }}
{{- range include "holdfast.redisLogins" . | fromYamlArray }}
{{- $logins = append $logins .user }}
{{- end }}
{{- range $name, $lock := .Values.locks }}
{{- if $lock.image }}
{{- if not (or $lock.image.tag $lock.image.digest) }}
{{- fail (printf "locks.%s.image needs a tag or a digest" $name) }}
{{- end }}
{{- if and $lock.redisUser $.Values.redis.auth.passwordFiles.guest }}
{{- fail (printf "locks.%s.redisUser=%s: redis.auth.passwordFiles.guest is a file of the worker's container: set redis.auth.passwords.guest" $name $lock.redisUser) }}
{{- end }}
{{- if not (regexMatch "^[A-Za-z0-9._~-]*$" ($.Values.redis.auth.passwords.guest | default "")) }}
{{- fail (printf "redis.auth.passwords.guest stands in the URL of locks.%s: use only letters, digits and . _ ~ -" $name) }}
{{- end }}
{{- else }}
{{- if not $lock.command }}
{{- fail (printf "locks.%s needs either a command, a program in the image of the workers, or an image of its own" $name) }}
{{- end }}
{{- if $lock.resources }}
{{- fail (printf "locks.%s.resources is for a program with an image of its own; this one runs within worker.resources" $name) }}
{{- end }}
{{- end }}
{{- $names := list }}
{{- range $lock.env }}
{{- if and $lock.image (eq .name "HOLDFAST_LOCK_SOCKET") }}
{{- fail (printf "locks.%s.env: the chart sets HOLDFAST_LOCK_SOCKET: remove it" $name) }}
{{- end }}
{{- if has .name $names }}
{{- fail (printf "locks.%s.env names %s twice: remove one" $name .name) }}
{{- end }}
{{- $names = append $names .name }}
{{- if eq (hasKey . "value") (hasKey . "valueFrom") }}
{{- fail (printf "locks.%s.env: %s needs either value or valueFrom" $name .name) }}
{{- end }}
{{- end }}
{{- if and (hasKey $lock "redisUser") (has "HOLDFAST_LOCK_REDIS_URL" $names) }}
{{- fail (printf "locks.%s.redisUser and HOLDFAST_LOCK_REDIS_URL in locks.%s.env are both set: remove one of them" $name $name) }}
{{- end }}
{{- if $lock.redisUser }}
{{- if contains "+" ($.Values.redis.external.url | splitList ":" | first) }}
{{- fail (printf "locks.%s.redisUser=%s: Sentinels and clusters have no URL that all programs know: name your server in locks.%s.env" $name $lock.redisUser $name) }}
{{- end }}
{{- if not (has $lock.redisUser $logins) }}
{{- fail (printf "locks.%s.redisUser=%s: this user has no password at your Redis: set redis.auth.passwords.%s, or remove redisUser" $name $lock.redisUser $lock.redisUser) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
