"""Talk: the story on a full screen, step by step, and live pictures between the steps; by keys or a presenter's remote."""

import html

import streamlit as st

from pages.components.session.navigation import enter_through_app
from pages.components.session.room_service import has_rooms
from pages.components.session.session import (
    LONGEST_STORY,
    Settings,
    chosen_world,
    default_guard,
    example_picture,
    judge,
)
from pages.components.style.style import as_data_url
from pages.components.views.live_page import follow_lines
from pages.components.views.metric_plot import metric_plot
from pages.components.views.pad import drawing_pad
from pages.components.views.pictures import as_picture, example_thumbnails, thumbnail_of
from pages.components.views.story import Step, report_of, story
from pages.components.views.verdict import reason, verdict_card, waiting_card
from pages.components.widgets.camera import photograph
from pages.components.widgets.gallery import gallery
from pages.components.widgets.stage import stage
from robust import Report, UnusableImage
from robust.inputs.prepare import Prepared

LIVE = ("draw", "camera", "gallery", "own")


@st.cache_resource(show_spinner="Preparing the talk …")
def prepared(world: str) -> bool:
    """Once for each world, so that every step shows at once."""
    for step in story(Settings()):
        step.picture()
    return True


# --- A step of the story -------------------------------------------------------------------------------------------


def show_step(step: Step, settings: Settings) -> None:
    st.html(f"<div class='talk'><h1 class='sentence'>{step.sentence}</h1></div>")
    if not step.plot:
        st.html(f"<div class='talk'>{step.picture()}</div>")
        return
    left, right = st.columns([1, 1.3], gap="large")
    left.html(f"<div class='talk'>{step.picture()}</div>")
    with right:
        show_plot(settings, settings.guard.reconsider(report_of(step.example)))


def show_plot(settings: Settings, report: Report | None) -> None:
    metric = st.session_state.talk_plot
    with st.container(key="talk_plot_frame"):
        metric_plot(metric, settings, report, height=330, key="talk_threshold", input_label="this picture", plain=True)
        follow_lines(settings, report, reason, [metric], bounded=False)


# --- Live ----------------------------------------------------------------------------------------------------------


def show_live(way: str, settings: Settings) -> None:
    """Half of the screen for the picture, half for what is said of it."""
    left, right = st.columns(2, gap="large")
    with left:
        picture = live_picture(way)
    found, message = judged(picture)
    report = settings.guard.reconsider(found[1]) if found else None
    with right:
        card = verdict_card(report, settings) if report else waiting_card(message)
        seen = ""
        if found:
            picture = as_data_url(as_picture(found[0].pixels))
            seen = f"<figure><img class='pixels' src='{picture}' alt=''><figcaption>as the net sees it</figcaption></figure>"
        st.html(f"<div class='talk live-row'>{card}{seen}</div>")
        show_plot(settings, report)


def live_picture(way: str) -> bytes | None:
    if way == "draw":
        with st.container(key="talk_pad"):
            return drawing_pad()
    if way == "camera":
        return photograph("Hold something before the camera", label_visibility="collapsed")
    if way == "gallery":
        pictures = example_thumbnails()
        picked = gallery("Examples", pictures, st.session_state.example, key="talk_gallery", version=pictures[0][2])
        if picked and picked != st.session_state.example:
            st.session_state.example = picked
            st.rerun()
        return example_picture(st.session_state.example) if st.session_state.example else None
    own = st.session_state.get("picture")
    file = st.file_uploader("A picture of your own", key="talk_upload")
    own = file.getvalue() if file else own
    if own:
        st.html(f"<div class='talk'><img class='own' src='{thumbnail_of(own, 560)}' alt='your own picture'></div>")
    return own


def judged(picture: bytes | None) -> tuple[tuple[Prepared, Report] | None, str]:
    """The report of a picture, or None and why there is none."""
    if picture is None:
        words = {
            "draw": "Draw anything",
            "camera": "Take a picture",
            "gallery": "Choose a picture",
            "own": "Bring a picture of your own",
        }
        return None, words[st.session_state.talk_live]
    try:
        return judge(picture), ""
    except UnusableImage as error:
        return None, str(error)


# --- The stage -----------------------------------------------------------------------------------------------------


def talk() -> None:
    settings = Settings()
    steps = story(settings)
    names = list(default_guard().metrics)
    place = min(st.session_state.talk_step, len(steps), LONGEST_STORY)
    live = st.session_state.setdefault("talk_live", None)
    if live:
        show_live(live, settings)
    else:
        show_step(steps[place - 1], settings)
    leaves = stage(
        step=place,
        steps=len(steps),
        plots=[default_guard().metrics[name].title for name in names],
        plot=names.index(st.session_state.talk_plot),
        live=live,
        has_plot=bool(live) or steps[place - 1].plot,
        notes=f"{html.unescape(steps[place - 1].sentence)}\n{steps[place - 1].notes}",
        following=html.unescape(steps[place].sentence) if place < len(steps) else "",
        on_change=lambda step, plot, live: st.session_state.update(
            talk_step=step, talk_plot=names[plot], talk_live=live if live in LIVE else None
        ),
        rooms=has_rooms(),
        key="stage",
    )
    if leaves:
        st.session_state.talk_live = None
        st.switch_page("pages/room.py" if leaves == "room" else "pages/try_it.py")


enter_through_app()
Settings()
prepared(chosen_world())
talk()
