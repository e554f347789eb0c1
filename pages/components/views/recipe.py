"""The recipe on *In production*, as code to copy. tests/test_in_production.py executes every piece."""

FIT = """\
from robust import Guard

# classifier: yours, anything that turns a batch of images
#   (N, channels, size, size) in [0, 1] into logits or probabilities
# train_data, test_data: what you trained and tested it with
# fpr: refuse at most 5 % of good images, with 95 % confidence
guard = Guard.fit(
    classifier, train_data, test_data, fpr=0.05, confidence=0.95
)
print(guard.self_test())  # what it accepts and should not
guard.save("my_guard")
"""

CLASSIFY = """\
from robust import Guard, NotReliableClassification

guard = Guard.load("my_guard", classifier=classifier)
try:
    print(guard.classify("photo.png"))
except NotReliableClassification as refusal:
    print(refusal)  # 5 · not reliable: Surprise refuses
"""

STREAM = """\
from pathlib import Path

from robust import DriftWatch, Guard

guard = Guard.load("my_guard", classifier=classifier)
watch = DriftWatch(guard, window=200, alpha=0.01)
# any iterable of images, also one that never ends
images = sorted(Path("camera").glob("*.png"))
state = watch.drift.state
for verdict in guard.stream(images, batch_size=32):
    if not verdict.reliable:
        print(verdict.reason)
    drift = watch.add(verdict)
    if drift.state != state:
        state = drift.state
        print(drift.sentence)  # send this to the operator
"""

BATCH = """\
python -m robust score camera --out scores.parquet \\
  --guard my_guard --classifier my_project:classifier
"""
