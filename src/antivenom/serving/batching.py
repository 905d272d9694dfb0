"""Requests that arrive together are answered together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Generic, TypeVar

from antivenom.core.errors import AntivenomError

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Batcher(Generic[Asked, Answer]):
    """Runs a function over many requests at a time, in one thread.

    Nothing waits for a batch to fill: while one is computed, the next one gathers. An answer that nobody waits for any
    more is not computed if its batch has not begun.
    """

    def __init__(self, answer: Callable[[list[Asked]], Sequence[Answer]], thread: Executor, *, most: int) -> None:
        """Answer `most` requests at a time, in their order, in `thread`."""
        self._answer = answer
        self._thread = thread
        self._most = most
        self._waiting: list[tuple[Asked, asyncio.Future[Answer]]] = []
        self._running: asyncio.Task[None] | None = None

    async def ask(self, asked: Asked) -> Answer:
        """Answer one request together with those that wait."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        try:
            while batch := self._next():
                await self._answer_batch(batch)
        finally:
            self._running = None

    def _next(self) -> list[tuple[Asked, asyncio.Future[Answer]]]:
        wanted = [pair for pair in self._waiting if not pair[1].done()]
        self._waiting = wanted[self._most :]
        return wanted[: self._most]

    async def _answer_batch(self, batch: list[tuple[Asked, asyncio.Future[Answer]]]) -> None:
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._thread, self._answer, [asked for asked, _ in batch])
        except AntivenomError as error:
            if len(batch) > 1:  # one request must not fail the others
                for pair in batch:
                    await self._answer_batch([pair])
            elif not batch[0][1].done():
                batch[0][1].set_exception(error)
            return
        except Exception as error:  # whatever a model raises belongs to those who asked
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)
