"""Wiring of the gate."""

from kedro.pipeline import Node, Pipeline

from cultureclip.errors import ConfigurationError
from cultureclip.pipelines.gate.nodes import enforce_gate, judge_checkpoint
from cultureclip.pipelines.shape import read_config

_PREFIXES = {"evaluation": "", "measure": "measure."}


def create_pipeline(of: str | None = None) -> Pipeline:
    """Build the pipeline predictions -> verdicts, an error where a checkpoint is worse than its base.

    Args:
        of: Whose predictions, ``evaluation`` or ``measure``; by default the config's ``gate.of``.

    Raises:
        ConfigurationError: if it is neither.
    """
    of = of or str(read_config("parameters")[1].get("gate", {}).get("of"))
    if of not in _PREFIXES:
        raise ConfigurationError(f"gate.of {of}", "whose predictions it is to read", "Set it to evaluation or measure")
    read = ["predictions", "abilities", "evaluation_run"]
    return Pipeline(
        [
            Node(judge_checkpoint, [*read, "params:gate"], "gate", name="judge_checkpoint"),
            Node(enforce_gate, ["gate", "params:gate"], None, name="enforce_gate"),
        ],
        namespace="gate",
        tags="gate",
        inputs={name: f"{_PREFIXES[of]}{name}" for name in read},
        outputs={"gate"},
        parameters={"params:gate"},
    )
