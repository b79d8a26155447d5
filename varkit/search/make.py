"""Makes an index by whatever means: a search recipe or a run, a folder, a store or a data set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from varkit.errors import DataError, VarkitError, did_you_mean
from varkit.media.catalogue import NAME as CATALOGUE
from varkit.media.extract_folder import Request, Watcher
from varkit.media.pool import Executor, in_this_process
from varkit.media.store import Store
from varkit.search.facts import NAME, read_facts
from varkit.search.index_folder import FEATURES, Indexed, Sentences, index_media, index_store
from varkit.search.indexing import IndexWriter
from varkit.search.parts import KEPT, open_space, plugins_of
from varkit.search.search_recipe import SearchRecipe, load_search_recipe
from varkit.system.inputs import read_user_file, reading

STARTED = {".lock", KEPT, FEATURES}
"""What an index has before it says what it is."""
CLIP = Path("models/clip")
"""Where the recipe ``clip`` looks for a model."""


def make_index(
    videos: Path | None,
    root: Path,
    *,
    with_: str | None = None,
    changes: Sequence[str] = (),
    concepts: Path | None = None,
    executor: Executor = in_this_process,
    workers: int = 1,
    watcher: Watcher | None = None,
    cameras: str | None = None,
    retry: bool = False,
    accept_code: bool = False,
    split: str = "test",
    device: str = "auto",
    threads: int | None = None,
) -> Indexed:
    """Make an index, or bring it up to date.

    Args:
        videos: a folder, a file, or a store; None = the videos of a run's data set.
        root: of the index.
        with_: a search recipe or a run; None = as the index was made, or the default.
        changes: of the recipe, ``dotted.key=value``.
        concepts: a file of sentences, one a line.
        executor: where extraction runs.
        workers: how many processes extract.
        watcher: is told how extraction goes.
        cameras: the pattern of :func:`varkit.media.recordings.camera_of`.
        retry: try files again that failed before.
        accept_code: use a run even if the code that made it has changed since.
        split: of a run's data set.
        device: where to compute.
        threads: of all workers together.

    Raises:
        MediaError: there is no such folder, or nothing in it.
        RecipeError: the recipe is wrong, or something that it needs is missing here.
        DataError: the index is damaged, or was made in another way.
        WriteError: the disk is full or not writable, or another process writes the index.
    """
    made = (root / NAME).exists()
    if not made and root.is_dir():
        others = sorted(set(os.listdir(root)) - STARTED)
        if others:
            raise DataError(
                f"{root} is a folder with other things in it ({others[0]}), not an index",
                hint="choose another --out, which is made where it is missing",
            )
    known = read_facts(root) if made else None
    if _is_run(with_) or (known is not None and known.run is not None and with_ is None):
        from varkit.search.index_run import index_run

        run = with_ if with_ is not None else str(((known and known.run) or {})["folder"])
        return index_run(
            run,
            root,
            videos,
            split=split,
            accept_code=accept_code,
            device=device,
            retry=retry,
            cameras=cameras,
            executor=executor,
            workers=workers,
            watcher=watcher,
            threads=threads,
        )
    if videos is None:
        raise DataError(
            "say which videos to index: a folder, a file, or a store of features",
            hint="varkit index VIDEOS",
        )
    recipe: SearchRecipe | None = None
    if known is None or with_ is not None or changes or concepts is not None:
        name = with_ or (known.name if known is not None else _default())
        recipe = load_search_recipe(name, changes)
        if concepts is not None:
            recipe = replace(recipe, concepts=_sentences(concepts))
    if (videos / CATALOGUE).exists():
        return index_store(videos, recipe, root)
    request = Request(
        videos, root / FEATURES, (), (), device, threads, cameras=cameras, retry=retry
    )
    return index_media(request, recipe, root, executor, workers=workers, watcher=watcher)


def rebuild_index(root: Path) -> int:
    """Make engines and statistics anew from the shards; return the number of videos.

    Raises:
        DataError: the catalogue or a shard is damaged.
        WriteError: another process writes the index.
    """
    facts = read_facts(root)
    plugins = plugins_of(facts)
    with IndexWriter(root, facts, plugins, anew=True) as writer:
        writer.rebuild()
        writer.finish(_unrelated(root, facts, plugins))
        return len(writer.gallery.members())


def delete_videos(root: Path, videos: Sequence[str]) -> list[str]:
    """Remove videos from every file of an index; return their names.

    Raises:
        DataError: it has no such video.
        WriteError: another process writes the index.
    """
    facts = read_facts(root)
    plugins = plugins_of(facts)
    with IndexWriter(root, facts, plugins) as writer:
        names = [member.name for member in writer.gallery.members()]
        for video in videos:
            if video not in names:
                raise DataError(f"{root} has no video {video!r}.{did_you_mean(video, names)}")
        gone = writer.delete(videos)
        if (root / FEATURES / CATALOGUE).exists():
            with Store(root / FEATURES, writing=True) as store:
                for name in gone:
                    store.remove(name)
        writer.finish(_unrelated(root, facts, plugins))
    return gone


def _unrelated(root: Path, facts: Any, plugins: Any) -> Any:
    if facts.run is not None:
        from varkit.search.run_space import opened

        return Sentences(facts, opened(facts)).encode
    return Sentences(facts, open_space(root, facts, plugins)).encode


def _is_run(name: str | None) -> bool:
    """Return whether a name is a run's folder, or below ``runs``."""
    if name is None:
        return False
    places = (Path(name), Path("runs") / name)
    return any((place / "run.json").exists() for place in places) or Path(name).name == "latest"


def _default() -> str:
    """Return the recipe for this machine."""
    return "clip" if (CLIP / "config.json").exists() else "labels"


def _sentences(path: Path) -> tuple[str, ...]:
    with reading(path):
        lines = read_user_file(path).decode().splitlines()
    sentences = tuple(line.strip() for line in lines if line.strip())
    if not sentences:
        raise VarkitError(f"{path} has no sentence: write one a line")
    return sentences
