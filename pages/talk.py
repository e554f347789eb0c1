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

CSS = """
<style>
html { font-size: clamp(16px, 1.2vw, 26px); }
.stAppHeader, [data-testid="stHeader"], [data-testid="stSidebar"] { display: none; }
.stMainBlockContainer { padding: 1.2rem 2rem .6rem; max-width: none; }
.st-key-stage { position: sticky; bottom: 0; padding: .3rem 0; background: light-dark(#FFFFFF, #0B1220); }
.talk { display: flex; flex-direction: column; gap: 1.2rem; }
.talk .verdict { min-height: 14rem; gap: 2rem; padding: .6rem 1.6rem; border-width: 5px; border-radius: 16px; }
.talk .verdict .digit { font-size: min(13rem, 26vw); }
.talk .verdict .digit.name { font-size: min(5rem, 11vw); }
.talk .verdict .word { font-size: clamp(2rem, 3.6vw, 3.6rem); }
.talk .verdict .why { font-size: clamp(1.2rem, 1.7vw, 1.7rem); padding-top: .3rem; }
.talk .verdict.waiting .why { font-size: clamp(1.2rem, 1.7vw, 1.7rem); }
.talk .pictures { gap: 1.5rem; }
.talk .pictures figure { max-width: min(18rem, 38vh); }
.talk .pictures img, .talk .nothing { border: 1px solid light-dark(#CBD5E1, #334155); }
.talk .pictures figcaption { font-size: 1.4rem; padding-top: .3rem; }
.talk .nothing { aspect-ratio: 1; border-radius: 6px; display: grid; place-items: center; font-size: 4rem; }
@media (max-width: 640px) {
  .stMainBlockContainer { padding: .6rem .8rem; }
  .talk .verdict { min-height: 8rem; gap: 1rem; padding: .4rem .8rem; }
}
</style>
"""


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
st.html(CSS)
judge_all(chosen_world())
talk()
