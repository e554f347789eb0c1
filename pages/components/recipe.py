"""The recipe on *In production*, as code to copy. tests/test_in_production.py executes every piece."""

FIT = """\
from robust import Guard

# classifier: yours; any callable from images (N, channels, size, size) in [0, 1] to logits or probabilities.
# train_data, test_data: what you trained and tested it with.
guard = Guard.fit(classifier, train_data, test_data, metrics=("vae_loss",))  # add "delta_z" to train a WGAN as well
guard.save("my_guard")
"""

CLASSIFY = """\
from robust import Guard, NotReliableClassification

guard = Guard.load("my_guard")  # without a name: the guard of this demo
try:
    print(guard.classify("photo.png"))
except NotReliableClassification as refusal:
    print(refusal)  # what it would have answered, and which metric refuses
"""

STREAM = """\
from pathlib import Path

from robust import DriftWatch, Guard

guard = Guard.load("my_guard")
watch = DriftWatch(guard, window=200, alpha=0.01)  # a false alarm in at most 1 % of windows of 200 images
images = sorted(Path("camera").glob("*.png"))  # or any other iterable, also one that never ends

state = watch.drift.state
for verdict in guard.stream(images, batch_size=32):
    if not verdict.reliable:
        print(verdict.reason)
    drift = watch.add(verdict)
    if drift.state != state:
        state = drift.state
        print(drift.sentence)  # this is the one to send to the operator
"""

BATCH = """\
python -m robust score camera --out scores.parquet
"""
