"""The data of a run that is opened again: all of them, their test split, or only their shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from varkit.errors import DataError, VarkitError
from varkit.interfaces import Dataset, Item, VideoReader
from varkit.model.build import build_dataset
from varkit.recipe.load import Recipe, missing_here
from varkit.runs.folder import TESTED, RecipeFacts, Run, tested


class PartialData:
    """Stands in for the data of a run where some of them, or all, are not here.

    A model can be built for them. Only the test split can be read, if it is here.

    Args:
        facts: of the run.
        test: a data set that has the run's test split; None = nothing can be read.
        reason: why the rest cannot be read.
    """

    def __init__(self, facts: RecipeFacts, test: Dataset | None, reason: str) -> None:
        self.name = facts["dataset"]
        self.simulated = facts["simulated"]
        self.query_kind: Literal["captions", "clips"] = facts["query_kind"]
        self.widths: Mapping[str, int] = facts["widths"]
        self.query_widths: Mapping[str, int] = facts["query_widths"]
        self.made_by = facts.get("extractors", {})
        self._facts, self._test, self._reason = facts, test, reason

    def split(self, name: str) -> Sequence[Item]:
        """Return the items of the test split.

        Raises:
            DataError: another split is asked for, or the test split is not here.
        """
        return self._readable(name).split(name)

    def open(self, video: str) -> VideoReader:
        """Open a test video."""
        return self._readable().open(video)

    def query(self, query: str) -> str | VideoReader:
        """Return a caption, or open a sound, of a test video."""
        return self._readable().query(query)

    def truth(self, video: str) -> NDArray[np.bool_] | None:
        """Return which clips of a test video are anomalous."""
        return self._readable().truth(video)

    def fingerprint(self) -> str:
        """Return the fingerprint of the whole data, as the run recorded it."""
        return self._facts["fingerprint"]

    def questions(self) -> str:
        """Return the hash of the test questions, as the run recorded it."""
        return self._facts["questions"]

    def _readable(self, split: str = TESTED) -> Dataset:
        if self._test is None or split != TESTED:
            self._refuse(split)
        return self._test

    def _refuse(self, split: str) -> NoReturn:
        raise DataError(
            f"the {split} split of {self.name} is not here as the run read it: {self._reason}"
        )


def open_data(run: Run, recipe: Recipe) -> Dataset:
    """Open the data of a run again.

    Where training data are missing or have changed, the test split still opens if it is the same.

    Args:
        run: the run.
        recipe: the run's, or a changed one.

    Returns:
        The recipe's data set, or its test split as :class:`PartialData`. Whether the former is the
        run's is checked with the model's weights.

    Raises:
        DataError: the data are not here, nor is their test split, or they are faulty, or a stream
            was made in another way than the run's.
    """
    whole: Dataset | None = None
    try:
        _refuse_missing(run, recipe)
        whole = build_dataset(recipe, run.plugins)
        same = recipe.data != run.recipe.data or whole.fingerprint() == run.facts["fingerprint"]
        reason = DataError("the data have changed since the run began")
    except DataError as error:
        same, reason = False, error
    test = _surveyed(run, recipe) if whole is None else whole
    if not same and test is not None and tested(test) == run.facts.get("tested", ""):
        return PartialData(run.facts, test, reason.what)
    if whole is None:
        raise reason
    run.check_same_extractors(whole)
    return whole


def open_shape(run: Run) -> Dataset:
    """Open the data of a run again; where they are not here, only what a model is built from."""
    try:
        return open_data(run, run.recipe)
    except DataError as error:
        return PartialData(run.facts, None, error.what)


def _refuse_missing(run: Run, recipe: Recipe) -> None:
    data = recipe.data
    cls = run.plugins.get("dataset", data.use).load()
    lacking = missing_here(cls, data.arguments, f"dataset {data.use!r}")
    if lacking:
        raise DataError(f"missing here: {'; '.join(lacking)}")


def _surveyed(run: Run, recipe: Recipe) -> Any:
    """Open what can be read of the data; None = nothing."""
    survey = getattr(run.plugins.get("dataset", recipe.data.use).load(), "survey", None)
    try:
        return None if survey is None else survey(**recipe.data.arguments).dataset
    except VarkitError:
        return None
