{{/* Rejects combinations that the schema cannot reject. Each message names the value, the reason and the fix. */}}
{{- define "holdfast.validate" -}}
{{- $v := .Values }}
{{- if and (not $v.mysql.enabled) (not $v.mysql.external.host) }}
{{- fail "mysql.enabled=false leaves the release without a database: set mysql.external.host, or mysql.enabled=true" }}
{{- end }}
{{- if and $v.mysql.enabled $v.mysql.external.host }}
{{- fail (printf "mysql.external.host=%s has no effect with mysql.enabled=true: set mysql.enabled=false" $v.mysql.external.host) }}
{{- end }}
{{- if and (not $v.mysql.enabled) (not $v.mysql.auth.password) (not $v.mysql.auth.existingSecret) }}
{{- fail (printf "no password for %s at %s: set mysql.auth.password or mysql.auth.existingSecret" $v.mysql.auth.username $v.mysql.external.host) }}
{{- end }}
{{- if and $v.mysql.auth.existingSecret (or $v.mysql.auth.password $v.mysql.auth.rootPassword) }}
{{- fail "mysql.auth.existingSecret and a password are both set: remove one of them" }}
{{- end }}
{{- if eq $v.mysql.auth.username "root" }}
{{- fail "mysql.auth.username=root: the MySQL image cannot create a user named root; choose another name" }}
{{- end }}
{{- if and (not $v.redis.enabled) (not $v.redis.external.nodes) }}
{{- fail "redis.enabled=false leaves the release without Redis: set redis.external.nodes={host:6379}, or redis.enabled=true" }}
{{- end }}
{{- if and $v.redis.enabled $v.redis.external.nodes }}
{{- fail "redis.external.nodes has no effect with redis.enabled=true: set redis.enabled=false" }}
{{- end }}
{{- if and $v.redis.auth.existingSecret $v.redis.auth.passwords }}
{{- fail "redis.auth.existingSecret and redis.auth.passwords are both set: remove one of them" }}
{{- end }}
{{- $users := list }}
{{- range include "holdfast.redisUsers" . | fromYamlArray }}
{{- $users = append $users (lower .) }}
{{- if not (or $v.redis.enabled $v.redis.auth.existingSecret (get $v.redis.auth.passwords (lower .))) }}
{{- fail (printf "no password for the Redis user %s at %s: set redis.auth.passwords.%s or redis.auth.existingSecret" (lower .) (first $v.redis.external.nodes) (lower .)) }}
{{- end }}
{{- end }}
{{- range $user, $_ := $v.redis.auth.passwords }}
{{- if not (has $user $users) }}
{{- fail (printf "redis.auth.passwords.%s: there is no such user in files/users.acl, only %s" $user (join ", " $users)) }}
{{- end }}
{{- end }}
{{- $servers := len (include "holdfast.redisNodes" . | fromYamlArray) }}
{{- if eq (mod $servers 2) 0 }}
{{- fail (printf "%d Redis servers tolerate no more lost servers than %d do: use an odd number" $servers (sub $servers 1)) }}
{{- end }}
{{- if and (has "redlock" $v.strategies) (lt $servers 3) }}
{{- fail (printf "the strategy \"redlock\" needs at least 3 Redis servers for a majority, but the release has %d: set redis.instances=3" $servers) }}
{{- end }}
{{- if and (not $v.prometheus.enabled) (not $v.prometheus.external.url) }}
{{- fail "prometheus.enabled=false leaves the release without Prometheus, from which the results come: set prometheus.external.url, or prometheus.enabled=true" }}
{{- end }}
{{- if and $v.prometheus.enabled $v.prometheus.external.url }}
{{- fail (printf "prometheus.external.url=%s has no effect with prometheus.enabled=true: set prometheus.enabled=false" $v.prometheus.external.url) }}
{{- end }}
{{- if and $v.networkPolicy.enabled (not $v.networkPolicy.allowFrom.metrics) (or (not $v.prometheus.enabled) $v.metrics.podMonitor.enabled) }}
{{- fail "your own Prometheus cannot reach the pods: set networkPolicy.allowFrom.metrics to the peers that scrape, or networkPolicy.enabled=false" }}
{{- end }}
{{- if and $v.grafana.existingSecret $v.grafana.adminPassword }}
{{- fail "grafana.existingSecret and grafana.adminPassword are both set: remove one of them" }}
{{- end }}
{{- end }}
