"""Compare: the guard's metrics beside published ones, on every kind of input, as `benchmark detectors` measured them."""

import plotly.graph_objects as go
import streamlit as st

from pages.components.session.navigation import enter_through_app
from pages.components.session.session import Settings, default_guard, without_folders
from pages.components.style.style import colour
from robust import DamagedWorld
from robust.evaluation.detectors import FIGURES, MORE_IS_BETTER, main_figure, read

HARDEST = "omniglot"  # what the page starts with: drawn by hand, as visitors will
SHORT_LIST = 12  # metrics in the chart before one asks for all
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
    if figure == "auroc":
        return f"{value:.4f}"
    return f"{value:.2%}" if value < 0.1 else f"{value:.0%}"


def row_label(measured: dict, name: str) -> str:
    return f"<b>{label(measured, name)}</b>" if role(measured, name) else label(measured, name)


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
    start = 0 if figure != "auroc" else low - 0.05 * (high - low)
    chart.update_xaxes(
        title=title, title_font_size=16, tickfont_size=15, range=[start, high + 0.3 * (high - start) + 1e-4],
        tickformat=".3~f" if figure == "auroc" else ".1~%",
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
    st.toggle(f"All {len(ranked)} metrics", key="all_metrics")


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
            number = "%.4f" if figure == "auroc" else "percent"
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
    config["FPR"] = percent("Good digits refused, of the half of the test set that did not set the threshold.")
    st.dataframe(rows, column_config=config | TEXTS, hide_index=True, key="compare_all")


def percent(words: str | None):
    return st.column_config.NumberColumn(format="percent", help=words)


def show_method(measured: dict) -> None:
    half, other = measured["test_images"]
    read = [
        f"{found['title']} {found['read_right']:.1%}" for found in measured["sets"].values() if "read_right" in found
    ]
    left_out = measured["left_out"]
    said = f"""
- Thresholds refuse 5 % of {half:,} test images; every figure is taken on {other:,} others. FPR is the share of good
  digits refused, TPR the share of nonsense refused.
- Intervals hold 95 % of {measured["resamples"]:,} bootstrap samples (seed {measured["seed"]}) of all images, those that
  set the threshold among them.
- Rotated, inverted and blurred images are spoilt test images: there, a refusal is as good as a right answer.
- LeNet reads rightly: {", ".join(read)}.
- Baselines are fitted to the training set alone, with the parameters of their papers: none has seen an outlier before.
- Milliseconds an image: alone, the median; in a batch; the nets included, {measured["threads"]} threads. A combination
  takes what its parts take.
- δz and likelihood regret score at most {measured["slow"]:,} images of the sets that the calibration has not scored.
{f"- Left out, since the data was not there: {', '.join(left_out)}." if left_out else ""}
"""
    with st.expander("How this was measured"):
        st.markdown(said)


def show(measured: dict) -> None:
    titles = {name: found["title"] for name, found in measured["sets"].items()}
    st.html("<h1 class='lead'>Which metric catches what?</h1>")
    start = HARDEST if HARDEST in titles else next(iter(titles))
    chosen = st.segmented_control(
        "Inputs", list(titles), format_func=titles.get, default=start, required=True, key="compared"
    )  # fmt: skip
    figures = FIGURES[measured["sets"][chosen]["kind"]]
    figure = st.segmented_control(
        "Figure", list(figures), format_func=lambda key: figures[key][0], default=next(iter(figures)), required=True,
        key=f"figure_of_{measured['sets'][chosen]['kind']}",
    )  # fmt: skip
    better = -1 if figure in MORE_IS_BETTER else 1
    ranked = sorted(measured["metrics"], key=lambda name: better * measured["metrics"][name]["sets"][chosen][figure][0])
    show_chart(measured, chosen, figure, ranked)
    st.subheader(f"{titles[chosen]}, in numbers", anchor=False)
    show_set_table(measured, chosen, ranked)
    st.subheader("All inputs at 5 % FPR", anchor=False)
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
