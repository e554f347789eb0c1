"""The terms of the field in plain words: each is explained where it stands, by mouse, keyboard and finger."""

import html

TERMS = {
    "δz": "How far one must walk, from this picture, among all that the generator can draw, until the classifier changes its "
    "mind. Short: do not rely on the answer.",
    "VAE loss": "How badly a net that knows only the training pictures draws this one from memory, in nats. Large: do not rely "
    "on the answer.",
    "Surprise": "How odd the picture is by several measures together, compared with good pictures. Large: do not rely on the "
    "answer.",
    "FPR": "False positive rate: the share of good pictures that are refused.",
    "FNR": "False negative rate: the share of other pictures that are accepted.",
    "MNIST": "70,000 handwritten digits, 28 by 28 pixels, which most introductions to machine learning begin with.",
    "Fashion-MNIST": "70,000 small pictures of clothes, as large as MNIST's digits.",
    "percentile": "The share of good test pictures with a value as small or smaller, in per cent.",
    "nats": "The unit of surprise with natural logarithms: 0.7 nats are one bit.",
    "latent": "The few numbers by which a net describes a picture.",
    "generator": "A net that draws a picture from a few numbers.",
    "inverter": "A net that finds the numbers from which the generator draws a picture; a small step puts them right where the "
    "classifier would read the drawing otherwise.",
    "KL": "How unusual the VAE's description of the picture is, in nats.",
    "threshold": "The value from which on an answer is refused.",
}


def term(name: str, shown: str = "") -> str:
    """HTML: a term with its explanation, which appears under the pointer, at keyboard focus and at a touch."""
    words = html.escape(TERMS[name], quote=True)
    return (
        f"<span class='term' tabindex='0' role='note' aria-label='{html.escape(shown or name)}: {words}' "
        f"data-tip='{words}'>{html.escape(shown or name)}</span>"
    )


def explained(name: str) -> str:
    """HTML: `term` where the name is one, else the name."""
    return term(name) if name in TERMS else html.escape(name)
