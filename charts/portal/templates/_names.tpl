{{/* Labels that choose the portal's pods; they never change. */}}
{{- define "portal.selector" -}}
app.kubernetes.io/name: portal
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of the portal's objects. Pod templates bear the selector, and the label that their flows go by. */}}
{{- define "portal.labels" -}}
{{ include "portal.selector" . }}
app.kubernetes.io/version: {{ .Chart.Version | quote }}
{{ toYaml .Values.coopctl.labels }}
{{- end }}

{{/* A telephone number or address to call; every value comes from a descriptor, so every value is escaped. */}}
{{- define "portal.contact" -}}
<address>
{{- if .name }}
  <p class="who">{{ .name | html }}</p>
{{- end }}
{{- if .phone }}
  <p><a href="tel:{{ regexReplaceAll "[^0-9+*#]" .phone "" }}">{{ .phone | html }}</a></p>
{{- end }}
{{- if .email }}
  <p><a href="mailto:{{ .email | html }}">{{ .email | html }}</a></p>
{{- end }}
{{- if not (or .name .phone .email) }}
  <p>등록된 연락처가 없습니다.</p>
{{- end }}
</address>
{{- end }}

{{/* 2014-06-01 as 2014년 6월 1일. */}}
{{- define "portal.date" -}}
{{- $parts := splitList "-" . -}}
<time datetime="{{ . }}">{{ index $parts 0 }}년 {{ trimPrefix "0" (index $parts 1) }}월 {{ trimPrefix "0" (index $parts 2) }}일</time>
{{- end }}

{{- define "portal.page" -}}
{{- $facts := .Values.coopctl -}}
{{- $afterwards := dict "continue-paid" "지원 기간이 끝나면 유료로 계속 이용합니다." "own-infrastructure" "지원 기간이 끝나면 데이터와 솔루션을 조합의 자체 인프라로 이전합니다." "leave" "지원 기간이 끝나면 이용을 마칩니다." -}}
{{- $categories := dict "basic" "기본형" "specialised" "특화형" -}}
<!DOCTYPE html>
<html lang="ko">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ $facts.cooperative.displayName | html }} 포털</title>
<link rel="stylesheet" href="/portal.css">
</head>
<body>
<a class="skip" href="#content">본문으로 건너뛰기</a>
<header>
  <p class="platform">경영혁신플랫폼</p>
  <h1>{{ $facts.cooperative.displayName | html }}</h1>
  <p>회원사 {{ int $facts.cooperative.members }}곳이 함께 쓰는 업무 포털</p>
</header>
<main id="content">
{{- if .Values.notice }}
<section class="notice" aria-labelledby="notice">
  <h2 id="notice">알림</h2>
  <p>{{ .Values.notice | html }}</p>
</section>
{{- end }}
<section aria-labelledby="solutions">
  <h2 id="solutions">솔루션</h2>
  {{- if gt (len $facts.solutions) 1 }}
  <ul class="solutions">
  {{- range $facts.solutions }}
  {{- if ne .name $.Release.Name }}
    <li>
      {{- if .url }}
      <a href="{{ .url | html }}">{{ .displayName.ko | html }}</a>
      {{- else }}
      <span>{{ .displayName.ko | html }}</span>
      {{- end }}
      <small>{{ get $categories .category }} · <span lang="en">{{ .displayName.en | html }}</span></small>
    </li>
  {{- end }}
  {{- end }}
  </ul>
  {{- else }}
  <p>아직 설치된 솔루션이 없습니다. 필요한 솔루션은 아래 연락처로 신청하세요.</p>
  {{- end }}
</section>
<section aria-labelledby="support">
  <h2 id="support">정부지원기간</h2>
  <p class="period">{{ include "portal.date" $facts.support.start }} ~ {{ include "portal.date" $facts.support.end }}</p>
  <p>{{ get $afterwards $facts.support.afterwards }}</p>
</section>
<section class="contacts" aria-labelledby="contacts">
  <h2 id="contacts">문의</h2>
  <div>
    <h3>조합 담당자</h3>
    {{ include "portal.contact" $facts.contact | nindent 4 | trim }}
  </div>
  <div>
    <h3>플랫폼 헬프데스크</h3>
    {{ include "portal.contact" $facts.helpDesk | nindent 4 | trim }}
  </div>
</section>
</main>
<footer><p>{{ $facts.cooperative.displayName | html }}</p></footer>
</body>
</html>
{{- end }}
