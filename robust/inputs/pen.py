"""Photographed strokes as MNIST's pen would have drawn them: even in tone, and not too thin."""

import cv2
import numpy as np

from robust.inputs.objects import Box, thickness

# Ink, as a share of the strongest, that becomes 0 and 1. Paper has grain and pens have weak spots; printed digits have
# shades; and what a small picture shows half is the edge of a stroke, blurred by enlarging.
PHOTO_TONES, SHADED_TONES, SMALL_TONES = (0.1, 0.9), (0.1, 0.4), (0.3, 0.7)
SHADED = 0.75  # an object is shaded when 30 % of its inside is weaker ink than this
THIN, THICK = 0.1, 0.33  # of the longest side: strokes have no shades, and things are not drawn with a pen
THINNEST = 1.8 / 20  # of the object's longest side: a ballpoint's strokes are widened to this


def redrawn(ink: np.ndarray, sure: np.ndarray, box: Box, small: bool, drawn: bool) -> tuple[np.ndarray, Box]:
    """The ink (H, W) of an object and its box, with even tones, thin strokes widened.

    sure: the mask of what surely is its ink. small: the picture was enlarged. drawn: by a program, whose pens are even.
    """
    top, bottom, left, right = box
    longest = max(bottom - top, right - left)
    thick = thickness(sure) / longest
    shaded = _is_shaded(ink, sure)
    if thick > THICK and (small or shaded):
        return ink, box
    if small:
        tones = SMALL_TONES
    elif thick > THIN and shaded:
        tones = SHADED_TONES
    elif drawn:
        return ink, box
    else:
        tones = PHOTO_TONES
    y, x = slice(int(top), int(np.ceil(bottom))), slice(int(left), int(np.ceil(right)))
    low, high = (share * ink[y, x].max() for share in tones)
    ink = np.clip((ink - low) / (high - low), 0, 1)
    missing = round(THINNEST * longest - _stroke_width(ink[y, x]))
    if missing < 1:
        return ink, box
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (missing + 1, missing + 1))
    ink = cv2.dilate(np.pad(ink, missing), kernel)
    grown = missing / 2
    return ink, (top + missing - grown, bottom + missing + grown, left + missing - grown, right + missing + grown)


def _is_shaded(ink: np.ndarray, sure: np.ndarray) -> bool:
    depth = cv2.distanceTransform(np.pad(sure, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    return np.percentile(ink[depth > 0.5 * depth.max()], 30) < SHADED


def _stroke_width(ink: np.ndarray) -> float:
    """The mean width of strokes in pixels, from the mean distance to their edges: a quarter of it."""
    stroke = np.pad(ink > 0.5, 1).astype(np.uint8)
    distance = cv2.distanceTransform(stroke, cv2.DIST_L2, 5)
    return 4 * float(distance[stroke > 0].mean()) - 1 if stroke.any() else 0
