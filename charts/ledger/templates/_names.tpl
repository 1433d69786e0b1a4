{{/* Labels that choose the ledger's pods; they never change. */}}
{{- define "ledger.selector" -}}
app.kubernetes.io/name: ledger
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of the ledger's objects. Pod templates bear the selector, and the label that their flows go by. */}}
{{- define "ledger.labels" -}}
{{ include "ledger.selector" . }}
app.kubernetes.io/version: {{ .Chart.Version | quote }}
{{ toYaml .Values.coopctl.labels }}
{{- end }}

{{/* Labels of what lies beside the data. */}}
{{- define "ledger.migrationLabels" -}}
app.kubernetes.io/name: ledger-migration
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.Version | quote }}
{{ toYaml .Values.coopctl.migration.labels }}
{{- end }}

{{/* What decides how the tables look: a change of it is another migration. */}}
{{- define "ledger.tables" -}}
{{- dict "version" .Chart.Version "image" .Values.images.tryton "modules" .Values.coopctl.modules "extensions" .Values.coopctl.extensions "settings" .Values.migration "program" (list (.Files.Get "files/migrate.py") (.Files.Get "files/prepared.py")) | toJson | sha256sum | trunc 10 -}}
{{- end }}

{{/* The Job's name, which is also the mark that it leaves in the database when it has ended well. */}}
{{- define "ledger.migration" -}}
{{ .Release.Name }}-migration-{{ .Chart.Version | replace "." "-" }}-{{ include "ledger.tables" . }}
{{- end }}

{{/* How Tryton is told of its database: libpq reads the rest from the variables of the Secret. */}}
{{- define "ledger.configuration" -}}
[database]
uri = postgresql://
list = False
minconn = 1
maxconn = {{ . }}
{{- end }}

{{- define "ledger.security" -}}
allowPrivilegeEscalation: false
capabilities:
  drop:
    - ALL
readOnlyRootFilesystem: true
{{- end }}

{{- define "ledger.podSecurity" -}}
fsGroup: 65532
runAsGroup: 65532
runAsNonRoot: true
runAsUser: 65532
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* The modules of other solutions, each with the digest of its files: NAME=DIGEST, separated by spaces. */}}
{{- define "ledger.ownModules" -}}
{{- $own := list -}}
{{- range .Values.coopctl.extensions }}
{{- if .module }}
{{- $own = append $own (printf "%s=%s" .module.name .module.digest) -}}
{{- end }}
{{- end }}
{{- join " " $own -}}
{{- end }}

{{/* Where the modules of other solutions are looked for. */}}
{{- define "ledger.moduleMounts" -}}
{{- range .Values.coopctl.extensions }}
{{- if .module }}
- mountPath: /usr/lib/python3/dist-packages/trytond/modules/{{ .module.name }}
  name: {{ .solution }}-module
  readOnly: true
{{- end }}
{{- end }}
{{- end }}

{{- define "ledger.moduleVolumes" -}}
{{- range .Values.coopctl.extensions }}
{{- if .module }}
- configMap:
    items:
      {{- range $key, $path := .module.files }}
      - key: {{ $key }}
        path: {{ $path }}
      {{- end }}
    name: {{ .solution }}-module-{{ trunc 10 .module.digest }}
  name: {{ .solution }}-module
{{- end }}
{{- end }}
{{- end }}
