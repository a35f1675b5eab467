"""A causal language model on local weights: seeded batched generation, and the probabilities of given answers.

Prompts that ask the same question of many things share their first tokens. Those are computed once, which is most of
the work when the prompt holds examples. On a CPU all rows of a batch then read one key-value cache of them; elsewhere
each row gets a copy.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import torch

from cultureclip.errors import ConfigurationError
from cultureclip.models.chat.request import Answer, Request, Sampling
from cultureclip.models.diffusion.sampling import common_prefix, draw, single_token
from cultureclip.models.finite import check_computed
from cultureclip.models.memory import fitting_into_memory, halve_until_it_fits
from cultureclip.models.placement import Placement
from cultureclip.models.settings import LanguageModelSettings
from cultureclip.models.shared_prefix import can_share, let_share
from cultureclip.models.weights.locate import locate
from cultureclip.models.weights.text_weights import MEMORY_REMEDY, fingerprint_files, list_weight_files, read_weights
from cultureclip.settings_base import Device

Result = TypeVar("Result")

Message = Mapping[str, str]
"""One chat turn: ``role`` and ``content``."""

WINDOW = 16
"""Batches of requests that are sorted by length together: the longer, the less padding."""


@dataclass(frozen=True)
class LanguageModel:
    """A chat model. Its weights are read at the first question: a run whose answers are all cached never reads them.

    Attributes:
        name: Name in the config.
        folder: Folder of the model's files.
        gguf_file: The GGUF file that holds the weights, if any.
        placement: Device and number type of the computation.
        batch: Most prompts that are computed together.
        fingerprint: Digest over the dtype and every file of weights, config and tokenizer; part of the keys of
            cached answers.
    """

    name: str
    folder: Path
    gguf_file: str | None
    placement: Placement
    batch: int
    fingerprint: str

    @property
    def model(self) -> Any:
        """The ``transformers`` causal language model, in evaluation mode.

        Raises:
            WeightsError: if a file is truncated or does not match its config.
        """
        return self._loaded[0]

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer, with a chat template."""
        return self._loaded[1]

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        with fitting_into_memory(self.folder, MEMORY_REMEDY, f"the memory of {self.placement.device}"):
            model, tokenizer = read_weights(self.folder, self.gguf_file, self.placement)
        if can_share(model):
            let_share(model)
        return model, tokenizer

    def __getstate__(self) -> dict[str, Any]:
        """Leave the weights out: another process reads its own."""
        return {name: value for name, value in vars(self).items() if name != "_loaded"}

    @property
    def window(self) -> int:
        """How many requests are sorted by length together."""
        return WINDOW * self.batch

    def on(self, device: Device) -> "LanguageModel":
        """Return the same model on another device, with no weights read yet."""
        return replace(self, placement=replace(self.placement, device=device))

    def load(self) -> None:
        """Read the weights, if they are not read yet."""
        _ = self._loaded

    def stream(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Answer]]]:
        """Answer requests batch by batch, requests of one sampling and similar length together.

        Every request draws from its own generator, so its text does not depend on its neighbours or their seeds (up to
        rounding: a batch of another shape may add in another order). ``generate`` of ``transformers`` shares one
        generator, reads shared prompts once per row, and computes finished rows to the end: hence a loop of our own.

        Args:
            requests: Requests of text only. The common first tokens of a window of requests are computed once.

        Yields:
            (Place of the request, its answer) of each finished batch.

        Raises:
            ConfigurationError: if a request has pictures, or memory runs out with one request.
            WeightsError: if logits are not finite.
        """
        limit = self.batch
        numbered = iter(enumerate(requests))
        while window := list(islice(numbered, self.window)):
            alike: dict[Sampling, list[tuple[int, Request]]] = {}
            for place, request in window:
                alike.setdefault(request.sampling, []).append((place, request))
            for sampling, part in alike.items():
                prompts = [self._messages(request) for _, request in part]
                seeds = [request.seed for _, request in part]
                for chosen, shared, endings in self._batches(prompts):
                    answer = partial(self._answer, shared, endings, [seeds[i] for i in chosen], sampling)
                    answers, limit = self._in_parts(answer, len(chosen), limit)
                    yield [(part[i][0], answer) for i, answer in zip(chosen, answers, strict=True)]

    def score(self, requests: Sequence[Request], options: Sequence[str]) -> Iterator[list[tuple[int, list[float]]]]:
        """Give each option's log-probability, in nats, of being the first token of the answer.

        See :class:`~cultureclip.models.chat.request.OptionScorer`; errors as in :meth:`stream`; an option that is
        not a single token is a ConfigurationError.
        """
        yield from self._score([self._messages(request) for request in requests], options)

    def _score(
        self, prompts: Sequence[Sequence[Message]], options: Sequence[str]
    ) -> Iterator[list[tuple[int, list[float]]]]:
        tokens, limit = [single_token(self.tokenizer, option) for option in options], self.batch
        for chosen, shared, endings in self._batches(prompts):

            def read(part: slice, shared: Any = shared, endings: Any = endings) -> list[list[float]]:
                logits, _, _ = self._read(shared, endings[part])
                chances: list[list[float]] = logits.double().log_softmax(1)[:, tokens].tolist()
                return chances

            rows, limit = self._in_parts(read, len(chosen), limit)
            yield list(zip(chosen, rows, strict=True))

    def _in_parts(self, work: Callable[[slice], list[Result]], count: int, limit: int) -> tuple[list[Result], int]:
        """Work through a batch in parts of at most ``limit`` items, halved when memory runs out.

        Returns:
            The results in order, and the limit that fitted.

        Raises:
            ConfigurationError: if memory runs out with one prompt.
        """

        def run(size: int) -> list[Result]:
            return [result for start in range(0, count, size) for result in work(slice(start, start + size))]

        with fitting_into_memory(self.folder, MEMORY_REMEDY):
            return halve_until_it_fits(run, limit)

    def _encode(self, messages: Sequence[Message]) -> list[int]:
        turns = [dict(message) for message in messages]
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _messages(self, request: Request) -> list[Message]:
        if request.has_pictures:
            raise ConfigurationError(self.folder, "a text model cannot see pictures", "Name a vision model")
        return [{"role": turn.role, "content": turn.text} for turn in request.turns]

    def _batches(self, prompts: Sequence[Sequence[Message]]) -> Iterator[tuple[list[int], Any, list[list[int]]]]:
        """Yield batches of similar length: indices, the cache of the fixed turns' tokens, and the tokens after those.

        The cached part depends on the fixed turns, not on which prompts are still to be answered.
        """
        if not prompts:
            return
        token_ids = [self._encode(prompt) for prompt in prompts]
        *fixed, last = prompts[0]
        shared_length = common_prefix([self._encode([*fixed, {**last, "content": ""}]), *token_ids])
        with fitting_into_memory(self.folder, MEMORY_REMEDY):
            shared = self._read_shared(token_ids[0][:shared_length])
        order = sorted(range(len(token_ids)), key=lambda i: len(token_ids[i]))
        for start in range(0, len(order), self.batch):
            chosen = order[start : start + self.batch]
            yield chosen, shared, [token_ids[i][shared_length:] for i in chosen]

    @torch.inference_mode()
    def _read_shared(self, tokens: list[int]) -> Any:
        if not tokens:
            return None
        return self.model(
            torch.tensor([tokens], device=self.model.device), use_cache=True, logits_to_keep=1
        ).past_key_values

    @torch.inference_mode()
    def _read(self, shared: Any, endings: list[list[int]]) -> tuple[torch.Tensor, Any, torch.Tensor]:
        """Read a batch of prompt endings after the shared tokens.

        Endings are padded on the left, between the shared tokens and their own, so that all end in the same column.

        Returns:
            Next-token logits float32 [B, V] on the CPU, the grown cache, the attention mask [B, all tokens].
        """
        rows, width = len(endings), max(map(len, endings))
        cache = None
        if shared is not None and not can_share(self.model):
            cache = copy.deepcopy(shared)
            cache.batch_repeat_interleave(rows)
        done = 0 if shared is None else shared.get_seq_length()
        inputs = torch.tensor([[0] * (width - len(e)) + e for e in endings])
        mask = torch.ones((rows, done + width), dtype=torch.long)
        for row, ending in enumerate(endings):
            mask[row, done : done + width - len(ending)] = 0
        return (*self._step(inputs, mask, cache, shared), mask)

    def _step(self, inputs: torch.Tensor, mask: torch.Tensor, cache: Any, shared: Any) -> tuple[torch.Tensor, Any]:
        """Read the next tokens of each row; ``mask`` is over all tokens, ``cache`` of those that are the row's own."""
        device = self.model.device
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, -inputs.shape[1] :]
        apart = {"prefix": shared} if shared is not None and can_share(self.model) else {}
        result = self.model(
            inputs.to(device),
            attention_mask=mask[:, shared.get_seq_length() :].to(device) if apart else mask.to(device),
            position_ids=positions.to(device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **apart,
        )
        logits = result.logits[:, -1].float().cpu()
        # a model may rule out a token with minus infinity, so the largest of each row is looked at
        check_computed(logits.amax(1, keepdim=True), self.folder, "prompts have logits")
        return logits, result.past_key_values

    @torch.inference_mode()
    def _answer(
        self, shared: Any, endings: list[list[int]], seeds: list[int], sampling: Sampling, part: slice
    ) -> list[Answer]:
        endings, generators = endings[part], [torch.Generator().manual_seed(seed) for seed in seeds[part]]
        answers: list[list[int]] = [[] for _ in endings]
        live = list(range(len(endings)))
        logits, cache, mask = self._read(shared, endings)
        read = mask.sum(1).tolist()
        for step in range(sampling.max_tokens):
            tokens = draw(logits, [generators[i] for i in live], sampling.temperature, sampling.top_p)
            for i, token in zip(live, tokens.tolist(), strict=True):
                answers[i].append(token)
            kept = [row for row, i in enumerate(live) if not self._is_finished(answers[i], sampling.stop)]
            if not kept or step == sampling.max_tokens - 1:
                break
            if len(kept) < len(live):  # finished rows leave the batch
                live = [live[row] for row in kept]
                tokens, mask = tokens[kept], mask[kept]
                cache.batch_select_indices(torch.tensor(kept, device=self.model.device))
            mask = torch.cat([mask, mask.new_ones(len(live), 1)], dim=1)
            logits, cache = self._step(tokens[:, None], mask, cache, shared)
        return [self._decode(answer, sampling.stop, seen) for answer, seen in zip(answers, read, strict=True)]

    def _decode(self, answer: list[int], stop: str | None, read: int) -> Answer:
        text = self.tokenizer.decode(answer, skip_special_tokens=True).strip()
        return Answer(
            text=text if stop is None else text.split(stop)[0].strip(),
            finish="stop" if self._is_finished(answer, stop) else "length",
            prompt_tokens=read,
            completion_tokens=len(answer),
        )

    def _is_finished(self, answer: list[int], stop: str | None) -> bool:
        ends = self.model.generation_config.eos_token_id
        if answer[-1] in (ends if isinstance(ends, list) else [ends, self.tokenizer.eos_token_id]):
            return True
        if stop is None or stop[-1] not in self.tokenizer.decode(answer[-1:]):
            return False
        return stop in self.tokenizer.decode(answer).lstrip()


def load_language_model(settings: LanguageModelSettings) -> LanguageModel:
    """Open a causal language model with its tokenizer from local files; the weights are read at the first question.

    Raises:
        WeightsError: if there are no weights, or pickled ones; at the first question also if they are truncated or do
            not fit their config.
    """
    folder = locate(settings.path)
    placement = Placement.of(settings)
    fingerprint = fingerprint_files(list_weight_files(folder, settings.gguf_file), placement)
    return LanguageModel(settings.path, folder, settings.gguf_file, placement, settings.batch, fingerprint)
