"""Where in a chart's template a field stands: followed by indentation, as far as only one can be meant."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provisioner.operations.manifest_places import place_in_template

TEMPLATE = """\
{{- if .Values.on }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  annotations:
    a.b/c: "x"
spec:
  template:
    metadata:
      labels: {}
    spec:
      # two containers
      containers:
      - name: one
        image: first
        ports:
          - name: http
            containerPort: 80
          - name: https
            containerPort: 443
      - name: two
        image: second
        resources:
          {{- toYaml .Values.resources | nindent 10 }}
      volumes: []
{{- end }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
spec:
  type: ClusterIP
"""


@pytest.mark.parametrize(
    ("kind", "path", "line"),
    [
        ("Deployment", "kind", 3),
        ("Deployment", "metadata.name", 5),
        ("Deployment", "metadata.annotations['a.b/c']", 7),
        ("Deployment", "metadata.finalizers", 4),
        ("Deployment", "spec.template.metadata.labels", 11),
        ("Deployment", "spec.template.spec.containers[0].image", 16),
        ("Deployment", "spec.template.spec.containers[0].ports[1].containerPort", 21),
        ("Deployment", "spec.template.spec.containers[1].name", 22),
        ("Deployment", "spec.template.spec.containers[1].image", 23),
        ("Deployment", "spec.template.spec.containers[1].resources.limits.cpu", 24),
        ("Deployment", "spec.template.spec.containers[2].image", 14),
        ("Deployment", "spec.template.spec.hostNetwork", 12),
        ("Service", "metadata.name", 32),
        ("Service", "spec.type", 34),
        ("Service", "spec.externalIPs", 33),
    ],
)
def test_a_field_is_followed_to_its_line(tmp_path: Path, kind: str, path: str, line: int) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(TEMPLATE)
    assert place_in_template(file, path, kind=kind).line == line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("kind: Service\nspec:\n  type: a\n---\nkind: Service\nspec:\n  type: b\n", 0),
        ("kind: Service\nspec:\n  {{ if .x }}\n  type: a\n  {{ else }}\n  type: b\n  {{ end }}\n", 2),
        ('{{ include "all" . }}\n', 0),
        ("", 0),
        ("kind: Other\nspec:\n  type: a\n", 3),
    ],
)
def test_where_more_than_one_can_be_meant_no_line_is_made_up(tmp_path: Path, text: str, line: int) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    found = place_in_template(file, "spec.type", kind="Service")
    assert (found.file, found.line) == (file, line)


def test_a_template_that_cannot_be_read_is_told_as_a_file(tmp_path: Path) -> None:
    assert place_in_template(tmp_path / "none.yaml", "spec", kind="Service").line == 0


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    lines=st.lists(
        st.sampled_from(["spec:", "  - a: 1", "- b:", "    c: {", "{{ x }}", "---", "kind: A", "\t", "  spec: x"])
    ),
    path=st.sampled_from(["spec", "spec[0].a", "b.c", "[1]", "", "spec.spec[2][3].b", "kind"]),
)
def test_whatever_a_template_holds_a_line_of_it_is_told_or_none(tmp_path: Path, lines: list[str], path: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("\n".join(lines))
    assert 0 <= place_in_template(file, path, kind="A").line <= len(lines)
