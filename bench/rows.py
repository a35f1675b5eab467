"""The measurements of docs/speed.md: what each compares, at which size, and how its figures are written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        name: Key of the row's record.
        what: What is measured, and against what in the same run.
        script: File in ``bench/``; its last line of output is one JSON object.
        full: Arguments at full size.
        quick: Arguments for ``make bench``; None: only ``make bench-full`` runs it.
        result: The JSON object -> the table's cell.
    """

    name: str
    what: str
    script: str
    result: Callable[[Figures], str]
    full: tuple[str, ...] = ()
    quick: tuple[str, ...] | None = None

    def arguments(self, full: bool) -> tuple[str, ...] | None:
        """Return the arguments at a size; None if the row is not measured at it."""
        return self.full if full else self.quick


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _span(figures: Figures, start: str) -> str:
    """Write the least and the largest of all shares whose names begin so."""
    ends = [figures[name] for name in figures if name.startswith(start)]
    return f"{100 * min(e[0] for e in ends):.1f} to {100 * max(e[1] for e in ends):.1f} %"


def _train_step(f: Figures) -> str:
    at_64 = f.get("at_64")
    more = f"; 64 twins: {at_64['ratio_fp32']:.2f} and {at_64['ratio_bf16']:.2f} times" if at_64 else ""
    return (
        f"fp32 {f['ratio_fp32']:.2f} times as fast in {_percent(1 / f['memory_fp32'])} of the memory, the gradient "
        f"within {f['max_grad_diff']:.1e} of its largest entry; bf16 {f['ratio_bf16']:.2f} times, "
        f"{_percent(1 / f['memory_bf16'])} of the memory{more}"
    )


def _import(f: Figures) -> str:
    first, again = f["import"], f["import again"]
    return (
        f"{first['kept']:,} rows in {first['seconds']:.0f} s, {again['seconds']:.0f} s with nothing changed, "
        f"peak {first['peak_bytes'] / 1e9:.2f} GB; a training step on them {f['train']['step_seconds']:.1f} s"
    )


def _judge_coverage(f: Figures) -> str:
    least = [shares for name, shares in f.items() if name.startswith("least_coverage_")]
    each = {method: min(shares[method] for shares in least) for method in least[0]}
    shares = ", ".join(f"{method} {_percent(share)}" for method, share in each.items())
    return f"the intervals that hold the truth least often: {shares}"


ROWS = (
    Row(
        "evaluation",
        "answering four-way questions; the released code's loop, an image and four texts at a time",
        "evaluation.py",
        lambda f: (
            f"n = {f['items']:,}: fp32 {f['ratio_fp32']:.2f} times as fast, bf16 {f['ratio_bf16']:.2f} times, from the "
            f"kept embeddings {f['ratio_cached']:.0f} times"
        ),
        quick=("--items=400",),
    ),
    Row(
        "photographs",
        "loading a benchmark of JPEGs once more, and checking it for near-duplicates; the first time",
        "photographs.py",
        lambda f: (
            f"{f['photographs']:,} JPEGs: {f['later_load_cpu_s']:.2f} s of a processor against "
            f"{f['first_load_cpu_s']:.1f}, and {f['later_check_cpu_s']:.2f} s against {f['first_check_cpu_s']:.1f}; "
            f"embedding takes {f['over_slower']:.2f} times as long as the slower of decoder and model where both are "
            f"as fast, {f['over_decoder']:.2f} times as a slower decoder, {f['over_model']:.2f} times as a slower model"
        ),
        quick=("--photographs=600", "--embedded=128"),
    ),
    Row(
        "recall",
        "recall both ways, five texts per image; CLIP_benchmark's function",
        "recall.py",
        lambda f: (
            f"{f['images']:,} images: {_percent(f['time_ratio'])} of its time, {_percent(f['peak_ratio'])} of its "
            f"memory, values differ by {f['difference']}"
        ),
        quick=("--runs=1",),
    ),
    Row(
        "train_step",
        "a training step of ViT-B/32 on 16 twins; the released way, `CLIPModel` with `peft`, six calls a step",
        "train_step.py",
        _train_step,
        full=("--steps=5",),
        quick=("--steps=2", "--twins=16"),
    ),
    Row(
        "grad_cache",
        "the largest batch that is run whole, in chunks of 16; the plain step. Memory: the largest to the smallest",
        "grad_cache.py",
        lambda f: (
            f"{_percent(f['time_ratio'])} of its time, the gradient within {f['max_grad_diff']:.1e} of its largest "
            f"entry; {f['peak_ratio']:.2f} times the memory"
        ),
        quick=("--plain-most=32", "--batches", "32", "64"),
    ),
    Row(
        "last_k",
        "a training on pocket with adapters in the last 2 blocks, from cached activations; all blocks (after a run)",
        "last_k.py",
        lambda f: (
            f"{f['speed_up_step']:.2f} times as many twins a second; accuracy on the dev questions "
            f"{100 * f['accuracy_change']:+.1f} points (n = {f['n']}, {f['seeds']} seeds)"
        ),
    ),
    Row(
        "coverage",
        "95 % intervals on benchmarks with a known truth; the cluster bootstrap",
        "coverage.py",
        lambda f: (
            f"{_span(f, 'mean_')} of our intervals hold the truth, {_span(f, 'bootstrap_mean_')} of the bootstrap's "
            f"({f['draws']:,} draws a line; [all figures](statistics.md#values-and-intervals))"
        ),
        quick=("--draws=100",),
    ),
    Row(
        "judge_coverage",
        "share of good images from rated ones; the judge alone, people alone, PPI++'s normal interval",
        "judge_coverage.py",
        lambda f: f"{_judge_coverage(f)} ([all figures](calibration.md#the-share-of-good-images))",
        quick=("--draws=50",),
    ),
    Row(
        "busy_neighbour",
        "a step of blocks of pocket's size on all cores beside a busy process; GNU OpenMP's own way of waiting",
        "busy_neighbour.py",
        lambda f: (
            f"{f['slowdown']} times as long as alone, {f['slowdown_default']} times with the default; a fair share is "
            f"{f['fair']}. Alone it takes {f['idle_ratio']} of the default's time"
        ),
        quick=("--seconds=6", "--rounds=1"),
    ),
    Row(
        "judging",
        "ratings of an image by pocket's vision-language judge; its image-text judge",
        "judging.py",
        lambda f: (
            f"{f['vlm_per_s']:.0f} images a second against {f['clip_per_s']:.0f}, {f['vlm_peak_gb']:.1f} GB; kappa "
            f"{f['kappa']:.2f} with the truth, {_percent(f['right_over_twin'])} of the right names above the "
            f"look-alike's, {_percent(f['expected_over_twin'])} by the mean of the digits "
            "([all figures](pocket.md#the-vision-language-judge))"
        ),
        quick=("--images=128",),
    ),
    Row(
        "engine",
        "a pool of two workers, and a Ray cluster; one worker",
        "engine.py",
        lambda f: (
            f"efficiency {f['efficiency']:.2f} and {f['ray_efficiency']:.2f}; {f['overhead_ms']:.1f} and "
            f"{f['ray_overhead_ms']:.1f} ms a slice ([docs](scale.md))"
        ),
        quick=("--slices=30",),
    ),
    Row(
        "shard_store",
        "the image store; WebDataset and `datasets` at reading all images in order",
        "shard_store.py",
        lambda f: (
            f"{f['present']:,} of {f['planned']:,} planned images: {f['plan_s']:.1f} s and {f['plan_gb']:.2f} GB to "
            f"plan, 64 random reads {f['read64_s']:.3f} s, {f['read_ratio']:.2f} times the faster one's images a second"
        ),
        quick=("--planned=20000", "--present=18000", "--scan=5000"),
    ),
    Row(
        "sources",
        "lines in WIT's form (gzipped), streamed into concepts",
        "sources.py",
        lambda f: (
            f"{f['lines']:,} lines into {f['concepts']:,} concepts: {f['rows_per_s']:,} rows a second, peak "
            f"{f['peak_gb']:.2f} GB, libraries included"
        ),
        quick=("--lines=300000",),
    ),
    Row(
        "twin_search",
        "50 look-alikes of other cultures for each concept; exact neighbours of 200 concepts",
        "twin_search.py",
        lambda f: (
            f"{f['n']:,} concepts: {f['s_1m']:.0f} s in ten categories, {f['s_1m_one']:.0f} s in one, peak "
            f"{f['peak_gb_1m']:.1f} GB, at least {_percent(f['recall'])} of the neighbours; seconds grow as "
            f"n^{f['exponent']:.2f}"
        ),
        quick=("--sizes", "2000", "25000", "--embed-seconds=10"),
    ),
    Row(
        "import_rows",
        "importing rows in the published format with two JPEGs each; once more with nothing changed",
        "import_rows.py",
        lambda f: f"{_import(f)} ([all figures](published-rows.md#memory-and-time))",
        quick=("--rows=3000", "--train-rows=300", "--steps=2", "--twins=16"),
    ),
    Row(
        "report",
        "the report's gallery, opened from disk in Chromium",
        "report.py",
        lambda f: (
            f"{f['twins']:,} twins: {f['open_s']:.2f} s to the last picture of the first page; written in "
            f"{f['build_s']:.0f} s ({f['build_cpu_s']:.0f} s of a processor), again with all thumbnails kept in "
            f"{f['again_s']:.0f} s ({f['again_cpu_s']:.0f}), {f['bytes'] / 1e9:.2f} GB, {f['files']:,} files"
        ),
        quick=("--twins=5000", "--runs=3"),
    ),
    Row(
        "start",
        "`kedro registry list`; an empty Kedro project",
        "start.py",
        lambda f: (
            f"{f['ratio']:.2f} times its time; with all pipelines imported and built, as Kedro does by itself, "
            f"{f['ratio_all_built']:.1f} times"
        ),
        full=("--runs=25",),
        quick=("--runs=5",),
    ),
)
