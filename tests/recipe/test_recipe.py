import dataclasses
import json
from pathlib import Path

import pytest

from tests.support.recipe_toys import EMBEDDED, RECIPE, toy_plugins, write
from varkit.errors import PluginError, RecipeError
from varkit.interfaces.settings import AlignmentSettings, DetectorSettings
from varkit.recipe import yaml
from varkit.recipe.layers import Change, read_changes
from varkit.recipe.load import Recipe, changed_recipe, load_recipe
from varkit.recipe.shipped import find_recipe, shipped_recipes


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is also the current one, so that messages show short paths."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    return tmp_path


def load(folder: Path, text: str, *overrides: str, strict: bool = False) -> Recipe:
    write(folder, text)
    return load_recipe("toy.yaml", overrides, strict=strict, plugins=toy_plugins(folder))[0]


def problems(folder: Path, text: str, *overrides: str) -> tuple[str, ...]:
    with pytest.raises(RecipeError) as caught:
        load(folder, text, *overrides)
    assert caught.value.exit_code == 2
    return caught.value.problems


READY = RECIPE.replace("nowhere", "here")


def test_a_recipe_is_complete(folder):
    recipe = load(folder, READY)
    assert recipe.name == "toy"
    assert recipe.plugin_files == (folder / "toy_plugin.py",)
    assert recipe.data.options == {"root": "here", "streams": {"object": "rgb"}}
    assert recipe.model.dim == 16
    assert recipe.model.experts == ("object", "motion")
    assert list(recipe.samplers) == ["fixed", "other"]
    assert recipe.samplers["fixed"].options == {"count": 3, "temperature": 1.0, "plan": "even"}
    assert recipe.detector is not None
    assert recipe.detector.settings == DetectorSettings(weight=0.2)
    assert recipe.detector.options == {"hidden": (8, 4)}
    assert recipe.alignments["all"].settings == AlignmentSettings(weight=1.0)
    assert recipe.pretexts == {}
    assert recipe.train.lr == 1e-3
    assert recipe.train.lr_factors == {"query.language": 0.1}
    assert recipe.eval.repeats == 1
    assert (recipe.embedded, recipe.missing) == (False, ())


def test_a_recipes_own_plugin_file_is_loaded_beside_the_installed_plugins(folder):
    recipe, plugins = load_recipe(write(folder, READY))
    assert recipe.samplers["other"].use == "every"
    assert plugins.get("sampler", "every").version == "file"
    assert plugins.get("sampler", "fixed_frame").plugin == "alan"


def test_sections_that_may_be_left_out(folder):
    removed = ("samplers:", "  fixed", "  other", "detector", "train", "  epochs", "  lr", "model")
    lines = [line for line in READY.splitlines() if not line.startswith(removed)]
    recipe = load(folder, "\n".join(lines))
    assert recipe.samplers == {}
    assert recipe.detector is None
    assert recipe.model.dim == 768
    assert recipe.train.epochs == 50
    assert not {"samplers", "detector", "pretexts"} & set(recipe.to_dict())


BAD = """\
version: 2
plugins: [toy_plugin.py]
data: {use: a_foldr, root: here}
modle: {dim: 16}
samplers:
  fixed: {use: first, cuont: 3, plan: evn}
  other: {use: every}
  a b: {use: first}
  none: first
detector: {use: net, weight: -1, hidden: [8, 0]}
video: {}
query: {use: gone}
alignments:
pretexts:
  g: {use: greedy}
train: {epochs: yes, lr: 0, seeds: []}
eval: 3
"""


def test_malformed_recipes_and_overrides_are_all_reported(folder):
    assert len(problems(folder, READY, "x", "=1", "train.lr= ", "version=1")) == 4
    said = ("toy.yaml:1:1: must be a block of keys such as 'version: 1'",)
    for text in ("[1, 2]", "words", "3"):
        assert problems(folder, text) == said


def test_all_errors_at_once_with_places(folder):
    expected = [
        ("toy.yaml:1:1: version: must be 1; not 2"),
        ("toy.yaml:1:1: objective: is required: a block such as {use: ranking, ...}"),
        ("toy.yaml:3:8: data.use: no dataset is named 'a_foldr'. Did you mean 'a_folder'?"),
        ("toy.yaml:4:1: modle: no such section. Did you mean 'model'?"),
        ("toy.yaml:6:23: samplers.fixed.cuont: sampler 'first' has no such option. Did you mean"),
        ('toy.yaml:6:33: samplers.fixed.plan: must be one of "even", "random"; not "evn".'),
        ("toy.yaml:7:11: samplers.other.step: is required: a whole number of at least 1"),
        ("toy.yaml:8:3: samplers.a b: a name is made of letters, digits and _"),
        ("toy.yaml:9:3: samplers.none: must be a block such as {use: every, ...}; not 'first'"),
        ("toy.yaml:10:22: detector.weight: must be a number of at least 0; not -1."),
        ("toy.yaml:10:46: detector.hidden.1: must be a list, each item a whole number of at"),
        ("toy.yaml:11:1: video.use: is required; encoders: gone, plain"),
        ("toy.yaml:12:9: query.use: encoder 'gone' of plugin"),
        ("toy.yaml:13:1: alignments: needs at least one alignment, under a name of your choice"),
        ("toy.yaml:15:7: pretexts.g.use: pretext 'greedy' has an option 'weight', which the"),
        ('toy.yaml:16:9: train.epochs: must be a whole number of at least 1; not "yes".'),
        ("toy.yaml:16:22: train.lr: must be a number above 0; not 0."),
        ("toy.yaml:16:29: train.seeds: must be a list, each item a whole number of at least 0"),
        ("toy.yaml:17:1: eval: must be a block of keys; not 3"),
    ]
    for problem, start in zip(problems(folder, BAD), expected, strict=True):
        assert problem.startswith(start)


def test_overrides(folder):
    recipe = load(
        folder,
        READY,
        "train.epochs=7",
        "train.lr=2e-4",
        "train.seeds=[0, 1]",
        "train.lr_factors={video.deep: 0.5}",
        "samplers.fixed.plan=random",
        "samplers.other=null",
        "samplers.extra={use: every, step: 5}",
        "detector=null",
        "eval.repeats=3",
        "data.streams.motion=flow",
        "objective={use: ranking}",
    )
    assert (recipe.train.epochs, recipe.train.lr, recipe.train.seeds) == (7, 2e-4, (0, 1))
    assert recipe.train.lr_factors == {"query.language": 0.1, "video.deep": 0.5}
    assert recipe.samplers["fixed"].options["plan"] == "random"
    assert list(recipe.samplers) == ["fixed", "extra"]
    assert recipe.detector is None
    assert recipe.eval.repeats == 3
    assert recipe.data.options["streams"] == {"motion": "flow"}


@pytest.mark.parametrize(
    ("changes", "factors"),
    [
        (["query.language=0.5"], {"query.language": 0.5}),
        (["query.language.deep=0.5"], {"query.language": 0.1, "query.language.deep": 0.5}),
        (["query=0.2", "query.language=0.5"], {"query.language": 0.5, "query": 0.2}),
        (["query.language=null"], {}),
        (["query.language=null", "video.a.b=1"], {"video.a.b": 1}),
    ],
)
def test_keys_of_a_block_may_hold_dots_on_the_command_line_too(folder, changes, factors):
    recipe = load(folder, READY, *(f"train.lr_factors.{change}" for change in changes))
    assert recipe.train.lr_factors == factors
    for key in factors.keys() - {"query.language"}:
        assert recipe.origins[f"train.lr_factors.{key}"] == "command line"
    streams = load(folder, READY, "data.streams.i3d.flow=flow").data.options["streams"]
    assert streams["i3d.flow"] == "flow"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            ["train.lr_factors.qurey=1"],
            "lr_factors.qurey: no part of a model is named 'qurey'. Did",
        ),
        (["train.lr_factors.alignments.x=1"], "no part of a model is named 'x'. Known: "),
        (["train.batch_size=9", "train.accumulate=2"], "9 is not a multiple of train.accumulate"),
        (["train.seeds=[0, 1, 0]"], "train.seeds: [0, 1, 0] repeats a seed"),
        (["detector.freeze=true"], "never trained; set pretrain_epochs"),
        (["alignments.all.weight=0"], "alignments.all.weight: every weight is 0"),
    ],
)
def test_options_that_do_not_go_together_are_refused_at_once(folder, changes, said):
    (problem,) = problems(folder, READY, *changes)
    assert problem.startswith("command line: ")
    assert said in problem


def test_an_override_that_names_use_replaces_the_component(folder):
    recipe = load(folder, READY, "samplers.fixed={use: first}")
    assert recipe.samplers["fixed"].options["count"] == 4
    (problem,) = problems(folder, READY, "samplers.fixed.use=every", "samplers.fixed.step=2")
    assert problem.startswith("command line: samplers.fixed.count: sampler 'every' has no such")
    assert "To replace all of it, write 'samplers.fixed={use: every, ...}'." in problem


@pytest.mark.parametrize(
    ("override", "key", "what", "known"),
    [
        ("samplers.othr=null", "samplers.othr", "sampler", "fixed, other"),
        ("samplers={fixed: null, othr: null}", "samplers.othr", "sampler", "other"),
        ("alignments.al=null", "alignments.al", "alignment", "all"),
        ("pretexts.mpm=null", "pretexts.mpm", "pretext", "none"),
        (
            "train.lr_factors={query.langage: null}",
            "train.lr_factors.query.langage",
            "",
            "query.language",
        ),
        ("data.streams={objct: null}", "data.streams.objct", "", "object"),
    ],
)
def test_a_null_that_takes_nothing_out_is_refused(folder, override, key, what, known):
    text = READY.replace("root: here", "root: here, streams: {object: rgb}")
    lacks = f"no {what} of this name" if what else "no such key"
    nearest = f"Did you mean '{known.split(', ')[-1]}'? " if known != "none" else ""
    assert problems(folder, text, override) == (
        f"command line: {key}: there is {lacks} to take out. {nearest}Known: {known}.",
    )


def test_a_null_in_the_file_or_its_embedded_block_takes_out_what_is_there(folder):
    text = READY.replace("samplers:\n", "samplers:\n  othr: null\n")
    (problem,) = problems(folder, text)
    assert problem.startswith("toy.yaml:7:3: samplers.othr: there is no sampler of this name")
    for block in ("samplers: {othr: null}", "pretexts: {othr: null}"):
        for recipe in (READY, RECIPE):  # also where the block is not taken
            (problem,) = problems(folder, f"{recipe}embedded:\n  {block}\n  data: {{use: made}}\n")
            section = block.partition(":")[0]
            assert problem.startswith(f"toy.yaml:20:14: {section}.othr: there is no {section[:-1]}")


def test_what_an_earlier_layer_took_out_may_be_taken_out_again(folder):
    again = ["samplers.other=null", "samplers.other=null", "samplers=null", "samplers.fixed=null"]
    assert load(folder, READY, *again).samplers == {}
    factors = ["train.lr_factors={query.language: null}"] * 2
    assert load(folder, READY, *factors).train.lr_factors == {}
    embedded = RECIPE + EMBEDDED + "    other: null\n"
    recipe = load(folder, embedded, "samplers.other=null")
    assert recipe.embedded
    assert list(recipe.samplers) == ["fixed"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.epoch=1", "command line: train.epoch: no such option. Did you mean 'epochs'?"),
        ("tran.epochs=1", "command line: tran: no such section. Did you mean 'train'?"),
        ("train.epochs=1.5", "command line: train.epochs: must be a whole number"),
        ("train.epochs=[", "command line: train.epochs: must be a whole number of at least 1; not"),
        ("train.epochs=", "command line: train.epochs: no value; write train.epochs=null"),
        ("train.epochs", "command line: 'train.epochs' is not an override; write key=value"),
        ("train.epochs.x=1", "command line: train.epochs.x: train.epochs is not a block"),
        ("version=1", "command line: version: cannot be overridden; edit the recipe"),
        ("embedded.train.epochs=1", "command line: embedded.train.epochs: cannot be overridden"),
        ("samplers.fixed.count=0", "command line: samplers.fixed.count: must be a whole number"),
        ("samplers.new={use: every}", "command line: samplers.new.step: is required"),
        ("data.root=gone", "command line: missing here: data (a_folder): no folder gone"),
        ("samplers.fxed.count=2", "command line: samplers.fxed.use: is required; samplers: every"),
        ("samplers.fxed.count=2", "Did you mean 'fixed'?"),
    ],
)
def test_bad_overrides_name_the_command_line(folder, override: str, said: str):
    (problem,) = problems(folder, READY, override)
    assert problem.startswith("command line: ")
    assert said in problem


STUDY = b"""\
overrides:
  train: {epochs: 5, seeds: [0, 1]}
  samplers.fixed.count: 2
embedded: {samplers.fixed.count: 1}
"""


def said_by(text: bytes) -> list[Change]:
    """Return what a study of this text lays over a recipe."""
    document = yaml.parse(text, "study.yaml")
    return [
        Change(tuple(key.split(".")), value, layer, document, (block, key))
        for block, layer in (("overrides", "change"), ("embedded", "embedded"))
        for key, value in document.value.get(block, {}).items()
    ]


def test_changes_lie_between_the_file_and_the_command_line(folder):
    overrides = [*said_by(STUDY), "train.epochs=9"]
    recipe = load(folder, READY, *overrides)
    assert (recipe.train.epochs, recipe.train.seeds) == (9, (0, 1))
    assert recipe.samplers["fixed"].options["count"] == 2
    assert recipe.origins["train.epochs"] == "command line"
    assert recipe.origins["train.seeds"] == "study.yaml:2"
    assert recipe.origins["samplers.fixed.count"] == "study.yaml:3"
    assert recipe.origins["train.lr"] == "toy.yaml:17"
    recipe = load(folder, RECIPE + EMBEDDED, *overrides)
    assert recipe.samplers["fixed"].options["count"] == 1
    assert recipe.origins["samplers.fixed.count"] == "embedded, study.yaml:4"
    texts = [change.text for change in said_by(STUDY)]
    assert load(folder, RECIPE + EMBEDDED, *texts, "train.epochs=9") == recipe


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("train.epoch: 1", "2:2: train.epoch: no such option. Did you mean 'epochs'?"),
        ("train: {epoch: 1, lr: 0}", "2:10: train.epoch: no such option"),
        ("train: {seeds: [0, -1]}", "2:21: train.seeds.1: must be a list, each item"),
        ("samplers: {othr: null}", "2:13: samplers.othr: there is no sampler of this name"),
        ("samplers.fixed.use: every", "2:2: samplers.fixed.count: sampler 'every' has no such"),
        ("samplers.fixed.use: every", "2:2: samplers.fixed.step: is required"),
        ("samplers.other: {use: every}", "2:19: samplers.other.step: is required"),
        ("samplers.fxed: {count: 2}", "2:2: samplers.fxed.use: is required"),
        ("data: {root: gone}", "2:9: missing here: data (a_folder): no folder gone"),
        ("train.epochs.x: 1", "2:2: train.epochs.x: train.epochs is not a block"),
        ("plugins: []", "2:2: plugins: cannot be overridden"),
    ],
)
def test_what_is_wrong_with_a_change_is_said_where_it_stands(folder, said, problem):
    recipe, plugins = load(folder, READY), toy_plugins(folder)
    changes = said_by(f"overrides:\n {said}".encode())
    for refused in (
        lambda: load_recipe("toy.yaml", changes, plugins=plugins),
        lambda: changed_recipe(recipe, plugins, changes),
    ):
        with pytest.raises(RecipeError) as caught:
            refused()
        assert all(line.startswith("study.yaml:2:") for line in caught.value.problems)
        assert any(line.startswith(f"study.yaml:{problem}") for line in caught.value.problems)


@pytest.mark.parametrize("text", [READY, RECIPE + EMBEDDED])
def test_a_changed_recipe_is_the_one_that_its_file_and_the_changes_make(folder, text):
    """Against the resolved recipe written to a file, and loaded with the changes as text."""
    recipe = load(folder, text, "train.lr=1e-5")
    before, plugins = recipe.to_dict(), toy_plugins(folder)
    changes = [c for c in said_by(STUDY) if recipe.embedded or c.layer != "embedded"]
    (folder / "resolved.yaml").write_text(recipe.to_yaml())
    texts = [change.text for change in changes]
    expected, _ = load_recipe("resolved.yaml", [*texts, "detector=null"], plugins=plugins)
    changed = changed_recipe(recipe, plugins, [*said_by(STUDY), "detector=null"])
    assert changed == expected
    assert changed.digest() == expected.digest() != recipe.digest()
    assert recipe.to_dict() == before
    assert (changed.name, changed.path) == (recipe.name, recipe.path)
    assert (changed.embedded, changed.missing) == (recipe.embedded, recipe.missing)
    assert changed.origins["train.epochs"] == "study.yaml:2"
    for kept in ("data.use", "train.lr", "train.lr_factors.query.language", "eval.seed"):
        assert changed.origins[kept] == recipe.origins[kept]


def test_origins(folder):
    recipe = load(folder, RECIPE + EMBEDDED, "train.epochs=5", "samplers.new={use: every, step: 1}")
    places = {
        "toy.yaml:2": ["version"],
        "toy.yaml:7": ["samplers.fixed.use"],
        "toy.yaml:18": ["train.lr_factors.query.language"],
        "embedded, toy.yaml:20": ["data.videos"],
        "embedded, toy.yaml:23": ["samplers.fixed.count"],
        "command line": ["samplers.new.step", "train.epochs"],
        "default": ["data.gone", "samplers.fixed.plan", "eval.seed"],
    }
    for place, keys in places.items():
        assert [recipe.origins[key] for key in keys] == [place] * len(keys)
    assert "  epochs: 5 " in recipe.to_yaml(origins=True)
    assert yaml.parse(recipe.to_yaml(origins=True).encode(), "x").value == recipe.to_dict()


def test_embedded_is_left_alone_where_nothing_is_missing_and_overrides_must_fit_the_file(folder):
    recipe = load(folder, READY + EMBEDDED, strict=True)
    assert recipe.data.use == "a_folder"
    assert (recipe.embedded, recipe.missing) == (False, ())
    assert recipe == load(folder, READY)
    (problem,) = problems(folder, READY + EMBEDDED, "data.videos=9")
    assert problem.startswith("command line: data.videos: dataset 'a_folder' has no such option.")


def test_embedded_is_taken_where_something_is_missing(folder):
    recipe = load(folder, RECIPE + EMBEDDED, "model.dim=12", "data.videos=9")
    assert recipe.embedded
    assert recipe.missing == ("data (a_folder): no folder nowhere: make it",)
    assert recipe.data.use == "made"  # it names use, so it replaced the component whole
    assert recipe.data.options == {"videos": 9, "gone": False}  # the file knows no such option
    assert load(folder, RECIPE + EMBEDDED).data.options["videos"] == 4
    assert recipe.samplers["fixed"].options["count"] == 2  # this one was merged
    assert recipe.samplers["other"].options["step"] == 2
    assert recipe.model.dim == 12  # the command line has the last word


def test_what_is_missing_in_the_embedded_block_or_without_it_is_refused(folder):
    with pytest.raises(RecipeError) as caught:
        load(folder, RECIPE + EMBEDDED, strict=True)
    lacks = "toy.yaml: missing here: data (a_folder): no folder nowhere: make it"
    assert caught.value.problems == (lacks,)
    assert "--strict" in str(caught.value.hint)
    for text in (RECIPE, RECIPE + "embedded:\n"):
        assert "no folder nowhere" in problems(folder, text)[0]
    text = RECIPE + EMBEDDED.replace("videos: 4", "gone: true")
    assert problems(folder, text) == ("toy.yaml: missing here: data (made): no generator",)


def test_the_embedded_block_is_checked_even_when_not_taken(folder):
    wrong = EMBEDDED.replace("count: 2", "cuont: 2").replace("dim: 8", "dim: 0")
    starts = ("toy.yaml:21:11: model.dim: must be", "toy.yaml:23:13: samplers.fixed.cuont:")
    for text in (READY + wrong, RECIPE + wrong):
        found = problems(folder, text)
        assert all(problem.startswith(start) for problem, start in zip(found, starts, strict=True))
    # The file is checked too, even where the embedded block replaces it.
    text = RECIPE.replace("root: nowhere", "root: nowhere, rooot: 1") + EMBEDDED
    (problem,) = problems(folder, text)
    assert problem.startswith("toy.yaml:4:38: data.rooot: ")


@pytest.mark.parametrize("text", [READY, RECIPE + EMBEDDED])
def test_a_resolved_recipe_loads_as_an_equal_one(folder, text: str):
    recipe = load(folder, text, "train.lr=1e-5", "data.root=here")
    other = folder / "elsewhere"
    other.mkdir()
    (other / "resolved.yaml").write_text(recipe.to_yaml())
    again, _ = load_recipe(other / "resolved.yaml", plugins=toy_plugins(folder))
    assert again == recipe
    assert again.to_yaml() == recipe.to_yaml()
    assert again.digest() == recipe.digest()
    assert all("resolved.yaml:" in origin for origin in again.origins.values())


def test_the_digest_is_of_the_content_alone(folder):
    recipe = load(folder, READY)
    spelled = READY.replace("1e-3", "0.001").replace("{use: ranking}", "{use: ranking, margin: .1}")
    assert load(folder, f"# other\n{spelled}").digest() == recipe.digest()
    for override in ("train.epochs=3", "samplers.other=null"):
        assert load(folder, READY, override).digest() != recipe.digest()
    assert len(recipe.digest()) == 64
    assert json.loads(json.dumps(recipe.to_dict())) == recipe.to_dict()
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plugins: toy_plugin.py", "3:1: plugins: must be a list of files"),
        ("plugins: [1]", "3:1: plugins: must be a list of files"),
        ("plugins: [toy_plugin.py, ../no.py]", "3:26: plugins.1: no plugin file '../no.py'"),
        ("embedded: 3", "19:1: embedded: must be a block"),
        ("embedded: {version: 1}", "19:1: embedded.version: is allowed only at the top"),
        ("embedded: {plugins: []}", "19:1: embedded.plugins: is allowed only at the top"),
        ("embedded: {trian: {}}", "19:12: trian: no such section"),
    ],
)
def test_bad_plugin_lists_and_embedded_blocks(folder, text: str, said: str):
    if text.startswith("plugins"):
        whole = READY.replace("plugins: [toy_plugin.py]", text)
    else:
        whole = READY + text
    assert problems(folder, whole)[0].startswith(f"toy.yaml:{said}")


def test_plugin_files_that_fail_or_break_promises(folder):
    (folder / "bad.py").write_text("raise SystemExit(3)")
    path = write(folder, READY.replace("toy_plugin", "bad"))
    with pytest.raises(PluginError, match=r"bad\.py failed to load: SystemExit: 3"):
        load_recipe(path)
    (folder / "bad.py").write_text(
        "from varkit import hookimpl\n"
        "class Gone:\n"
        "    @staticmethod\n"
        "    def missing(): raise OSError('no disk')\n"
        "@hookimpl\n"
        "def register_objectives(register): register('ranking', Gone, summary='')\n"
    )
    text = READY.replace("toy_plugin.py]", "toy_plugin.py, bad.py]")
    with pytest.raises(PluginError, match="two objectives are named 'ranking'"):
        load_recipe(write(folder, text))
    (folder / "bad.py").write_text((folder / "bad.py").read_text().replace("'ranking'", "'lost'"))
    with pytest.raises(PluginError, match=r"'lost': missing\(\) failed: OSError: no disk"):
        load_recipe(write(folder, text.replace("use: ranking", "use: lost")))


def test_recipes_are_found_by_name_or_path(folder):
    assert shipped_recipes()["alan_ucf"].is_file()
    assert find_recipe("alan_ucf") == shipped_recipes()["alan_ucf"]
    (folder / "alan_ucf").mkdir()  # a folder of that name does not hide the recipe
    assert find_recipe("alan_ucf") == shipped_recipes()["alan_ucf"]
    write(folder)
    assert find_recipe("toy.yaml") == Path("toy.yaml")
    with pytest.raises(RecipeError, match=r"'alan_ufc'\. Did you mean 'alan_ucf'\? Shipped:"):
        find_recipe("alan_ufc")
    with pytest.raises(RecipeError, match=r"'recipes/alan_uc\.yaml'\. Did you mean 'alan_ucf'"):
        find_recipe("recipes/alan_uc.yaml")


def test_a_change_is_recorded_as_it_was_written():
    for written in ("data.root=2024", "data.root=[x]", "data.root=a #b", "data.root=' x'"):
        (change,) = read_changes([written])
        assert change.text == written
