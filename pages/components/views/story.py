"""The story that *Talk* tells: steps of one sentence and one picture each, with notes for the speaker."""

import html
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import streamlit as st

from pages.components.session.session import (
    Settings,
    chosen_world,
    class_name,
    classifier_name,
    comparison_sets,
    default_guard,
    example_picture,
    examples,
    good_examples,
    guard_subject,
    image_title,
    judge,
    remembered,
    set_title,
    titles_in,
    words_for_html,
)
from pages.components.style.style import as_data_url
from pages.components.views.live_page import rates_in_words
from pages.components.views.pictures import as_picture, claim, heat, name_of
from pages.components.views.samples import shipped_scores, shipped_url
from pages.components.views.verdict import says, sure, verdict_card
from pages.components.views.why import explain
from robust import Report, UnusableImage
from robust.decision.tradeoff import refusal_levels
from robust.evaluation.report import operating_points, published, rule_table
from robust.inputs.decode import open_image
from robust.metrics.explain import Walk, walk
from robust.models.store import read_manifest

FIRST = {"mnist": "Digit 4", "fashion-mnist": "Sneaker"}  # what the story begins with
DECEIVERS = {"mnist": ("Painted chicken", "Letter K", "Painted falafels", "Heart")}  # the classifier is sure, and wrong
SURE = 0.9  # a classifier that gives so much is sure
FRAMES = 7  # of the walk
PRICE = 10  # good pictures refused that are shown


@dataclass(frozen=True)
class Step:
    """sentence: HTML; picture: makes HTML, when the step is shown. With a `plot`, the threshold plot stands beside the
    picture, `example` being on trial."""

    sentence: str
    picture: Callable[[], str]
    notes: str
    example: str | None = None
    plot: bool = False


# --- The pictures of the story -------------------------------------------------------------------------------------


def first_example() -> str:
    return FIRST.get(default_guard().contents.dataset, good_examples()[0])


@st.cache_data(show_spinner="Looking for what deceives the classifier …")
def _deceivers(world: str) -> list[str]:
    """Names of up to four examples that the classifier takes for its own, surest first, and the guard refuses."""
    if (dataset := default_guard().contents.dataset) in DECEIVERS:
        return list(DECEIVERS[dataset])
    found = []
    for name in (name for name in examples() if name not in good_examples()):
        try:
            report = judge(example_picture(name))[1]
        except UnusableImage:
            continue
        if not report.reliable and report.probability >= SURE:
            found.append((report.probability, name))
    return [name for _, name in sorted(found, reverse=True)[:4]]


def deceivers() -> list[str]:
    return _deceivers(chosen_world())


def report_of(name: str) -> Report:
    return judge(example_picture(name))[1]


@remembered
def _walk_of(world: str, picture: bytes) -> Walk:
    prepared, report = judge(picture)
    return walk(default_guard().metrics["delta_z"], prepared.pixels, report.prediction, FRAMES - 1, 0)


# --- The steps -----------------------------------------------------------------------------------------------------


def story(settings: Settings) -> list[Step]:
    """The steps that the chosen guard can tell; each builder may find that it has nothing to show."""
    builders: list[Callable[[Settings], Step | None]] = [
        reads_rightly, is_sure_and_wrong, would_you_act, walk_to_another, drawn_from_memory, where_it_falls, drag_the_line,
        beside_the_published, the_price, take_it_home,
    ]  # fmt: skip
    return [step for build in builders if (step := build(settings))]


def reads_rightly(settings: Settings) -> Step:
    name = first_example()
    accuracy = read_manifest(default_guard().contents.folder).get("figures", {}).get("accuracy")
    right = f", and is right {accuracy:.1%} of the time" if accuracy else ""
    plural = "handwritten digits" if default_guard().contents.dataset == "mnist" else words_for_html().plural
    return Step(
        f"{classifier_name(first=True)} reads {plural}{right}.",
        lambda: given_and_said(name),
        "Say what it was trained on, and that it has seen nothing else. Ask the room what this picture is.",
    )


def is_sure_and_wrong(settings: Settings) -> Step | None:
    if not deceivers():
        return None
    name = deceivers()[0]
    report = report_of(name)
    return Step(
        f"Show it {shown_as(name)}: it says {html.escape(report.class_name)}, and is {sure(report.probability)} sure.",
        lambda: given_and_said(name),
        f"Wait for the laugh. It has only {len(guard_subject().classes)} answers, and none of them is “I do not know”.",
    )


def would_you_act(settings: Settings) -> Step | None:
    if len(deceivers()) < 2:
        return None
    return Step(
        "It is this sure of all of them. Would you act on such an answer?",
        lambda: f"<div class='row'>{''.join(map(said_of, deceivers()))}</div>",
        "A threshold on the probability does not help: these are above it. Something else must say whether to trust.",
    )


def said_of(name: str) -> str:
    report = report_of(name)
    words = f"{html.escape(report.class_name)}, {sure(report.probability)} sure"
    return f"<figure>{given(name)}<figcaption>{words}</figcaption></figure>"


def walk_to_another(settings: Settings) -> Step | None:
    if "delta_z" not in default_guard().metrics or not deceivers():
        return None
    return Step(
        f"First witness, δz: how far until {classifier_name()} changes its mind?",
        lambda: two_rows(walk_row),
        "Each row is redrawn by a generator that knows only the real thing, and then changed, as little as possible, until "
        "the answer flips. A long way: solid. A short one: do not rely on it.",
    )


def two_rows(row: Callable[[str], str]) -> str:
    """Of the picture that is read rightly, and of one that deceives."""
    return f"<div class='walks'>{row(first_example())}{row(deceivers()[0])}</div>"


def walk_row(name: str) -> str:
    way = _walk_of(chosen_world(), example_picture(name))
    verdict = default_guard().judge.verdict("delta_z", way.delta_z)
    frames = "".join(
        f"<figure><img class='pixels' src='{as_data_url(as_picture(image))}' alt=''>"
        f"<figcaption>{name_of(way.reached if place == way.flip else label)}</figcaption></figure>"
        for place, (image, label) in enumerate(zip(way.images, way.classes))
    )
    length = "∞" if np.isinf(way.delta_z) else f"{way.delta_z:.3f}"
    word, kind = ("✓ far", "reliable") if verdict.reliable else ("⊘ near", "unreliable")
    return (
        f"<div class='walk-row'><figure>{given(name)}<figcaption>{html.escape(name)}</figcaption></figure>"
        f"<div class='frames'>{frames}</div><p class='{kind}'>{word}<br>δz = {length}</p></div>"
    )


def drawn_from_memory(settings: Settings) -> Step | None:
    if "vae_loss" not in default_guard().metrics or not deceivers():
        return None
    return Step(
        f"Second witness, VAE loss: a net that knows only {words_for_html().plural} draws it from memory.",
        lambda: two_rows(memory_row),
        "Bright pixels are those the net did not expect. Their sum, in nats, is the VAE loss: the more, the stranger.",
    )


def memory_row(name: str) -> str:
    parts = explain(example_picture(name)).vae
    verdict = default_guard().judge.verdict("vae_loss", parts.loss)
    pictures = [
        (given(name), html.escape(name)),
        (pixels(as_picture(parts.reconstruction)), "from memory"),
        (pixels(heat(parts.loss_map)), "cost of each pixel"),
    ]
    figures = "".join(f"<figure>{picture}<figcaption>{words}</figcaption></figure>" for picture, words in pictures)
    word, kind = ("✓ expected", "reliable") if verdict.reliable else ("⊘ strange", "unreliable")
    return f"<div class='walk-row wide'>{figures}<p class='{kind}'>{word}<br>{parts.loss:.0f} nats</p></div>"


def where_it_falls(settings: Settings) -> Step | None:
    name = (deceivers() or [first_example()])[0]
    return Step(
        f"Where real {words_for_html().plural} fall, where others fall, and this picture among them.",
        lambda: given_and_judged(name, settings),
        "The filled bars are good pictures, the hatched ones others. The line parts them: beyond it, the answer is refused.",
        name,
        True,
    )


def drag_the_line(settings: Settings) -> Step:
    name = first_example()
    return Step(
        "Drag the line: refuse more of the others, and you refuse more of the good ones, too.",
        lambda: f"{given_and_judged(name, settings)}<p class='trade'>{rates_in_words(settings)}</p>",
        "Ask the room where the line should stand, and drag it there. Who would move it for a bank, who for a toy?",
        name,
        True,
    )


def beside_the_published(settings: Settings) -> Step | None:
    guard = default_guard()
    compared = "fashion-mnist"
    if guard.contents.dataset != "mnist" or compared not in guard.scores:
        return None
    return Step(
        f"{set_title(compared)}, {len(guard.scores[compared]['label']):,} pictures of clothes: what slips through, ours and as "
        "published.",
        lambda: published_table(settings, compared),
        "FPR: good digits refused. FNR: clothes accepted. The published figures are those of the talk Safety in AI.",
    )


def published_table(settings: Settings, compared: str) -> str:
    guard = default_guard()
    table = rule_table(guard.metrics, guard.reference, {compared: guard.scores[compared]}, published())
    rows = "".join(
        f"<tr><td>{html.escape(titles_in(title))}</td><td>{row[2]}</td><td>{row[4]}</td><td>{row[5]}</td><td>{row[6]}</td></tr>"
        for row, (title, rule) in zip(table.rows, operating_points(guard.metrics, guard.reference), strict=True)
        if row[-1] or rule.decides == settings.rule.decides
    )
    return (
        "<table class='talked'><thead><tr><th>refused when</th><th>FPR</th><th>FNR</th><th>published FPR</th>"
        f"<th>published FNR</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def the_price(settings: Settings) -> Step | None:
    name = default_guard().contents.dataset
    scores = shipped_scores(name)
    if scores is None:
        return None
    refused = np.flatnonzero(settings.rule.refused(scores))
    good = len(refused) / len(scores["prediction"])
    return Step(
        f"The price: good {words_for_html().plural} refused, such as these.",
        lambda: f"{most_suspicious(settings, name, refused)}<p class='trade'>{rates_in_words(settings)}</p>",
        f"Of the {len(scores['prediction'])} pictures of {image_title(name)} that ship with the app, {good:.1%} are refused "
        "at this line. Most are oddly written: a person would look twice, too.",
    )


def most_suspicious(settings: Settings, name: str, refused: np.ndarray) -> str:
    """The shipped pictures of a set that are refused, the most suspicious first."""
    scores = shipped_scores(name)
    levels = refusal_levels(settings.rule, default_guard().reference, scores)[refused]
    figures = "".join(
        f"<figure><img class='pixels' src='{shipped_url(name, place)}' alt=''><figcaption>"
        f"{html.escape(class_name(int(scores['prediction'][place])))}</figcaption></figure>"
        for place in refused[np.argsort(levels, kind="stable")][:PRICE].tolist()
    )
    return f"<div class='row many'>{figures or '✓ None at this line.'}</div>"


def take_it_home(settings: Settings) -> Step:
    code = html.escape(
        "pip install -r requirements.txt .\n\n"
        "from robust import Guard, NotReliableClassification\n\n"
        "guard = Guard.fit(classifier, train, test, fpr=0.05, confidence=0.95)\n"
        "try:\n"
        "    answer = guard.classify(picture)\n"
        "except NotReliableClassification as refusal:\n"
        "    print(refusal)"
    )
    sets = " and ".join(html.escape(set_title(name)) for name in comparison_sets()[:2])
    return Step(
        "Take it home: a few lines, for your own classifier.",
        lambda: f"<pre class='home'>{code}</pre>",
        f"Any classifier of images will do. Here it was measured on {sets}; yours is measured on your own pictures.",
    )


# --- Pieces --------------------------------------------------------------------------------------------------------


def given(name: str) -> str:
    picture = open_image(example_picture(name))
    return f"<img class='pixels' src='{as_data_url(picture)}' alt='{html.escape(name)}'>"


def pixels(picture) -> str:
    return f"<img class='pixels' src='{as_data_url(picture)}' alt=''>"


def given_and_said(name: str) -> str:
    report = report_of(name)
    return f"<div class='said'>{given(name)}<div class='arrow'>→</div>{claim(report)}<p>{says(report)}</p></div>"


def given_and_judged(name: str, settings: Settings) -> str:
    report = settings.guard.reconsider(report_of(name))
    return f"<div class='side'>{given(name)}{verdict_card(report, settings)}</div>"


def shown_as(name: str) -> str:
    """An example's name within a sentence."""
    word = html.escape(name[0].lower() + name[1:])
    return f"a {word}" if word[0] not in "aeiou" else f"an {word}"
