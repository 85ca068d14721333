{{/* Addresses and logins of ZooKeeper, etcd and Consul: of the bundled servers, or of the user's own. */}}

{{/*
What differs between them, by name: the port of clients, the ports of members, the kind of secret, and the scheme of the URL
without and with TLS.
*/}}
{{- define "holdfast.lockServices" -}}
zookeeper: {port: 2181, memberPorts: [2888, 3888], secret: password, schemes: [zookeeper, zookeeper]}
etcd: {port: 2379, memberPorts: [2380], secret: password, schemes: [http, https]}
consul: {port: 8500, memberPorts: [], secret: token, schemes: [http, https]}
{{- end }}

{{/* host:port of each member of the lock service `name`; empty if the release has none. */}}
{{- define "holdfast.lockServiceNodes" -}}
{{- $service := get .root.Values .name }}
{{- $nodes := $service.external.nodes }}
{{- if $service.enabled }}
{{- $port := (get (include "holdfast.lockServices" . | fromYaml) .name).port }}
{{- $nodes = list }}
{{- range until (dig "replicas" 1 $service | int) }}
{{- $nodes = append $nodes (printf "%s-%d:%v" (include "holdfast.componentName" $) . $port) }}
{{- end }}
{{- end }}
{{- toYaml $nodes }}
{{- end }}

{{/* Names of the lock services that the release has, bundled or not. */}}
{{- define "holdfast.usedLockServices" -}}
{{- $used := list }}
{{- range $name, $_ := include "holdfast.lockServices" . | fromYaml }}
{{- if include "holdfast.lockServiceNodes" (dict "root" $ "name" $name) | fromYamlArray }}
{{- $used = append $used $name }}
{{- end }}
{{- end }}
{{- toYaml $used }}
{{- end }}

{{/*
The secrets of the lock service `name`: that of the workers, and that of the administrator, whose `admin` is true. Each has the
value given for it, its key, the end of its variable's name and, for your own server, whether the Secret may lack the key.
*/}}
{{- define "holdfast.lockServiceSecrets" -}}
{{- $kind := (get (include "holdfast.lockServices" . | fromYaml) .name).secret }}
{{- $service := get .root.Values .name }}
{{- $secrets := list }}
{{- range list $kind (printf "admin%s" (title $kind)) }}
{{- $given := get $service.auth . }}
{{- $key := printf "%s-%s" $.name (kebabcase .) }}
{{- if $service.auth.existingSecret }}
{{- $key = get $service.auth (printf "%sKey" .) }}
{{- end }}
{{- if or $service.enabled $given $service.auth.existingSecret }}
{{- $secrets = append $secrets (dict "given" $given "key" $key "variable" (snakecase . | upper) "admin" (ne . $kind) "optional" (not $service.enabled)) }}
{{- end }}
{{- end }}
{{- toYaml $secrets }}
{{- end }}

{{/* The Secret of the lock service `name`, and the environment variable that takes one of its keys. */}}
{{- define "holdfast.lockServiceSecretEnv" -}}
name: {{ upper .name }}_{{ .secret.variable }}
valueFrom:
  secretKeyRef:
    name: {{ (get .root.Values .name).auth.existingSecret | default (include "holdfast.fullname" .root) }}
    key: {{ .secret.key }}
    {{- if and .secret.admin .secret.optional }}
    optional: true
    {{- end }}
{{- end }}

{{/* Environment variables that locate the lock services. `monitor` adds the administrators' secrets. */}}
{{- define "holdfast.lockServiceEnv" -}}
{{- range $name := include "holdfast.usedLockServices" .root | fromYamlArray }}
{{- $service := get $.root.Values $name }}
{{- $c := dict "root" $.root "name" $name }}
{{- $tls := $service.external.tls.enabled }}
{{- $secrets := include "holdfast.lockServiceSecrets" $c | fromYamlArray }}
{{- $inEnv := include "holdfast.hasExtraEnv" (dict "root" $.root "names" (printf "^%s_PASSWORD(_FILE|_COMMAND)?$" (upper $name))) }}
{{- $user := empty (or $secrets $inEnv) | ternary "" (dig "auth" "username" "" $service) }}
- name: {{ upper $name }}_URL
  value: {{ printf "%s://%s%s" (index (get (include "holdfast.lockServices" $ | fromYaml) $name).schemes ($tls | ternary 1 0)) (empty $user | ternary "" (printf "%s@" $user)) (include "holdfast.lockServiceNodes" $c | fromYamlArray | join ",") | quote }}
{{- if $tls }}
- name: {{ upper $name }}_TLS
  value: required
{{- end }}
{{- range $secrets }}
{{- if or $.monitor (not .admin) }}
- {{ include "holdfast.lockServiceSecretEnv" (merge (dict "secret" .) $c) | nindent 2 | trim }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/*
The volume with the data of a server, and the claim of each pod in a StatefulSet. A claim is kept when the release is removed, as
StatefulSets do.
*/}}
{{- define "holdfast.dataVolume" -}}
{{- if not .values.volumeClaim -}}
- name: data
  emptyDir:
    sizeLimit: {{ .values.storage }}
{{- end }}
{{- end }}

{{- define "holdfast.dataClaim" -}}
{{- with .values.volumeClaim -}}
volumeClaimTemplates:
  - metadata:
      name: data
      labels:
        {{- include "holdfast.selectorLabels" $ | nindent 8 }}
    spec:
      {{- toYaml (merge (dict) . (dict "accessModes" (list "ReadWriteOnce"))) | nindent 6 }}
{{- end }}
{{- end }}
