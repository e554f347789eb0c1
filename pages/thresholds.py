"""Thresholds: drag the lines, and see the whole trade between false alarms and misses."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from pages.components.session.navigation import enter_through_app
from pages.components.session.session import (
    FARTHEST,
    PRESETS,
    Settings,
    chosen_world,
    class_name,
    comparison_sets,
    default_guard,
    example_picture,
    guard_subject,
    image_title,
    inspect_on_try_it,
    judge,
    reference_title,
    rules,
    set_title,
    words_for_html,
)
from pages.components.style.style import colour
from pages.components.views.blind_spot import show_blind_spot
from pages.components.views.metric_plot import metric_plot
from pages.components.views.samples import shipped_picture, shipped_scores, shipped_url
from pages.components.widgets.gallery import gallery
from pages.components.widgets.save_plot import Saveable, save_plots
from pages.components.widgets.threshold_scatter import ScatterAxis, threshold_scatter
from robust import Report, UnusableImage
from robust.decision.rule import Rule
from robust.decision.thresholds import refused, threshold_at_fpr
from robust.decision.tradeoff import (
    Trade,
    auroc,
    expected_cost,
    guard_code,
    level_at_fnr,
    level_at_fpr,
    refusal_levels,
    roc,
    trade,
)
from robust.evaluation.report import INTERVAL, operating_points, published, rule_table
from robust.models.store import OWN

GOALS = {
    "fpr": "At most so many good ones refused",
    "fnr": "At most so much nonsense accepted",
    "cost": "At the lowest cost",
}
TALKED_ABOUT = ("mnist", "fashion-mnist")  # the sets of the published figures
STRIP = 14  # pictures in a strip of near misses
CURVES = (
    (colour("curve-1"), "solid"),
    (colour("curve-2"), "dash"),
    (colour("curve-3"), "dot"),
)  # colour and dash of each metric
RULE_CURVE = (colour("mark"), "dashdot")
RULE_LINE = {"width": 3, "color": colour("mark")}
NOW, EDGE = colour("mark"), {"width": 2, "color": colour("edge")}  # the marks of operating points, on light and dark

# --- The lines -----------------------------------------------------------------------------------------------------


def report_on_trial(settings: Settings) -> Report | None:
    """The picture that is on *Try it*, at these thresholds."""
    example = st.session_state.example
    picture = st.session_state.get("picture") or (example_picture(example) if example else None)
    try:
        return settings.guard.reconsider(judge(picture)[1]) if picture else None
    except UnusableImage:
        return None


def show_choices(settings: Settings) -> None:
    sets, rule = st.columns([1.2, 1])
    st.session_state.comparison_choice = settings.comparison
    sets.segmented_control(
        "Nonsense", comparison_sets(), format_func=set_title, required=True, key="comparison_choice",
        on_change=lambda: st.session_state.update(comparison=st.session_state.comparison_choice),
    )  # fmt: skip
    st.session_state.rule_choice = settings.rule.decides
    rule.segmented_control(
        "Refuse when", list(rules()), format_func=rules().get, required=True, key="rule_choice",
        on_change=lambda: st.session_state.update(rule=st.session_state.rule_choice),
    )  # fmt: skip


def show_threshold(name: str, settings: Settings, report: Report | None) -> None:
    """One metric's plot, field and published operating points; all of them move the same number."""
    guard = default_guard()
    metric = guard.metrics[name]
    metric_plot(name, settings, report, height=250, key=f"plot_{name}")
    st.session_state[f"field_{name}"] = settings.thresholds[name]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.number_input(
            f"{metric.title} threshold", -FARTHEST, FARTHEST, step=10.0**-metric.digits,
            format=f"%.{metric.digits}f", key=f"field_{name}", width=190,
            on_change=lambda: settings.set_threshold(name, st.session_state[f"field_{name}"]),
        )  # fmt: skip
        for label, share in PRESETS.get(name, {}).items():
            value = threshold_at_fpr(guard.reference[name], share, metric.refuses)
            st.button(
                label, key=f"preset_{name}_{label}", on_click=settings.set_threshold, args=(name, value),
                help=f"The published operating point: {metric.title} threshold {value:.{metric.digits}f}",
            )  # fmt: skip


def show_confusion(settings: Settings) -> None:
    """The confusion table in people's words. The two mistakes are framed."""
    guard = default_guard()
    masks = [settings.rule.refused(scores) for scores in (guard.reference, guard.scores[settings.comparison])]
    good = words_for_html().plural
    tiles = [
        (f"good {good} refused", masks[0].sum(), masks[0], "wrong unreliable", "⊘ false alarm · FPR"),
        (f"good {good} accepted", (~masks[0]).sum(), masks[0], "right", "✓"),
        ("nonsense refused", masks[1].sum(), masks[1], "right", "✓"),
        ("nonsense accepted", (~masks[1]).sum(), masks[1], "wrong unreliable", "⊘ miss · FNR"),
    ]
    cells = "".join(
        f"<section class='{kind}' data-cell='{words}'><h6>{words}</h6><b>{count:,}</b> <span>of {len(mask):,}<br>"
        f"{mark} {count / len(mask):.2%}</span></section>"
        for words, count, mask, kind, mark in tiles
    )
    st.html(f"<div class='confusion'>{cells}</div>")
    st.caption(f"{settings.fpr_words()} are refused, with 95 % confidence.")


# --- Two metrics at once -------------------------------------------------------------------------------------------


def show_scatter(settings: Settings, report: Report | None) -> None:
    guard = default_guard()
    metrics = guard.metrics
    pair = list(metrics)[:2]
    if len(metrics) > 2:
        st.session_state.setdefault("scatter_pair", pair)
        picked = st.multiselect("Axes", list(metrics), format_func=rules().get, max_selections=2, key="scatter_pair")
        pair = picked if len(picked) == 2 else pair
    x, y = (
        ScatterAxis(
            name,
            metrics[name].title,
            guard.reference[name],
            guard.scores[settings.comparison][name],
            settings.thresholds[name],
            metrics[name].refuses,
            metrics[name].digits,
            metrics[name].long_tailed,
        )
        for name in pair
    )
    threshold_scatter(
        x=x,
        y=y,
        set_names=(reference_title(), set_title(settings.comparison)),
        rule=settings.rule.decides,
        input_scores=(report.verdicts[x.name].score, report.verdicts[y.name].score) if report else None,
        height=420,
        key="scatter",
        good=guard_subject().plural,
        on_change=settings.set_thresholds,
    )


@st.cache_data(show_spinner=False)
def trade_of(world_name: str, rule: str, comparison: str) -> Trade:
    guard = default_guard()
    return trade(default_guard().rule.deciding(rule), guard.reference, guard.scores[comparison])


@st.cache_data(show_spinner=False)
def auroc_of(world_name: str, metric: str, comparison: str) -> float:
    guard = default_guard()
    return auroc(guard.reference[metric], guard.scores[comparison][metric], default_guard().metrics[metric].refuses)


def show_roc(settings: Settings) -> None:
    """A curve for each metric, and one for a rule of several; on each, where it works now."""
    figure = go.Figure()
    metrics = list(default_guard().metrics)
    deciding = settings.rule.decides
    curves = metrics if deciding in metrics else [*metrics, deciding]
    for rule, (ink, dash) in zip(curves, (*CURVES[: len(metrics)], RULE_CURVE), strict=False):
        x, y = roc(trade_of(chosen_world(), rule, settings.comparison))
        area = (
            f", AUROC {auroc_of(chosen_world(), rule, settings.comparison):.4f}"
            if rule in metrics
            else ", lines together"
        )
        line = {"width": 3, "dash": dash, "color": ink}
        figure.add_scatter(x=x, y=y, name=rules()[rule] + area, mode="lines", line=line)
    points = np.array([settings.rates(rule) for rule in curves])
    marks = ["star" if rule == deciding else "circle" for rule in curves]
    figure.add_scatter(
        x=points[:, 0], y=1 - points[:, 1], mode="markers", name="now (★ the rule in force)",
        text=[rules()[rule] for rule in curves], hovertemplate="%{text}: FPR %{x:.2%}, refused %{y:.2%}<extra></extra>",
        marker={"symbol": marks, "size": [22 if mark == "star" else 15 for mark in marks], "color": NOW, "line": EDGE},
    )  # fmt: skip
    figure.update_xaxes(title=f"FPR: good {guard_subject().plural} refused", range=[-0.02, 1.02], tickformat=".0%")
    figure.update_yaxes(title="1 − FNR: nonsense refused", range=[-0.02, 1.04], tickformat=".0%")
    figure.update_layout(legend={"x": 0.98, "y": 0.05, "xanchor": "right", "yanchor": "bottom"})
    show_figure(figure, "roc", 500)


def show_figure(figure: go.Figure, name: str, height: int) -> None:
    figure.update_layout(height=height, margin={"l": 10, "r": 10, "t": 30, "b": 10}, legend_font_size=15)
    figure.update_xaxes(title_font_size=16, tickfont_size=15)
    figure.update_yaxes(title_font_size=16, tickfont_size=15)
    buttons = {"toImageButtonOptions": {"format": "svg", "filename": f"robust_{name}"}, "displaylogo": False}
    st.plotly_chart(figure, key=f"figure_{name}", config=buttons)


# --- Find me the threshold -----------------------------------------------------------------------------------------


def show_finder(settings: Settings) -> None:
    st.subheader("Find me the threshold", anchor=False)
    goal = st.segmented_control(
        "Goal", list(GOALS), format_func=GOALS.get, default="fpr", required=True, key="goal",
        label_visibility="collapsed",
    )  # fmt: skip
    found = trade_of(chosen_world(), settings.rule.decides, settings.comparison)
    left, right = st.columns([1, 1.4], gap="medium")
    with left:
        if goal == "fpr":
            label = f"Good {guard_subject().plural} refused, at most %"
            limit = st.number_input(label, 0.0, 100.0, 5.0, 0.5, format="%.1f", key="goal_fpr")
            level = level_at_fpr(found, limit / 100)
        elif goal == "fnr":
            label = "Nonsense accepted, at most %"
            limit = st.number_input(label, 0.0, 100.0, 5.0, 0.5, format="%.1f", key="goal_fnr")
            level = level_at_fnr(found, limit / 100)
        else:
            label = f"A wrong acceptance costs as much as … good {guard_subject().plural} refused"
            ratio = st.number_input(label, 0.0, 1e6, 10.0, 1.0, format="%.1f", key="goal_ratio")
            label = "Nonsense among what arrives, %"
            share = st.number_input(label, 0.0, 100.0, 50.0, 5.0, format="%.1f", key="goal_share") / 100
            costs = expected_cost(found.fpr, found.fnr, ratio, share)
            level = int(costs.argmin())
        show_found(settings, found, level)
    with right:
        if goal == "cost":
            show_costs(settings, found, costs, level, ratio, share)
        else:
            show_exchange(settings, found, level)


def show_found(settings: Settings, found: Trade, level: int | None) -> None:
    """The threshold that was found, what it costs, and a button that moves the lines there."""
    if level is None:
        st.warning(
            f"No threshold does that: some of {set_title(settings.comparison)} look as good as the best "
            f"{guard_subject().plural}. "
            "Allow more, or choose another rule.", icon=":material/search_off:",
        )  # fmt: skip
        return
    metrics, thresholds = default_guard().metrics, found.thresholds_at(level)
    words = [f"{metrics[name].title} **{value:.{metrics[name].digits}f}**" for name, value in thresholds.items()]
    st.markdown(f"{', '.join(words)}  \nFPR **{found.fpr[level]:.2%}** · FNR **{found.fnr[level]:.2%}**")
    line = "line" if len(thresholds) == 1 else "lines"
    st.button(
        f"Move the {line} there", key="use_found", type="primary", icon=":material/my_location:",
        on_click=settings.set_thresholds, args=(thresholds,),
    )  # fmt: skip
    if len(thresholds) > 1:
        st.caption(
            f"The lines are moved together: each metric refuses the same share of good {guard_subject().plural}."
        )


def show_exchange(settings: Settings, found: Trade, level: int | None) -> None:
    """What each FNR costs in FPR: the price list that the goal picks from."""
    figure = go.Figure()
    chosen = np.unique(np.geomspace(1, len(found.fpr), 300).astype(int) - 1)
    name = rules()[settings.rule.decides]
    figure.add_scatter(x=found.fpr[chosen], y=found.fnr[chosen], mode="lines", name=name, line=RULE_LINE)
    add_marks(
        figure, settings.rates(settings.rule.decides), None if level is None else (found.fpr[level], found.fnr[level])
    )
    figure.update_xaxes(title=f"FPR: good {guard_subject().plural} refused", tickformat=".0%", range=[-0.02, 1.02])
    figure.update_yaxes(title="FNR: nonsense accepted", tickformat=".2~%", rangemode="tozero")
    show_figure(figure, "exchange", 300)


def show_costs(settings: Settings, found: Trade, costs: np.ndarray, level: int, ratio: float, share: float) -> None:
    figure = go.Figure()
    chosen = np.unique(np.r_[np.geomspace(1, len(costs), 300).astype(int) - 1, level])
    figure.add_scatter(
        x=found.fpr[chosen], y=costs[chosen], mode="lines", name=rules()[settings.rule.decides], line=RULE_LINE
    )
    fpr, fnr = settings.rates(settings.rule.decides)
    add_marks(figure, (fpr, float(expected_cost(fpr, fnr, ratio, share))), (found.fpr[level], costs[level]))
    figure.update_xaxes(title=f"FPR: good {guard_subject().plural} refused", tickformat=".0%", range=[-0.02, 1.02])
    figure.update_yaxes(title="cost per input, in refusals", rangemode="tozero")
    show_figure(figure, "cost", 300)


def add_marks(figure: go.Figure, now: tuple[float, float], found: tuple[float, float] | None) -> None:
    """Where the lines stand, and where the goal puts them."""
    figure.add_scatter(
        x=[now[0]], y=[now[1]], mode="markers", name="now", marker={"size": 15, "color": NOW, "line": EDGE}
    )
    if found:
        figure.add_scatter(
            x=[found[0]], y=[found[1]], mode="markers", name="found",
            marker={"symbol": "star", "size": 20, "color": colour("star"), "line": EDGE},
        )  # fmt: skip
    figure.update_layout(legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"})


# --- The nearest misses --------------------------------------------------------------------------------------------


def show_misses(settings: Settings) -> None:
    guard = default_guard()
    st.subheader("Look at what sits on the line", anchor=False)
    st.caption("From the 200 test images of each set that ship with Robust. Click one to inspect it on *Try it*.")
    left, right = st.columns(2, gap="medium")
    with left:
        show_strip(
            settings, guard.contents.dataset, True, f"Good {guard_subject().plural} refused, most suspicious first"
        )
    with right:
        show_strip(settings, settings.comparison, False, "Nonsense accepted, most convincing first")


def show_strip(settings: Settings, name: str, wants_refused: bool, title: str) -> None:
    scores = shipped_scores(name)
    if scores is None:
        st.markdown(f"**{title}**")
        whose = "your test set" if name == OWN else set_title(name)
        st.info(f"No pictures of {whose} ship with Robust.", icon=":material/hide_image:")
        return
    refuses = settings.rule.refused(scores)
    levels = refusal_levels(settings.rule, default_guard().reference, scores)
    places = np.flatnonzero(refuses == wants_refused)
    places = places[np.argsort(levels[places] if wants_refused else -levels[places], kind="stable")]
    st.markdown(f"**{title}: {len(places)} of {len(refuses)}**")
    if not len(places):
        st.markdown("✓ None.")
        return
    shown = places[:STRIP].tolist()
    pictures = [(str(place), caption(settings, scores, place), shipped_url(name, place)) for place in shown]
    version = name + "".join(words for _, words, _ in pictures)
    picked = gallery(title, pictures, None, key=f"strip_{'refused' if wants_refused else 'accepted'}", version=version)
    if picked:
        inspect_on_try_it(image_title(name), shipped_picture(name, int(picked)))


def caption(settings: Settings, scores: dict[str, np.ndarray], place: int) -> str:
    """The class that LeNet claims, and the scores that the rule listens to, each with what its metric says."""
    words = [f"{class_name(int(scores['prediction'][place]))}:"]
    for metric in settings.rule.metrics:
        made, score = default_guard().metrics[metric], scores[metric][place]
        mark = "⊘" if refused(score, settings.thresholds[metric], made.refuses) else "✓"
        words.append(f"{mark} {made.title} {'∞' if np.isinf(score) else f'{score:.{made.digits}f}'}")
    return " ".join(words)


# --- The talk, and taking it home ----------------------------------------------------------------------------------


def show_published(settings: Settings) -> None:
    guard = default_guard()
    reported, compared = TALKED_ABOUT
    if guard.contents.dataset != reported or compared not in guard.scores:
        return
    st.subheader("What the talk reported", anchor=False)
    table = rule_table(guard.metrics, guard.reference, {compared: guard.scores[compared]}, published())
    header = ["refused when", "our threshold", "our FPR", INTERVAL, "our FNR", "talk’s FPR", "talk’s FNR"]
    head = "".join(f"<th>{cell}</th>" for cell in header)
    rows = [
        "<tr class='{}'>{}</tr>".format(
            "now" if is_now(settings, rule) else "",
            "".join(f"<td>{cell}</td>" for cell in [in_words(title, settings, rule), *row[1:]]),
        )
        for row, (title, rule) in zip(table.rows, operating_points(guard.metrics, guard.reference), strict=True)
        if row[-1]
    ]
    st.html(f"<table class='talked'><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>")
    squared = published()["delta_z_squared_5th_percentile"]
    st.caption(
        f"FNR on {set_title(compared)}. The talk’s 5th percentile of δz² is {squared}: a δz of {squared**0.5:.2f}. "
        f"In the talk, {published()['note']}"
    )


def is_now(settings: Settings, rule: Rule) -> bool:
    alike = all(rule.thresholds[name] == settings.thresholds[name] for name in rule.metrics)
    return alike and rule.decides == settings.rule.decides


def in_words(title: str, settings: Settings, rule: Rule) -> str:
    for name, metric in default_guard().metrics.items():
        title = title.replace(name, metric.title)
    return f"▶ {title} (now)" if is_now(settings, rule) else title


def show_take_home(settings: Settings) -> None:
    st.subheader("Take it home", anchor=False)
    code = guard_code(settings.thresholds, settings.rule.decides, chosen_world())
    left, right = st.columns(2, gap="medium")
    with left:
        st.code(code, language="python")
        st.download_button(
            "Download these lines", code, "guard.py", "text/x-python", icon=":material/download:", on_click="ignore"
        )
    with right:
        st.markdown("**The plots as they stand**")
        save_plots(saveable(settings), key="save")
        st.caption("The curves have a button of their own: the camera above them saves an SVG.")


def saveable(settings: Settings) -> list[Saveable]:
    metrics = default_guard().metrics
    names = reference_title(), set_title(settings.comparison)
    plots = []
    for name, metric in metrics.items():
        fpr, fnr = settings.rates(name)
        threshold = f"{settings.thresholds[name]:.{metric.digits}f}"
        heading = f"{metric.title}: threshold {threshold} · FPR {fpr:.2%} · FNR {fnr:.2%}"
        legend = ("■", names[0]), ("▨", names[1])
        plots.append(Saveable(f"plot_{name}", metric.title, heading, f"robust_{name}", legend))
    fpr, fnr = settings.rates(settings.rule.decides)
    heading = f"Refused when {rules()[settings.rule.decides]}: FPR {fpr:.2%} · FNR {fnr:.2%}"
    return [*plots, Saveable("scatter", "Scatter", heading, "robust_scatter", (("■", names[0]), ("×", names[1])))]


@st.fragment
def lines() -> None:
    """Plots, fields and confusion table. A release reruns these alone, for a quick answer, and then the whole page."""
    settings = Settings()
    report = report_on_trial(settings)
    show_choices(settings)
    plots = st.container()
    show_blind_spot(settings.comparison)
    show_confusion(settings)  # before the plots above it, which know the answer already
    metrics = list(settings.thresholds)
    for column, name in zip(plots.columns(min(2, len(metrics)), gap="medium") * len(metrics), metrics):
        with column:
            show_threshold(name, settings, report)
    if (settings.rule, settings.comparison) != st.session_state.page_shows:
        st.rerun()


def rest() -> None:
    settings = Settings()
    if len(default_guard().metrics) > 1:
        left, right = st.columns(2, gap="medium")
        with left:
            st.subheader("Two metrics at once", anchor=False)
            show_scatter(settings, report_on_trial(settings))
    else:
        right = st.container()
    with right:
        st.subheader("ROC: all thresholds at once", anchor=False)
        show_roc(settings)
    show_finder(settings)
    show_misses(settings)
    show_published(settings)
    show_take_home(settings)


enter_through_app()
now = Settings()
st.session_state.page_shows = (now.rule, now.comparison)
lines()
rest()
