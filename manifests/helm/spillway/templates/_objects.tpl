{{- /* What is the same in every cluster is not written twice: it is read from the files of
the kustomize base. narrower has what overlay prod says instead of it. */}}
{{- define "spillway.image" -}}
{{- with .Values.image }}{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}{{ end }}
{{- end }}

{{- define "spillway.labels" }}
{{- toYaml (merge (dict "app.kubernetes.io/name" "spillway" "app.kubernetes.io/component" .component) .root.Values.labels) }}
{{- end }}

{{- define "spillway.file" }}
{{- $root := .root }}
{{- $narrower := dict }}
{{- range splitList "\n---\n" (.narrower | default "") }}
{{- with fromYaml . }}{{ $_ := set $narrower .metadata.name . }}{{ end }}
{{- end }}
{{- range splitList "\n---\n" .text }}
{{- with fromYaml . }}
---
{{- $object := . }}
{{- with get $narrower .metadata.name }}{{ if eq .metadata.namespace $object.metadata.namespace }}{{ $object = mergeOverwrite $object . }}{{ end }}{{ end }}
{{- if eq .kind "Namespace" }}{{ $_ := set $object.metadata "annotations" (dict "helm.sh/resource-policy" "keep") }}{{ end }}
{{- with $root.Values.labels }}{{ $_ := set $object.metadata "labels" (merge ($object.metadata.labels | default dict) .) }}{{ end }}
{{ toYaml $object }}
{{- end }}
{{- end }}
{{- end }}
