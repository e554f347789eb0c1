"""Thresholds: drag the lines, and see the whole trade between false alarms and misses."""

import html

import numpy as np
import streamlit as st

from pages.components.session.navigation import enter_through_app
from pages.components.session.session import (
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
    others,
    reference_title,
    rules,
    set_title,
    titles_in,
    words_for_html,
)
from pages.components.style.style import colour
from pages.components.views.blind_spot import show_blind_spot
from pages.components.views.live_page import bound_words, counts, follow_lines, rates_in_words, show_link_tools
from pages.components.views.metric_plot import metric_plot, show_presets
from pages.components.views.samples import SHEET_COLUMNS, shipped_picture, shipped_scores, shipped_sheet
from pages.components.widgets.curve_plot import Curve, curve_plot
from pages.components.widgets.near_misses import near_misses
from pages.components.widgets.save_plot import Saveable, save_plots
from pages.components.widgets.threshold_scatter import ScatterAxis, threshold_scatter
from robust import Report, UnusableImage
from robust.decision.rule import Rule
from robust.decision.selective import aurc, certified_threshold, risk_coverage, strict_to_lenient
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
    "fnr": "At most so many others accepted",
    "cost": "At the lowest cost",
}
TALKED_ABOUT = ("mnist", "fashion-mnist")  # the sets of the published figures
STRIP = 12  # pictures in a strip of near misses
SMALLEST_FPR = 1e-4  # of the axes; one good picture of the ten thousand
CURVES = (
    (colour("curve-1"), ""),
    (colour("curve-2"), "10 6"),
    (colour("curve-3"), "2 5"),
)  # colour and dash of each metric
RULE_CURVE = (colour("mark"), "12 4 2 4")

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
        others().capitalize(), comparison_sets(), format_func=set_title, required=True, key="comparison_choice",
        on_change=lambda: st.session_state.update(comparison=st.session_state.comparison_choice),
    )  # fmt: skip
    st.session_state.rule_choice = settings.rule.decides
    rule.segmented_control(
        "Refuse when", list(rules()), format_func=rules().get, required=True, key="rule_choice",
        on_change=lambda: st.session_state.update(rule=st.session_state.rule_choice),
    )  # fmt: skip


def show_threshold(name: str, settings: Settings, report: Report | None) -> None:
    """One metric's plot and published operating points."""
    metric_plot(name, settings, report, height=250, key=f"plot_{name}")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        show_presets(name, settings)


def show_confusion(settings: Settings) -> None:
    """The confusion table in people's words. The two mistakes are framed."""
    good, other = words_for_html().plural, html.escape(others())
    tiles = [
        (f"good {good} refused", "good refused", "wrong unreliable", "⊘ false alarm · FPR"),
        (f"good {good} accepted", "good accepted", "right", "✓"),
        (f"{other} refused", "nonsense refused", "right", "✓"),
        (f"{other} accepted", "nonsense accepted", "wrong unreliable", "⊘ miss · FNR"),
    ]
    found = counts(settings)
    cells = "".join(
        f"<section class='{kind}' data-cell='{name}'><h3>{words}</h3><b data-live='{name}'>{found[name][0]:,}</b> "
        f"<span>of {found[name][1]:,}<br>{mark} "
        f"<i data-live='{name} share'>{found[name][0] / found[name][1]:.2%}</i></span></section>"
        for words, name, kind, mark in tiles
    )
    st.html(f"<div class='confusion'>{cells}</div><p class='small'>{bound_words(settings)}</p>")


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
        others=others(),
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
    metrics, deciding = list(default_guard().metrics), settings.rule.decides
    rules_shown = metrics if deciding in metrics else [*metrics, deciding]
    curves = []
    for rule, (ink, dash) in zip(rules_shown, (*cycle(CURVES, len(metrics)), RULE_CURVE), strict=False):
        fpr, caught = roc(trade_of(chosen_world(), rule, settings.comparison))
        area = f", AUROC {auroc_of(chosen_world(), rule, settings.comparison):.4f}" if rule in metrics else ""
        curves.append(Curve(rule, rules()[rule] + area, fpr, caught, ink, dash))
    lowest = min(float(curve.y[curve.fpr >= SMALLEST_FPR].min(initial=1)) for curve in curves)
    curve_plot(
        curves, deciding=deciding, y_of=(1, 0, -1), x_title=f"FPR: good {guard_subject().plural} refused",
        y_title=f"1 − FNR: {others()} refused", y_range=(min(np.floor(10 * lowest) / 10, 0.9), 1), per_cent=True,
        smallest=SMALLEST_FPR, height=420, key="roc",
    )  # fmt: skip


def cycle(styles: tuple, count: int) -> list:
    return [styles[i % len(styles)] for i in range(count)]


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
            label = f"{others().capitalize()} accepted, at most %"
            limit = st.number_input(label, 0.0, 100.0, 5.0, 0.5, format="%.1f", key="goal_fnr")
            level = level_at_fnr(found, limit / 100)
        else:
            label = f"A wrong acceptance costs as much as … good {guard_subject().plural} refused"
            ratio = st.number_input(label, 0.0, 1e6, 10.0, 1.0, format="%.1f", key="goal_ratio")
            label = f"{others().capitalize()} among what arrives, %"
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
    if all(settings.thresholds[name] == value for name, value in thresholds.items()):
        st.success(f"The {line} {'stands' if line == 'line' else 'stand'} there already.", icon=":material/check:")
    else:
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
    show_price(
        settings, found.fpr, found.fnr, (0, 0, 1), f"FNR: {others()} accepted", True,
        None if level is None else (found.fpr[level], found.fnr[level]),
    )  # fmt: skip


def show_costs(settings: Settings, found: Trade, costs: np.ndarray, level: int, ratio: float, share: float) -> None:
    of_fpr, of_fnr = expected_cost(1.0, 0.0, ratio, share), expected_cost(0.0, 1.0, ratio, share)
    title = "cost per input, in refusals"
    show_price(settings, found.fpr, costs, (0, of_fpr, of_fnr), title, False, (found.fpr[level], costs[level]))


def show_price(
    settings: Settings, fpr: np.ndarray, y: np.ndarray, y_of: tuple, title: str, per_cent: bool, found: tuple | None
) -> None:
    decides = settings.rule.decides
    top = max(float(np.max(y)), 1e-6)
    curve_plot(
        [Curve(decides, rules()[decides], fpr, y, *RULE_CURVE)], deciding=decides, y_of=y_of,
        x_title=f"FPR: good {guard_subject().plural} refused", y_title=title, y_range=(0, top), per_cent=per_cent,
        smallest=SMALLEST_FPR, height=300, found=found, key="price",
    )  # fmt: skip


# --- How wrong the answers are -------------------------------------------------------------------------------------


def show_risk(settings: Settings) -> None:
    """Of the answers that the rule lets pass, how many are wrong; and a threshold for a risk that one may bear."""
    guard = default_guard()
    if "label" not in guard.reference:
        return
    st.subheader("How often is an answer wrong?", anchor=False)
    wrong = guard.reference["label"] != guard.reference["prediction"]
    left, right = st.columns([1, 1.4], gap="medium")
    with right:
        curves = []
        for (name, metric), (ink, dash) in zip(guard.metrics.items(), cycle(CURVES, len(guard.metrics))):
            found = risk_coverage(guard.reference[name], wrong, metric.refuses)
            area = aurc(guard.reference[name], wrong, metric.refuses)
            refused_share, risk = 1 - found.coverage[::-1], found.risk[::-1]
            curves.append(Curve(name, f"{metric.title}, AURC {1e4 * area:.1f}·10⁻⁴", refused_share, risk, ink, dash))
        curve_plot(
            curves, deciding=settings.rule.decides, y_of=None, x_title=f"FPR: good {guard_subject().plural} refused",
            y_title="answers that are wrong", y_range=(0, float(wrong.mean())), per_cent=True, smallest=SMALLEST_FPR,
            height=300, key="risk",
        )  # fmt: skip
    with left:
        st.markdown(
            f"Of all answers {wrong.mean():.2%} are wrong. Refusing the most suspicious pictures leaves fewer; the area under "
            "a curve (AURC) is small where a metric finds the wrong answers first."
        )
        show_certified(settings, wrong)


def show_certified(settings: Settings, wrong: np.ndarray) -> None:
    """The most answers with at most so many wrong ones, and a button that moves the line there."""
    name = settings.rule.decides
    if name not in default_guard().metrics:
        st.caption("For a rule of one metric there is a threshold for the risk that one may bear: choose one above.")
        return
    metric, scores = default_guard().metrics[name], default_guard().reference[name]
    risk = st.number_input("Answers that may be wrong, %", 0.01, 50.0, 0.3, 0.05, format="%.2f", key="risk_borne") / 100
    try:  # one half proposes thresholds, the other tests them
        tested = strict_to_lenient(scores[::2], len(scores[1::2]), risk, metric.refuses)
        found = certified_threshold(scores[1::2], wrong[1::2], tested, risk, metric.refuses)
    except ValueError as error:
        st.warning(str(error), icon=":material/search_off:")
        return
    if found is None:
        st.warning("These test images do not show that any threshold keeps to that.", icon=":material/search_off:")
        return
    st.markdown(
        f"{metric.title} **{found.threshold:.{metric.digits}f}**: answers **{found.coverage:.1%}**, and with 95 % confidence "
        f"at most {risk:.2%} of the answers are wrong ({found.risk:.2%} here)."
    )
    st.button(
        "Move the line there", key="use_risk", icon=":material/my_location:", on_click=settings.set_threshold,
        args=(name, found.threshold),
    )  # fmt: skip


# --- The nearest misses --------------------------------------------------------------------------------------------


def show_misses(settings: Settings) -> None:
    guard = default_guard()
    st.subheader("Look at what sits on the line", anchor=False)
    st.caption("From the 200 test images of each set that ship with Robust. Choose one to see it on *Try it*.")
    left, right = st.columns(2, gap="medium")
    with left:
        show_strip(
            settings, guard.contents.dataset, True, f"Good {guard_subject().plural} refused, most suspicious first"
        )
    with right:
        show_strip(settings, settings.comparison, False, f"{others().capitalize()} accepted, most convincing first")


def show_strip(settings: Settings, name: str, shows_refused: bool, title: str) -> None:
    scores = shipped_scores(name)
    if scores is None:
        st.markdown(f"**{title}**")
        whose = "your test set" if name == OWN else set_title(name)
        st.info(f"No pictures of {whose} ship with Robust.", icon=":material/hide_image:")
        return
    guard = default_guard()
    levels = refusal_levels(settings.rule, guard.reference, scores)
    picked = near_misses(
        title=title,
        sheet=shipped_sheet(name),
        columns=SHEET_COLUMNS,
        order=np.argsort(levels if shows_refused else -levels, kind="stable"),
        claims=[class_name(int(prediction)) for prediction in scores["prediction"]],
        predictions=scores["prediction"],
        scores={metric: scores[metric] for metric in guard.metrics},
        titles={metric: found.title for metric, found in guard.metrics.items()},
        shows_refused=shows_refused,
        most=STRIP,
        key=f"strip_{'refused' if shows_refused else 'accepted'}",
    )
    if picked is not None:
        inspect_on_try_it(image_title(name), shipped_picture(name, picked))


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
    return f"▶ {titles_in(title)} (now)" if is_now(settings, rule) else titles_in(title)


def show_take_home(settings: Settings) -> None:
    st.subheader("Take it home", anchor=False)
    code = guard_code(settings.thresholds, settings.rule.decides, chosen_world())
    left, right = st.columns(2, gap="medium")
    with left:
        st.code(code, language="python", wrap_lines=True)
        st.download_button(
            "Download these lines", code, "guard.py", "text/x-python", icon=":material/download:", on_click="ignore"
        )
    with right:
        st.markdown("**The plots as they stand**")
        save_plots(saveable(settings), key="save")


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
    plots.append(Saveable("roc", "ROC", f"ROC, {names[0]} against {names[1]}", "robust_roc", ()))
    heading = f"Refused when {rules()[settings.rule.decides]}: FPR {fpr:.2%} · FNR {fnr:.2%}"
    return [*plots, Saveable("scatter", "Scatter", heading, "robust_scatter", (("■", names[0]), ("×", names[1])))]


@st.fragment
def page() -> None:
    """Everything, since everything depends on the lines."""
    settings = Settings()
    report = report_on_trial(settings)
    metrics = list(settings.thresholds)
    st.html("<h1 class='lead'>Where should the line stand?</h1>")
    show_choices(settings)
    st.html(f"<p class='say'>{rates_in_words(settings)}</p>")
    show_link_tools(settings)
    with st.container(key="lines"):
        columns = st.columns(min(len(metrics), 3), gap="medium")
    for column, name in zip(columns * len(metrics), deciding_first(settings)):
        with column:
            show_threshold(name, settings, report)
    follow_lines(settings, report, lambda report: report.reason, metrics, bounded=True)
    show_confusion(settings)
    show_blind_spot(settings.comparison)
    show_misses(settings)
    left, right = st.columns(2, gap="large") if len(metrics) > 1 else (None, st.container())
    with right:
        st.subheader("All thresholds at once: the ROC curve", anchor=False)
        show_roc(settings)
    if left:
        with left:
            st.subheader("Two metrics at once", anchor=False)
            show_scatter(settings, report)
    show_finder(settings)
    show_risk(settings)
    show_published(settings)
    show_take_home(settings)


def deciding_first(settings: Settings) -> list[str]:
    return sorted(settings.thresholds, key=lambda name: name not in settings.rule.metrics)


enter_through_app()
page()
