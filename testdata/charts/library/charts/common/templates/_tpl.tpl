{{- define "common.tpl" -}}
{{- if kindIs "string" .value -}}
{{ tpl .value .context }}
{{- else -}}
{{ tpl (toYaml .value) .context }}
{{- end -}}
{{- end -}}
