"""The draggable plot of one metric of the chosen world, at this visitor's threshold."""

from pages.components.session.session import Settings, default_guard, load_world, reference_title, set_title
from pages.components.widgets.threshold_plot import Series, threshold_plot
from robust import Report


def metric_plot(name: str, settings: Settings, report: Report | None, height: int, key: str, **options) -> None:
    """`report` is the input on trial, None for none. `options` are those of `threshold_plot`."""
    world, metric = load_world(), default_guard().metrics[name]
    threshold_plot(
        title=metric.title,
        good=world.subject.plural,
        reference=Series(reference_title(), world.reference[name]),
        comparison=Series(set_title(settings.comparison), world.scores[settings.comparison][name]),
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
