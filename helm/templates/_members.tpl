{{/*
Services of a StatefulSet: the governing one, and one for each of its `replicas`, whose name resolves before the pod is ready and
stays the same if the pod is replaced. `ports` is a dict of names and numbers. Members of a cluster must find each other before
they are ready: with `members`, the addresses do not wait for that.
*/}}
{{- define "holdfast.memberServices" -}}
# The governing Service of the StatefulSet, which gives each pod a name.
apiVersion: v1
kind: Service
metadata:
  {{- include "holdfast.metadata" . | nindent 2 }}
spec:
  clusterIP: None
  {{- include "holdfast.memberServiceSpec" . | nindent 2 }}
{{- range until (.replicas | int) }}
---
# The address of one server: its name resolves before the pod is ready and stays the same if the pod is replaced.
apiVersion: v1
kind: Service
metadata:
  {{- include "holdfast.metadata" (merge (dict "as" (printf "%s-%d" (include "holdfast.componentName" $) .)) $) | nindent 2 }}
spec:
  {{- include "holdfast.memberServiceSpec" (merge (dict "pod" (printf "%s-%d" (include "holdfast.componentName" $) .)) $) | nindent 2 }}
{{- end }}
{{- end }}

{{- define "holdfast.memberServiceSpec" -}}
{{- if .members -}}
publishNotReadyAddresses: true
{{ end -}}
selector:
  {{- include "holdfast.selectorLabels" . | nindent 2 }}
  {{- with .pod }}
  statefulset.kubernetes.io/pod-name: {{ . }}
  {{- end }}
ports:
  {{- range $name, $port := .ports }}
  - name: {{ $name }}
    port: {{ $port }}
    targetPort: {{ $name }}
  {{- end }}
{{- end }}
