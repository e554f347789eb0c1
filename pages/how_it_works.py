"""How δz works: the two metrics explained on one picture, step by step, for a speaker and an audience."""

import html

import numpy as np
import streamlit as st
import torch
from plotly.colors import sequential
from torch import Tensor

from pages.components.session.navigation import enter_through_app
from pages.components.session.session import (
    Settings,
    chosen_world,
    class_name,
    classifier_name,
    default_guard,
    example_picture,
    good_examples,
    judge,
    needs,
    remembered,
    words_for_html,
)
from pages.components.style.style import as_data_url
from pages.components.views.pictures import (
    BRIGHTEST,
    LETTERS,
    as_picture,
    example_thumbnails,
    heat,
    name_of,
    probability_bars,
    thumbnail_of,
)
from pages.components.views.story import deceivers, first_example
from pages.components.views.terms import term
from pages.components.widgets.film import film
from pages.components.widgets.gallery import gallery
from pages.components.widgets.latent_map import latent_map
from robust import Report, UnusableImage
from robust.evaluation.report import search_tables
from robust.evaluation.tables import as_markdown
from robust.metrics.explain import LatentPlane, VAEParts, Walk, latent_plane, vae_parts, walk

CLOTHES = ("Sandal", "Trouser", "Bag", "Ankle boot")
ODD = (*CLOTHES, "Digit 2", "Digit 7", "Chicken", "Falafel", "Random noise", "Blank page")  # beside the good ones
OWN = "Your picture"
NONSENSE = "Chicken"  # what the page compares with
STEPS, BEYOND, FRAME_EVERY = 48, 12, 6  # points of the walk: to z*, past it, and from frame to frame of the strip

# --- The picture ---------------------------------------------------------------------------------------------------


def picked_picture() -> tuple[str, bytes]:
    """Name and file of the picture to explain: the visitor's own from *Try it*, or an example."""
    own = st.session_state.get("picture")
    good = good_examples()
    shown = [*good, *(name for name in (*ODD, *deceivers()) if name not in good)]
    pictures = [thumbnail for thumbnail in example_thumbnails() if thumbnail[0] in shown]
    pictures.sort(key=lambda thumbnail: shown.index(thumbnail[0]))
    if own:
        pictures.insert(0, (OWN, OWN, thumbnail_of(own)))
    chosen = st.session_state.get("explained") or st.session_state.get("example") or OWN
    if chosen not in shown and not (chosen == OWN and own):
        chosen = good_example()
    picked = gallery("Pictures", pictures, chosen, key="explain_gallery", version=pictures[0][2])
    if picked and picked != chosen:
        st.session_state.explained = picked
        st.rerun()
    return chosen, own if chosen == OWN else example_picture(chosen)


def good_example() -> str:
    """The example that the page starts with, and compares nonsense with."""
    return first_example()


def walk_of(picture: bytes) -> Walk:
    return _walk_of(chosen_world(), picture)


@remembered
def _walk_of(world: str, picture: bytes) -> Walk:
    prepared, report = judge(picture)
    return walk(default_guard().metrics["delta_z"], prepared.pixels, report.prediction, STEPS, BEYOND)


@remembered
def parts_of(world: str, picture: bytes) -> VAEParts:
    return vae_parts(default_guard().metrics["vae_loss"].vae, judge(picture)[0].pixels)


def image(pixels: Tensor, alt: str, style: str = "") -> str:
    return f"<img src='{as_data_url(as_picture(pixels))}' alt='{alt}' style='{style}'>"


def heading(step: int, title: str) -> str:
    return f"<h2 class='step'>{step} · {title}</h2>"


def number(value: float, digits: int = 2) -> str:
    """A length. Small ones get the digits they need: "0.00" would read as a walk that ends where it starts."""
    if value == 0 or np.isinf(value):
        return "0" if value == 0 else "∞"
    return f"{value:.{digits}f}" if value >= 10.0**-digits else f"{value:.1g}"


# --- 1: drawn again ------------------------------------------------------------------------------------------------


def show_drawn_again(report: Report, way: Walk) -> None:
    again = int(way.classes[0])
    agrees = again == report.prediction
    latent, subject = way.latents.shape[1], words_for_html()
    st.html(
        heading(1, "Have it drawn again")
        + "<div class='story'>"
        + f"<figure>{image(report.pixels, 'the input as the net sees it')}<figcaption>the input x<br>"
        + f"{classifier_name(first=True)}: <b>{name_of(report.prediction)}</b> ({report.probability:.1%})</figcaption></figure>"
        + f"<div class='arrows'><div>I<br>⟶</div><div>{latent}<br>numbers</div><div>G<br>⟶</div></div>"
        + f"<figure>{image(way.images[0], 'the picture drawn again by the generator')}<figcaption>G(I(x))<br>"
        + f"{classifier_name(first=True)}: <b>{name_of(again)}</b> ({way.probabilities[0, again]:.1%})</figcaption></figure>"
        + f"<p class='say grow'>The {term('inverter')} I describes the picture by {latent} numbers. "
        + f"The {term('generator')} G, which learnt from real {subject.plural}, draws a {subject.noun} from them. "
        + f"<b>{'Both are read alike.' if agrees else 'They are read differently.'}</b></p></div>"
    )


# --- 2: the walk ---------------------------------------------------------------------------------------------------


def show_walk(report: Report, way: Walk) -> None:
    answer, reached = words_for_html().answer, None if way.reached is None else name_of(way.reached)
    title = heading(2, f"Walk until {classifier_name()} reads another {answer}")
    if way.flip is None:
        words = f"No other {answer} is within reach, however G changes this one: <b>δz = ∞</b>."
        st.html(f"{title}<p class='say'>{words}</p>")
        return
    if way.delta_z == 0:
        st.html(
            f"{title}<p class='say'>The walk ends where it starts: G's best version of this picture is already read as "
            f"another {answer}, {reached} instead of {name_of(report.prediction)}. <b>δz = 0</b></p>"
        )
        return
    st.html(
        f"{title}<p class='say'>Change the numbers as little as possible until {classifier_name()} reads something else. "
        f"The length of that way is δz. At its end, z*, {classifier_name()} reads {reached} instead of {name_of(report.prediction)}.</p>"
        f"<div class='walk'><div class='frames'>{strip(way)}</div><div class='ruler'></div>"
        f"<div><span>0</span><b>δz = {number(way.delta_z)}</b><span>z*</span></div></div>"
    )
    show_place(report.prediction, way)


def strip(way: Walk) -> str:
    frames = []
    for i in range(0, len(way.images), FRAME_EVERY):
        read = name_of(way.reached if i == way.flip else way.classes[i])
        size = "" if len(read) <= LETTERS else " class='name'"
        words = {0: "I(x)", way.flip: f"z*: flips to {read}", len(way.images) - 1: "beyond"}.get(i, "")
        alt = f"at {number(way.delta_z * float(way.fractions[i]))}, read as {read}"
        frames.append(
            f"<figure class='{'flip' if i == way.flip else ''}'>{image(way.images[i], alt)}"
            f"<figcaption><b{size}>{read}</b>{words}</figcaption></figure>"
        )
    return "".join(frames)


def show_place(prediction: int, way: Walk) -> None:
    """One place of the walk, enlarged, with a slider from place to place."""
    lengths = [number(way.delta_z * float(fraction), 3) for fraction in way.fractions]
    lengths[0], lengths[way.flip] = "0: I(x)", f"{lengths[way.flip]}: z*"
    frames = [frame(place, prediction, way) for place in range(len(lengths))]
    with st.container(key="place"):
        film(frames=frames, names=lengths, label="Walk from I(x) to z* and beyond", mark=way.flip, key="film")


def frame(place: int, prediction: int, way: Walk) -> str:
    read = way.reached if place == way.flip else way.classes[place]
    word = "as in x" if read == prediction else f"no longer {name_of(prediction)}"
    return (
        f"<div class='story place'><figure>{image(way.images[place], 'the picture at this place of the walk')}</figure>"
        f"<div class='grow'><p class='say'>{classifier_name(first=True)} reads <b>{name_of(read)}</b>, {word}</p>"
        f"{probability_bars(way.probabilities[place].numpy())}</div></div>"
    )


# --- The map: play with it ------------------------------------------------------------------------------------------


@remembered
def _plane_of(world: str, picture: bytes) -> LatentPlane | None:
    metric, report = default_guard().metrics["delta_z"], judge(picture)[1]
    return latent_plane(metric, _walk_of(world, picture), report.prediction)


def show_map(report: Report, picture: bytes) -> None:
    """The plane around I(x), with a handle that one drags to see what G draws there."""
    plane = _plane_of(chosen_world(), picture)
    if plane is None:
        return
    st.html(
        heading(3, "Now walk yourself")
        + f"<p class='say'>This is a slice of everything G can draw, with this picture in its middle. Drag the handle: G draws, "
        f"{classifier_name()} reads. Within the circle of radius δz nothing was found that flips its answer.</p>"
    )
    side = len(plane.places)
    rows = torch.cat([torch.cat(list(row), 2) for row in plane.images], 1)
    latent_map(
        sheet=as_data_url(as_picture(rows)),
        classes=plane.classes.numpy(),
        places=plane.places.numpy(),
        delta_z=plane.delta_z,
        names={label: class_name(label) for label in plane.classes.unique().tolist()},
        prediction=report.prediction,
        label=f"Place in the latent plane, {side} by {side}",
        digits=3,
        key="latent_map",
    )


# --- 3: long way, short way ----------------------------------------------------------------------------------------


def show_comparison(name: str, picture: bytes) -> None:
    """The way of this picture and of the chicken (or of a good picture, when this one is nonsense), to one scale."""
    other = NONSENSE if name == OWN or name in good_examples() else good_example()
    rows = {name: picture, other: example_picture(other)}
    threshold = Settings().thresholds["delta_z"]
    lengths = np.array([threshold, typical_delta_z(), *(walk_of(file).delta_z for file in rows.values())])
    full = 1.1 * lengths[np.isfinite(lengths)].max() or 1.0
    st.html(
        heading(4, "A short way means: do not rely on it")
        + "<div class='tracks'><div class='head'>x</div><div class='head'>G(I(x))</div>"
        + f"<div class='head way'><span style='left:{100 * threshold / full:.1f}%'>"
        + f"threshold {number(threshold)}</span></div>"
        + "".join(track(label, file, threshold, full) for label, file in rows.items())
        + "</div>"
    )


def typical_delta_z() -> float:
    """The median over the test set, so that the scale does not blow up two short ways."""
    return float(np.median(default_guard().reference["delta_z"]))


def track(name: str, picture: bytes, threshold: float, full: float) -> str:
    """One picture's row. `full` is the δz that would fill the width."""
    report, way = Settings().guard.reconsider(judge(picture)[1]), walk_of(picture)
    reliable = report.verdicts["delta_z"].reliable
    width = min(100.0, 100 * way.delta_z / full)
    if way.flip:
        end = image(way.images[way.flip], f"z*, read as {name_of(way.reached)}", f"left:{width:.1f}%")
    else:
        note = "ends where it starts" if way.flip == 0 else f"no other {words_for_html().answer} within reach"
        end = f"<span class='note'>{note}</span>"
    return (
        f"{image(report.pixels, html.escape(name))}{image(way.images[0], f'{html.escape(name)}, drawn again')}"
        f"<div class='way'><div class='limit' style='left:{100 * threshold / full:.1f}%'></div>"
        f"<div class='line' style='width:{width:.1f}%'></div>{end}</div>"
        f"<div class='word {'reliable' if reliable else 'unreliable'}'><b>{html.escape(name)}: δz = {number(way.delta_z)}</b>"
        f" · {'✓ reliable, says δz' if reliable else '⊘ not reliable, says δz'}</div>"
    )


# --- 4: the VAE ----------------------------------------------------------------------------------------------------


def show_vae(report: Report, parts: VAEParts) -> None:
    colours = ", ".join(sequential.Cividis)
    share = 100 * parts.reconstruction_loss / parts.loss
    st.html(
        heading(5, "The other witness: VAE loss")
        + "<div class='story'>"
        + f"<figure>{image(report.pixels, 'the input as the net sees it')}<figcaption>the input x</figcaption></figure>"
        + f"<figure>{image(parts.reconstruction, 'the reconstruction')}"
        + "<figcaption>as the VAE draws it</figcaption></figure>"
        + f"<figure><img src='{as_data_url(heat(parts.loss_map))}' alt='loss of each pixel'>"
        + f"<div class='scale' style='background:linear-gradient(90deg, {colours})'></div>"
        + f"<div class='ends'><span>0</span><span>nats</span><span>≥ {BRIGHTEST:.0f}</span></div></figure>"
        + f"<div class='grow'><p class='say'>A VAE, trained on {words_for_html().plural} only, draws the picture from memory. "
        + "Each pixel costs what the VAE did not expect; KL is how unusual its description is.</p>"
        + f"<p class='say'>reconstruction <b>{parts.reconstruction_loss:.1f}</b> + {term('KL')} <b>{parts.kl:.1f}</b> = "
        + f"VAE loss <b>{parts.loss:.1f}</b> {term('nats')}</p>"
        + f"<div class='parts' role='img' aria-label='reconstruction {share:.0f} %, KL {100 - share:.0f} %'>"
        + f"<div class='reconstruction' style='width:{share:.1f}%'>reconstruction</div>"
        + f"<div class='kl' style='width:{100 - share:.1f}%'>KL</div></div></div></div>"
    )


enter_through_app()
needs("delta_z")
st.html(f"<h1 class='lead'>δz: how much must change before {classifier_name()} changes its mind?</h1>")
name, picture = picked_picture()
try:
    report = judge(picture)[1]
except UnusableImage as error:
    st.error(str(error), icon=":material/broken_image:")
else:
    show_drawn_again(report, walk_of(picture))
    show_walk(report, walk_of(picture))
    show_map(report, picture)
    show_comparison(name, picture)
    if "vae_loss" in default_guard().metrics:
        show_vae(report, parts_of(chosen_world(), picture))
with st.expander("How near to the true δz the search comes"):
    st.markdown(as_markdown(search_tables(default_guard().contents.folder)) or "Not measured on these nets yet.")
