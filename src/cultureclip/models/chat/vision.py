"""Vision-language models in this process: any ``AutoModelForImageTextToText`` with its processor.

The library generates (``generate``). It samples all rows of a batch from one generator, so that an answer would
depend on its neighbours; here each row adds Gumbel noise of its own seed to its logits and takes the largest, which is
sampling from the same distribution (Gumbel 1954; Maddison et al. 2014, arXiv 1411.0030) row by row.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

from cultureclip.errors import ConfigurationError
from cultureclip.models.chat.request import Answer, Picture, Request, Sampling
from cultureclip.models.diffusion.sampling import single_token
from cultureclip.models.finite import check_computed
from cultureclip.models.memory import halve_until_it_fits
from cultureclip.models.placement import Placement
from cultureclip.reading.pictures import decode_image
from cultureclip.settings_base import Device

WINDOW = 16
"""Batches of requests that are sorted by length together: the longer, the less padding, and the more a crash costs."""


@dataclass(frozen=True)
class VisionLanguageModel:
    """A vision-language chat model; its weights are read at the first question.

    Attributes:
        name: Name in the config.
        folder: Folder of the model's files.
        fingerprint: Digest of its files and number type.
        placement: Device and number type of the computation.
        batch: Most requests computed together.
    """

    name: str
    folder: Path
    fingerprint: str
    placement: Placement
    batch: int

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from cultureclip.models.chat.vision_weights import read_vision_model

        return read_vision_model(self.folder, self.placement)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the weights out: another process reads its own."""
        return {name: value for name, value in vars(self).items() if name != "_loaded"}

    @property
    def window(self) -> int:
        """How many requests are sorted by length together."""
        return WINDOW * self.batch

    def on(self, device: Device) -> "VisionLanguageModel":
        """Return the same model on another device, with no weights read yet."""
        return replace(self, placement=replace(self.placement, device=device))

    def load(self) -> None:
        """Read the weights, if they are not read yet."""
        _ = self._loaded

    def stream(self, requests: Iterable[Request]) -> Iterator[list[tuple[int, Answer]]]:
        """Answer requests batch by batch, requests of one sampling and similar length together.

        Yields:
            (Place of the request, its answer) of each finished batch.
        """
        batch = self.batch
        numbered = iter(enumerate(requests))
        while window := list(islice(numbered, self.window)):
            ordered = sorted(window, key=lambda item: (repr(item[1].sampling), _length(item[1])))
            start = 0
            while start < len(ordered):
                alike = [item for item in ordered[start:] if item[1].sampling == ordered[start][1].sampling]

                def work(size: int, alike: Sequence[tuple[int, Request]] = alike) -> list[tuple[int, Answer]]:
                    chosen = alike[:size]
                    answers = self._answer([request for _, request in chosen])
                    return list(zip([place for place, _ in chosen], answers, strict=True))

                done, batch = halve_until_it_fits(work, batch)
                yield done
                start += len(done)

    def score(self, requests: Sequence[Request], options: Sequence[str]) -> Iterator[list[tuple[int, list[float]]]]:
        """Give each option's log-probability, in nats, of being the first token of the answer.

        See :class:`~cultureclip.models.chat.request.OptionScorer`.
        """
        tokens, batch = [single_token(self._loaded[1].tokenizer, option) for option in options], self.batch
        ordered = sorted(enumerate(requests), key=lambda item: _length(item[1]))
        start = 0
        while start < len(ordered):

            def work(size: int, start: int = start) -> list[tuple[int, list[float]]]:
                chosen = ordered[start : start + size]
                rows = self._first_logits([request for _, request in chosen]).double().log_softmax(1)[:, tokens]
                return list(zip([place for place, _ in chosen], rows.tolist(), strict=True))

            done, batch = halve_until_it_fits(work, batch)
            yield done
            start += len(done)

    @torch.inference_mode()
    def _first_logits(self, requests: Sequence[Request]) -> torch.Tensor:
        """Return the logits of the first token of each answer, float32 [B, V] on the CPU."""
        written = self._loaded[0].generate(
            **self._inputs(requests),
            max_new_tokens=1,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
        logits: torch.Tensor = written.logits[0].float().cpu()
        check_computed(logits.amax(1, keepdim=True), self.folder, "prompts have logits")
        return logits

    def _inputs(self, requests: Sequence[Request]) -> dict[str, Any]:
        model, processor = self._loaded
        inputs = processor.apply_chat_template(
            [_conversation(request) for request in requests],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True},
        ).to(model.device)
        floats = {name: t.to(self.placement.dtype) for name, t in inputs.items() if t.is_floating_point()}
        return {**inputs, **floats}

    @torch.inference_mode()
    def _answer(self, requests: Sequence[Request]) -> list[Answer]:
        model, processor = self._loaded
        inputs, sampling = self._inputs(requests), requests[0].sampling
        written = model.generate(
            **inputs,
            max_new_tokens=self._room(inputs["input_ids"].shape[1], sampling.max_tokens),
            do_sample=False,
            logits_processor=_drawing(sampling, [request.seed for request in requests]),
            **({"stop_strings": [sampling.stop], "tokenizer": processor.tokenizer} if sampling.stop else {}),
        )[:, inputs["input_ids"].shape[1] :]
        read = inputs["attention_mask"].sum(1).tolist()
        return [self._decode(row.tolist(), sampling, tokens) for row, tokens in zip(written, read, strict=True)]

    def _room(self, read: int, wanted: int) -> int:
        """Return how many tokens an answer may have: those wanted, or fewer where the model's context ends.

        Args:
            read: Tokens of the longest question of the batch.
            wanted: Most tokens of an answer.

        Raises:
            ConfigurationError: if the question fills the context; the model would fail inside.
        """
        most = getattr(self._loaded[0].config.get_text_config(), "max_position_embeddings", None)
        if most is not None and read >= most:
            cause = f"a question takes {read:,} tokens, and the model reads {most:,}"
            raise ConfigurationError(self.folder, cause, "Show less, or name a model with a longer context")
        return wanted if most is None else min(wanted, most - read)

    def _decode(self, tokens: list[int], sampling: Sampling, read: int) -> Answer:
        model, processor = self._loaded
        ends = model.generation_config.eos_token_id
        ends = set(ends if isinstance(ends, list) else [ends, processor.tokenizer.eos_token_id])
        length = next((place for place, token in enumerate(tokens) if token in ends), None)
        text = processor.tokenizer.decode(tokens[:length], skip_special_tokens=True)
        stopped = sampling.stop is not None and sampling.stop in text
        if stopped:
            text = text[: text.index(str(sampling.stop))]
        return Answer(
            text=text.strip(),
            finish="stop" if stopped or length is not None else "length",
            prompt_tokens=int(read),
            completion_tokens=len(tokens) if length is None else length + 1,
        )


class _OwnNoise(LogitsProcessor):
    """Adds standard Gumbel noise to each row, from the row's own generator."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002  their interface
        uniform = torch.stack([torch.rand(scores.shape[1], generator=g) for g in self._generators])
        return scores.float() - torch.log(-torch.log(uniform.clamp_min(torch.finfo().tiny))).to(scores.device)


def _drawing(sampling: Sampling, seeds: Sequence[int]) -> LogitsProcessorList:
    if sampling.temperature == 0:
        return LogitsProcessorList()
    warpers: list[Any] = [TemperatureLogitsWarper(sampling.temperature)]
    if sampling.top_p < 1:
        warpers.append(TopPLogitsWarper(sampling.top_p))
    return LogitsProcessorList([*warpers, _OwnNoise(seeds)])


def _conversation(request: Request) -> list[dict[str, Any]]:
    return [
        {
            "role": turn.role,
            "content": [
                {"type": "image", "image": decode_image(part.data)}
                if isinstance(part, Picture)
                else {"type": "text", "text": part}
                for part in turn.parts
            ],
        }
        for turn in request.turns
    ]


def _length(request: Request) -> int:
    return sum(len(turn.text) + 1000 * len(turn.pictures) for turn in request.turns)
