"""Sources of scores: trained runs and files of scores, with their provenance."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from varkit.errors import DataError, RunError, did_you_mean
from varkit.evaluation.evaluate import Evaluation, evaluate
from varkit.interfaces import Dataset
from varkit.interfaces.settings import EvalOptions, Which
from varkit.runs.find import find_run
from varkit.runs.folder import open_run
from varkit.runs.trained import open_model
from varkit.search.score_files import Marks, positions, read_scores, read_trec_run
from varkit.search.scores import Scores
from varkit.system.files import sha256


@dataclass(frozen=True)
class ScoreSource:
    """One model's scores of a split, and their provenance.

    Attributes:
        scores: of all videos and queries, in the data set's order.
        origin: provenance for ``run.json``.
        marks: where the scores come from.
    """

    scores: Scores
    origin: dict[str, Any]
    marks: Marks


@dataclass(frozen=True)
class Ground:
    """The split that sources are measured on.

    Attributes:
        dataset: the data set.
        split: part of the data set.
        options: how to rank: the recipe's ``eval`` section.
    """

    dataset: Dataset
    split: str
    options: EvalOptions

    def names(self) -> tuple[list[str], list[str]]:
        """Return the identifiers of all videos and of all queries, in order."""
        items = self.dataset.split(self.split)
        return [item.video for item in items], [q for item in items for q in item.queries]


def load_sources(
    places: Sequence[Path],
    split: str,
    *,
    ground: Ground | None = None,
    which: Which | None = None,
    seed: int | None = None,
    device: torch.device | str = "cpu",
    accept_code: bool = False,
) -> tuple[list[ScoreSource], Ground]:
    """Load runs and files of scores, all of the same split of the same data.

    Args:
        places: folders of trained runs, ``.npz`` files and TREC ``.run`` files.
        split: part of the data set.
        ground: what they are measured on; None = the first run's data and ``eval`` section.
        which: model of each run; None = the selected one, if there is one.
        seed: training of each run; None = its first.
        device: where to encode.
        accept_code: also accept runs that other code made.

    Raises:
        RunError: a place is neither a run nor a file, or other code made the run; or ``ground`` is
            None and there is no run.
        DataError: the runs have different data, or a file does not fit the data.
    """
    runs = {
        place: encode_run(
            place, split, which=which, seed=seed, device=device, accept_code=accept_code
        )
        for place in places
        if _is_run(place)
    }
    if ground is None and not runs:
        raise RunError(
            "the data are unknown: there is no run among the sources",
            hint="name the data: --on RECIPE, or --on DATA",
        )
    ground = ground or next(own for _, own in runs.values())
    sources = []
    for place in places:
        if place not in runs:
            sources.append(read_source(place, ground))
            continue
        source, own = runs[place]
        if _questions(own) != _questions(ground):
            raise DataError(
                f"{place} is a run on other data: its {own.dataset.name} asks other questions "
                f"than {ground.dataset.name}, which is measured"
            )
        sources.append(replace(source, scores=_in_order(source.scores, own, ground)))
    return sources, ground


def _questions(ground: Ground) -> str:
    """Return a hash of the test split's questions; for other splits, the data's fingerprint."""
    dataset = ground.dataset
    return dataset.questions() if ground.split == "test" else dataset.fingerprint()


def _in_order(scores: Scores, own: Ground, ground: Ground) -> Scores:
    """Bring scores of the same questions into the order of the data set ``ground``."""
    sides = zip(("video", "query"), own.names(), ground.names(), strict=True)
    return scores.of(*(torch.tensor(positions(*side)) for side in sides))


def read_source(path: Path, ground: Ground) -> ScoreSource:
    """Read a file of scores of a split: a TREC run if it ends in ``.run``, else an ``.npz`` file.

    Raises:
        DataError: it cannot be read, is faulty, or its identifiers are not exactly the split's.
    """
    names = ground.names()
    content = read_trec_run(path, *names) if path.suffix == ".run" else read_scores(path)
    try:
        scores = content.of(*names)
    except DataError as error:
        where = f"the {ground.split} split of {ground.dataset.name}"
        raise DataError(f"{path} does not fit {where}: {error.line}") from None
    simulated = content.marks.simulated or ground.dataset.simulated
    origin = {"file": str(path), "sha256": sha256(path)}
    return ScoreSource(scores, origin, replace(content.marks, simulated=simulated))


def encode_run(
    folder: Path,
    split: str,
    *,
    which: Which | None = None,
    seed: int | None = None,
    device: torch.device | str = "cpu",
    accept_code: bool = False,
) -> tuple[ScoreSource, Ground]:
    """Encode a split with a trained model of a run, with its recipe's first sampler seed.

    Raises:
        RunError: the folder is not a run with a trained model, or other code made it.
        CheckpointError: the weights are damaged, or belong to a different recipe or data set.
        DataError: the split does not exist, or an embedding or a similarity is not finite.
    """
    trained = open_model(open_run(folder, accept_code=accept_code), seed=seed, which=which)
    recipe, dataset = trained.recipe, trained.dataset
    # Every query on its own, and one seed: equal captions and ranks are handled later.
    options = replace(recipe.eval, repeats=1, positives="own", qrels=None)
    measured = evaluate(
        trained.model.to(device), dataset, dataset.split(split), options=options, device=device
    )
    origin = {
        "run": str(trained.run.folder),
        "recipe": recipe.name,
        "digest": recipe.digest(),
        "seed": trained.seed,
        "checkpoint": trained.which,
        "sha256": sha256(trained.run.model_file(trained.seed, trained.which)),
        "other_code": list(trained.run.other_code),
    }
    marks = Marks(
        simulated=dataset.simulated,
        embedded=recipe.embedded,
        selection=recipe.train.select,
        checkpoint=trained.which,
        seed=trained.seed,
    )
    source = ScoreSource(_scores(measured), origin, marks)
    return source, Ground(dataset, split, recipe.eval)


def _scores(measured: Evaluation) -> Scores:
    if measured.video_factors is not None and measured.query_factors is not None:
        return Scores(factors=(measured.video_factors, measured.query_factors))
    matrix = torch.empty(len(measured.videos), len(measured.queries))
    for rows, columns, tile in measured.tiles():
        matrix[rows[:, None], columns] = tile.float().cpu()
    return Scores(matrix=matrix)


def _is_run(place: Path) -> bool:
    """Return whether a place is a folder rather than a file.

    Raises:
        RunError: it does not exist, or it was made from scores and has no model.
    """
    if not place.exists():
        with suppress(RunError):
            find_run(place)
            return True
        near = did_you_mean(str(place), map(str, place.parent.glob("*")))
        raise RunError(f"{place}: no such run or file.{near}")
    if place.is_dir() and not (place / "recipe.yaml").exists() and (place / "run.json").exists():
        raise RunError(
            f"{place} was made from other runs or files; it holds ranks, but no scores",
            hint=f"name the sources that run.json in {place} lists under made_from",
        )
    return place.is_dir()
