"""All parameters, stage by stage: the entries that the configuration may have, and their contents."""

from cultureclip.engine.settings import EngineSettings
from cultureclip.pipelines.ask_benchmarks.parameters import AskBenchmarksParameters
from cultureclip.pipelines.attribution.parameters import AttributionParameters
from cultureclip.pipelines.calibration.parameters import CalibrationParameters
from cultureclip.pipelines.captioning.parameters import CaptioningParameters
from cultureclip.pipelines.culture_instances.parameters import CultureInstancesParameters
from cultureclip.pipelines.evaluation.parameters import EvaluationParameters
from cultureclip.pipelines.export.parameters import ExportParameters
from cultureclip.pipelines.export_model.parameters import ExportModelParameters
from cultureclip.pipelines.fetch_benchmarks.parameters import FetchBenchmarksParameters
from cultureclip.pipelines.filtering.parameters import FilteringParameters
from cultureclip.pipelines.gate.parameters import GateParameters
from cultureclip.pipelines.import_cultwin.parameters import ImportCultwinParameters
from cultureclip.pipelines.leaderboard.parameters import LeaderboardParameters
from cultureclip.pipelines.mining.parameters import MiningParameters
from cultureclip.pipelines.pocket.parameters import PocketParameters
from cultureclip.pipelines.preview import PreviewParameters
from cultureclip.pipelines.regenerate.parameters import RegenerateParameters
from cultureclip.pipelines.reporting.parameters import ReportingParameters
from cultureclip.pipelines.synthesis.parameters import SynthesisParameters
from cultureclip.pipelines.teacher_audit.parameters import TeacherAuditParameters
from cultureclip.pipelines.train.parameters import TrainParameters
from cultureclip.pipelines.variance.parameters import VarianceParameters
from cultureclip.readiness.settings import PreflightSettings
from cultureclip.review.settings import ReviewSettings
from cultureclip.settings_base import Settings

PARAMETERS: dict[str, type[Settings]] = {
    "mining": MiningParameters,
    "captioning": CaptioningParameters,
    "synthesis": SynthesisParameters,
    "filtering": FilteringParameters,
    "calibration": CalibrationParameters,
    "train": TrainParameters,
    "evaluation": EvaluationParameters,
    "reporting": ReportingParameters,
    "attribution": AttributionParameters,
    "teacher_audit": TeacherAuditParameters,
    "culture_instances": CultureInstancesParameters,
    "ask_benchmarks": AskBenchmarksParameters,
    "pocket": PocketParameters,
    "leaderboard": LeaderboardParameters,
    "gate": GateParameters,
    "variance": VarianceParameters,
    "fetch_benchmarks": FetchBenchmarksParameters,
    "import_cultwin": ImportCultwinParameters,
    "export": ExportParameters,
    "export_model": ExportModelParameters,
    "preflight": PreflightSettings,
    "preview": PreviewParameters,
    "regenerate": RegenerateParameters,
    "review": ReviewSettings,
    "engine": EngineSettings,
}
"""Entry of the configuration -> its settings."""
