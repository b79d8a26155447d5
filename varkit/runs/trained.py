"""Opens the trained models of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from varkit.interfaces import Dataset
from varkit.interfaces.settings import Which
from varkit.model.build import build_model
from varkit.model.retrieval import RetrievalModel
from varkit.recipe.load import Recipe
from varkit.runs.data import open_data
from varkit.runs.folder import Run, open_run
from varkit.system.tensors import load
from varkit.training import checkpoint


@dataclass(frozen=True)
class TrainedModel:
    """A model with the weights of one training.

    Attributes:
        run: the run that trained it.
        recipe: the recipe it is built from: the run's, or a changed one.
        dataset: of that recipe.
        model: in evaluation mode, without pretext tasks.
        seed: of the training.
        which: ``"best"`` = the selected epoch, ``"last"`` = the last.
        epoch: how many epochs were trained.
    """

    run: Run
    recipe: Recipe
    dataset: Dataset
    model: RetrievalModel
    seed: int
    which: Which
    epoch: int


def open_model(
    run: Run | Path | str,
    *,
    seed: int | None = None,
    which: Which | None = None,
    recipe: Recipe | None = None,
    dataset: Dataset | None = None,
) -> TrainedModel:
    """Open a trained model of a run, on the CPU.

    The weights must fit the run's own recipe, including pretrained weights that checkpoints leave
    out. The data must be those of the training, unless ``recipe`` names different data.

    Args:
        run: an opened run, or its folder.
        seed: of the training; None = the run's first.
        which: model of that training; None = of the selected epoch, where one was selected.
        recipe: build the model from this recipe instead of the run's own.
        dataset: of the recipe, if it is already open.

    Raises:
        RunError: the folder is not a run, or the run has no such training.
        CheckpointError: the weights are damaged, do not fit the recipe, or are not of these data.
        DataError: the data set is missing or faulty.
    """
    run = run if isinstance(run, Run) else open_run(run)
    run.check_trainings()
    seed = run.recipe.train.seeds[0] if seed is None else seed
    run.check_seed(seed)
    which = which or run.reported(seed)
    recipe = recipe or run.recipe
    dataset = open_data(run, recipe) if dataset is None else dataset
    model = build_model(replace(recipe, pretexts={}), run.plugins, dataset)
    expected = {**identity(recipe, dataset, model), "seed": seed}
    expected["recipe"] = run.recipe.digest(seeds=False)
    if recipe.data != run.recipe.data:
        expected["data"] = run.facts["fingerprint"]
    path = run.model_file(seed, which)
    tensors, state = load(path, hint="start the run again with varkit run")
    checkpoint.check_identity(state, expected, path)
    epoch = checkpoint.check_state(state, checkpoint.ModelState, path)["epoch"]
    checkpoint.load_weights(model, tensors, str(path))
    return TrainedModel(run, recipe, dataset, model.eval(), seed, which, epoch)


def identity(recipe: Recipe, dataset: Dataset, model: RetrievalModel) -> dict[str, str]:
    """Return what a checkpoint must match: recipe, data, and the weights that it leaves out.

    An encoder may have pretrained weights that never change, such as those of a frozen language
    model. Checkpoints leave them out, and its ``fingerprint()`` identifies them.
    """
    parts = {"recipe": recipe.digest(seeds=False), "data": dataset.fingerprint()}
    for side, encoder in (("video", model.video), ("query", model.query)):
        if hasattr(encoder, "fingerprint"):
            parts[f"pretrained {side} encoder"] = encoder.fingerprint()
    return parts
