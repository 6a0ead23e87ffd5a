{{- define "segflow.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "segflow.selector" -}}
app.kubernetes.io/name: segflow
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "segflow.labels" -}}
{{ include "segflow.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "segflow.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{/* segflow.yaml: the user's settings, and the pages where Kubernetes looks for them. */}}
{{- define "segflow.settings" -}}
{{- $pages := dict "worker" (dict "http_host" "0.0.0.0" "http_port" 8080) -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.settings) $pages) -}}
{{- end -}}

{{/* What the workers' pods and the one that makes topics have in common. */}}
{{- define "segflow.podSecurity" -}}
automountServiceAccountToken: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "segflow.container" -}}
image: {{ include "segflow.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- with .Values.credentials.secretName }}
envFrom:
  - secretRef:
      name: {{ . }}
{{- end }}
volumeMounts:
  - name: settings
    mountPath: /etc/segflow
    readOnly: true
  {{- if .Values.tls.secretName }}
  - name: tls
    mountPath: /etc/segflow-tls
    readOnly: true
  {{- end }}
  - name: tmp
    mountPath: /tmp
{{- end -}}

{{/* root: the chart's scope; settings: the name of the ConfigMap. */}}
{{- define "segflow.volumes" -}}
- name: settings
  configMap:
    name: {{ .settings }}
{{- with .root.Values.tls.secretName }}
- name: tls
  secret:
    secretName: {{ . }}
{{- end }}
- name: tmp
  emptyDir: {}
{{- end -}}
