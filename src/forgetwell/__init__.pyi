# The public names, read at run time as well as by type checkers and editors.
from .data.reading import read_request, read_rows
from .data.row_files import write_rows
from .data.turns import with_system
from .methods.finetune import Lora, finetune
from .models.lm import load
from .reports.build import report
from .requests.attacks import attack_request
from .requests.repairs import repair_request
from .requests.screening import Evidence
from .runs.deciding import gate
from .runs.evaluation import evaluate
from .runs.job import Job
from .runs.jobs import unlearn
from .runs.learning import learn
from .runs.scanning import scan
from .runs.screening import screen_request
from .runs.tuning import Search, tune
from .training.config import TrainConfig
from .types import Request, Row

__all__ = [
    "Evidence",
    "Job",
    "Lora",
    "Request",
    "Row",
    "Search",
    "TrainConfig",
    "attack_request",
    "evaluate",
    "finetune",
    "gate",
    "learn",
    "load",
    "read_request",
    "read_rows",
    "repair_request",
    "report",
    "scan",
    "screen_request",
    "tune",
    "unlearn",
    "with_system",
    "write_rows",
]
