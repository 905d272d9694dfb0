"""Answer with the model on this machine: labels in batches across requests, free answers token by token."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor

from antivenom.data.query import Asked, Query
from antivenom.inference.guarded import GuardedModel
from antivenom.inference.writing import GuardedWriter
from antivenom.serving.backend import LabelAnswer, Piece, label_answers
from antivenom.serving.batching import Batcher
from antivenom.serving.prompting import Prompting, refusing

LARGEST_BATCH = 64


class LocalBackend:
    """A verified artifact and its base model, loaded in this process. One thread runs it."""

    probabilities = True
    name = "model in this process"

    def __init__(self, model: GuardedModel | GuardedWriter, *, cut: bool = False, batch: int = LARGEST_BATCH) -> None:
        """Serve a model that `inference.guarded.load_guarded` loaded.

        Args:
            model: The model behind its guard.
            cut: Whether a text that is too long is cut instead of refused.
            batch: How many labels are scored at a time.
        """
        self.guard = model.guard
        self._model = model
        self._prompting = Prompting(model.encoder, cut, images=model.guard.task.frame.modality != "text")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="antivenom-model")
        self._batcher: Batcher[Asked, LabelAnswer] = Batcher(self._labels, self._thread, most=batch)
        if isinstance(model, GuardedModel):
            model.expect_requests()

    def count_tokens(self, query: Query) -> int:
        """The tokens of what the client wrote; see `backend.Backend`."""
        return self._prompting.count(query)

    async def label(self, query: Query) -> LabelAnswer:
        """Answer with a label, together with other requests; see `backend.Backend`."""
        with refusing():
            return await self._batcher.ask(query)

    async def write(self, query: Query, *, longest: int | None, said: bool) -> AsyncIterator[Piece]:
        """Write a free answer, one request after another; see `backend.Backend`."""
        assert isinstance(self._model, GuardedWriter)
        loop, pieces, stop = asyncio.get_running_loop(), asyncio.Queue[Piece | BaseException](), threading.Event()
        writing = self._model.stream(query, said=said, longest=longest)
        parts = (Piece(part.text, part.tokens, part.finished) for part in writing)
        running = loop.run_in_executor(self._thread, _pump, parts, pieces, stop, loop)
        try:
            while True:
                piece = await pieces.get()
                if isinstance(piece, BaseException):
                    with refusing():
                        raise piece
                yield piece
                if piece.finished is not None:
                    return
        finally:
            stop.set()
            running.cancel()  # it may not have begun

    async def ready(self) -> bool:
        """It is loaded, or this object would not be there."""
        return True

    async def close(self) -> None:
        """End the thread when its batch is done."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _labels(self, asked: list[Asked]) -> list[LabelAnswer]:
        assert isinstance(self._model, GuardedModel)
        scores = self._model.score(asked)
        return label_answers(scores, self.guard.read(scores), self.guard.labels)


def _pump(
    parts: Iterator[Piece],
    pieces: asyncio.Queue[Piece | BaseException],
    stop: threading.Event,
    loop: asyncio.AbstractEventLoop,
) -> None:
    """Hand pieces from the model's thread to the event loop until all are there or nobody waits for them."""
    try:
        for piece in parts:
            if stop.is_set():
                return
            loop.call_soon_threadsafe(pieces.put_nowait, piece)
    except Exception as error:  # the client's error, not the thread's
        loop.call_soon_threadsafe(pieces.put_nowait, error)
