{{/* Labels that choose the server's pods; they never change. */}}
{{- define "member-files.selector" -}}
app.kubernetes.io/name: member-files
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of the server's objects. Pod templates bear the selector, and the label that their flows go by. */}}
{{- define "member-files.labels" -}}
{{ include "member-files.selector" . }}
app.kubernetes.io/version: {{ .Chart.Version | quote }}
{{ toYaml .Values.coopctl.labels }}
{{- end }}

{{/* Labels of what lies beside the data. */}}
{{- define "member-files.migrationLabels" -}}
app.kubernetes.io/name: member-files-migration
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.Version | quote }}
{{ toYaml .Values.coopctl.migration.labels }}
{{- end }}

{{/* What decides how the tables look: a change of it is another migration. Its programs are in the image. */}}
{{- define "member-files.tables" -}}
{{- dict "version" .Chart.Version "image" (index .Values.images "member-files") "settings" .Values.migration | toJson | sha256sum | trunc 10 -}}
{{- end }}

{{/* The Job's name, which is also the mark that it leaves in the database when it has ended well. */}}
{{- define "member-files.migration" -}}
{{ .Release.Name }}-migration-{{ .Chart.Version | replace "." "-" }}-{{ include "member-files.tables" . }}
{{- end }}

{{- define "member-files.security" -}}
allowPrivilegeEscalation: false
capabilities:
  drop:
    - ALL
readOnlyRootFilesystem: true
{{- end }}

{{- define "member-files.podSecurity" -}}
fsGroup: 65532
runAsGroup: 65532
runAsNonRoot: true
runAsUser: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}
