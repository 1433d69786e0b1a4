"""Rules for a chart as files: what `coopctl catalogue lint` asks before a solution is offered.

Who judges by them is `provisioner.catalogue.chart_files`, which reads the files, and `provisioner.operations.linting`,
which renders the chart.
"""

from provisioner.rules.rule import Enforcement, PlanRule, Severity

_HELM = "Helm documentation"


def _rule(name: str, *, title: str, severity: Severity, reason: str, source: str, remedy: str) -> PlanRule:
    return PlanRule(
        id=name,
        title=title,
        severity=severity,
        reason=reason,
        sources=(source,),
        remedy=remedy,
        enforcement=Enforcement.CATALOGUE,
    )


DOCUMENTS = _rule(
    "chart-documents",
    title="a chart's documents are as coopctl reads them",
    severity=Severity.HIGH,
    reason="a catalogue with a chart that cannot be read offers nothing at all",
    source=f"{_HELM}, Charts, The Chart.yaml File",
    remedy="mend Chart.yaml, data-map.yaml and image.yaml as docs/how-to/solutions.md says",
)
FILES = _rule(
    "chart-files",
    title="a chart is a bounded folder of plain files, complete in itself",
    severity=Severity.HIGH,
    reason="links lead out of it, definitions hold for the whole cluster, subcharts bring what nobody has looked at",
    source=f"{_HELM}, Charts, The Chart File Structure",
    remedy="leave links, crds/, charts/ and dependencies out",
)
SCHEMA = _rule(
    "chart-schema",
    title="a closed schema bounds the values that a descriptor may set",
    severity=Severity.HIGH,
    reason="a misspelt value would be taken in silence, and one that nobody thought of would reach the templates",
    source=f"{_HELM}, Charts, Schema Files",
    remedy="add values.schema.json, with additionalProperties: false in every object but coopctl and global",
)
DATA_MAP = _rule(
    "chart-data-map",
    title="a chart says whose its data are",
    severity=Severity.HIGH,
    reason="without a map no member's data can be handed over, or told from another's",
    source="Cloud Computing Promotion Act (Korea), article 27: data are given back when a contract ends",
    remedy="add data-map.yaml; a solution that keeps nothing says `spec: {}`",
)
TERMS = _rule(
    "chart-terms",
    title="an approved solution states its terms",
    severity=Severity.MEDIUM,
    reason="who chooses it must know who answers for it, its licence, and what it costs after the support period",
    source="Cloud Computing Promotion Act (Korea), article 24: standard contracts",
    remedy="state publisher, licence, support-contact and price, and the source of what a copyleft licence covers",
)
REFERENCES = _rule(
    "chart-references",
    title="what a chart names is there",
    severity=Severity.HIGH,
    reason="a solution that depends on another, or runs an image, that nobody has cannot be installed",
    source=f"{_HELM}, Charts, Chart Dependencies",
    remedy="name solutions of the catalogue, and images with an image.yaml or a place in images.lock",
)
RENDERS = _rule(
    "chart-renders",
    title="a chart renders with its own values",
    severity=Severity.HIGH,
    reason="a cooperative that sets nothing of its own could not choose it",
    source=f"{_HELM}, Chart Template Guide, Values Files",
    remedy="give every value a default in values.yaml that values.schema.json accepts",
)
STEADY = _rule(
    "chart-steady",
    title="a chart renders the same each time",
    severity=Severity.MEDIUM,
    reason="what is random or holds the time would be a change in every plan, and roll the pods each time",
    source=f"{_HELM}, Chart Template Guide, Template Function List",
    remedy="leave now, rand... and gen... out; a hash of the values tells what has changed",
)
ESCAPING = _rule(
    "chart-escaping",
    title="what descriptors say stays text",
    severity=Severity.HIGH,
    reason="a name with a quote, a colon or braces would break the manifests, or become a part of them",
    source=f"{_HELM}, Chart Best Practices, Quote Strings",
    remedy="write every text of .Values.coopctl through quote, toJson or toYaml",
)
SERVED = _rule(
    "chart-served",
    title="what a chart says that it serves is there",
    severity=Severity.HIGH,
    reason="those who integrate with it are told an address, and let through to a port, where nothing answers",
    source="Kubernetes documentation, Service, Port definitions",
    remedy="bring a Service of the release's name, with the port of coopctl.dev/serves, which leads to the pods' port",
)
CHART_FILE_RULES = (DOCUMENTS, FILES, SCHEMA, DATA_MAP, TERMS, REFERENCES, RENDERS, STEADY, ESCAPING, SERVED)
