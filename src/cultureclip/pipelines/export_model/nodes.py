"""Nodes of the export of a model."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import pandas as pd

from cultureclip.clip.contracts import SavedCheckpoint
from cultureclip.datasets.folder_dataset import WritesFolder
from cultureclip.errors import ConfigurationError, SourceDataError
from cultureclip.exchange.facts import AbilityLine, DataFacts, ModelFacts, ScoreLine
from cultureclip.pipelines.export_model.parameters import ExportModelParameters
from cultureclip.scoring.models import BASE, ModelName

Cards = list[dict[str, Any]]
Log = list[dict[str, Any]]


class ScoreFacts(NamedTuple):
    """Scores, abilities, and the benchmarks behind them."""

    scores: list[ScoreLine]
    abilities: list[AbilityLine]
    general: list[str]
    not_asked: list[tuple[str, str]]
    leaks: dict[str, Any]


def describe_data(
    cultwin: pd.DataFrame,
    concepts: pd.DataFrame,
    captions: pd.DataFrame,
    evaluation_run: dict[str, Any],
    parameters: ExportModelParameters,
    **logs: Log,
) -> DataFacts:
    """Describe the rows that the model was trained on.

    Raises:
        ConfigurationError: if the licence is missing, or there is no such training.
        SourceDataError: if the training had other rows.
    """
    from cultureclip.exchange.makers import name_models
    from cultureclip.exchange.model_facts import describe_data as describe

    name = _check(parameters, logs)
    started = logs[_training(name)][0]
    trained = {"train": started["train_rows"], "dev": started["dev_rows"]}
    now = {split: int((cultwin["split"] == split).sum()) for split in trained}
    if trained != now and not started["unreadable_images"]:
        cause = f"{_training(name)} was trained on {trained} rows, cultwin has {now}"
        raise SourceDataError("cultwin", cause, "Train and evaluate on these rows: kedro run --pipelines=train")
    return describe(cultwin, concepts, name_models(cultwin, captions, evaluation_run))


def describe_scores(
    scores: pd.DataFrame,
    abilities: pd.DataFrame,
    benchmark_cards: Cards,
    leak_check: dict[str, Any],
    evaluation_run: dict[str, Any],
    parameters: ExportModelParameters,
    **checkpoints: SavedCheckpoint,
) -> ScoreFacts:
    """Gather the scores of exactly this training.

    Raises:
        SourceDataError: if the model was not evaluated, or another version of it was.
    """
    from cultureclip.exchange.model_facts import EVALUATE, read_abilities, read_scores

    name = _check(parameters, checkpoints)
    version = checkpoints[_training(name)].path.parent.name
    evaluated = evaluation_run["load_versions"].get(f"checkpoint_{_training(name)}", "none")
    if evaluated != version:
        cause = f"the evaluation was of version {evaluated}, the newest checkpoint is {version}"
        raise SourceDataError(_training(name), cause, EVALUATE)
    general = evaluation_run["settings"]["general_benchmarks"]
    return ScoreFacts(
        read_scores(scores, benchmark_cards, model=str(name), mean=str(name.mean), base=BASE),
        read_abilities(abilities, model=str(name), base=BASE),
        [card["title"] for card in benchmark_cards if card["name"] in general and card["status"] == "ready"],
        [(card["title"], card["status"]) for card in benchmark_cards if card["status"] != "ready"],
        leak_check,
    )


def export_model(
    data_facts: DataFacts,
    score_facts: ScoreFacts,
    evaluation_run: dict[str, Any],
    parameters: ExportModelParameters,
    **checkpoints: SavedCheckpoint,
) -> WritesFolder:
    """Hand on the model's folder, which is written when it is saved.

    Raises:
        ConfigurationError: if the base of the training is not where it was.
    """
    from cultureclip.benchmarks.embedding.embeddings import check_bases
    from cultureclip.clip.export.onnx_format import check_onnx
    from cultureclip.clip.objectives.registry import OBJECTIVE_TITLES
    from cultureclip.exchange.model_folder import ModelFolder
    from cultureclip.models.weights.locate import locate

    name = _check(parameters, checkpoints)
    if "onnx" in parameters.formats:
        check_onnx()
    checkpoint = checkpoints[_training(name)]
    base = locate(checkpoint.card.base)
    check_bases(base, {_training(name): checkpoint.card.base_fingerprint})
    facts = ModelFacts(
        objective=OBJECTIVE_TITLES.get(checkpoint.card.objective, checkpoint.card.objective),
        seeds=sum(ModelName.parse(other).objective == name.objective for other in checkpoints),
        data=data_facts,
        commit=(evaluation_run["git"] or {}).get("commit"),
        run=evaluation_run["run_id"],
        **score_facts._asdict(),
    )
    scale = name.scale if name.scale < 1 else checkpoint.card.update_scale
    return ModelFolder(checkpoint, base, scale, facts, parameters)


def _check(parameters: ExportModelParameters, trained: Mapping[str, object] | Collection[str]) -> ModelName:
    """Return the model to export.

    Raises:
        ConfigurationError: if the licence is missing, or the model is not a training of the config.
    """
    if parameters.licence is None:
        raise ConfigurationError(
            "export_model.licence",
            "missing: the card must say under which licence the weights go out",
            "Name it, as apache-2.0; the licences of the base and of the training images bind you",
        )
    name = ModelName.parse(parameters.training)
    if _training(name) not in trained:
        cause = f"{parameters.training} is not a training; there are {', '.join(sorted(trained))}"
        raise ConfigurationError("export_model.training", cause, "Name one, with @<scale> for a share of its update")
    return name


def _training(name: ModelName) -> str:
    """Return the name of the training that a model is, or is a share of."""
    return str(ModelName(name.objective, name.seed))
