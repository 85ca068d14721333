{{/*
The variables of the locks of the user's own, in the workers' container. The name of each begins with that of its lock: the
worker passes it to the program of that lock only, and reads none of them itself.
*/}}
{{- define "holdfast.ownLockEnv" -}}
{{- range $name, $lock := .Values.locks }}
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

{{/* Rejects what the API server would reject only when a run begins, and what could not work. */}}
{{- define "holdfast.validateOwnLocks" -}}
{{- $logins := list }}
{{- range include "holdfast.redisLogins" . | fromYamlArray }}
{{- $logins = append $logins .user }}
{{- end }}
{{- range $name, $lock := .Values.locks }}
{{- $names := list }}
{{- range $lock.env }}
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
