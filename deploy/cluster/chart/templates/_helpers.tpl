{{- define "fnctl.labels" -}}
app.kubernetes.io/name: fnctl
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "fnctl.image" -}}
{{ required "image.prefix: where the platform's images are" .Values.image.prefix }}/platform@{{ required "image.digest: npm run cluster:push prints it" .Values.image.digest }}
{{- end }}

{{- define "fnctl.secret.internal" -}}{{ .Values.secrets.internal | default (printf "%s-internal" .Release.Name) }}{{- end }}
{{- define "fnctl.secret.tls" -}}{{ .Values.secrets.tls | default (printf "%s-tls" .Release.Name) }}{{- end }}
{{- define "fnctl.secret.logAgent" -}}{{ .Values.secrets.logAgent | default (printf "%s-log-agent" .Release.Name) }}{{- end }}
{{- define "fnctl.secret.database" -}}{{ .Values.secrets.databaseRoles | default (printf "%s-database-roles" .Release.Name) }}{{- end }}

{{- /* What every container of the platform's own is: no root, no rights, nothing to write to (Pod Security "restricted"). */}}
{{- define "fnctl.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: { type: RuntimeDefault }
{{- end }}
{{- define "fnctl.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "fnctl.databaseUrl" -}}
postgresql://fnctl_{{ .role }}:$(PASSWORD_{{ .role | upper }})@{{ required "database.host" .root.Values.database.host }}:{{ .root.Values.database.port }}/{{ .root.Values.database.name }}?sslmode={{ .root.Values.database.sslmode }}
{{- end }}
{{- define "fnctl.databasePasswords" -}}
{{- range $role := list "owner" "app" "system" "jobs" }}
- name: PASSWORD_{{ $role | upper }}
  valueFrom: { secretKeyRef: { name: {{ include "fnctl.secret.database" $ }}, key: {{ $role }} } }
{{- end }}
{{- end }}
