"""What a stage takes and costs, against values computed by hand."""

import pytest

from cultureclip.readiness.measured import MEASURED, Measured, rate_key, read_measured
from cultureclip.readiness.plan import AT_SERVERS, Work
from cultureclip.readiness.price import cost_of
from cultureclip.readiness.rates import UNKNOWN, Rate, choose_rate
from cultureclip.readiness.settings import StatedRate
from tests.support.parameters import change_stage


def test_a_million_images_on_eight_gpus():
    """1,000,000 x 0.9 s = 900,000 s = 250 h of one GPU; by 8: 31.25 h = 112,500 s; at 2 an hour: 500."""
    work = Work(stage="synthesis", items=1_000_000, unit="images", device="cuda", devices=8)
    cost = cost_of(work, Rate(seconds=0.9, bytes=300_000.0), gpu_hour=2.0)
    assert cost.seconds == pytest.approx(112_500)
    assert cost.gpu_hours == pytest.approx(250)
    assert cost.price == pytest.approx(500)
    assert cost.bytes == pytest.approx(3e11)
    assert cost.tokens == 0
    alone = cost_of(Work(stage="synthesis", items=1_000_000, unit="images", device="cuda"), Rate(seconds=0.9), 2.0)
    assert (alone.seconds, alone.price) == (pytest.approx(900_000), pytest.approx(500)), "eight cost what one does"


def test_tokens_of_servers_are_priced_per_million_and_hours_of_a_cpu_are_not():
    """10,000 x 400 read at 2 per million = 8; 10,000 x 20 written at 10 per million = 2."""
    work = Work(
        stage="captioning", items=10_000, unit="captions", device=AT_SERVERS, asks_model=True, prices=(2.0, 10.0)
    )
    cost = cost_of(work, Rate(seconds=0.1, tokens_read=400, tokens_written=20), gpu_hour=3.0)
    assert cost.price == pytest.approx(10)
    assert cost.tokens == 4_200_000
    assert cost.gpu_hours == 0
    assert cost.seconds == pytest.approx(1000)
    here = Work(stage="captioning", items=10_000, unit="captions", asks_model=True)
    assert cost_of(here, Rate(seconds=0.1, tokens_read=400, tokens_written=20), gpu_hour=3.0).price == 0


@pytest.mark.parametrize(
    ("items", "rate", "gpu_hour", "unknown"),
    [
        (None, Rate(seconds=1), 1.0, {"seconds", "gpu_hours", "price", "bytes"}),
        (5, Rate(), 1.0, {"seconds", "gpu_hours", "price", "bytes"}),
        (5, Rate(seconds=1), None, {"price", "bytes"}),
        (5, Rate(bytes=1), 1.0, {"seconds", "gpu_hours", "price"}),
    ],
)
def test_what_lacks_a_factor_is_not_known_and_never_a_number(items, rate, gpu_hour, unknown):
    cost = cost_of(Work(stage="synthesis", items=items, unit="images", device="cuda:0"), rate, gpu_hour)
    assert {name for name in ("seconds", "gpu_hours", "price", "bytes") if getattr(cost, name) is None} == unknown


def test_servers_without_prices_have_no_price_and_no_tokens_without_a_rate():
    work = Work(stage="captioning", items=5, unit="captions", device=AT_SERVERS, asks_model=True)
    cost = cost_of(work, Rate(seconds=1), gpu_hour=1.0)
    assert (cost.price, cost.tokens) == (None, None)


def measured(**fields) -> Measured:
    return Measured(**{"stage": "synthesis", "key": "k", "how": "measured", "items": 4, **fields})


def test_stated_goes_before_measured_field_by_field_and_other_settings_say_nothing():
    first, second = measured(seconds=8.0, how="first"), measured(seconds=4.0, bytes=40.0, how="second")
    other = measured(key="other", seconds=1.0)
    rate = choose_rate("synthesis", "k", None, [other, first, second])
    assert (rate.seconds, rate.bytes, rate.source) == (2.0, 10.0, "first")
    stated = choose_rate("synthesis", "k", StatedRate(seconds=0.5), [first, second])
    assert (stated.seconds, stated.bytes) == (0.5, 10.0)
    assert "stated" in stated.source
    nothing = choose_rate("synthesis", "z", None, [first, second, measured(items=0, key="z", seconds=1.0)])
    assert (nothing.seconds, nothing.source) == (None, UNKNOWN)


def test_a_rate_belongs_to_the_settings_that_decide_it():
    base = change_stage("synthesis")
    key = rate_key("synthesis", base)
    for change in ({"images_per_caption": 9}, {"draw": 3}, {"contact_sheet_images": 10}):
        assert rate_key("synthesis", change_stage("synthesis", **change)) == key, change
    for change in ({"dtype": "bfloat16"}, {"call": {"num_inference_steps": 40}}, {"batch_size": 2}, {"device": "cuda"}):
        assert rate_key("synthesis", change_stage("synthesis", **change)) != key, change
    train = rate_key("train", change_stage("train"))
    assert rate_key("train", change_stage("train", trainer={"steps": 9, "warmup_steps": 0})) == train
    assert rate_key("train", change_stage("train", trainer={"batch": 8})) != train


def test_a_record_is_read_back_and_a_damaged_one_is_none(tmp_path):
    one = measured(seconds=1.5, bytes=3.0)
    ((name, text),) = one.as_record().items()
    assert name == MEASURED
    (tmp_path / name).write_text(text)
    assert read_measured(tmp_path / name) == one
    for damaged in ("{", '{"stage": "synthesis"}', '{"colour": 1}', "[]"):
        (tmp_path / name).write_text(damaged)
        assert read_measured(tmp_path / name) is None
    assert read_measured(tmp_path / "nowhere") is None
