"""Photographed strokes as MNIST's pen would have drawn them: even in tone, and not too thin."""

import cv2
import numpy as np

from robust.inputs.objects import Box

# Ink, as a share of the strongest, that becomes 0 and 1: paper has grain and pens have weak spots. What a small picture
# shows half is the edge of a stroke, blurred by enlarging.
PHOTO_TONES, SMALL_TONES = (0.1, 0.9), (0.3, 0.7)
THINNEST = 1.8 / 20  # of the object's longest side: a ballpoint's strokes are widened to this


def redrawn(ink: np.ndarray, box: Box, tones: tuple[float, float]) -> tuple[np.ndarray, Box]:
    """The ink (H, W) of an object and its box, with even tones, thin strokes widened."""
    top, bottom, left, right = box
    y, x = slice(int(top), int(np.ceil(bottom))), slice(int(left), int(np.ceil(right)))
    low, high = (share * ink[y, x].max() for share in tones)
    ink = np.clip((ink - low) / (high - low), 0, 1)
    missing = round(THINNEST * max(bottom - top, right - left) - _stroke_width(ink[y, x]))
    if missing < 1:
        return ink, box
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (missing + 1, missing + 1))
    ink = cv2.dilate(np.pad(ink, missing), kernel)
    grown = missing / 2
    return ink, (top + missing - grown, bottom + missing + grown, left + missing - grown, right + missing + grown)


def _stroke_width(ink: np.ndarray) -> float:
    """The mean width of strokes in pixels, from the mean distance to their edges: a quarter of it."""
    stroke = np.pad(ink > 0.5, 1).astype(np.uint8)
    distance = cv2.distanceTransform(stroke, cv2.DIST_L2, 5)
    return 4 * float(distance[stroke > 0].mean()) - 1 if stroke.any() else 0
