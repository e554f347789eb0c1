"""How δz works: the two metrics explained on one picture, step by step, for a speaker and an audience."""

import html

import numpy as np
import streamlit as st
from plotly.colors import sequential
from torch import Tensor

from pages.components.session.navigation import enter_through_app
from pages.components.session.session import (
    Settings,
    chosen_world,
    classifier_name,
    default_guard,
    example_picture,
    good_examples,
    guard_subject,
    judge,
    needs,
    talk_steps,
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
from pages.components.widgets.film import film
from pages.components.widgets.gallery import gallery
from robust import Report, UnusableImage
from robust.evaluation.report import search_tables
from robust.evaluation.tables import as_markdown
from robust.metrics.explain import VAEParts, Walk, vae_parts, walk

CLOTHES = ("Sandal", "Trouser", "Bag", "Ankle boot")
ODD = (*CLOTHES, "Digit 2", "Digit 7", "Chicken", "Falafel", "Random noise", "Blank page")  # beside the good ones
OWN = "Your picture"
NONSENSE = "Chicken"  # what the page compares with
STEPS, BEYOND, FRAME_EVERY = 48, 12, 6  # points of the walk: to z*, past it, and from frame to frame of the strip

CSS = """
<style>
h1.lead { font-size: 1.55rem; font-weight: 700; padding: .5rem 0 .1rem; margin: 0; line-height: 1.2; }
h2.step { font-size: 1.45rem; font-weight: 700; padding: .8rem 0 .1rem; margin: 0; line-height: 1.2; }
p.say { font-size: 1.25rem; line-height: 1.35; margin: 0; }
p.say b { font-variant-numeric: tabular-nums; white-space: nowrap; }

.story { display: flex; flex-wrap: wrap; align-items: center; gap: .6rem 1.2rem; }
.story figure, .strip figure { margin: 0; }
.story figure { width: 9.5rem; align-self: start; }
.place figure { width: 13rem; }
.place .bars { height: 10.5rem; font-size: 1rem; }
.story figcaption { font-size: 1.1rem; line-height: 1.25; padding-top: .2rem; }
.story img, .strip img, .tracks img { width: 100%; aspect-ratio: 1; image-rendering: pixelated; display: block;
  border-radius: 6px; background: #000; }
.story .arrows { display: flex; gap: .4rem 1.2rem; align-items: center; font-size: 1.3rem; font-weight: 600;
  text-align: center; line-height: 1.15; }
.story .grow { flex: 1 1 17rem; min-width: 0; }

.strip { --frames: 11; --to: 8; }
.strip .frames { display: grid; grid-template-columns: repeat(var(--frames), 1fr); gap: .4rem; padding-top: .5rem; }
.strip figure { text-align: center; min-width: 0; }
.strip .flip img { outline: 4px solid; outline-offset: 2px; }
.strip b { display: block; font-size: 1.5rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.strip b.name { font-size: 1rem; }
.strip figcaption { font-size: 1rem; line-height: 1.15; padding-top: .3rem; }
.strip .flip figcaption { font-weight: 700; }
.ruler { margin-left: calc(50% / var(--frames)); width: calc(100% * var(--to) / var(--frames)); text-align: center;
  font-size: 1.5rem; font-weight: 700; line-height: 1.3; border: solid; border-width: 0 3px 3px; height: .8rem; }
.ruler + div { margin-left: calc(50% / var(--frames)); width: calc(100% * var(--to) / var(--frames)); display: flex;
  justify-content: space-between; font-size: 1rem; line-height: 1.4; }
.ruler + div b { font-size: 1.7rem; line-height: 1.2; display: inline; }

/* the slider's handle stands under the frame it shows */
.st-key-place .controls { margin: 0 calc(50% / 11 - .9rem); }

.tracks { display: grid; grid-template-columns: 6rem 6rem 1fr; gap: .3rem 1rem; align-items: center; }
.tracks .way { position: relative; height: 6rem; margin-right: 6rem; }
.tracks .line { position: absolute; top: calc(50% - 3px); left: 0; height: 6px; min-width: 6px; border-radius: 3px;
  background: light-dark(#0F172A, #F1F5F9); }
.tracks .way img { position: absolute; top: .5rem; width: 5rem; margin-left: .4rem; }
.tracks .note { position: absolute; top: calc(50% - 2rem); left: .8rem; font-size: 1.1rem; line-height: 1.2; }
.tracks .limit { position: absolute; top: 0; bottom: 0; border-left: 3px dashed light-dark(#64748B, #94A3B8); }
.tracks .word { grid-column: 1 / -1; font-size: 1.25rem; padding-bottom: .7rem; }
.tracks .word b { font-variant-numeric: tabular-nums; }
.tracks .head { font-size: 1rem; line-height: 1.15; align-self: end; }
.tracks .head.way { height: 1.3rem; }
.tracks .head span { position: absolute; white-space: nowrap; }

.scale { height: .9rem; border-radius: 3px; }
.ends { display: flex; justify-content: space-between; font-size: .95rem; }
.parts { display: flex; height: 2.4rem; border-radius: 6px; overflow: hidden; font-size: 1.05rem; max-width: 40rem; }
.parts div { padding: .3rem .6rem; white-space: nowrap; overflow: hidden; min-width: 0; }
.parts .reconstruction { background: light-dark(#0F172A, #F1F5F9); color: light-dark(#FFFFFF, #0B1220); }
.parts .kl { color: inherit; background: repeating-linear-gradient(135deg, light-dark(#CBD5E1, #334155) 0 6px,
  light-dark(#E2E8F0, #475569) 6px 12px); }
@media (max-width: 640px) {
  h1.lead, h2.step { font-size: 1.35rem; }
  p.say { font-size: 1.1rem; }
  .story { gap: .5rem; }
  .story figure { width: 7rem; }
  .story .arrows { flex-direction: column; font-size: 1.1rem; }
  .story.place figure { width: 10rem; }
  .strip { --frames: 6; --to: 4; }
  .strip figure:nth-child(even) { display: none; }
  .strip figcaption { font-size: .85rem; }
  .st-key-place .controls { margin: 0 calc(50% / 6 - .9rem); }
  .tracks { grid-template-columns: 3.6rem 3.6rem 1fr; gap: .2rem .5rem; }
  .tracks .way { height: 4rem; margin-right: 3.6rem; }
  .tracks .way img { width: 3.2rem; top: .4rem; }
  .tracks .head { font-size: .85rem; }
}
</style>
"""


# --- The picture ---------------------------------------------------------------------------------------------------


def picked_picture() -> tuple[str, bytes]:
    """Name and file of the picture to explain: the visitor's own from *Try it*, or an example."""
    own = st.session_state.get("picture")
    good = good_examples()
    shown = [*good, *(name for name in ODD if name not in good)]
    pictures = [thumbnail for thumbnail in example_thumbnails() if thumbnail[0] in shown]
    pictures.sort(key=lambda thumbnail: shown.index(thumbnail[0]))
    if own:
        pictures.insert(0, (OWN, OWN, thumbnail_of(own)))
    chosen = st.session_state.get("explained", OWN)
    if chosen not in shown and not (chosen == OWN and own):
        chosen = good_example()
    picked = gallery("Pictures", pictures, chosen, key="explain_gallery", version=pictures[0][2])
    if picked and picked != chosen:
        st.session_state.explained = picked
        st.rerun()
    return chosen, own if chosen == OWN else example_picture(chosen)


def good_example() -> str:
    """The example that the page starts with, and compares nonsense with."""
    return talk_steps()[1]


def walk_of(picture: bytes) -> Walk:
    return _walk_of(chosen_world(), picture)


@st.cache_data(max_entries=64, show_spinner=False)
def _walk_of(world: str, picture: bytes) -> Walk:
    prepared, report = judge(picture)
    return walk(default_guard().metrics["delta_z"], prepared.pixels, report.prediction, STEPS, BEYOND)


@st.cache_data(max_entries=64, show_spinner=False)
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
    latent, subject = way.latents.shape[1], guard_subject()
    st.html(
        heading(1, "Have it drawn again")
        + "<div class='story'>"
        + f"<figure>{image(report.pixels, 'the input as the net sees it')}<figcaption>the input x<br>"
        + f"{classifier_name(first=True)}: <b>{name_of(report.prediction)}</b> ({report.probability:.1%})</figcaption></figure>"
        + f"<div class='arrows'><div>I<br>⟶</div><div>{latent}<br>numbers</div><div>G<br>⟶</div></div>"
        + f"<figure>{image(way.images[0], 'the picture drawn again by the generator')}<figcaption>G(I(x))<br>"
        + f"{classifier_name(first=True)}: <b>{name_of(again)}</b> ({way.probabilities[0, again]:.1%})</figcaption></figure>"
        + f"<p class='say grow'>The inverter I describes the picture by {latent} numbers. "
        + f"The generator G, which learnt from real {subject.plural}, draws a {subject.noun} from them. "
        + f"<b>{'Both are read alike.' if agrees else 'They are read differently.'}</b></p></div>"
    )


# --- 2: the walk ---------------------------------------------------------------------------------------------------


def show_walk(report: Report, way: Walk) -> None:
    answer, reached = guard_subject().answer, None if way.reached is None else name_of(way.reached)
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
        f"<div class='strip'><div class='frames'>{strip(way)}</div><div class='ruler'></div>"
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


# --- 3: long way, short way ----------------------------------------------------------------------------------------


def show_comparison(name: str, picture: bytes) -> None:
    """The way of this picture and of the chicken (or of a good picture, when this one is nonsense), to one scale."""
    other = NONSENSE if name == OWN or name in good_examples() else good_example()
    rows = {name: picture, other: example_picture(other)}
    threshold = Settings().thresholds["delta_z"]
    lengths = np.array([threshold, typical_delta_z(), *(walk_of(file).delta_z for file in rows.values())])
    full = 1.1 * lengths[np.isfinite(lengths)].max() or 1.0
    st.html(
        heading(3, "A short way means: do not rely on it")
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
        note = "ends where it starts" if way.flip == 0 else f"no other {guard_subject().answer} within reach"
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
        heading(4, "The other witness: VAE loss")
        + "<div class='story'>"
        + f"<figure>{image(report.pixels, 'the input as the net sees it')}<figcaption>the input x</figcaption></figure>"
        + f"<figure>{image(parts.reconstruction, 'the reconstruction')}"
        + "<figcaption>as the VAE draws it</figcaption></figure>"
        + f"<figure><img src='{as_data_url(heat(parts.loss_map))}' alt='loss of each pixel'>"
        + f"<div class='scale' style='background:linear-gradient(90deg, {colours})'></div>"
        + f"<div class='ends'><span>0</span><span>nats</span><span>≥ {BRIGHTEST:.0f}</span></div></figure>"
        + f"<div class='grow'><p class='say'>A VAE, trained on {guard_subject().plural} only, draws the picture from memory. "
        + "Each pixel costs what the VAE did not expect; KL is how unusual its description is.</p>"
        + f"<p class='say'>reconstruction <b>{parts.reconstruction_loss:.1f}</b> + KL <b>{parts.kl:.1f}</b> = "
        + f"VAE loss <b>{parts.loss:.1f}</b> nats</p>"
        + f"<div class='parts' role='img' aria-label='reconstruction {share:.0f} %, KL {100 - share:.0f} %'>"
        + f"<div class='reconstruction' style='width:{share:.1f}%'>reconstruction</div>"
        + f"<div class='kl' style='width:{100 - share:.1f}%'>KL</div></div></div></div>"
    )


enter_through_app()
needs("delta_z")
st.html(CSS + f"<h1 class='lead'>δz: how much must change before {classifier_name()} changes its mind?</h1>")
name, picture = picked_picture()
try:
    report = judge(picture)[1]
except UnusableImage as error:
    st.error(str(error), icon=":material/broken_image:")
else:
    show_drawn_again(report, walk_of(picture))
    show_walk(report, walk_of(picture))
    show_comparison(name, picture)
    if "vae_loss" in default_guard().metrics:
        show_vae(report, parts_of(chosen_world(), picture))
with st.expander("How near to the true δz the search comes"):
    st.markdown(as_markdown(search_tables(default_guard().contents.folder)) or "Not measured on these nets yet.")
