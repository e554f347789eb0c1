"""What the pages share: the chosen world and its nets (loaded once), the judged input, and the settings of this visitor,
kept in the URL."""

import argparse
import gc
import hashlib
import html
import io
import math
import re
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property, partial, wraps
from itertools import zip_longest
from pathlib import Path
from threading import Lock
from typing import NoReturn

import streamlit as st
from PIL import Image

from pages.components.session.hosted import pictures_a_minute
from pages.components.session.turns import pause
from robust import Guard, Report, UnusableImage
from robust.data.examples import EXAMPLES, own_examples
from robust.data.image_sets import TITLES
from robust.data.subjects import Subject
from robust.decision.rule import ALL, ANY, OLD_NAMES, Rates, Rule
from robust.inputs.prepare import Prepared
from robust.metrics.registry import metric_class
from robust.models.store import OWN, worlds
from robust.serving.source import GuardSource
from robust.serving.together import Together

PREFERRED_COMPARISONS = ("fashion-mnist", "mnist")
PRESETS = {  # operating points of a metric, of δz and VAE loss those that were published: label -> share of the reference refused
    "delta_z": {"5th percentile": 0.05},
    "vae_loss": {"95th percentile": 0.05, "Maximum": 0.0},
    "surprise": {"95th percentile": 0.05, "99th percentile": 0.01},
}
LONGEST_STORY = 10  # steps of *Talk*
VIEWS = {"plain": "plain words", "numbers": "numbers"}  # how much *Try it* says
SHOWN = 10  # test images of a fitted guard in the gallery
OWN_RESULTS = 12  # results of a visitor's own pictures; each holds a few pictures of at most 560 pixels a side
FARTHEST = 1e6  # a threshold of a link may be this far from 0; no metric comes near, and number fields can hold it

_guards: dict[str, Guard] = {}
_loading = Lock()


# --- The world -----------------------------------------------------------------------------------------------------


def chosen_world() -> str:
    """Name of the world that this visitor looks at: the link's, until another is chosen."""
    if "world" not in st.session_state:
        known = known_worlds()
        asked = st.query_params.get("world", known[0])
        st.session_state.world = asked if asked in known else known[0]
        if asked not in known:
            _tell_mistakes([_no_such("world", asked)])
    return st.session_state.world


def choose_world() -> None:
    """The choice at the top of every page, where there is one. The settings then are the new world's defaults."""
    known = known_worlds()
    if len(known) < 2:
        return
    st.session_state.world_choice = chosen_world()
    with st.container(key="world"):
        st.selectbox(
            "World", known, format_func=set_title, key="world_choice", on_change=_change_world,
            help="What the nets were trained on. They know nothing else.", label_visibility="collapsed",
        )  # fmt: skip


def _change_world() -> None:
    st.session_state.world = st.session_state.world_choice
    st.session_state.pop("thresholds", None)  # Settings begin anew, with the only settings that worlds share
    example = st.session_state.get("example")
    st.query_params.from_dict({"world": st.session_state.world} | ({"example": example} if example in EXAMPLES else {}))


@st.cache_resource(show_spinner=False)
def given_guards() -> dict[str, GuardSource]:
    """The guards of the command line, `streamlit run app.py -- --guard FOLDER --classifier MODULE:NAME`, by their names.

    Both may be given several times, the classifiers in the order of the guards.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--guard", action="append", default=[])
    parser.add_argument("--classifier", action="append", default=[])
    given = parser.parse_known_args(sys.argv[1:])[0]
    return {
        Path(folder).name: GuardSource(folder, classifier)
        for folder, classifier in zip_longest(given.guard, given.classifier)
        if folder
    }


def known_worlds() -> list[str]:
    """Names of the guards that visitors may look at: the command line's first, then those that lie in weights/."""
    return list(dict.fromkeys([*given_guards(), *worlds()])) or ["mnist"]


def default_guard() -> Guard:
    """The chosen guard with default thresholds; shared by all visitors, so nobody changes it.

    Raises DamagedWorld, and ValueError for a guard without its classifier.
    """
    return _loaded(chosen_world())


def _loaded(name: str) -> Guard:
    """From a dictionary: a run asks some fifty times, and Streamlit's cache looks for a quarter of a millisecond each time."""
    if name not in _guards:
        with _loading:
            if name not in _guards:
                _guards[name] = _load(name)
    return _guards[name]


def _load(name: str) -> Guard:
    with st.spinner("Loading the nets …"):
        guard = (given_guards().get(name) or GuardSource(name)).load()
    # Now and then Python collects all garbage: among torch's half a million objects, which never go away, in 0.2 s. So
    # what is there now is left out of it from here on.
    gc.collect()
    gc.freeze()
    return guard


def guard_subject() -> Subject:
    """What the chosen guard's pictures show, and the words for it."""
    return default_guard().contents.subject


def words_for_html() -> Subject:
    """`guard_subject`, whose words may stand in HTML: a manifest that a stranger wrote is data, nothing of it is markup."""
    subject = guard_subject()
    return replace(subject, **{word: html.escape(getattr(subject, word)) for word in ("noun", "plural", "answer")})


def others() -> str:
    """What people call the pictures of a comparison set, of whichever."""
    return f"not {guard_subject().plural}" if default_guard().contents.ships else "other pictures"


def comparison_sets() -> list[str]:
    """Names of the sets of images, none of its own, on which the chosen guard was scored."""
    return list(default_guard().contents.comparisons)


def needs(metric: str) -> None:
    """Ends the page with a sentence where the chosen world's guard lacks a metric."""
    if metric not in default_guard().metrics:
        st.info(f"{set_title(chosen_world())} has no {metric_class(metric).title}, which this page is about.")
        st.stop()


def classifier_name(first: bool = False) -> str:
    """What people call the classifier of the chosen world; `first` in its sentence or not."""
    if default_guard().contents.ships:
        return "LeNet"
    return "The classifier" if first else "the classifier"


def reference_title() -> str:
    """What people call the test set that the chosen world's reference was taken from."""
    name = default_guard().contents.dataset
    return "Your test set" if name == OWN else f"{set_title(name)} test"


def without_folders(text: str) -> str:
    """A message as visitors may read it: of paths on the server, the last folder and the name alone."""
    return re.sub(r"/?(?:[^\s/:]+/)+(?=[^\s/:]+/[^\s/:]+)", "…/", text)


def class_name(label: int) -> str:
    """What people call a class of the chosen world."""
    return default_guard().class_name(label)


# --- Pictures ------------------------------------------------------------------------------------------------------


def remembered(compute: Callable):
    """`compute(world, picture, ...)` for a picture file, computed once: for each world and gallery picture in this server,
    and for the latest of a visitor's own. Nobody's picture outlives its visitor."""
    for_everybody = st.cache_data(show_spinner=False)(compute)

    @wraps(compute)
    def found(world: str, picture: bytes):
        if picture in _gallery_pictures(world):
            return for_everybody(world, picture)
        own = st.session_state.setdefault("own_results", OrderedDict())
        key = (compute.__module__, compute.__name__, world, hashlib.sha256(picture).hexdigest())
        if key not in own:
            _count_picture(key[-1])
            own[key] = compute(world, picture)
        own.move_to_end(key)
        while len(own) > OWN_RESULTS:
            own.popitem(last=False)
        return own[key]

    return found


def _count_picture(picture: str) -> None:
    """On a server for everybody a visitor's own pictures are limited. Raises UnusableImage."""
    most = pictures_a_minute()
    if most is None:
        return
    now, known = time.monotonic(), st.session_state.setdefault("pictures_at", {})
    st.session_state.pictures_at = recent = {name: at for name, at in known.items() if at > now - 60}
    if picture not in recent and len(recent) >= most:
        raise UnusableImage(f"Those were {most} pictures in a minute. Wait a moment, and go on.")
    recent.setdefault(picture, now)


@st.cache_resource(show_spinner=False)
def _gallery_pictures(world: str) -> frozenset[bytes]:
    """The files of all examples: what anybody may remember."""
    return frozenset(_example_picture(world, name) for name in dict.fromkeys([*_own_examples(world), *EXAMPLES]))


def judge(picture: bytes) -> tuple[Prepared, Report]:
    """Prepare a picture file and score it in the chosen world. Raises UnusableImage."""
    return _judge(chosen_world(), picture)


@remembered
def _judge(world: str, picture: bytes) -> tuple[Prepared, Report]:
    prepared = _loaded(world).prepare(picture)
    report = _together(world).submit(prepared.pixels)
    # What everybody remembers is computed under a lock, for which others wait in their turn.
    with nullcontext() if picture in _gallery_pictures(world) else pause():
        return prepared, report.result()


@st.cache_resource(show_spinner=False)
def _together(world: str) -> Together:
    """All visitors' pictures at once: a search for δz by each visitor's own thread would make them wait for each other."""
    return Together(_loaded(world).inspect_prepared)


def good_examples() -> list[str]:
    """Names of the examples that show what the chosen world's nets know."""
    return list(_own_examples(chosen_world()))


def _own_examples(name: str) -> dict[str, Callable[[], Image.Image]]:
    contents = _loaded(name).contents
    if contents.ships:
        return own_examples(contents.dataset, contents.folder)
    pictures = contents.fingerprint["images"][:SHOWN].permute(0, 2, 3, 1).numpy()
    return {
        f"Test image {place}": partial(Image.fromarray, picture.squeeze()) for place, picture in enumerate(pictures, 1)
    }


def examples() -> list[str]:
    """Names of all examples, those that the nets know first."""
    return list(dict.fromkeys([*good_examples(), *EXAMPLES]))


def example_picture(name: str) -> bytes:
    """An example of the gallery as a PNG file."""
    return _example_picture(chosen_world(), name)


@st.cache_data(show_spinner=False)
def _example_picture(world: str, name: str) -> bytes:
    make = _own_examples(world).get(name) or EXAMPLES[name]
    buffer = io.BytesIO()
    make().save(buffer, "PNG")
    return buffer.getvalue()


def inspect_on_try_it(name: str, picture: bytes) -> NoReturn:
    """Show a picture file on *Try it*, which takes it from `st.session_state.handed_over`."""
    st.session_state.update(handed_over=(name, picture), example=None, way="Gallery")
    st.switch_page("pages/try_it.py")


# --- Sets and rules ------------------------------------------------------------------------------------------------


def set_title(name: str) -> str:
    """What people call a set of images."""
    return TITLES.get(name, name)


def titles_in(words: str) -> str:
    """Words of a report, with metrics by their titles instead of their names."""
    for name, metric in default_guard().metrics.items():
        words = words.replace(name, metric.title)
    return words


def image_title(name: str) -> str:
    """What people call a single image of a set."""
    return f"{set_title(name)} test image"


def rules() -> dict[str, str]:
    """Every rule and what people read: "refuse when …"."""
    guard = default_guard()
    titles = {name: metric.title for name, metric in guard.metrics.items()}
    if len(titles) == 1 and guard.rule.decides in titles:  # any of one, and all of one, are that one
        return titles
    return titles | {ANY: "any refuses", ALL: "all refuse"}


class Settings:
    """What one visitor has set. It outlives the widgets that change it, and it is in the URL.

    A session begins with what its link says; from then on, the URL follows. Make one wherever the settings are used,
    on every run: that is when the URL is brought up to date. Defaults are left out of it.
    """

    def __init__(self):
        if "thresholds" not in st.session_state:
            _begin(_defaults() | _from_link())
        values = self.thresholds | {name: st.session_state.get(key) for name, key in _STATE.items()}
        values["world"] = chosen_world()
        defaults = _defaults()
        wanted = {name: str(value) for name, value in values.items() if value != defaults[name]}
        if st.query_params.to_dict() != wanted:
            st.query_params.from_dict(wanted)

    @property
    def thresholds(self) -> dict[str, float]:
        return st.session_state.thresholds

    @property
    def rule(self) -> Rule:
        return self.guard.rule

    @property
    def comparison(self) -> str:
        return st.session_state.comparison

    @cached_property
    def guard(self) -> Guard:
        guard = default_guard()
        moved = {name: value for name, value in self.thresholds.items() if value != guard.thresholds[name]}
        return guard.with_thresholds(moved, st.session_state.rule)  # the others may be one for each class

    @property
    def moved(self) -> bool:
        """Whether a threshold is not the guard's own."""
        return self.thresholds != default_guard().thresholds

    def reset_thresholds(self) -> None:
        self.set_thresholds(default_guard().thresholds)

    def set_threshold(self, metric: str, value: float) -> None:
        self.set_thresholds({metric: value})

    def set_thresholds(self, values: dict[str, float]) -> None:
        st.session_state.thresholds = self.thresholds | {name: float(value) for name, value in values.items()}
        self.__dict__.pop("guard", None)

    def rates(self, decides: str) -> Rates:
        """FPR and FNR at the current thresholds when "any", "all" or one metric decides."""
        guard = default_guard()
        return self.rule.deciding(decides).rates(guard.reference, guard.scores[self.comparison])


# --- The URL: one parameter for each metric's threshold, and these -------------------------------------------------

# "world" is read by chosen_world(), before all others, whose defaults and choices depend on it.
_STATE = {
    "rule": "rule",
    "set": "comparison",
    "example": "example",
    "step": "talk_step",
    "plot": "talk_plot",
    "view": "view",
    "room": "room",
}


def _defaults() -> dict:
    guard, sets = default_guard(), comparison_sets()
    comparison = next((name for name in PREFERRED_COMPARISONS if name in sets), sets[0])
    others = {
        "rule": guard.rule.decides,
        "set": comparison,
        "example": None,
        "step": 1,
        "plot": guard.rule.decides if guard.rule.decides in guard.metrics else next(iter(guard.metrics)),
        "view": next(iter(VIEWS)),
        "room": None,
    }
    return guard.thresholds | others | {"world": known_worlds()[0]}


def _begin(values: dict) -> None:
    st.session_state.thresholds = {name: values[name] for name in default_guard().metrics}
    for name, key in _STATE.items():
        st.session_state[key] = values[name]


def _from_link() -> dict:
    """What the link sets. What it sets wrongly is left out, and the visitor is told."""
    values, mistakes = {}, []
    for name in (_defaults().keys() - {"world"}) & st.query_params.keys():
        try:
            values[name] = _read(name, st.query_params[name])
        except ValueError as mistake:
            mistakes.append(str(mistake))
    _tell_mistakes(mistakes)
    return values


def _tell_mistakes(mistakes: list[str]) -> None:
    if mistakes:
        st.toast(" ".join(sorted(mistakes)), icon=":material/link_off:", duration="long")


def _shown(name: str, text: str) -> str:
    return f"`{name}={text[:30].replace('`', '')}`"


def _no_such(name: str, text: str) -> str:
    return f"The link says {_shown(name, text)}, which does not exist: the default is shown."


def _read(name: str, text: str) -> float | int | str:
    """A value of the link. Raises ValueError with a sentence for the visitor."""
    guard = default_guard()
    if name in guard.metrics:
        return _read_number(name, text)
    if name == "room":
        if not (text.isascii() and text.isalnum() and len(text) <= 16):
            raise ValueError(_no_such(name, text))
        return text.upper()
    choices = {
        "rule": {rule: rule for rule in rules()} | OLD_NAMES,
        "set": {known: known for known in comparison_sets()},
        "example": {example: example for example in examples()},
        "step": {str(step): step for step in range(1, LONGEST_STORY + 1)},
        "plot": {metric: metric for metric in guard.metrics},
        "view": {view: view for view in VIEWS},
    }[name]
    if text not in choices:
        raise ValueError(_no_such(name, text))
    return choices[text]


def _read_number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= FARTHEST:
        raise ValueError(f"The link says {_shown(name, text)}, which is not a usable number: the default is shown.")
    return value
