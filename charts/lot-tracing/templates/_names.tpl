{{/* The module's files, by keys that hold no slash; as JSON strings, so that no text can end a YAML text early. */}}
{{- define "extension.files" -}}
{{- $module := .Values.coopctl.extension.module -}}
{{- range $key, $path := $module.files }}
{{ $key }}: {{ $.Files.Get (printf "module/%s/%s" $module.name $path) | toJson }}
{{- end }}
{{- end }}
