"""Compare: the guard's metrics beside published ones, on every kind of input, as `benchmark detectors` measured them."""

import html
import math

import plotly.graph_objects as go
import streamlit as st

from pages.components.session.navigation import enter_through_app
from pages.components.session.session import (
    Settings,
    class_name,
    classifier_name,
    default_guard,
    without_folders,
    words_for_html,
)
from pages.components.style.style import as_data_url, colour
from pages.components.widgets.metric_map import Column, Row, metric_map
from robust import DamagedWorld
from robust.evaluation.detectors import WRONG_ANSWERS, read, slipped_pictures
from robust.evaluation.figures import AREAS, CHANGED, DRAWN, FIGURES, MORE_IS_BETTER, NONSENSE, WRONG, main_figure

HARDEST = "omniglot"  # what the page starts with: drawn by hand, as visitors will
SHORT_LIST = 12  # metrics in map and chart before one asks for all
GROUPS = {CHANGED: "Spoilt test images", DRAWN: "Other hands", WRONG: "Errors"}
SAID = {  # of the pictures that a metric gets wrong, by kind of set
    NONSENSE: "{metric} accepts {share} of {set}",
    CHANGED: "{metric} accepts {share} of {set} though they are misread",
    DRAWN: "{metric} refuses {share} of those of {set} that are rightly read",
    WRONG: "{metric} accepts {share} of all wrong answers",
}
ROLES = {  # marker, colour and sign before the name: shape tells them apart as well as colour
    "published": ("diamond", colour("curve-1"), "◆"),
    "default rule": ("star", colour("star"), "★"),
    "": ("circle", colour("mark"), ""),
}
TEXTS = {  # columns of both tables
    "metric": st.column_config.TextColumn(pinned=True, width=180),
    "what it is": st.column_config.TextColumn(width="large"),
}


def role(measured: dict, name: str) -> str:
    if name == measured["default_rule"]:
        return "default rule"
    return "published" if name in measured["published"] else ""


def label(measured: dict, name: str) -> str:
    sign = ROLES[role(measured, name)][2]
    return f"{sign} {measured['metrics'][name]['title']}".strip()


def shown_value(figure: str, value: float) -> str:
    if figure in AREAS:
        return f"{value:.4f}"
    return f"{value:.2%}" if value < 0.1 else f"{value:.0%}"


def row_label(measured: dict, name: str) -> str:
    return f"<b>{label(measured, name)}</b>" if role(measured, name) else label(measured, name)


def group_of(found: dict) -> str:
    if found["kind"] != NONSENSE:
        return GROUPS[found["kind"]]
    if default_guard().contents.dataset != "mnist":
        return "Nonsense"
    return "Near: strokes" if found["near"] else "Far"


def mean_auroc(measured: dict, name: str) -> float:
    """Over all sets of nonsense: what map and metrics are ranked by."""
    sets = measured["metrics"][name]["sets"]
    areas = [sets[one]["auroc"][0] for one, found in measured["sets"].items() if found["kind"] == NONSENSE]
    return sum(areas) / max(len(areas), 1)


def is_cell(measured: dict, cell: tuple[str, str] | None) -> bool:
    return cell is not None and cell[0] in measured["metrics"] and cell[1] in measured["sets"]


def show_map(measured: dict) -> tuple[str, str]:
    """The main figure of every metric on every set; the metric and the set whose cell was clicked last."""
    sets = measured["sets"]
    columns = [Column(name, one["title"], group_of(one), main_figure(one)[1]) for name, one in sets.items()]
    columns.sort(key=lambda column: ["Near: strokes", "Far", "Nonsense", *GROUPS.values()].index(column.group))
    ranked = sorted(measured["metrics"], key=lambda name: -mean_auroc(measured, name))
    ranked.sort(key=lambda name: ["default rule", "published", ""].index(role(measured, name)))
    every = st.session_state.get("all_metrics", False)
    rows = []
    for name in ranked if every else ranked[:SHORT_LIST]:
        found = measured["metrics"][name]["sets"]
        values = [found[column.key][main_figure(sets[column.key])[0]][0] for column in columns]
        rows.append(Row(name, label(measured, name), [None if math.isnan(value) else value for value in values]))
    start = HARDEST if HARDEST in sets else next(iter(sets))
    chosen = st.session_state.get("compared_cell")
    if not is_cell(measured, chosen):  # none yet, or one of another world
        chosen = (measured["default_rule"], start)
    st.html(
        f"<p class='say'>Per cent that each metric gets wrong when 5 % of good {words_for_html().plural} are refused: the "
        "stronger the colour, the worse. Click a figure to see the pictures.</p>"
    )
    picked = metric_map("Metrics and kinds of input", columns, rows, chosen, key="compare_map")
    if is_cell(measured, picked):
        st.session_state.compared_cell = picked
        st.rerun()  # so that the map, which came before the click, marks the cell
    st.toggle(f"All {len(ranked)} metrics", key="all_metrics")
    return chosen


def show_slipped(measured: dict, metric: str, name: str) -> None:
    """Some of the pictures of a set that a metric gets wrong, with what the classifier reads in them."""
    found = measured["sets"][name]
    share = measured["metrics"][metric]["sets"][name][main_figure(found)[0]][0]
    title, what = html.escape(measured["metrics"][metric]["title"]), html.escape(found["title"])
    pictures = slipped_pictures(default_guard().contents.folder, measured, metric, name)
    figures = "".join(
        f"<figure><img class='pixels' src='{as_data_url(picture)}' alt=''>"
        f"<figcaption>read as {html.escape(class_name(read_as))}</figcaption></figure>"
        for picture, read_as in pictures
        if read_as < len(default_guard().contents.subject.classes)
    )
    words = {"metric": f"<b>{title}</b>", "share": f"<b>{shown_value('', share)}</b>", "set": f"<b>{what}</b>"}
    said = SAID[found["kind"]].format(**words) + (", such as these:" if pictures else ".")
    st.html(f"<p class='say'>{said}</p><div class='pictures slipped'>{figures}</div>")


def show_chart(measured: dict, chosen: str, figure: str, ranked: list[str]) -> None:
    """One row for each metric, the best on top: the value with its interval."""
    title, words = FIGURES[measured["sets"][chosen]["kind"]][figure]
    chart = go.Figure()
    every = st.session_state.get("all_metrics", False)
    shown = [name for place, name in enumerate(ranked) if every or place < SHORT_LIST or role(measured, name)]
    for part, (symbol, ink, _) in ROLES.items():
        names = [name for name in shown if role(measured, name) == part]
        found = [measured["metrics"][name]["sets"][chosen][figure] for name in names]
        values = [value for value, _, _ in found]
        chart.add_scatter(
            x=values, y=[row_label(measured, name) for name in names], mode="markers", name=part or "others",
            marker={"symbol": symbol, "size": 15 if part else 11, "color": ink},
            error_x={
                "array": [high - value for value, _, high in found],
                "arrayminus": [value - low for value, low, _ in found], "color": ink, "thickness": 2, "width": 5,
            },
            customdata=[measured["metrics"][name]["about"] for name in names],
            hovertemplate="%{y}: %{x}<br>%{customdata}<extra></extra>",
        )  # fmt: skip
        chart.add_scatter(
            x=[high for _, _, high in found], y=[row_label(measured, name) for name in names], mode="text",
            text=[f"  {shown_value(figure, value)}" for value in values], textposition="middle right",
            textfont={"size": 15}, hoverinfo="skip",
        )  # fmt: skip
    everything = [edge for name in shown for edge in measured["metrics"][name]["sets"][chosen][figure]]
    low, high = min(everything), max(everything)
    start = 0 if figure not in AREAS else low - 0.05 * (high - low)
    chart.update_xaxes(
        title=title, title_font_size=16, tickfont_size=15, range=[start, high + 0.3 * (high - start) + 1e-4],
        tickformat=".3~f" if figure in AREAS else ".1~%",
    )  # fmt: skip
    labels = [row_label(measured, name) for name in reversed(shown)]
    chart.update_yaxes(
        categoryorder="array", categoryarray=labels, tickfont_size=15,
        tickvals=labels, ticktext=[label.replace(" × ", " ×<br>") for label in labels],  # a phone is narrow
        automargin=True, showgrid=True,
    )  # fmt: skip
    margin = {"l": 10, "r": 10, "t": 10, "b": 10}
    chart.update_layout(height=60 + 34 * len(shown), margin=margin, showlegend=False)
    signs = [
        f"<span><b style='color:{colour}'>{sign}</b> {part}</span>" for part, (_, colour, sign) in ROLES.items() if part
    ]
    st.html(
        f"<p class='say'>{words} <b>{'More' if figure in MORE_IS_BETTER else 'Less'} is better.</b></p>"
        f"<div class='key'>{''.join(signs)}<span>⊢⊣ 95 % interval</span></div>"
    )
    st.plotly_chart(
        chart, key="compare_chart",
        config={"displaylogo": False, "toImageButtonOptions": {"format": "svg", "filename": "robust_compare"}},
    )  # fmt: skip


def show_set_table(measured: dict, chosen: str, ranked: list[str]) -> None:
    """Every figure of the chosen set with its interval."""
    figures = FIGURES[measured["sets"][chosen]["kind"]]
    rows, config = [], {}
    for name in ranked:
        metric = measured["metrics"][name]
        found = metric["sets"][chosen]
        row = {"metric": label(measured, name)}
        for figure, (title, words) in figures.items():
            value, low, high = found[figure]
            row[title] = value
            row[f"{title}, 95 %"] = f"{shown_value(figure, low)} … {shown_value(figure, high)}"
            number = "%.4f" if figure in AREAS else "percent"
            config[title] = st.column_config.NumberColumn(format=number, help=words)
        rows.append(row | {"images": found["images"], "what it is": metric["about"]})
    st.dataframe(rows, column_config=config | TEXTS, hide_index=True, key="compare_set")


def show_all_table(measured: dict, ranked: list[str]) -> None:
    """The figure that matters most on every set, and what the metric costs."""
    columns = {name: (*main_figure(found), found["title"]) for name, found in measured["sets"].items()}
    rows = []
    for name in ranked:
        metric = measured["metrics"][name]
        row = {"metric": label(measured, name), "FPR": metric["fpr"][0]}
        row |= {f"{heading}: {title}": metric["sets"][one][key][0] for one, (key, title, heading) in columns.items()}
        row |= {"ms alone": metric["ms_alone"], "ms in batches": metric["ms_batched"], "what it is": metric["about"]}
        rows.append(row)
    config = {f"{heading}: {title}": percent(None) for _, title, heading in columns.values()}
    config["FPR"] = percent("Good images refused, of the half of the test set that did not set the threshold.")
    st.dataframe(rows, column_config=config | TEXTS, hide_index=True, key="compare_all")


def percent(words: str | None):
    return st.column_config.NumberColumn(format="percent", help=words)


def show_method(measured: dict) -> None:
    half, other = measured["test_images"]
    sets = measured["sets"]
    read = [
        f"{found['title']} {found['read_right']:.1%}" for found in sets.values() if found["kind"] in (CHANGED, DRAWN)
    ]
    wrong = sets.get(WRONG_ANSWERS, {"images": 0, "read_right": 1.0})
    errors = round((1 - wrong["read_right"]) * wrong["images"])
    left_out, threads = measured["left_out"], f"{measured['threads']} thread{'s' * (measured['threads'] != 1)}"
    of_digits = default_guard().contents.dataset == "mnist"
    has_orienter = "orientation" in measured["metrics"]
    orienter = ", the orienter behind *Orientation* from images turned and spoilt" if has_orienter else ""
    said = f"""
- Thresholds refuse 5 % of {half:,} test images; every figure is taken on {other:,} others. FPR is the share of good
  images refused, TPR the share of nonsense refused.
- Intervals hold 95 % of {measured["resamples"]:,} bootstrap samples (seed {measured["seed"]}) of all images, those that
  set the threshold among them.
- Rotated, inverted, mirrored and otherwise spoilt images are test images: there, a refusal is as good as a right answer.
{"- A mirrored 0 or 8 is still one, and a turned 6 is a 9: read so, they are rightly read." if of_digits else ""}
- Wrong answers: {errors:,} of {wrong["images"]:,}, on the other half of the test set
  {"and on digits by other hands" if of_digits else ""}.
{"- Near and far as in OpenOOD: near is what shares the strokes of digits." if of_digits else ""}
- {classifier_name(first=True)} reads rightly: {", ".join(read)}.
- Baselines are fitted to the training set alone. *Which way up* learns from its images mirrored and turned, the verifier
  behind *Evidence* from its images spoilt in many ways, mirrored, joined and drawn over among them{orienter}:
  there, none of them is a stranger to what it is tested on.
- Milliseconds an image: alone, the median; in a batch; the nets included, {threads}. A combination
  takes what its parts take.
- δz and likelihood regret score at most {measured["slow"]:,} images of the sets that the calibration has not scored.
{f"- Left out, since the data was not there: {', '.join(left_out)}." if left_out else ""}
"""
    with st.expander("How this was measured"):
        st.markdown(said)


def show(measured: dict) -> None:
    titles = {name: found["title"] for name, found in measured["sets"].items()}
    st.html("<h1 class='lead'>Which metric catches what?</h1>")
    metric, chosen = show_map(measured)
    show_slipped(measured, metric, chosen)
    figures = FIGURES[measured["sets"][chosen]["kind"]]
    st.subheader(f"{titles[chosen]}, with intervals", anchor=False)
    figure = st.segmented_control(
        "Figure", list(figures), format_func=lambda key: figures[key][0], default=next(iter(figures)), required=True,
        key=f"figure_of_{measured['sets'][chosen]['kind']}",
    )  # fmt: skip
    better = -1 if figure in MORE_IS_BETTER else 1
    ranked = sorted(measured["metrics"], key=lambda name: better * measured["metrics"][name]["sets"][chosen][figure][0])
    show_chart(measured, chosen, figure, ranked)
    st.subheader(f"{titles[chosen]}, in numbers", anchor=False)
    show_set_table(measured, chosen, ranked)
    with st.expander("All inputs in numbers, and what each metric costs"):
        show_all_table(measured, ranked)
    show_method(measured)


enter_through_app()
Settings()  # keeps this visitor's link
try:
    measurements = read(default_guard().contents.folder)
except DamagedWorld as error:
    st.error(without_folders(str(error)), icon=":material/broken_image:")
    st.stop()
if measurements:
    show(measurements)
else:
    st.info(
        "The metrics have not been compared on this guard yet. Do it with: `python -m robust benchmark detectors --guard …`",
        icon=":material/leaderboard:",
    )
