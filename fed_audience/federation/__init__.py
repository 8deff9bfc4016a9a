"""Training one model over sites whose rows stay at home.

    import pyarrow as pa
    from fed_audience.federation import (
        ArrowSource, InProcessTransport, Manifest, SiteProgram, evaluate, explain, train,
    )
    from fed_audience.gbdt.bins import Feature
    from fed_audience.gbdt.parameters import TrainingParameters

    tables: dict[str, pa.Table]  # one a site: features, label 0/1, a unique key
    key = b"secret of the sites, unknown to the coordinator"
    programs = {name: SiteProgram(name, ArrowSource(t), key) for name, t in tables.items()}
    manifest = Manifest(
        run_id="2026-10-01/repurchase",
        model_name="repurchase",
        task="propensity",
        features=(Feature("f_recency_days"), Feature("f_country", categorical=True)),
        label="label",
        row_key="customer_id",
        sites=tuple(sorted(tables)),
        parameters=TrainingParameters(n_estimators=200, early_stopping_round=20, seed=7),
    )
    transport = InProcessTransport(programs)
    result = train(transport, manifest, on_event=print)
    result.model_text     # LightGBM text, the same bytes however the rows are spread
    result.encoder        # turns a table's columns into what lightgbm.Booster predicts on
    result.metrics.auc    # on the validation rows of all sites
    result.largest_message, result.bytes_up, result.warnings
    explain(transport, manifest, result.model)    # mean |SHAP| of each feature, over all sites

For a lookalike from one brand's seeds set ``label_sites=("fashion",)``: the other sites take part
in agreeing the bins only. A site's rows come from any ``RowSource``; ``InProcessTransport(...,
on_message=seen.append)`` records every byte that crosses a site's border.

With ``train(..., journal=RunJournal(folder))`` and ``SiteProgram(..., checkpoint=SiteCheckpoint(
folder))`` a run outlives its processes: the same call goes on where it was, ``resume`` finds the
manifest in the folder, ``RunControl`` pauses and cancels, ``forget`` ends a run at the sites.
"""

from fed_audience.federation.events import TrainingEvent
from fed_audience.federation.explaining import explain
from fed_audience.federation.lasting.control import RunCancelled, RunControl, RunPaused
from fed_audience.federation.lasting.resuming import cancel, forget, resume
from fed_audience.federation.lasting.run_journal import RunJournal
from fed_audience.federation.lasting.site_checkpoint import SiteCheckpoint
from fed_audience.federation.manifest import Manifest
from fed_audience.federation.messages.refusal import RowsChanged
from fed_audience.federation.result import TrainingResult
from fed_audience.federation.site.program import SiteProgram
from fed_audience.federation.site.source import ArrowSource, RowSource
from fed_audience.federation.train import evaluate, train
from fed_audience.federation.transport import Envelope, RoundTransport
from fed_audience.federation.transports.in_process import InProcessTransport

__all__ = [
    "ArrowSource",
    "Envelope",
    "InProcessTransport",
    "Manifest",
    "RoundTransport",
    "RowSource",
    "RowsChanged",
    "RunCancelled",
    "RunControl",
    "RunJournal",
    "RunPaused",
    "SiteCheckpoint",
    "SiteProgram",
    "TrainingEvent",
    "TrainingResult",
    "cancel",
    "evaluate",
    "explain",
    "forget",
    "resume",
    "train",
]
