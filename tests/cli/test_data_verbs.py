"""``varkit data`` as a person calls it."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil

import numpy as np
import pytest
from varkit_datasets.ucfcrime_ar import UCFCrimeAR

from tests.support.calls import call, failed, hint, passed, printed
from tests.support.faulty_data import change, make, spoil, write
from tests.support.tiny_runs import make_data, read, recipe_of, run_in
from varkit.cli.data_display import print_guide
from varkit.recipe.target import Target, named_target

FIGURES = """\
from varkit import hookimpl
from varkit_datasets.folder import Folder


class Printed(Folder):
    '''A folder whose figures were printed somewhere.'''

    published = {
        "videos": (6, "Table 1"),
        "seconds.mean": (11.3, "Table 1"),
        "words.mean": (3.0, "Figure 2"),
        "characters.mean": (22.4, "Figure 2"),
    }

    @staticmethod
    def guide(*, root, **options):
        return f"put it into {root}"


@hookimpl
def register_datasets(register):
    register("printed", Printed, summary="a folder with printed figures")
"""


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    make(root)
    return root


def of_folder(root):
    return "folder", f"root={root}", "streams={object: rgb, motion: flow}", "seconds_per_clip=0.5"


@pytest.fixture
def recipe(folder, tmp_path):
    """A recipe on a folder with figures that were printed."""
    (tmp_path / "printed.py").write_text(FIGURES)
    data = {"use": "printed", "root": str(folder), "seconds_per_clip": 0.5}
    streams = {"object": "rgb", "motion": "flow"}
    path = tmp_path / "figures.yaml"
    path.write_text(recipe_of(plugins=["printed.py"], data=data | {"streams": streams}))
    return path


def test_verify_says_that_all_is_in_order(folder):
    result = passed(call("data", "verify", *of_folder(folder)))
    lines = result.stdout.splitlines()
    assert (lines[0], lines[-1]) == ("data", "in order")
    assert lines[2].split() == ["train", "4", "2", "2", "0", "4", "4"]
    assert re.search(r"motion: flow +# command line\n", result.stderr)
    assert re.search(r"manifest: manifest.csv +# default\n", result.stderr)


def test_verify_lists_all_faults_by_group_and_ends_with_3(folder):
    rows = make(folder, videos=30)
    for i in range(25):
        change(folder / f"{i}.rgb.npy", spoil(3))
    rows[29]["label"] = "2"
    write(folder, rows)
    result = call("data", "verify", *of_folder(folder))
    assert result.exit_code == 3
    for said in (
        "\n26 faults\nfiles (1)\n  manifest.csv, row 31, column 'label': '2'",
        "\nfeatures (25)\n  video 'v0', stream 'object'",
        "  ... and 5 more; --json lists all",
        "fingerprint none, because of the faults",
    ):
        assert said in result.stdout
    assert result.stdout.splitlines()[-1] == "not in order: 26 faults"
    again = call("data", "verify", *of_folder(folder), "--json")
    assert again.exit_code == 3
    told = json.loads(again.stdout)
    assert len(told["faults"]) == 26
    assert told["faults"][1]["videos"] == [["v0"]]
    assert told["in_order"] is False
    assert told["data"]["origins"]["root"] == "command line"


def test_verify_of_a_recipe_is_of_the_fingerprint_that_its_runs_record(tmp_path):
    recipe = make_data(tmp_path / "data")
    passed(call("run", recipe, "train.epochs=1", "--out", tmp_path / "runs"))
    told = printed(call("data", "verify", recipe, "--json"))
    assert told["fingerprint"] == read(run_in(tmp_path / "runs") / "run.json")["fingerprint"]
    assert told["data"]["origins"]["root"] == f"{recipe}:4"


def test_the_embedded_block_is_taken_as_a_run_would_and_said_loudly(tmp_path):
    recipe = make_data(tmp_path / "data")
    text = recipe.read_text().replace(f"root: {recipe.parent}", "root: nowhere")
    data = f"{{use: folder, root: {recipe.parent}, query: audio, streams: {{object: rgb}}}}"
    recipe.write_text(f"{text}embedded:\n  data: {data}\n")
    result = passed(call("data", "verify", recipe))
    assert "EMBEDDED VARIANT" in result.stderr
    assert "data (folder): there is no file nowhere/manifest.csv: put" in result.stderr
    told = printed(call("data", "verify", recipe, "--json"))
    assert told["data"]["missing"] != []
    assert told["data"]["origins"]["root"].startswith("embedded, ")
    strict = call("data", "verify", recipe, "--strict")
    assert "missing here: there is no file nowhere/manifest.csv" in failed(strict, 2)
    assert hint(strict) == f"varkit data get {recipe}"
    own = passed(call("data", "verify", recipe, "--strict", f"data.root={recipe.parent}"))
    assert "EMBEDDED" not in own.stderr


def test_strict_looks_at_the_data_whatever_else_the_machine_lacks(tmp_path):
    recipe = make_data(tmp_path / "data")
    own = "query: {use: audio, heads: 2, gate_norm: layer}"
    recipe.write_text(recipe.read_text().replace(own, "query: {use: bert}"))
    assert call("validate", recipe).exit_code == 2, "the text model is not here"
    passed(call("data", "verify", recipe, "--strict"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("fodler",), "'fodler' is neither a recipe nor a data set. Did you mean 'folder'?"),
        (("alan_ufc",), "Did you mean 'alan_ucf'?"),
        (("folder", "rooot=x"), "command line: rooot: no such option. Did you mean 'root'?"),
        (("folder", "streams=3"), "command line: streams: must be a block of keys"),
        (("folder", "root"), "'root' is not an override; write key=value"),
        (("nothing.yaml",), "no recipe 'nothing.yaml'"),
    ],
)
@pytest.mark.parametrize("verb", ["verify", "stats", "get"])
def test_what_is_wrong_with_the_call_is_said_with_the_nearest(arguments, said, verb):
    assert said in failed(call("data", verb, *arguments), 2)


def test_a_folder_in_place_of_a_recipe_is_told_what_to_write(tmp_path):
    data, run = tmp_path / "data", tmp_path / "run"
    data.mkdir()
    run.mkdir()
    (run / "recipe.yaml").write_text("version: 1\n")
    own = f"your own data: folder root={data} 'streams={{STREAM: COLUMN}}'"
    assert hint(call("data", "verify", data)) == own
    assert hint(call("data", "verify", run)) == f"the run's recipe: {run / 'recipe.yaml'}"


def test_options_that_lack_and_wrong_overrides_are_listed_by_strict_too(recipe):
    result = call("data", "verify", "folder")
    assert failed(result, 2) == "error: 2 problems"
    assert "folder: root: is required: text" in result.stderr
    assert hint(result) == "varkit data get folder"
    for strict in ((), ("--strict",)):
        result = call("data", "stats", recipe, "data.rooot=x", "modle.dim=3", *strict)
        assert failed(result, 2) == "error: 2 problems"
        assert "Did you mean 'root'?" in result.stderr


def test_stats_stand_beside_published_figures(recipe, tmp_path):
    result = passed(call("data", "stats", recipe, "--out", tmp_path / "figures"))
    assert result.stdout.splitlines()[0].strip() == "data"
    lines = {" ".join(line.split()[:4]) for line in result.stdout.splitlines()}
    assert {"videos 6 4 2", "videos 6 6 equal", "characters.mean 22.4 not in"} <= lines
    assert "seconds.mean 11.3 11.25 DIFFERS" in lines  # 11.25 rounds to 11.2
    assert "DIFFERS by -0.05" in result.stdout
    told = read(tmp_path / "figures" / "stats.json")
    assert told["simulated"] is False
    assert told["figures"].keys() >= {"vocabulary.unseen", "videos.test"}
    assert any(line.startswith("vocabulary.unseen ") for line in result.stdout.splitlines())
    again = printed(call("data", "stats", recipe, "--json"))
    assert again["figures"] == told["figures"]
    videos = {"key": "videos", "found": 6, "published": 6, "source": "Table 1", "equal": True}
    assert again["published"][0] == videos
    with (tmp_path / "figures" / "stats.csv").open() as file:
        rows = {row["figure"]: row for row in csv.DictReader(file)}
    assert {key: float(row["value"]) for key, row in rows.items()} == told["figures"]
    assert rows["videos"]["published"] == "6"
    pictures = {path.stem: path.read_bytes() for path in (tmp_path / "figures").glob("*.png")}
    assert pictures.keys() == {"captions", "clips", "anomalous_share", "classes"}
    assert all(picture.startswith(b"\x89PNG") for picture in pictures.values())


def test_faulty_data_are_no_statistics_but_the_way_to_all_faults(folder):
    rows = make(folder)
    write(folder, [rows[0] | {"split": "tarin"}, *rows[1:]])
    result = call("data", "stats", *of_folder(folder))
    assert "has 1 fault" in failed(result)
    verb, *arguments = shlex.split(hint(result))[1:]
    assert (verb, *arguments[:2]) == ("data", "verify", "folder")
    write(folder, rows)
    change(folder / "1.flow.npy", lambda a: a[:, :9])
    result = call("data", "stats", *of_folder(folder))
    assert "streams differ by more than one clip" in failed(result)
    assert "clips_of" in hint(result)
    assert call(verb, *arguments).exit_code == 3, "the hint can be run"


def test_show_one_video_and_name_the_nearest_of_one_that_is_not_there(folder, tmp_path):
    show = ("data", "show", "folder", "v3", *of_folder(folder)[1:])
    lines = passed(call(*show, "--out", tmp_path / "v.png")).stdout.splitlines()
    assert lines[0] == "v3  data, train"
    assert lines[1].split() == ["label", "1", "(anomalous)", "classes", "Fighting"]
    assert lines[2].split() == ["clips", "23", "seconds", "11.5", "crops", "3"]
    assert lines[3] == "query    v3#0: 3 men at ddddd run from 3 eeee"
    norms = np.linalg.norm(np.load(folder / "3.rgb.npy")[0], axis=1)
    assert lines[4].startswith(f"stream   object: 4 wide, 23 clips; norm  mean {norms.mean():.3g}")
    assert lines[6] == "··" + "████" + "·" * 17
    assert lines[7] == "anomaly  clips 2-5, 1.0-3.0 s"
    assert (tmp_path / "v.png").read_bytes().startswith(b"\x89PNG")
    told = printed(call(*show, "--json"))
    assert told["truth"] == {"anomalies": [{"clips": [2, 6], "seconds": [1.0, 3.0]}]}
    norms = np.linalg.norm(np.load(folder / "3.flow.npy")[0], axis=1)
    assert told["streams"]["motion"]["norm"]["max"] == pytest.approx(norms.max())
    assert told["queries"] == {"v3#0": "3 men at ddddd run from 3 eeee"}
    result = call("data", "show", "folder", "v33", *of_folder(folder)[1:])
    assert failed(result) == "error: data has no video 'v33'. Did you mean 'v3'?"


def test_show_a_video_without_ground_truth_and_with_a_sound(tmp_path):
    recipe = make_data(tmp_path / "data")
    result = call("data", "show", recipe, "train1")
    assert "query    train1#0: a sound of 3 clips" in result.stdout
    assert "anomaly  nobody said where" in result.stdout
    normal = call("data", "show", recipe, "train0").stdout
    assert normal.splitlines()[-1] == "anomaly  none"


def test_get_prints_the_guide_or_the_documentation_and_what_is_missing(recipe, folder):
    result = call("data", "get", recipe)
    assert result.stdout == f"put it into {folder}\n\nNothing is missing here.\n"
    gone = call("data", "get", recipe, "data.root=nowhere")
    absent = "missing here: there is no file nowhere/manifest.csv"
    assert gone.stdout.startswith(f"put it into nowhere\n\n{absent}")
    documented = passed(call("data", "get", "simulated")).stdout
    assert documented.startswith("A stand-in for UCFCrime-AR")


def test_get_says_what_is_to_be_given_and_what_is_wrong_with_what_is_there(folder):
    nothing = call("data", "get", "folder").stdout
    assert "to give: folder: root: is required: text" in nothing
    assert "missing" not in nothing
    whole = call("data", "get", *of_folder(folder)).stdout
    assert whole.splitlines()[-1] == "Nothing is missing here."
    command = next(line for line in whole.splitlines() if line.startswith("Then: "))
    verb, *arguments = shlex.split(command)[2:]
    passed(call(verb, *arguments))
    (folder / "1.flow.npy").unlink()
    broken = call("data", "get", *of_folder(folder)).stdout.splitlines()
    missing = "column 'flow': the feature files of 1 of 6 videos are missing: 'v1'"
    assert broken[-1].startswith(f"not in order: {missing} (the first is {folder}/1.flow.npy; ")
    rows = make(folder, videos=30)
    write(folder, [row | {"label": "x"} for row in rows[:25]] + rows[25:])
    assert call("data", "get", *of_folder(folder)).stdout.endswith("\n... and 5 more\n")


def test_a_guide_that_needs_what_was_not_given_gives_way_to_the_documentation(capsys):
    class Picky:
        """Somebody's data."""

        @staticmethod
        def guide(*, root):
            return f"put it into {root}"

    print_guide(Target("picky", Picky, {}, ("picky: root: is required",), {}))
    assert capsys.readouterr().out == "Somebody's data.\n\nto give: picky: root: is required\n"
    with pytest.raises(TypeError):
        print_guide(Target("picky", Picky, {}, (), {}))


def test_names_are_no_markup(folder):
    """Captions and names come from other people's files."""
    rows = make(folder)
    rows[0] |= {"class": "[red]x[/red]; $a_b$", "caption": "[bold]x"}
    write(folder, rows)
    options = (*of_folder(folder), "name='[red]n[/red]'")
    result = call("data", "stats", *options, "--out", folder.parent / "figures")
    assert result.stdout.startswith("[red]n[/red]")
    assert "[red]x[/red]" in result.stdout
    assert "[bold]x" in call("data", "show", "folder", "v0", *options[1:]).stdout


def test_simulated_data_are_called_simulated(tmp_path):
    options = ("simulated", "size=small", "videos=8", f"root={tmp_path}")
    for verb in ("verify", "stats"):
        result = call("data", verb, *options)
        assert result.stdout.startswith("simulated-ucf (simulated data)"), result.output
        assert printed(call("data", verb, *options, "--json"))["simulated"] is True


def test_a_name_that_begins_with_a_dash_gets_a_hint_that_can_be_run(folder):
    rows = make(folder)
    write(folder, [rows[0] | {"video": "-4wsuPCjDBc_5_15"}, *rows[1:]])
    arguments = ("data", "show", "folder", "-4wsuPCjDBc_5_15", *of_folder(folder)[1:])
    result = call(*arguments)
    assert result.exit_code == 2
    (said,) = (line for line in result.stderr.splitlines() if line.startswith("Error: "))
    _, command = said.split(". If it is a name, put -- before it: varkit ")
    assert passed(call(*shlex.split(command))).stdout.startswith("-4wsuPCjDBc_5_15  data, train")
    for verb in ("run", "eval", "validate", "show", "plugins"):
        assert f"put -- before it: varkit {verb} -- -4x" in call(verb, "-4x").stderr
    assert "options first, then --, then names" in call("data", "show", "-4x", "--json").stderr
    assert "put --" not in call("run", "--strct").stderr, "a misspelt option"


@pytest.mark.parametrize(
    "name", ["data #1", "a: b", "@x", "*x", "&x", "%x", "!x", "{x", "[x] y", "[x]", "it's", "|",
             ">", "- x", "? x", "2024", "0123", "1e-3", "12:30", "no", "true", "2024-01-01",
             "C:\\x", " x ", "'x' y", "ünï"],
)  # fmt: skip
def test_a_path_on_the_command_line_is_taken_whole(name):
    target = named_target("folder", [f"root={name}", f"streams.object={name}"])
    assert target.options["root"] == target.options["streams"]["object"] == name


def test_a_column_on_the_command_line_may_look_like_a_number(folder):
    rows = [{"2024" if c == "rgb" else c: x for c, x in row.items()} for row in make(folder)]
    write(folder, rows)
    options = (f"root={folder}", "streams.object=2024", "columns.label=null", "delimiter=comma")
    told = printed(call("data", "verify", "folder", *options, "--json"))["data"]["options"]
    assert (told["streams"], told["columns"]) == ({"object": "2024"}, {"label": None})
    assert "root: must be text; not null" in call("data", "verify", "folder", "root=null").stderr


def test_captions_alone_are_counted_and_searched_for_leaks(folder, tmp_path):
    with_features = printed(call("data", "stats", *of_folder(folder), "--json"))["figures"]
    leaks = printed(call("data", "leak", *of_folder(folder), "--json"))
    (folder / "0.rgb.npy").unlink()
    assert "has 1 fault" in failed(call("data", "stats", *of_folder(folder)))
    for file in folder.glob("*.npy"):
        file.unlink()
    result = call("data", "stats", *of_folder(folder), "--json", "--out", tmp_path / "out")
    alone = printed(result)["figures"]
    assert "Captions and labels alone, since no features can be read" in result.stderr
    assert "are missing" in result.stderr
    assert alone.items() < with_features.items()
    lost = {key.partition(".")[0] for key in with_features.keys() - alone.keys()}
    assert lost == {"hours", "seconds", "clips", "anomaly", "class"}
    assert not [key for key in with_features.keys() - alone.keys() if ".videos" in key[:-7]]
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert names == {"stats.json", "stats.csv", "captions.png", "classes.png"}
    assert printed(call("data", "leak", *of_folder(folder), "--json")) == leaks
    passed(call("data", "stats", *of_folder(folder)))


def test_a_benchmark_without_features_has_figures_of_its_captions(tmp_path):
    UCFCrimeAR.example(tmp_path)
    for stream in ("rgb", "flow"):
        shutil.rmtree(tmp_path / stream)
    result = call("data", "stats", "ucfcrime_ar", f"root={tmp_path}", "--json")
    assert printed(result)["figures"]["words.mean"] == 3
    assert "there is no folder" in result.stderr
