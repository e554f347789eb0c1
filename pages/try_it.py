"""Try it: give the classifier a picture, see its answer, and whether to trust it."""

import hashlib
import html
import io

import numpy as np
import streamlit as st
from PIL import Image

from pages.components.session.navigation import enter_through_app
from pages.components.session.session import (
    PRESETS,
    VIEWS,
    Settings,
    classifier_name,
    comparison_sets,
    default_guard,
    example_picture,
    guard_subject,
    image_title,
    judge,
    rules,
    set_title,
    words_for_html,
)
from pages.components.style.style import as_data_url
from pages.components.views.blind_spot import show_blind_spot
from pages.components.views.live_page import bound_words, counts, follow_lines, rates_in_words, show_link_tools
from pages.components.views.metric_plot import metric_plot, show_presets
from pages.components.views.pad import drawing_pad
from pages.components.views.pictures import as_picture, example_thumbnails, probability_bars, thumbnail_of
from pages.components.views.terms import explained, term
from pages.components.views.verdict import reason, show_verdict
from pages.components.views.why import show_why
from pages.components.widgets.camera import photograph
from pages.components.widgets.gallery import gallery
from pages.components.widgets.marked_picture import marked_picture
from robust import Report, SeveralObjects, UnusableImage
from robust.data.examples import OF_DATASET
from robust.inputs.prepare import Prepared

WAYS = ("Draw", "Upload", "Camera", "Gallery")
MAX_UPLOAD = 50_000_000  # bytes of a picture file
HANDED_OVER = ""  # name of the handed-over picture in the gallery

# --- The picture ---------------------------------------------------------------------------------------------------


def picked_picture() -> bytes | None:
    """The picture file of the way of input now on screen, or None while there is none."""
    st.session_state.setdefault(
        "way", st.session_state.get("last_way") or ("Gallery" if st.session_state.example else "Draw")
    )
    st.session_state.last_way = st.session_state.way
    way = st.segmented_control(
        "Input", WAYS, required=True, label_visibility="collapsed", key="way", width="stretch",
    )  # fmt: skip
    if way == "Draw":
        return drawing_pad()
    if way == "Upload":
        # Of any type: a file that the browser turns away would leave the last one's answer on the stage.
        st.file_uploader("A photo or drawing: PNG, JPEG, HEIC and others", key="upload", on_change=take_upload)
        if st.session_state.get("upload_refused"):
            st.error(
                f"This file is too large: use one of at most {MAX_UPLOAD // 1_000_000} MB.",
                icon=":material/broken_image:",
            )
        return st.session_state.get("uploaded")
    if way == "Camera":
        return photograph(f"Hold a {guard_subject().noun}, or anything else, before the camera")
    return picked_example()


def take_upload() -> None:
    """Keep the file while the visitor looks at other pages, until it is taken away or another one comes."""
    file = st.session_state.upload
    is_too_large = file is not None and file.size > MAX_UPLOAD
    st.session_state.uploaded = file.getvalue() if file and not is_too_large else None
    st.session_state.upload_refused = is_too_large


def picked_example() -> bytes | None:
    """The gallery; a picture that another page handed over comes first."""
    handed_over, example = st.session_state.get("handed_over"), st.session_state.example
    pictures = example_thumbnails()
    if handed_over:
        name, picture = handed_over
        pictures = [(HANDED_OVER, name, thumbnail_of(picture)), *pictures]
    chosen = example or (HANDED_OVER if handed_over else None)
    picked = gallery("Examples", pictures, chosen, key="examples", version=pictures[0][2])
    if picked and picked != chosen:
        st.session_state.example = None if picked == HANDED_OVER else picked
        st.rerun()
    return handed_over[1] if chosen == HANDED_OVER else example_picture(chosen) if chosen else None


# --- The answer ----------------------------------------------------------------------------------------------------


def show_pictures(prepared: Prepared) -> None:
    """The steps from the picture as given to what the net sees: 28x28, enlarged, not blurred."""
    steps = dict(prepared.steps)
    shown = [
        ("as given", prepared.original),
        *((name.lower(), steps[name]) for name in ("Sheet", "Ink") if name in steps),
    ]
    figures = "".join(_figure(picture, caption) for caption, picture in shown)
    seen = _figure(as_picture(prepared.pixels), "as the net sees it", "class='pixels'")
    st.html(f"<div class='pictures'>{figures}{seen}</div>")


def _figure(picture: Image.Image, caption: str, attributes: str = "") -> str:
    alt = "the picture " + caption if caption.startswith("as ") else "the " + caption
    return f"<figure><img {attributes} src='{as_data_url(picture)}' alt='{alt}'><figcaption>{caption}</figcaption></figure>"


def show_scores(report: Report) -> None:
    guard = default_guard()
    rows = "".join(
        f"<tr><td><b>{explained(verdict.title)}</b></td><td>{show_number(verdict.score, guard.metrics[name].digits)}</td>"
        f"<td data-live='threshold {name}'>{show_number(verdict.threshold, guard.metrics[name].digits)}</td>"
        f"<td>{verdict.percentile:.1f}</td>"
        f"<td class='{'reliable' if verdict.reliable else 'unreliable'}' data-live-verdict='{name}' "
        f"data-reliable='✓ accepts' data-unreliable='⊘ refuses'>{'✓ accepts' if verdict.reliable else '⊘ refuses'}</td></tr>"
        for name, verdict in report.verdicts.items()
    )
    st.html(
        "<table class='scores'><thead><tr><th>metric</th><th>value</th><th>threshold</th>"
        f"<th>{term('percentile')}</th><td></td></tr></thead>{rows}</table>"
    )


def show_number(value: float, digits: int) -> str:
    return "∞" if np.isinf(value) else f"{value:.{digits}f}"


def show_blind_spot_of_example() -> None:
    """The note on the set that the chosen picture of the gallery comes from."""
    if st.session_state.way != "Gallery":
        return
    shown = st.session_state.example or st.session_state.handed_over[0]
    for name in comparison_sets():
        if shown in (*OF_DATASET.get(name, ()), image_title(name)):
            show_blind_spot(name)


def show_rule(settings: Settings) -> None:
    st.session_state.rule_choice = settings.rule.decides
    st.segmented_control(
        "Refuse when", list(rules()), format_func=rules().get, required=True, key="rule_choice",
        on_change=lambda: st.session_state.update(rule=st.session_state.rule_choice),
    )  # fmt: skip
    shares = {name: f"{count / total:.2%}" for name, (count, total) in counts(settings).items()}
    st.html(
        f"<div><b data-rate='fpr'>{term('FPR')} <span data-live='good refused share'>{shares['good refused']}</span></b> good "
        f"{words_for_html().plural} refused &nbsp;·&nbsp; <b data-rate='fnr'>{term('FNR')} "
        f"<span data-live='nonsense accepted share'>{shares['nonsense accepted']}</span></b> "
        f"{html.escape(set_title(settings.comparison))} accepted</div><p class='small'>{bound_words(settings)}</p>"
    )


# --- The thresholds ------------------------------------------------------------------------------------------------


def show_threshold(name: str, settings: Settings, report: Report | None, numbers: bool) -> None:
    """One metric's histograms and line, and buttons for the published operating points."""
    metric_plot(
        name, settings, report, height=118 if numbers else 260, key=f"plot_{name}", compact=numbers, plain=not numbers
    )
    if numbers and PRESETS.get(name):
        with st.container(horizontal=True, gap="small", key=f"presets_{name}"):
            show_presets(name, settings)


@st.fragment
def answer(picture_file: bytes | None, picture: tuple[Prepared, Report] | None, message: str) -> None:
    """Everything that follows the thresholds. Moving one reruns this alone, and no net."""
    settings = Settings()
    numbers = st.session_state.view == "numbers"
    left, right = st.columns([1, 1.2], gap="medium")
    report = settings.guard.reconsider(picture[1]) if picture else None
    with left:
        show_verdict(report, settings, message)
        if picture:
            show_pictures(picture[0])
            hint = None if report.reliable else picture[0].hint
            if hint:
                st.caption(f":material/lightbulb: {hint}")
            if numbers:
                st.html(probability_bars(report.probabilities))
                show_scores(report)
            if not numbers:
                show_why(picture_file, report, settings.rule.metrics, "Why")
        if numbers:
            show_rule(settings)
        if picture:
            show_blind_spot_of_example()
    shown = list(settings.guard.metrics) if numbers else settings.rule.metrics
    with right:
        for name in shown:
            show_threshold(name, settings, report, numbers)
        if not numbers:
            st.html(f"<p class='trade'>{rates_in_words(settings)} Drag the line, and see what that costs.</p>")
        show_link_tools(settings)
        follow_lines(settings, report, reason, shown, bounded=numbers)
    others = [name for name in settings.guard.metrics if numbers or name not in settings.rule.metrics]
    if picture and others:
        show_why(picture_file, report, others, "Why" if numbers else "What the other metrics say")


def judged(file: bytes | None) -> tuple[bytes | None, tuple[Prepared, Report] | None, str]:
    """The picture file that is judged, its report, or None and what to tell the visitor."""
    if file is None:
        words = {"Draw": f"Draw a {guard_subject().noun}, or anything else"}
        return None, None, words.get(st.session_state.way, "Choose a picture")
    try:
        try:
            return file, judge(file), ""
        except SeveralObjects as several:
            digit = picked_digit(several, file)
            return (digit, judge_alone(digit), "") if digit else (file, None, str(several))
    except UnusableImage as error:
        if st.session_state.way != "Draw":  # there it is a pad that was wiped clean
            st.error(str(error), icon=":material/broken_image:")
        return file, None, str(error)


def judge_alone(digit: bytes) -> Report:
    try:
        return judge(digit)
    except SeveralObjects:
        raise UnusableImage("These stand too close together: leave room between them, or cut one out.") from None


def picked_digit(several: SeveralObjects, picture_file: bytes) -> bytes | None:
    """The picture with a box around each digit, to be clicked; the clicked one as a picture file."""
    file = hashlib.sha256(picture_file).hexdigest()
    chosen = st.session_state.picked_digit[1] if st.session_state.get("picked_digit", ("",))[0] == file else None
    st.info(f"{several} Click the one to read.", icon=":material/filter_2:")
    picked = marked_picture(
        "Digits in the picture",
        several.picture.convert("RGB"),
        several.boxes,
        guard_subject().noun,
        chosen,
        "digits",
        file,
    )
    if picked is not None and picked != chosen:
        st.session_state.picked_digit = (file, picked)
        st.rerun()
    if chosen is None:
        return None
    buffer = io.BytesIO()
    several.cut_out(chosen).save(buffer, "PNG")
    return buffer.getvalue()


def show_head() -> None:
    """What this is, what to do, and how much to see of it."""
    words, choice = st.columns([4, 1], vertical_alignment="bottom")
    noun = words_for_html().noun
    what = (
        f"<p class='say'>Draw a {noun}, or anything else. {classifier_name(first=True)} always answers; the verdict says "
        "whether to believe it.</p>"
    )
    plain = st.session_state.view == "plain"
    words.html(f"<h1 class='lead'>May I trust what {classifier_name()} just said?</h1>{what if plain else ''}")
    st.session_state.view_choice = st.session_state.view
    choice.segmented_control(
        "Show", VIEWS, format_func=VIEWS.get, required=True, key="view_choice", label_visibility="collapsed",
        on_change=lambda: st.session_state.update(view=st.session_state.view_choice),
    )  # fmt: skip


enter_through_app()
Settings()  # what the link says, before anything is shown
with st.container(key="try_it"):
    show_head()
    input_column, answer_column = st.columns([300, 1000], gap="medium")
    with input_column:
        picture_file, picture, message = judged(picked_picture())
    if picture:
        st.session_state.picture = picture_file  # for the other pages
    with answer_column:
        answer(picture_file, picture, message)
