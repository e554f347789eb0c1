"""In production: a live stream under the guard's eyes, and the recipe to have one of your own."""

import html
import time

import numpy as np
import streamlit as st

from pages.components.session.live_stream import SHOWN, TITLES, LiveStream, known_reports, pools
from pages.components.session.navigation import enter_through_app
from pages.components.session.session import Settings, default_guard, guard_subject, rules, set_title
from pages.components.style.style import as_data_url
from pages.components.views import recipe
from pages.components.views.moving_plot import refusal_plot, score_edges, score_plot
from pages.components.views.pictures import as_picture
from pages.components.widgets.live_html import live_html
from robust import Drift, Report
from robust.decision.promise import fpr_interval
from robust.judge import single_metrics
from robust.serving.drift import COLLECTING, DRIFT, REFUSED, STEADY

TICK_S = 0.5
JUDGING_S = 0.35  # of a tick, at most, to judge new images
LONGEST_GAP_S = 2 * TICK_S  # a tick that comes later than this (a laptop was asleep) brings no more images than this
SPEEDS = (5, 20, 50, 100)  # images per second
START = {"paused": False, "speed": 20, "kind": None, "share": 0}
WORDS = {
    COLLECTING: ("waiting", "○", "Collecting"),
    STEADY: ("reliable", "✓", "No drift"),
    DRIFT: ("unreliable", "⚠", "Drift"),
}

# --- The controls --------------------------------------------------------------------------------------------------


def stream_of(settings: Settings) -> LiveStream:
    """This visitor's stream. It starts anew under other thresholds, another rule or in another world."""
    guard = default_guard()
    under = (str(guard.contents.folder), settings.rule)
    if st.session_state.get("stream_under") != under:
        stream = LiveStream(settings.guard, pools(guard.contents.dataset), known_reports(str(guard.contents.folder)))
        st.session_state.update(stream=stream, stream_under=under, last_tick=None)
    return st.session_state.stream


def kept(name: str) -> str:
    """The key of a widget whose value outlives a look at another page, where Streamlit forgets widgets."""
    values = st.session_state.setdefault("in_production", dict(START))
    key = f"live_{name}"
    if key in st.session_state:
        values[name] = st.session_state[key]
    st.session_state[key] = values[name]
    return key


def start_anew() -> None:
    st.session_state.stream_under = None


def show_controls(kinds: list[str]) -> None:
    st.session_state.setdefault("in_production", dict(START))
    if st.session_state.in_production["kind"] not in kinds:
        st.session_state.in_production["kind"] = kinds[0]
        st.session_state.pop("live_kind", None)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.toggle("Pause", key=kept("paused"))
        st.button("Reset", icon=":material/restart_alt:", on_click=start_anew, key="reset")
        st.segmented_control("Images per second", SPEEDS, required=True, key=kept("speed"))
        st.segmented_control("Mix in", kinds, format_func=lambda kind: TITLES[kind], required=True, key=kept("kind"))
        st.slider("Share mixed in, %", 0, 100, step=5, key=kept("share"), width=380)


# --- The stream ----------------------------------------------------------------------------------------------------


def tick(stream: LiveStream) -> None:
    """Let the images arrive that are due since the last tick."""
    now, last = time.monotonic(), st.session_state.last_tick
    gap = TICK_S if last is None else min(now - last, LONGEST_GAP_S)
    images = int(gap * st.session_state.live_speed)
    if images:  # a control moved right after a tick leaves the time to the next one
        st.session_state.last_tick = now
        stream.run(images, st.session_state.live_share / 100, st.session_state.live_kind, JUDGING_S)


def live(stream: LiveStream) -> None:
    """All that moves, as one element: it changes at once, and nothing flickers."""
    if st.session_state.live_paused:
        st.session_state.last_tick = None
    else:
        tick(stream)
    live_html(
        f"<div class='live'>{drift_word(stream.drift)}{tiles(stream)}"
        f"<div class='plots'>{refusal_plot(list(stream.history), stream.drift.expected)}{score_plots(stream)}</div>"
        f"{last_refused(stream)}</div>",
        spoken=WORDS[stream.drift.state][2],
        key="live_view",
    )


def drift_word(drift: Drift) -> str:
    style, icon, word = WORDS[drift.state]
    titles = rules() | {REFUSED: "share refused"}
    tests = " · ".join(f"{titles[name]} {shown_p(p)}" for name, p in drift.p_values.items())
    why = html.escape(drift.sentence.partition(": ")[2])
    title = f"{word} since image {drift.since:,}" if drift.since else word
    return (
        f"<div class='verdict {style}' data-drift='{drift.state}'><div class='digit'>{icon}</div>"
        f"<div><div class='word'>{title}</div><div class='why'>{why[:1].upper()}{why[1:]}</div>"
        f"<div class='why'>{'corrected p: ' + tests if tests else '&nbsp;'}</div></div></div>"
    )


def shown_p(p: float) -> str:
    return "&lt; 0.0001" if p < 0.0001 else f"{p:.2g}"


def tiles(stream: LiveStream) -> str:
    seen, refused = stream.seen, stream.all_refused
    rates = [
        ("fpr", "FPR", stream.false_positives, f"{TITLES[stream.kinds[0]].lower()} refused"),
        ("fnr", "FNR", stream.false_negatives, "mixed in, accepted"),
    ]
    counted = [
        ("seen", f"{seen:,}", "seen", ""),
        ("accepted", f"{seen - refused:,}", "accepted", "✓ "),
        ("refused", f"{refused:,}", "refused", "⊘ "),
    ]
    cells = [
        f"<section data-count='{name}'>{mark}{words}<b>{count}</b></section>" for name, count, words, mark in counted
    ]
    cells += [
        f"<section data-count='{name}'>{title}<b>{wrong / of if of else 0:.1%}</b>{wrong:,} of {of:,} {words}</section>"
        if of
        else f"<section data-count='{name}'>{title}<b>–</b>none came yet</section>"
        for name, title, (wrong, of), words in rates
    ]
    return f"<div class='tiles'>{''.join(cells)}</div>"


@st.cache_data(show_spinner=False)
def edges_of(folder: str, name: str, log: bool) -> np.ndarray:
    return score_edges([scores[name] for scores in default_guard().scores.values()], log)


def score_plots(stream: LiveStream) -> str:
    guard = stream.guard
    return "".join(
        score_plot(
            title=metric.title,
            reference=guard.reference[name],
            window=stream.watch.scores(name),
            edges=edges_of(str(default_guard().contents.folder), name, metric.long_tailed),
            threshold=guard.thresholds[name],
            refuses=metric.refuses,
            log=metric.long_tailed,
            digits=metric.digits,
        )
        for name, metric in guard.metrics.items()
    )


def last_refused(stream: LiveStream) -> str:
    pictures = "".join(thumbnail(stream.kinds[0], kind, report) for kind, report in stream.refused)
    return (
        f"<div class='caught'><h6>The last {SHOWN} refused, newest first</h6><div class='strip'>{pictures}</div></div>"
    )


def thumbnail(in_distribution: str, kind: str, report: Report) -> str:
    """What was refused, what the classifier would have said, and whether the refusal was right."""
    against = ", ".join(verdict.title for verdict in report.verdicts.values() if not verdict.reliable)
    right = kind != in_distribution
    mark = "✓ rightly" if right else "✗ false alarm"
    return (
        f"<figure class='{'right' if right else 'false'}' title='refused by {against}'>"
        f"<img decoding='sync' src='{as_data_url(as_picture(report.pixels))}' alt='{TITLES[kind]}'>"
        f"“{html.escape(report.class_name)}”<br>{mark}</figure>"
    )


# --- The recipe ----------------------------------------------------------------------------------------------------


FITTED = "Seconds: it looks at your training set through your classifier, and takes its threshold from your test set."
WATCHED = "In order and in bounded memory. The watch says when what arrives is no longer like your test set."


def show_recipe() -> None:
    st.subheader("On Monday, with your own classifier", anchor=False)
    steps = [
        ("1 · Train your classifier, then fit a guard to it", FITTED, recipe.FIT, "python"),
        ("2 · Answer, or refuse", "In the place where you called the classifier.", recipe.CLASSIFY, "python"),
        ("3 · Watch a stream", WATCHED, recipe.STREAM, "python"),
        (
            "4 · Score a folder",
            "Your classifier by its module and name. With a progress bar; it goes on where it was interrupted.",
            recipe.BATCH,
            "shell",
        ),
    ]
    columns = st.columns(2, gap="medium")
    for place, (title, words, code, language) in enumerate(steps):
        with columns[place // 2]:
            st.markdown(f"**{title}**  \n{words}")
            st.code(code, language=language, wrap_lines=True)


def show_self_test() -> None:
    """What the guard accepts of sets that are none of its own: its card, for those who decide whether to rely on it."""
    guard = default_guard()
    whose = "What this guard" if guard.contents.ships else "Your own guard: what it"
    st.subheader(f"{whose} accepts and should not", anchor=False)
    kept = fpr_interval(int(guard.rule.refused(guard.reference).sum()), len(guard.reference["prediction"]))
    st.markdown(
        f"Of {len(guard.reference['prediction']):,} good {guard_subject().plural} it refuses "
        f"{guard.rule.refused(guard.reference).mean():.2%}; of all of them {kept[0]:.2%} to {kept[1]:.2%}, with 95 % "
        f"confidence. “{rules()[guard.rule.decides]}” is the rule; the bars are shares accepted, and short ones are good."
    )
    metrics = guard.metrics | single_metrics(guard.metrics.values())
    titles = {name: metric.title for name, metric in metrics.items()}
    rows = [
        {"what": set_title(name)} | {titles.get(metric, "rule"): share for metric, share in found.items()}
        for name, found in guard.self_test().items()
    ]
    bars = {
        title: st.column_config.ProgressColumn(title, min_value=0, max_value=1, format="percent")
        for title in [*titles.values(), "rule"]
    }
    st.dataframe(rows, column_config=bars, hide_index=True, width="stretch")


enter_through_app()
settings = Settings()
kinds = list(pools(default_guard().contents.dataset))
st.html("<h1 class='lead'>Answer, refuse, and notice when the world changes</h1>")
if kinds:
    show_controls(kinds[1:])
    running = not st.session_state.live_paused
    with st.container(key="live"):
        st.fragment(live, run_every=TICK_S if running else None)(stream_of(settings))
    st.caption(
        "Really judged by the nets, each picture when it first comes. The stream draws from the 200 test images of each "
        "set that ship with Robust, from printed letters and from noise."
    )
else:
    st.info("This guard has no pictures of its own in Robust to make a stream of. The recipe below makes one of yours.")
show_self_test()
show_recipe()
