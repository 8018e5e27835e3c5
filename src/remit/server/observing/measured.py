"""The figures as OpenTelemetry has them: read from the very instruments that a scrape reads, so that both say the same."""

from collections.abc import Iterable, Mapping
from itertools import chain

from opentelemetry.sdk.metrics import export as sdk
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.core import Metric

from remit import __version__
from remit.local.wiring import wall_clock
from remit.server.observing.instruments import Instruments
from remit.server.observing.standing import StoreGauges

_Labels = frozenset[tuple[str, str]]


class Measured:
    """Figures since now, cumulative: what a worker before this one has counted at its place is not counted again."""

    def __init__(self, resource: Resource, instruments: Instruments, standing: StoreGauges) -> None:
        self._resource, self._instruments, self._standing = resource, instruments, standing
        self._since = wall_clock() * 1000
        self._before = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in instruments.registry.collect()
            if family.type != "gauge"
            for sample in family.samples
        }

    def data(self) -> sdk.MetricsData:
        """All of them as they are."""
        self._standing.look()
        now = wall_clock() * 1000
        found = chain(self._instruments.registry.collect(), self._standing.collect())
        metrics = [
            self._metric(one, now) for one in found if one.samples
        ]  # a metric without any is not of any kind to a receiver
        scope = sdk.ScopeMetrics(InstrumentationScope("remit", __version__), metrics, "")
        return sdk.MetricsData([sdk.ResourceMetrics(self._resource, [scope], "")])

    def _metric(self, family: Metric, now: int) -> sdk.Metric:
        points: Iterable[sdk.NumberDataPoint] = [
            sdk.NumberDataPoint(
                dict(sample.labels), self._since, now, self._counted(sample.name, frozenset(sample.labels.items()), sample.value)
            )
            for sample in family.samples
            if family.type != "histogram"
        ]
        data: sdk.DataT
        if family.type == "counter":
            data = sdk.Sum(list(points), sdk.AggregationTemporality.CUMULATIVE, is_monotonic=True)
        elif family.type == "histogram":
            data = sdk.Histogram(self._distributions(family, now), sdk.AggregationTemporality.CUMULATIVE)
        else:
            data = sdk.Gauge(list(points))
        return sdk.Metric(family.name, family.documentation, "s" if family.name.endswith("_seconds") else "1", data)

    def _counted(self, name: str, labels: _Labels, value: float) -> float:
        return value - self._before.get((name, labels), 0.0)

    def _distributions(self, family: Metric, now: int) -> list[sdk.HistogramDataPoint]:
        found: dict[_Labels, _Distribution] = {}
        for sample in family.samples:
            value = self._counted(sample.name, frozenset(sample.labels.items()), sample.value)
            labels = frozenset((name, text) for name, text in sample.labels.items() if name != "le")
            found.setdefault(labels, _Distribution()).add(sample.name.removeprefix(family.name), sample.labels, value)
        return [one.point(dict(labels), self._since, now) for labels, one in found.items()]


class _Distribution:
    """One histogram of some labels: how many were at most each bound, and their sum."""

    def __init__(self) -> None:
        self._most: list[tuple[float, float]] = []
        self._sum = 0.0

    def add(self, kind: str, labels: Mapping[str, str], value: float) -> None:
        """One sample of it."""
        if kind == "_bucket":
            self._most.append((float(labels["le"]), value))
        elif kind == "_sum":
            self._sum = value

    def point(self, labels: dict[str, str], since: int, now: int) -> sdk.HistogramDataPoint:
        """It as OpenTelemetry has it: how many lie between two bounds."""
        self._most.sort()
        counts = [
            int(most - before) for (_, most), before in zip(self._most, [0.0, *(most for _, most in self._most)], strict=False)
        ]
        bounds = [bound for bound, _ in self._most[:-1]]
        unknown: float = None  # type: ignore[assignment] # the least and the most are kept by nobody, and may be left out
        return sdk.HistogramDataPoint(labels, since, now, sum(counts), self._sum, counts, bounds, unknown, unknown)
