"""In which order entries may follow each other."""

from __future__ import annotations

from typing import Final

from fed_audience.audit import entries as e

_OF_A_TRAINING: Final[frozenset[type[e.Entry]]] = frozenset(
    {
        e.PrivacyPromised,
        e.BudgetCharged,
        e.RunResumed,
        e.RoundSummed,
        e.SiteDropped,
        e.Decision,
        e.ModelTrained,
        e.ModelRegistered,
        e.RunEnded,
    }
)
_AFTER_IT: Final[frozenset[type[e.Entry]]] = frozenset(
    {
        e.Scored,
        e.AudienceBuilt,
        e.AudienceDelivered,
        e.ProcessingDeclared,
        e.OverlapCompared,
        e.OverlapReleased,
    }
)


_AT_ANY_TIME: Final = frozenset({"ResumeRun", "ForgetRun"})
"""Rounds about the run itself, which hold nothing of rows."""


class EntryOrder:
    """Follows a log from its first entry; ``follow`` refuses what cannot come next.

    A log is opened once. A training starts once, ends once, and its rounds go forward; what is
    done with the model is told outside of it. ``at``: instant of the last entry.
    """

    def __init__(self) -> None:
        self.entries = 0
        self.checkpoint = 0
        self.training = False
        self.started = False
        self.at = ""
        self._trained = False
        self._run = ""
        self._left: set[str] = set()
        self._round: tuple[int, int, int] = (-2, 0, 0)
        self._kinds: set[str] = set()

    def follow(self, entry: e.Entry) -> None:
        """Take ``entry`` as the next one; raises ValueError saying why it cannot be."""
        if entry.sequence != self.entries:
            raise ValueError(
                f"it says it is entry {entry.sequence}: an entry was removed, added or moved"
            )
        if entry.checkpoint != self.checkpoint:
            raise ValueError(
                f"it follows a checkpoint of {entry.checkpoint} entries, which is not there"
            )
        if entry.at < self.at:
            raise ValueError("its instant lies before that of the entry above it")
        self._check_type(entry)
        self.entries += 1
        self.at = entry.at

    def _check_type(self, entry: e.Entry) -> None:
        kind = type(entry)
        if (kind is e.LogOpened) != (self.entries == 0):
            raise ValueError("a log is opened by its first entry, and by no other")
        self._check_phase(kind)
        match entry:
            case e.RoundSummed():  # first, for there are most of them
                if entry.kind not in _AT_ANY_TIME:
                    self._check_round(entry)
            case e.RunResumed():
                # The round that was under way when the training was interrupted is asked again.
                self._kinds = set()
            case e.ModelTrained():
                self._check_model(entry)
            case e.ModelRegistered() if not self._trained:
                raise ValueError("a model is handed over that was not trained")
            case e.RunEnded(status="succeeded") if not self._trained:
                raise ValueError("a training succeeds without a model")
            case e.RunEnded():
                self.training = False

    def _check_phase(self, kind: type[e.Entry]) -> None:
        if kind is e.RunStarted:
            if self.started:
                raise ValueError("a second training starts in it")
            self.started = self.training = True
        elif kind in _OF_A_TRAINING and not self.training:
            raise ValueError(f"{kind.__name__} stands outside of a training")
        elif kind in _AFTER_IT and self.training:
            raise ValueError(f"{kind.__name__} stands inside of a training")

    def _check_model(self, entry: e.ModelTrained) -> None:
        if self._trained:
            raise ValueError("a second model comes out of one training")
        if not entry.model_sha256.startswith(entry.version):
            raise ValueError("its version is not the beginning of its hash")
        self._trained = True

    def _check_round(self, entry: e.RoundSummed) -> None:
        if entry.run != self._run:
            if entry.run in self._left:
                raise ValueError("it returns to a run that was left")
            self._left.add(self._run)
            self._run, self._round, self._kinds = entry.run, (-2, 0, 0), set()
        place = (entry.tree, entry.level, entry.attempt)
        if place > self._round:
            self._kinds = set()
        # Opening a run and agreeing on its keys are rounds of one slot.
        if place < self._round or entry.kind in self._kinds:
            raise ValueError("its round does not come after the one above it")
        self._round = place
        self._kinds.add(entry.kind)
