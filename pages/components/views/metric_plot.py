"""The draggable plot of one metric of the chosen world, at this visitor's threshold."""

from pages.components.session.session import Settings, default_guard, guard_subject, reference_title, set_title
from pages.components.widgets.threshold_plot import Series, threshold_plot
from robust import Report


def metric_plot(name: str, settings: Settings, report: Report | None, height: int, key: str, **options) -> None:
    """`report` is the input on trial, None for none. `options` are those of `threshold_plot`."""
    guard = default_guard()
    metric = guard.metrics[name]
    threshold_plot(
        title=metric.title,
        good=guard_subject().plural,
        reference=Series(reference_title(), guard.reference[name]),
        comparison=Series(set_title(settings.comparison), guard.scores[settings.comparison][name]),
        threshold=settings.thresholds[name],
        refuses=metric.refuses,
        log=metric.long_tailed,
        digits=metric.digits,
        input_score=report.verdicts[name].score if report else None,
        height=height,
        key=key,
        on_change=lambda value: settings.set_threshold(name, value),
        **options,
    )
