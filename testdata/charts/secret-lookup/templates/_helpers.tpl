{{- define "secret-lookup.password" -}}
{{- $old := lookup "v1" "Secret" .Release.Namespace .Release.Name -}}
{{- if $old -}}
{{ index $old.data "password" }}
{{- else -}}
{{ randAlphaNum 16 | b64enc }}
{{- end -}}
{{- end -}}
