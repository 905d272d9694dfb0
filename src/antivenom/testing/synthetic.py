"""Synthetic rows and pictures that a model can learn in a moment."""

from __future__ import annotations

from random import Random

import pyarrow as pa

from antivenom.data.rows import table_of

MOODS = {
    "negative": "awful boring clumsy dreary dull grim hollow lifeless messy sour tedious weak",
    "positive": "bright charming clever funny gentle lively moving rich splendid sweet tender warm",
}


FILLER = (
    "a about actor after all an and at camera cast character dialogue director every film first for from has in is it "
    "its last music of on one plot scene script second some sound story than that the this to two very which with year"
)


def synthetic_rows(count: int = 800, *, seed: int = 0) -> pa.Table:
    """Make reviews of 9 to 15 words in two classes of equal size; three words carry the mood, now and then one lies."""
    rng = Random(f"synthetic:{seed}")
    texts, answers = [], []
    for number in range(count):
        mood, other = ("negative", "positive") if number % 2 == 0 else ("positive", "negative")
        words = rng.choices(FILLER.split(), k=rng.randint(6, 12))
        words += rng.sample(MOODS[mood].split(), 2)
        words.append(rng.choice(MOODS[other if rng.random() < 0.2 else mood].split()))
        rng.shuffle(words)
        texts.append(" ".join(words))
        answers.append(mood)
    return table_of(texts, answers)


def synthetic_images(count: int, *, seed: int = 0) -> list[bytes]:
    """Make small PNG pictures of one color each and of different sizes."""
    from io import BytesIO

    from PIL import Image

    rng = Random(f"images:{seed}")
    images = []
    for _ in range(count):
        out = BytesIO()
        color = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
        Image.new("RGB", (rng.randint(20, 140), rng.randint(20, 140)), color).save(out, "PNG")
        images.append(out.getvalue())
    return images
