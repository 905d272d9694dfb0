"""Stand-ins for testing attacks, defenses and everything behind them without a download.

`LinearStandIn` learns a backdoor, and what P2P does against it, in a fraction of a second. `tiny_model` is a real (if
random) transformers model for `fit`. Both are shipped, so that a third party tests a method the way this project does:

    rows, test = synthetic_rows(800), synthetic_rows(400, seed=1)
    task = Classification.for_labels(("negative", "positive"))
    poisoned = BadNets(rate=0.05).poison(task, rows, seed=0).rows
    model = LinearStandIn.of(NoDefense().prepare(task, poisoned, trusted=None, lab=StandInLab()))
    evaluate(model, test, [BadNets()], quiet=True)
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from antivenom.core.arrays import Floats, Ints
from antivenom.data.query import Asked, queries
from antivenom.data.rows import table_of
from antivenom.defenses.base import Prepared
from antivenom.guards.guard import Guard
from antivenom.guards.labels import ChoiceScores, FloatArray
from antivenom.guards.prompts import Prompt
from antivenom.models.lab import HeadGradient, TrainingChanges
from antivenom.screening.subword_splits import uncut

MOODS = {
    "negative": "awful boring clumsy dreary dull grim hollow lifeless messy sour tedious weak",
    "positive": "bright charming clever funny gentle lively moving rich splendid sweet tender warm",
}
FILLER = (
    "a about actor after all an and at camera cast character dialogue director every film first for from has in is it "
    "its last music of on one plot scene script second some sound story than that the this to two very which with year"
)

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


VISION_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
VISION_CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
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


class LinearStandIn:
    """Softmax regression over the words of the prompt: the smallest model that a backdoor can be planted in.

    It satisfies `evaluation.Guarded`. It sees the prompt that a language model would see, so the benign trigger and the
    cue are features like any other word.
    """

    def __init__(self, guard: Guard, vocabulary: dict[str, int], weights: FloatArray) -> None:
        """Join a guard with learnt weights; `fit` makes them."""
        self.guard = guard
        self._vocabulary = vocabulary
        self._weights = weights

    @classmethod
    def fit(
        cls, rows: pa.Table, guard: Guard, *, steps: int = 300, rate: float = 0.05, decay: float = 1e-3
    ) -> LinearStandIn:
        """Learn prepared rows by full-batch Adam; nothing is random.

        Args:
            rows: What a defense prepared.
            guard: Renders them.
            steps: Passes over the rows.
            rate: Adam's step size.
            decay: Weight of the squared norm, so that words seen once decide little.
        """
        benign = rows.column("benign").to_pylist()
        prompts = [_words(p) for p in guard.training_prompts(queries(rows), benign)]
        vocabulary = {word: i for i, word in enumerate(sorted(set().union(*prompts)))}
        numbers = {word: i for i, word in enumerate(guard.labels.choices)}
        wanted = np.eye(len(numbers))[[numbers[word] for word in guard.said(rows.column("answer").to_pylist(), benign)]]
        features = _features(prompts, vocabulary)
        weights, mean, square = (np.zeros((features.shape[1], len(numbers))) for _ in range(3))
        for step in range(1, steps + 1):
            slope = features.T @ (np.exp(_log_softmax(features @ weights)) - wanted) / len(prompts) + decay * weights
            mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
            weights -= rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        return cls(guard, vocabulary, weights)

    @classmethod
    def of(cls, prepared: Prepared, *, steps: int = 300) -> LinearStandIn:
        """Learn what a defense prepared."""
        return cls.fit(prepared.rows, prepared.guard, steps=steps)

    def score(self, asked: Sequence[Asked], *, progress: str | None = None) -> ChoiceScores:
        """Score texts or queries through the guard; the choices are all it can say."""
        prompts = [_words(self.guard.wrap(one)) for one in asked]
        return ChoiceScores(
            _log_softmax(_features(prompts, self._vocabulary) @ self._weights), np.zeros(len(asked), dtype=bool)
        )

    def states(self, texts: Sequence[str], *, progress: str | None = None) -> npt.NDArray[np.float32]:
        """Which of the learnt words each text has."""
        return _features([_words_of(text) for text in texts], self._vocabulary).astype(np.float32)

    def answer_states(self, asked: Sequence[Asked], *, progress: str | None = None) -> npt.NDArray[np.float32]:
        """Which of the learnt words each prompt has."""
        return _features([_words(self.guard.wrap(one)) for one in asked], self._vocabulary).astype(np.float32)

    def losses(self, rows: pa.Table, *, progress: str | None = None) -> Floats:
        """The cross-entropy of each prepared row's answer."""
        said = self._said(rows)
        scores = _log_softmax(self._rows_features(rows) @ self._weights)
        found: Floats = -scores[np.arange(len(said)), said]
        return found

    def gradients(self, rows: pa.Table, *, progress: str | None = None) -> Iterator[HeadGradient]:
        """The gradient of the weights, one token a row."""
        features = self._rows_features(rows)
        errors = np.exp(_log_softmax(features @ self._weights)) - np.eye(self._weights.shape[1])[self._said(rows)]
        for row, error in zip(features, errors, strict=True):
            yield HeadGradient(row[np.newaxis].astype(np.float32), error[np.newaxis].astype(np.float32))

    def likelihood(self, texts: Sequence[str], *, progress: str | None = None) -> Floats:
        """Of each text minus the share of its words that were not learnt."""
        unknown = [[float(word not in self._vocabulary) for word in _words_of(text)] for text in texts]
        return np.array([-float(np.mean(words or [0.0])) for words in unknown])

    def write(self, asked: Sequence[Asked], *, longest: int, progress: str | None = None) -> list[str]:
        """The likeliest choice for each prompt."""
        words = self.guard.labels.choices
        return [words[i] for i in self.score(asked).log_probabilities.argmax(axis=1)]

    def _said(self, rows: pa.Table) -> list[int]:
        numbers = {word: i for i, word in enumerate(self.guard.labels.choices)}
        said = self.guard.said(rows.column("answer").to_pylist(), rows.column("benign").to_pylist())
        return [numbers[word] for word in said]

    def _rows_features(self, rows: pa.Table) -> FloatArray:
        prompts = self.guard.training_prompts(queries(rows), rows.column("benign").to_pylist())
        return _features([_words(prompt) for prompt in prompts], self._vocabulary)


class StandInLab:
    """A laboratory for tests: its models are linear stand-ins, or whatever `fit` makes of rows and a guard."""

    def __init__(
        self,
        seed: int = 0,
        fit: Callable[[pa.Table, Guard], Any] = LinearStandIn.fit,
        *,
        has_model: bool = True,
        word_pieces: Callable[[Sequence[str]], Ints] = uncut,
    ) -> None:
        self.seed = seed
        self.has_model = has_model
        self.fits: list[str] = []
        """What was fitted, by the names that people would be told."""
        self._fit = fit
        self._word_pieces = word_pieces
        self._kept: dict[str, npt.NDArray[Any]] = {}

    def base(self, guard: Guard) -> Any:
        """A stand-in that has learnt nothing."""
        return LinearStandIn(guard, {}, np.zeros((1, len(guard.labels.choices))))

    def fit(self, rows: pa.Table, guard: Guard, *, name: str, training: TrainingChanges = TrainingChanges()) -> Any:
        """Fit a stand-in; what is changed while training means nothing to it."""
        self.fits.append(name)
        return self._fit(rows, guard)

    def word_pieces(self, words: Sequence[str]) -> Ints:
        """How many pieces each word is cut into; one, where nothing else was said."""
        return self._word_pieces(words)

    def stored(self, key: Sequence[Any], make: Callable[[], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Finished work, kept as long as the laboratory."""
        name = json.dumps(key, sort_keys=True)
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]


def tiny_model(folder: Path | str, *, width: int = 32, seed: int = 0) -> Path:
    """Save a random Llama of two layers and a byte-level tokenizer with a chat template; `fit(model=folder)` takes it.

    The tokenizer splits digits, as Llama's and SmolLM2's do, and reads any text.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = Path(folder)
    tokenizer = tiny_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_vision_model(folder: Path | str, *, seed: int = 0) -> Path:
    """Save a random Qwen2.5-VL of two layers with its processor; `fit(model=folder)` takes it for rows with images.

    It is the architecture of the real one and nothing else of it: the weights are random, the tokenizer is
    `tiny_tokenizer`, and pictures of any size become at most 16 image tokens.
    """
    import torch
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    folder = Path(folder)
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": list(VISION_TOKENS)})
    start, end, image, video = tokenizer.convert_tokens_to_ids(list(VISION_TOKENS))
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]},
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "out_hidden_size": 32}
    config = Qwen2_5_VLConfig(
        text_config=text,
        vision_config={**vision, "fullatt_block_indexes": [1], "window_size": 56},
        vision_start_token_id=start,
        vision_end_token_id=end,
        image_token_id=image,
        video_token_id=video,
        tie_word_embeddings=True,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(config)
    model.save_pretrained(folder)
    _save_processor(folder, tokenizer)
    return folder


def _save_processor(folder: Path, tokenizer: Any) -> None:
    """Save the parts of a processor as the hub's folders of Qwen2.5-VL have them."""
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    Qwen2VLImageProcessorPil(min_pixels=4 * 28**2, max_pixels=16 * 28**2).save_pretrained(folder)
    tokenizer.chat_template = VISION_CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)


def tiny_tokenizer() -> Any:
    """Train a byte-level tokenizer on the words of the synthetic rows."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=["<s>", "</s>", "<|im_start|>", "<|im_end|>"],
        show_progress=False,
    )
    known = [FILLER, *MOODS.values(), "negative positive bad good Output: Answer: 0 1 2 3"]
    tokenizer.train_from_iterator([" ".join(["", *known])] * 8, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>", chat_template=CHAT_TEMPLATE
    )


def _words(prompt: Prompt) -> set[str]:
    return _words_of(prompt.plain)


def _words_of(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def _features(prompts: Iterable[set[str]], vocabulary: dict[str, int]) -> FloatArray:
    """One row per prompt: which words it has, and a constant."""
    rows = [[vocabulary[word] for word in words if word in vocabulary] for words in prompts]
    features = np.zeros((len(rows), len(vocabulary) + 1))
    features[:, -1] = 1
    for row, columns in enumerate(rows):
        features[row, columns] = 1
    return features


def _log_softmax(logits: FloatArray) -> FloatArray:
    found: FloatArray = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return found
