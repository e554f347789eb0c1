"""Talk mode: one input after the other on a full screen, driven by keys or a presenter's remote."""

import html

import streamlit as st

from pages.components.session.navigation import enter_through_app
from pages.components.session.session import (
    Settings,
    chosen_world,
    classifier_name,
    default_guard,
    example_picture,
    judge,
    talk_steps,
)
from pages.components.style.style import as_data_url
from pages.components.views.metric_plot import metric_plot
from pages.components.views.pictures import as_picture, claim
from pages.components.widgets.stage import stage
from robust import Report, UnusableImage
from robust.inputs.decode import open_image
from robust.inputs.prepare import Prepared


def judged(name: str) -> tuple[Prepared, Report] | str:
    """The example's report, or why there is none."""
    try:
        return judge(example_picture(name))
    except UnusableImage as error:
        return str(error)


@st.cache_resource(show_spinner="Judging the pictures of the talk …")
def judge_all(world: str) -> None:
    """Once for each world, so that every step of the talk shows at once."""
    for name in talk_steps():
        judged(name)


def verdict(report: Report) -> str:
    kind, icon = ("reliable", "✓") if report.reliable else ("unreliable", "⊘")
    word, _, why = report.reason.partition(": ")
    return (
        f"<div class='verdict {kind}' role='status' aria-live='polite'>{claim(report)}"
        f"<div><div class='word'>{icon} {word}</div><div class='why'>{why}</div>"
        f"<div class='why'>{classifier_name(first=True)} gives it {report.probability:.1%}</div></div></div>"
    )


def no_verdict(reason: str) -> str:
    return (
        "<div class='verdict waiting' role='status' aria-live='polite'><div class='digit'>?</div>"
        f"<div><div class='word'>nothing to read</div><div class='why'>{html.escape(reason)}</div></div></div>"
    )


def pictures(name: str, found: tuple[Prepared, Report] | str) -> str:
    given = as_data_url(open_image(example_picture(name)))
    seen = "<div class='nothing' aria-label='nothing'>–</div>"
    if not isinstance(found, str):
        seen = f"<img class='pixels' src='{as_data_url(as_picture(found[0].pixels))}' alt='as the net sees it'>"
    return (
        f"<div class='pictures'><figure><img class='pixels' src='{given}' alt='{html.escape(name)}'>"
        f"<figcaption>{html.escape(name)}</figcaption></figure>"
        f"<figure>{seen}<figcaption>as the net sees it</figcaption></figure></div>"
    )


@st.fragment
def talk() -> None:
    settings = Settings()
    metrics = default_guard().metrics
    names, metric = talk_steps(), st.session_state.talk_plot
    name = names[st.session_state.talk_step - 1]
    found = judged(name)
    report = None if isinstance(found, str) else settings.guard.reconsider(found[1])
    left, right = st.columns([1, 1.15], gap="large")
    left.html(f"<div class='talk'>{verdict(report) if report else no_verdict(found)}{pictures(name, found)}</div>")
    with right:
        metric_plot(metric, settings, report, height=490, key="talk_threshold", input_label="this input")
    leaves = stage(
        step=st.session_state.talk_step,
        steps=len(names),
        plots=[m.title for m in metrics.values()],
        plot=list(metrics).index(metric),
        on_change=lambda step, plot: st.session_state.update(talk_step=step, talk_plot=list(metrics)[plot]),
        key="stage",
    )
    if leaves:
        st.switch_page("pages/try_it.py")


enter_through_app()
judge_all(chosen_world())
talk()
