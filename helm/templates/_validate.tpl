{{/* Rejects combinations that the schema cannot reject. Each message names the value, the reason and the fix. */}}
{{- define "holdfast.validate" -}}
{{- $v := .Values }}
{{- /* These may contain a password by mistake, so the messages do not repeat them. */}}
{{- if regexMatch `[/@\s]` $v.mysql.external.host }}
{{- fail "mysql.external.host: write only a name or an address; user and password belong in mysql.auth" }}
{{- end }}
{{- $lockServices := include "holdfast.lockServices" . | fromYaml }}
{{- range $server := concat (list "mysql" "redis") (keys $lockServices | sortAlpha) }}
{{- range $node := (get $v $server).external.nodes }}
{{- if not (regexMatch `^([^:/@\[\]\s]+|\[[0-9A-Fa-f:.]+\]):[0-9]+$` $node) }}
{{- fail (printf "%s.external.nodes: write host:port, with an IPv6 address in brackets; user and password belong in %s.auth" $server $server) }}
{{- end }}
{{- end }}
{{- end }}
{{- if not (regexMatch `^(rediss?(\+(sentinel|cluster))?://([^:/@\s]+@)?[^/@\s]+(/\S*)?)?$` $v.redis.external.url) }}
{{- fail "redis.external.url: write rediss://host:6379, redis+sentinel://host:26379/name or redis+cluster://host:6379; the password belongs in redis.auth" }}
{{- end }}
{{- if not (regexMatch `^(https?://[^/@\s]+(/\S*)?)?$` $v.prometheus.external.url) }}
{{- fail "prometheus.external.url: write http://host:9090; user and password belong in prometheus.external.auth" }}
{{- end }}
{{- if and (not $v.mysql.enabled) (not (or $v.mysql.external.host $v.mysql.external.nodes)) }}
{{- fail "mysql.enabled=false leaves the release without a database: set mysql.external.host, or mysql.enabled=true" }}
{{- end }}
{{- if and $v.mysql.enabled (or $v.mysql.external.host $v.mysql.external.nodes) }}
{{- fail "mysql.external has no effect with mysql.enabled=true: set mysql.enabled=false" }}
{{- end }}
{{- if and $v.mysql.external.host $v.mysql.external.nodes }}
{{- fail "mysql.external.host and mysql.external.nodes are both set: remove one of them" }}
{{- end }}
{{- $portless := regexReplaceAll ":[0-9]+$" $v.mysql.external.host "" }}
{{- if and (ne $portless $v.mysql.external.host) (or (hasSuffix "]" $portless) (not (contains ":" $portless))) }}
{{- fail (printf "mysql.external.host=%s has a port: set mysql.external.host=%s and mysql.external.port=%s" $v.mysql.external.host $portless (splitList ":" $v.mysql.external.host | last)) }}
{{- end }}
{{- if and (not $v.mysql.enabled) (not (or $v.mysql.auth.password $v.mysql.auth.existingSecret $v.mysql.auth.passwordFile (include "holdfast.hasExtraEnv" (dict "root" . "names" "^MYSQL_PASSWORD(_|$)")))) }}
{{- fail (printf "no password for %s at %s: set mysql.auth.password, mysql.auth.existingSecret or mysql.auth.passwordFile" $v.mysql.auth.username (include "holdfast.mysqlNodes" . | fromYamlArray | first)) }}
{{- end }}
{{- if and $v.mysql.auth.existingSecret (or $v.mysql.auth.password $v.mysql.auth.rootPassword) }}
{{- fail "mysql.auth.existingSecret and a password are both set: remove one of them" }}
{{- end }}
{{- if and $v.mysql.auth.passwordFile (or $v.mysql.enabled $v.mysql.auth.password $v.mysql.auth.existingSecret) }}
{{- fail "mysql.auth.passwordFile is for your own server, without mysql.auth.password and mysql.auth.existingSecret: remove it, or set mysql.enabled=false" }}
{{- end }}
{{- range list "database" "username" }}
{{- $name := get $v.mysql.auth . }}
{{- if and $v.mysql.enabled (not (regexMatch "^[A-Za-z0-9_]{1,32}$" $name)) }}
{{- fail (printf "mysql.auth.%s=%s: the bundled server takes at most 32 letters, digits and _; other names need your own server (mysql.enabled=false)" . $name) }}
{{- end }}
{{- end }}
{{- range concat (list "mysql" "redis" "prometheus") (keys $lockServices | sortAlpha) }}
{{- $server := get $v . }}
{{- $tls := $server.external.tls }}
{{- if and $server.enabled (or $tls.enabled $tls.existingSecret (dig "auth" "existingSecret" "" $server.external)) }}
{{- fail (printf "%s.external has no effect with %s.enabled=true, and the bundled server has no TLS: set %s.enabled=false" . . .) }}
{{- end }}
{{- if ne (empty $tls.certKey) (empty $tls.keyKey) }}
{{- fail (printf "%s.external.tls: a client certificate needs both certKey and keyKey" .) }}
{{- end }}
{{- if and $tls.certKey (not $tls.existingSecret) }}
{{- fail (printf "%s.external.tls.certKey is a key of %s.external.tls.existingSecret: set that" . .) }}
{{- end }}
{{- end }}
{{- if and $v.mysql.external.tls.existingSecret (not $v.mysql.external.tls.enabled) }}
{{- fail "mysql.external.tls.existingSecret has no effect without TLS: set mysql.external.tls.enabled=true" }}
{{- end }}
{{- range $name, $facts := $lockServices }}
{{- $service := get $v $name }}
{{- if and $service.enabled $service.external.nodes }}
{{- fail (printf "%s.external has no effect with %s.enabled=true: set %s.enabled=false" $name $name $name) }}
{{- end }}
{{- if and (has $name $v.strategies) (not $service.enabled) (not $service.external.nodes) }}
{{- fail (printf "the strategy %q needs a server, and the release has none: set %s.enabled=true, or %s.external.nodes={host:%v}" $name $name $name $facts.port) }}
{{- end }}
{{- if and $service.external.tls.existingSecret (not $service.external.tls.enabled) }}
{{- fail (printf "%s.external.tls.existingSecret has no effect without TLS: set %s.external.tls.enabled=true" $name $name) }}
{{- end }}
{{- if and $service.auth.existingSecret (or (get $service.auth $facts.secret) (get $service.auth (printf "admin%s" (title $facts.secret)))) }}
{{- fail (printf "%s.auth.existingSecret and a %s are both set: remove one of them" $name $facts.secret) }}
{{- end }}
{{- end }}
{{- if eq $v.mysql.auth.username "root" }}
{{- fail "mysql.auth.username=root: the MySQL image cannot create a user named root; choose another name" }}
{{- end }}
{{- $external := $v.redis.external }}
{{- if and (not $v.redis.enabled) (not (or $external.nodes $external.url)) }}
{{- fail "redis.enabled=false leaves the release without Redis: set redis.external.nodes={host:6379} or redis.external.url, or redis.enabled=true" }}
{{- end }}
{{- if and $v.redis.enabled (or $external.nodes $external.url) }}
{{- fail "redis.external has no effect with redis.enabled=true: set redis.enabled=false" }}
{{- end }}
{{- if and $external.nodes $external.url }}
{{- fail "redis.external.nodes and redis.external.url are both set: remove one of them" }}
{{- end }}
{{- if and $external.url $external.tls.enabled (not (hasPrefix "rediss" $external.url)) }}
{{- fail "redis.external.tls.enabled=true, but redis.external.url does not use TLS: write rediss:// in it" }}
{{- end }}
{{- if and $external.tls.existingSecret (not $external.tls.enabled) (not (hasPrefix "rediss" $external.url)) }}
{{- fail "redis.external.tls.existingSecret has no effect without TLS: set redis.external.tls.enabled=true, or write rediss:// in redis.external.url" }}
{{- end }}
{{- if and $v.redis.auth.existingSecret $v.redis.auth.passwords }}
{{- fail "redis.auth.existingSecret and redis.auth.passwords are both set: remove one of them" }}
{{- end }}
{{- if and $v.redis.auth.defaultPasswordKey (not $v.redis.auth.existingSecret) }}
{{- fail "redis.auth.defaultPasswordKey is a key of redis.auth.existingSecret: set that" }}
{{- end }}
{{- if and $v.redis.auth.sentinelPasswordKey (not (and $v.redis.auth.existingSecret (contains "+sentinel:" $external.url))) }}
{{- fail "redis.auth.sentinelPasswordKey is a key of redis.auth.existingSecret, for Sentinels in redis.external.url: set both" }}
{{- end }}
{{- $oneLogin := include "holdfast.redisHasOneLogin" . }}
{{- $users := list }}
{{- range include "holdfast.redisLogins" . | fromYamlArray }}
{{- $users = append $users .user }}
{{- if not (or $v.redis.enabled $v.redis.auth.existingSecret (get $v.redis.auth.passwords .user) (get $v.redis.auth.passwordFiles .user) (include "holdfast.hasExtraEnv" (dict "root" $ "names" (printf "^%s(_FILE|_COMMAND)?$" .variable)))) }}
{{- fail (printf "no password for the Redis user %s at %s: set redis.auth.passwords.%s, redis.auth.existingSecret or redis.auth.passwordFiles.%s; for a server that has only one login, set redis.auth.passwords.default" .user (include "holdfast.redisUrls" $ | fromYamlArray | first) .user .user) }}
{{- end }}
{{- end }}
{{- if and $v.faults.enabled (not (or $v.mysql.enabled $v.redis.enabled)) }}
{{- fail "faults.enabled=true has no effect: faults are made only of the chart's own servers; set mysql.enabled=true, redis.enabled=true or faults.enabled=false" }}
{{- end }}
{{- if and $v.mysql.auth.faultsPassword (not $v.faults.enabled) }}
{{- fail "mysql.auth.faultsPassword is of the user who makes faults of MySQL: set faults.enabled=true" }}
{{- end }}
{{- if and $v.faults.enabled $v.mysql.enabled (eq $v.mysql.auth.username "faults") }}
{{- fail "mysql.auth.username=faults: with faults.enabled=true this is the user who makes faults of MySQL; choose another name" }}
{{- end }}
{{- if and (hasKey $v.redis.auth.passwords "faults") (not $v.faults.enabled) }}
{{- fail "redis.auth.passwords.faults is of the user who makes faults of Redis: set faults.enabled=true" }}
{{- end }}
{{- if and $v.redis.replica.enabled (not (and $v.faults.enabled $v.redis.enabled)) }}
{{- fail "redis.replica.enabled=true has no effect: the replicas are used only by a fault of the chart's own Redis; set faults.enabled=true and redis.enabled=true" }}
{{- end }}
{{- range $user, $_ := merge dict $v.redis.auth.passwords $v.redis.auth.passwordFiles }}
{{- if not (has $user $users) }}
{{- if $oneLogin }}
{{- fail (printf "redis.auth.passwords has default, which is then used for everything, and %s: remove one of them" $user) }}
{{- end }}
{{- fail (printf "redis.auth.passwords.%s: there is no such user in files/users.acl, only %s" $user (join ", " $users)) }}
{{- end }}
{{- end }}
{{- if and $v.redis.enabled (or $v.redis.auth.passwordFiles $v.redis.auth.defaultPasswordKey) }}
{{- fail "redis.auth.passwordFiles and redis.auth.defaultPasswordKey are for your own server: set redis.enabled=false" }}
{{- end }}
{{- $servers := len (include "holdfast.redisUrls" . | fromYamlArray) }}
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
{{- if and $v.metrics.annotations.enabled $v.metrics.podMonitor.enabled }}
{{- fail "metrics.annotations.enabled and metrics.podMonitor.enabled are both true: a Prometheus that follows both scrapes each pod twice; set one of them to false" }}
{{- end }}
{{- if and $v.token $v.tokenExistingSecret }}
{{- fail "tokenExistingSecret and token are both set: remove one of them" }}
{{- end }}
{{- if and $v.grafana.existingSecret $v.grafana.adminPassword }}
{{- fail "grafana.existingSecret and grafana.adminPassword are both set: remove one of them" }}
{{- end }}
{{- if and $v.metrics.prometheusRule.enabled (not $v.metrics.podMonitor.enabled) }}
{{- fail "metrics.prometheusRule.enabled=true alerts on series that the same Prometheus must scrape: set metrics.podMonitor.enabled=true" }}
{{- end }}
{{- if and $v.timeZone (not $v.schedule) }}
{{- fail (printf "timeZone=%s has no effect without a schedule: set schedule" $v.timeZone) }}
{{- end }}
{{- include "holdfast.validateSchedule" . }}
{{- include "holdfast.validateOwnLocks" . }}
{{- end }}

{{/*
Rejects what the API server would reject in the middle of an installation. It alone rejects a range that ends before it
begins, and a time zone that does not exist.
*/}}
{{- define "holdfast.validateSchedule" -}}
{{- $schedule := .Values.schedule }}
{{- if and $schedule (not (regexMatch "^@(yearly|annually|monthly|weekly|daily|midnight|hourly)$" $schedule)) }}
{{- $names := list "minute" "hour" "day of the month" "month" "day of the week" }}
{{- $values := list "[0-5]?[0-9]" "([01]?[0-9]|2[0-3])" "(0?[1-9]|[12][0-9]|3[01])" "(0?[1-9]|1[0-2]|(?i:JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC))" "(0?[0-6]|(?i:SUN|MON|TUE|WED|THU|FRI|SAT))" }}
{{- $fields := regexSplit "\\s+" (trim $schedule) -1 }}
{{- if ne (len $fields) (len $names) }}
{{- fail (printf "schedule=%q: write the five fields %s, such as \"0 3 * * 1\", or a name such as \"@daily\"; a time zone belongs in timeZone" $schedule (join ", " $names)) }}
{{- end }}
{{- range $place, $field := $fields }}
{{- $value := index $values $place }}
{{- $item := printf `([*?]|%s(-%s)?)(/[1-9][0-9]*)?` $value $value }}
{{- if not (regexMatch (printf `^%s(,%s)*$` $item $item) $field) }}
{{- fail (printf "schedule=%q: the %s is %q; write a number, a name, a range such as 1-5, a list such as 1,3, or a step such as */2 (Sunday is 0 or SUN)" $schedule (index $names $place) $field) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
