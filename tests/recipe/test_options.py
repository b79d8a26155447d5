from __future__ import annotations

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from annotated_types import MaxLen, MinLen
from pydantic import AfterValidator
from torch import nn

from tests.support import recipe_toys
from varkit.errors import PluginError, RecipeError
from varkit.interfaces import Count, Fraction, Natural, Positive, Rate
from varkit.interfaces import settings as options
from varkit.recipe import yaml
from varkit.recipe.descriptions import describe
from varkit.recipe.editor import json_schema
from varkit.recipe.options import REQUIRED, check_options, construct, options_of, supplied_to

NOTHING = object()


class Colour(enum.Enum):
    RED = "red"


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("must be odd")
    return value


@dataclass(frozen=True)
class Point:
    x: int
    y: int = 0


class Everything:
    """One option of each type.

    Args:
        count: how many, at least
            one; ``note: this`` is part of it.
        name (str): with a type.

    Returns:
        nothing: here is no option.
    """

    def __init__(
        self,
        dim: int,
        widths: NotImported,  # noqa: F821  # an annotation that only type checkers resolve
        *,
        count: Count,
        name: str = "x",
        share: Fraction = 0.5,
        flag: bool = False,
        plan: Literal["even", "random"] = "even",
        limit: Positive | None = None,
        sizes: tuple[Count, ...] = (1, 2),
        pair: tuple[int, float] = (1, 2),
        table: Mapping[str, Positive] | None = None,
        point: Point | None = None,
        place: Path = Path("here"),
        colour: Colour = Colour.RED,
        odd: Annotated[int, AfterValidator(_odd)] = 1,
        names: Annotated[Sequence[str], MinLen(1), MaxLen(2)] = ("a",),
    ) -> None:
        self.dim, self.widths, self.count = dim, widths, count
        if share == 0.25:
            raise ValueError("share must not be 0.25")
        if share == 0.75:
            raise KeyError("share")


def test_options_are_the_keyword_only_arguments():
    found = options_of(Everything)
    assert list(found)[:3] == ["count", "name", "share"]
    assert found["count"].required
    assert found["count"].default is REQUIRED
    assert found["name"].default == "x"
    assert found["count"].doc == "how many, at least one; ``note: this`` is part of it."
    assert found["name"].doc == "with a type."
    assert found["flag"].doc == ""
    assert supplied_to(Everything) == ("dim", "widths")


def test_options_of_the_recipe_sections_are_documented():
    sections = (options.ModelOptions, options.TrainOptions, options.EvalOptions)
    settings = (options.DetectorSettings, options.AlignmentSettings, options.PretextSettings)
    for cls in (*sections, *settings):
        assert all(option.doc for option in options_of(cls).values()), cls
    assert options_of(options.TrainOptions)["lr_factors"].default == {}
    assert options_of(options.NoSettings) == {}


def test_a_torch_module_without_a_constructor_has_no_options():
    class Bare(nn.Module):
        pass

    assert options_of(Bare) == {}
    assert supplied_to(Bare) == ()
    assert isinstance(construct(Bare, {}, {}), Bare)


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("count", 3, 3),
        ("share", 1, 1.0),
        ("limit", None, None),
        ("limit", 2, 2.0),
        ("sizes", [3], (3,)),
        ("pair", [1, 2], (1, 2.0)),
        ("table", {"a.b": 1}, {"a.b": 1.0}),
        ("point", {"x": 1}, Point(1, 0)),
        ("place", "there", Path("there")),
        ("colour", "red", Colour.RED),
    ],
)
def test_good_values(key: str, value: Any, found: Any):
    complete, problems = check_options(Everything, {"count": 1, key: value})
    assert problems == []
    assert complete[key] == found
    assert type(complete[key]) is type(found)


@pytest.mark.parametrize(
    ("key", "value", "path", "said"),
    [
        ("count", 0, (), "must be a whole number of at least 1; not 0."),
        ("count", 1.0, (), "a whole number of at least 1; not 1.0."),
        ("count", 1.5, (), "not 1.5."),
        ("count", "3", (), 'not "3".'),
        ("count", True, (), "not true."),
        ("count", None, (), "not null."),
        ("count", [1], (), "not [1]."),
        ("name", 3, (), "must be text; not 3."),
        ("name", False, (), "must be text; not false."),
        ("share", "1e-3", (), 'not "1e-3".'),
        ("share", True, (), "a number of at least 0 and of at most 1; not true."),
        ("share", 1.5, (), "not 1.5."),
        ("limit", float("inf"), (), "must be a number above 0, or null; not Infinity."),
        ("limit", float("nan"), (), "not NaN."),
        ("flag", "yes", (), 'must be true or false; not "yes".'),
        ("flag", 1, (), "must be true or false; not 1."),
        ("plan", "evn", (), 'must be one of "even", "random"; not "evn". Did you mean \'even\'?'),
        ("sizes", 3, (), "must be a list, each item a whole number of at least 1; not 3."),
        ("sizes", [1, 0], (1,), "not 0."),
        ("pair", [1], (), "must be a list of a whole number; a number"),
        ("table", {"a": 0, "b": "x"}, ("a",), "must be a block of keys, each value"),
        ("point", {"x": 1, "z": 2}, ("z",), "must be a Point, or null"),
        ("point", {"x": 1.5}, ("x",), "must be a Point, or null"),
        ("odd", 2, (), "must be odd"),
        ("names", [], (), "must be a list, each item text (1 to 2); not []."),
        ("name", "x" * 100, None, ""),
    ],
)
def test_bad_values_name_the_place_and_what_is_allowed(key, value, path, said):
    complete, problems = check_options(Everything, {"count": 1, key: value})
    if path is None:
        assert problems == []
        return
    assert key not in complete
    assert problems[0][0] == (key, *path)
    assert said in problems[0][1]


def test_all_problems_at_once_and_the_rest_complete():
    complete, problems = check_options(Everything, {"cuont": 1, "flag": 0, "sizes": ["a", "b"]})
    paths = [*((name,) for name in ("cuont", "count", "flag")), ("sizes", 0), ("sizes", 1)]
    assert [path for path, _ in problems] == paths
    assert "Did you mean 'count'?" in problems[0][1]
    assert problems[1][1] == "is required: a whole number of at least 1"
    assert complete["name"] == "x"
    assert not {"count", "flag", "sizes"} & set(complete)


def test_null_takes_a_key_out_of_a_block_unless_null_is_a_value_there():
    @dataclass(kw_only=True)
    class Blocks:
        plain: Mapping[str, float]
        nullable: Mapping[str, float | None]
        anything: Mapping[str, Any]

    values = {"a": 1.0, "b": None}
    given = dict.fromkeys(("plain", "nullable", "anything"), values)
    complete, problems = check_options(Blocks, given)
    assert not problems
    assert complete == {"plain": {"a": 1.0}, "nullable": values, "anything": values}


def test_defaults_are_checked_and_converted_like_values():
    class Right:
        def __init__(self, *, share: float = 1) -> None: ...

    class Wrong:
        def __init__(self, *, count: Count = 0) -> None: ...

    class Untyped:
        def __init__(self, *, count: Count = None) -> None: ...  # type: ignore[assignment]

    class Strange:
        def __init__(self, *, count: Any = NOTHING) -> None: ...

    assert repr(check_options(Right, {})[0]["share"]) == "1.0"
    for faulty, said in (
        (Wrong, r"Wrong.*default of option 'count'.*not 0"),
        (Untyped, r"Untyped.*default of option 'count'.*not null"),
        (Strange, r"Strange.*'count'.*cannot stand in a recipe"),
    ):
        with pytest.raises(PluginError, match=said):
            check_options(faulty, {})


def test_faulty_constructors_are_named():
    class NoAnnotation:
        def __init__(self, *, count=1): ...

    class Unresolved:
        def __init__(self, *, count: Cuont = 1): ...  # noqa: F821

    class Unknown:
        def __init__(self, expert, *, count: int = 1): ...

    class Odd:
        def __init__(self, *, module: nn.Module | None = None): ...

    with pytest.raises(PluginError, match=r"NoAnnotation.*'count' has no annotation"):
        options_of(NoAnnotation)
    with pytest.raises(PluginError, match=r"Unresolved.*'Cuont' of option 'count'"):
        options_of(Unresolved)
    with pytest.raises(PluginError, match=r"Unknown.*'expert'.*Did you mean 'experts'\?") as caught:
        supplied_to(Unknown)
    assert "put it after a *" in str(caught.value.hint)
    with pytest.raises(PluginError, match=r"Odd.*'module'.*cannot be checked"):
        check_options(Odd, {})


def test_construct_supplies_positional_arguments_by_name():
    made = construct(Everything, {"count": 2}, {"widths": {"a": 1}, "dim": 8, "experts": ()})
    assert (made.dim, made.widths, made.count) == (8, {"a": 1}, 2)
    with pytest.raises(PluginError, match=r"Everything asks for 'widths'.*given: dim"):
        construct(Everything, {"count": 2}, {"dim": 8})


def test_errors_of_constructors_name_the_component():
    supplies = {"dim": 1, "widths": {}}
    with pytest.raises(RecipeError, match=r"Everything: share must not be 0.25"):
        construct(Everything, {"count": 1, "share": 0.25}, supplies)
    with pytest.raises(PluginError, match=r"Everything cannot be built: KeyError: 'share'"):
        construct(Everything, {"count": 1, "share": 0.75}, supplies)

    class Refuses:
        def __init__(self) -> None:
            raise RecipeError(["as it said"])

    with pytest.raises(RecipeError, match=r"\Aas it said\Z"):
        construct(Refuses, {}, {})


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Natural, "a whole number of at least 0"),
        (Rate, "a number of at least 0 and below 1"),
        (Literal["auto"] | Positive, '"auto", or a number above 0'),
        (Literal[1, 2], "one of 1, 2"),
        (dict[str, list[int]], "a block of keys, each value a list, each item a whole number"),
        (Annotated[tuple[str, ...], MinLen(2)], "a list, each item text (at least 2)"),
        (Annotated[tuple[str, ...], MinLen(1)], "a list, each item text (at least one)"),
        (Annotated[tuple[str, ...], MaxLen(2)], "a list, each item text (at most 2)"),
        (Annotated[tuple[str, ...], MinLen(3), MaxLen(3)], "a list, each item text (exactly 3)"),
        (Annotated[Mapping[str, Any], MinLen(1), MaxLen(26)], "a block of keys (1 to 26)"),
        (tuple[Any, ...], "a list"),
        (Any, "any value"),
    ],
)
def test_describe(annotation: Any, words: str):
    assert describe(annotation) == words


def test_a_dataclass_may_be_a_component():
    @dataclass(frozen=True, kw_only=True)
    class AsDataclass:
        """Some options.

        Attributes:
            sizes: of what.
        """

        sizes: tuple[int, ...] = field(default_factory=lambda: (3,))
        count: Count

    assert check_options(AsDataclass, {"count": 1})[0] == {"sizes": (3,), "count": 1}
    assert options_of(AsDataclass)["sizes"].doc == "of what."


@pytest.fixture
def editor(tmp_path):
    schema = json_schema(recipe_toys.toy_plugins(tmp_path))
    jsonschema.Draft202012Validator.check_schema(schema)
    json.dumps(schema, allow_nan=False)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("count: 3", "count: 0", ["samplers", "fixed"]),
        ("count: 3", "cuont: 3", ["samplers", "fixed"]),
        ("use: every, step: 2", "use: every", ["samplers", "other"]),
        ("use: every", "use: evry", ["samplers", "other"]),
        ("use: ranking", "margin: 1", ["objective"]),
        ("epochs: 2", "epochs: two", ["train", "epochs"]),
        ("weight: 0.2", "weight: -1", ["detector"]),
        ("version: 1", "version: 2", ["version"]),
        ("video:", "vidoe:", []),
        ("data: {use: made, videos: 4}", "data: {use: made, videos: x}", ["embedded", "data"]),
        ("model: {dim: 8}", "model: {dims: 8}", ["embedded", "model"]),
    ],
)
def test_json_schema_accepts_a_good_recipe_and_rejects_a_bad_one(editor, old, new, path):
    text = recipe_toys.RECIPE + recipe_toys.EMBEDDED
    assert old in text
    good, bad = (
        yaml.parse(each.encode(), "r.yaml").value for each in (text, text.replace(old, new))
    )
    editor.validate(good)
    errors = list(editor.iter_errors(bad))
    assert errors
    assert all(list(error.absolute_path)[: len(path)] == path for error in errors)


def test_json_schema_tells_an_editor_names_docs_and_defaults(editor):
    definitions = editor.schema["$defs"]
    use = definitions["sampler"]["properties"]["use"]
    assert use["enum"] == ["every", "first"]
    assert "every so many" in use["description"]
    root = definitions["dataset.a_folder"]["properties"]["root"]
    assert root == {"type": "string", "description": "where it lies."}
    assert definitions["sampler.first"]["properties"]["count"]["default"] == 4
    assert definitions["sampler.first"]["description"] == "The first clips."
    assert "no_such_module" in definitions["encoder.gone"]["description"]
