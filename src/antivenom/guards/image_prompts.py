"""Prompts with an image, rendered by a processor of transformers: its chat template, its image tokens, its pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from antivenom.core.errors import OptionsError
from antivenom.data.images import open_image
from antivenom.guards.prompts import Prompt
from antivenom.guards.rendering import Rendered, Renderer


class ImagePrompt(list[int]):
    """The token ids of a prompt, the placeholder grown to the tokens of its image; and what makes its pixels.

    Pixels are made when a batch needs them: all at once, they would fill the memory.
    """

    def __init__(self, ids: Iterable[int], string: str, image: bytes, *, own: int | None = None) -> None:
        """Join token ids with the string and the image that they come from.

        Args:
            ids: Of the prompt, and of what may stand behind it.
            string: What the chat template wrote, the image a single placeholder.
            image: The encoded image.
            own: How many of the ids are the prompt's; all when not given.
        """
        super().__init__(ids)
        self.string = string
        self.image = image
        self.own = len(self) if own is None else own

    @property
    def tail(self) -> list[int]:
        """The token ids behind the prompt: of an answer, or of its beginning."""
        return self[self.own :]

    def __add__(self, tokens: list[int]) -> ImagePrompt:  # type: ignore[override]
        return ImagePrompt([*self, *tokens], self.string, self.image, own=self.own)


class ImageRenderer(Renderer):
    """Turns prompts with images into token ids and pixels with one processor.

    The image stands in the user's turn, in front of the text. `max_tokens` holds for the text around it: how many
    tokens an image takes is up to the processor and to `image_pixels`.
    """

    def __init__(self, processor: Any, *, max_tokens: int, image_pixels: int) -> None:
        """Bind a transformers processor.

        Raises:
            OptionsError: it has no chat template.
        """
        self.processor = processor
        self.image_pixels = image_pixels
        super().__init__(processor.tokenizer, style="chat", max_tokens=max_tokens, processor=processor)

    def rendered(self, prompts: Sequence[Prompt]) -> list[Rendered]:
        """Each prompt with its token ids as an `ImagePrompt`; otherwise as `Renderer.rendered`.

        Raises:
            OptionsError: a prompt has no image, or as there.
        """
        found = super().rendered(prompts)
        images = [prompt.image for prompt in prompts if prompt.image is not None]
        return [one._replace(ids=self._grown(one.string, image)) for one, image in zip(found, images, strict=True)]

    def process(self, strings: Sequence[str], images: Sequence[bytes]) -> dict[str, Any]:
        """What the processor makes of rendered strings and their images: tensors by name, padded in front."""
        pictures = [[open_image(image, largest=self.image_pixels)] for image in images]
        options = {"padding": True, "padding_side": "left", "return_tensors": "pt"}
        special = self._adds_special_tokens(strings)
        found = self.processor(text=list(strings), images=pictures, add_special_tokens=special, **options)
        return dict(found)

    def _grown(self, string: str, image: bytes) -> ImagePrompt:
        [ids] = self.process([string], [image])["input_ids"].tolist()
        return ImagePrompt(ids, string, image)

    def _require_readable(self, prompts: Sequence[Prompt]) -> None:
        if any(prompt.image is None for prompt in prompts):
            raise OptionsError("this model takes an image with every text", mend="Give one: --image-column.")

    def _messages(self, prompt: Prompt) -> list[dict[str, Any]]:
        """Chat messages in parts, the image in front of the text that it belongs to."""
        parts = [[{"type": "text", "text": turn.content}] for turn in prompt.turns]
        parts[-1].insert(0, {"type": "image"})
        return [{"role": turn.role, "content": part} for turn, part in zip(prompt.turns, parts, strict=True)]

    def _template_options(self, thinks: bool) -> dict[str, Any]:
        # Unlike a tokenizer, a processor warns of options that its template does not know.
        known = super()._template_options(thinks)
        return {name: value for name, value in known.items() if name in str(self.processor.chat_template)}

    def _placeholders(self) -> set[str]:
        # The processor replaces placeholders in the string, also those that its tokenizer does not call special.
        placeholders = (getattr(self.processor, f"{kind}_token", None) for kind in ("image", "video", "audio"))
        return {str(token) for token in placeholders if token}

    def _encode(self, strings: list[str]) -> list[list[int]]:
        special = self._adds_special_tokens(strings)
        ids: list[list[int]] = self.tokenizer(strings, add_special_tokens=special, verbose=False)["input_ids"]
        return ids

    def _adds_special_tokens(self, strings: Sequence[str]) -> bool:
        """Whether the tokenizer writes the beginning of the sequence: only where the template has not done so."""
        first = self.tokenizer.bos_token
        return not (first and strings[0].startswith(first))
