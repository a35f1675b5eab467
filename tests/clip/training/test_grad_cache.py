from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from cultureclip.clip.data.batches import draw_rows, make_batch, prepare, step_generator
from cultureclip.clip.data.replay import prepare_replay
from cultureclip.clip.data.towers import embed_image, embed_text
from cultureclip.clip.lora.adapter import LoraAdapter
from cultureclip.clip.objectives.distillation import anchor_loss, replay_loss
from cultureclip.clip.objectives.losses import build_objective
from cultureclip.clip.settings import LoraSettings, ReplaySettings, RunSettings, TextSettings, TrainerSettings
from cultureclip.clip.training.distributed import Group
from cultureclip.clip.training.grad_cache import Encoding, backward_in_chunks, chunk_seed, embed
from cultureclip.clip.training.step import TwinLoss
from tests.clip.conftest import general_pairs, make_rows

BATCH = 6


def make_loss(encoder, chunk, dropout=0.0, objective="cultureclip", **trainer):
    settings = RunSettings(
        lora=LoraSettings(rank=2, alpha=4, dropout=dropout, targets=("q", "v", "mlp")),
        trainer=TrainerSettings(batch=BATCH, chunk=chunk, **trainer),
        replay=ReplaySettings(batch=4, weight=3.0),
    )
    adapter = LoraAdapter(encoder.model, settings.lora, seed=1)
    with torch.no_grad():
        for update in adapter.updates():
            update.b.normal_(0, 0.1, generator=torch.Generator().manual_seed(2))
    replay = prepare_replay(general_pairs(), encoder, "error")
    encoder.model.train()
    return TwinLoss(encoder, adapter, build_objective(objective), replay, settings, Group())


def make_batches(encoder):
    rows, images = make_rows()
    data = prepare(rows, images, encoder, TextSettings(), 0.0)
    return make_batch(data, draw_rows(len(data.row_ids), BATCH, 3, 0), encoder, None, step_generator(3, 0))


def gradients(loss, batch, replayed=None, seed=5):
    for parameter in loss.parameters:
        parameter.grad = None
    value, _ = loss.backward(batch, replayed, 1.0, seed)
    found = {name: p.grad.clone() for name, p in loss.adapter.named_parameters()}
    loss.adapter.remove()
    return value, found


def assert_same(a, b, tolerance=1e-5):
    assert a[0] == pytest.approx(b[0], rel=1e-5)
    largest = max(float(g.abs().max()) for g in b[1].values())
    assert a[1].keys() == b[1].keys() and largest > 0
    for name, gradient in b[1].items():
        assert (a[1][name] - gradient).abs().max() <= tolerance * largest, name


@pytest.mark.parametrize("chunk", [1, 2, 4, 5, 6, 50])
@pytest.mark.parametrize("objective", ["cultureclip", "conclip"])
def test_any_chunk_gives_the_gradient_of_the_whole_batch(encoder, chunk, objective):
    batch, replayed = make_batches(encoder), torch.tensor([0, 3, 1, 5])
    options = {"anchor": 2.0, "l2_start": 0.1}
    whole = gradients(make_loss(encoder, None, objective=objective, **options), batch, replayed)
    chunked = gradients(make_loss(encoder, chunk, objective=objective, **options), batch, replayed)
    assert_same(chunked, whole)


def test_whole_batch_equals_plain_autograd(encoder):
    """The reference writes the loss out and lets autograd go through everything."""
    batch, rows = make_batches(encoder), torch.tensor([0, 3, 1, 5])
    loss = make_loss(encoder, None, anchor=2.0, l2_start=0.1)
    model, replay = encoder.model, loss.replay
    with torch.no_grad(), loss.adapter.disabled():
        base = [F.normalize(e, dim=-1) for e in (embed_image(model, batch.pixels()), embed_text(model, batch.tokens))]
    images, texts = embed_image(model, batch.pixels()), embed_text(model, batch.tokens)
    general = embed_image(model, replay.pixels_of(rows)), embed_text(model, replay.tokens[rows])
    total = loss.objective(loss.as_twins(batch, images, texts))
    total = total + 2 * anchor_loss(F.normalize(images, dim=-1), F.normalize(texts, dim=-1), *base, loss.base_scale)
    total = total + 3 * replay_loss(*(F.normalize(g, dim=-1) for g in general), rows, replay.images, replay.texts)
    total = total + 0.1 * sum(((u.scale * u.b @ u.a) ** 2).sum() for u in loss.adapter.updates())
    total.backward()
    expected = float(total.detach()), {name: p.grad.clone() for name, p in loss.adapter.named_parameters()}
    assert_same(gradients(loss, batch, rows), expected)


@pytest.mark.parametrize("chunk", [1, 2, 4])
def test_with_dropout_it_is_the_same_chunks_in_one_graph(encoder, chunk):
    batch, seed = make_batches(encoder), 11
    loss = make_loss(encoder, chunk, dropout=0.5)
    parts = []
    for number, encoding in enumerate(loss._twin_encodings(batch)):
        chunks = []
        for rows in encoding.chunks(Group()):
            torch.manual_seed(chunk_seed(seed, number, rows.start))
            chunks.append(encoding.encode(rows))
        parts.append(torch.cat(chunks))
    total = loss.objective(loss.as_twins(batch, *parts))
    total.backward()
    expected = float(total.detach()), {name: p.grad.clone() for name, p in loss.adapter.named_parameters()}
    assert_same(gradients(loss, batch, seed=seed), expected)
    without = gradients(make_loss(encoder, chunk), batch, seed=seed)
    assert without[0] != pytest.approx(expected[0], rel=1e-4)  # there was dropout at all


def test_chunks_take_the_memory_of_a_chunk():
    """No more rows than a chunk are ever in a graph, and a share of one chunk is embedded once."""
    weight = torch.nn.Parameter(torch.eye(3))
    seen = []

    def encode(rows):
        seen.append((rows.stop - rows.start, torch.is_grad_enabled()))
        return torch.arange(30.0).view(10, 3)[rows] @ weight

    def loss_of(embedded):
        return (embedded[0] ** 2).sum()

    backward_in_chunks([Encoding(10, encode, 4)], loss_of, [weight], Group(), 0)
    assert seen == [(4, False), (4, False), (2, False), (4, True), (4, True), (2, True)]
    chunked, weight.grad = weight.grad, None
    seen.clear()
    backward_in_chunks([Encoding(10, encode)], loss_of, [weight], Group(), 0)
    assert seen == [(10, True)]
    torch.testing.assert_close(chunked, weight.grad)


def test_what_gets_no_gradient_is_not_embedded_again():
    """Of a frozen tower one chunk shows that it is frozen; rows that the loss does not look at are left out."""
    weight, still = torch.nn.Parameter(torch.eye(3)), torch.eye(3)
    again = []

    def encoding(name, matrix):
        def encode(rows):
            again.extend([(name, rows.start)] * torch.is_grad_enabled())
            return torch.arange(24.0).view(8, 3)[rows] @ matrix

        return Encoding(8, encode, 2)

    def loss_of(embedded):
        return (embedded[0][2:6] * embedded[1][2:6]).sum()

    encodings = [encoding("learns", weight), encoding("frozen", still)]
    backward_in_chunks(encodings, loss_of, [weight], Group(), 0)
    assert again == [("learns", 2), ("learns", 4), ("frozen", 2)]
    chunked, weight.grad = weight.grad, None
    backward_in_chunks([replace(e, chunk=None) for e in encodings], loss_of, [weight], Group(), 0)
    torch.testing.assert_close(chunked, weight.grad)


def test_shares_cover_everything_once():
    for count in range(9):
        for size in (1, 2, 3, 5):
            slices = [Group(rank, size).share(count) for rank in range(size)]
            assert [i for s in slices for i in range(count)[s]] == list(range(count))


def test_embeddings_without_graph_equal_those_in_chunks(encoder):
    batch = make_batches(encoder)
    loss = make_loss(encoder, 2)
    encodings = loss._twin_encodings(batch)
    in_chunks = embed(encodings, Group(), 0)
    at_once = embed([replace(e, chunk=None) for e in encodings], Group(), 0)
    for a, b in zip(in_chunks, at_once, strict=True):
        assert not a.requires_grad
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
