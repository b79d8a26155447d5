"""The page of results is what its generator makes, and mixes nothing."""

import json
import re
import shutil

import pytest
import results
from varkit_studies.comparison.resampling import FIGURES

from varkit.system.records import read_json

PUBLISHED, RESULTS, SEARCH = results.read()
ROWS = [row for name in results.BENCHMARKS for row in PUBLISHED[name]]
VALUE = {"value": 50.0, "sd_trainings": 2.0, "interval": [40, 60], "interval_trainings": None}
KEYS = {"system", "source", "backbone", "protocol", "T2V", "V2T", "A2V", "V2A", "SumR", "added"}


def test_the_page_is_what_the_generator_gives():
    page = (results.HERE / "results.md").read_text("utf-8")
    assert page == results.page(PUBLISHED, RESULTS, SEARCH), "run: python docs/results.py"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["system"])
def test_a_published_sum_is_that_of_its_recalls(row):
    assert set(row) <= KEYS
    assert all(row[key] for key in ("system", "source", "backbone", "protocol"))
    recalls = [x for way in ("T2V", "V2T", "A2V", "V2A") for x in row.get(way, ())]
    assert all(x is None or 0 <= x <= 100 for x in recalls)
    if len(recalls) == 6 and None not in recalls:
        # Six recalls and their sum, each rounded to a tenth.
        assert abs(sum(recalls) - row["SumR"]) <= 7 * 0.05
    else:
        assert "SumR" not in row, "the page says that a row with an empty cell has no sum"


@pytest.mark.parametrize(
    ("with_trainings", "shown"), [(None, "[40.0, 60.0]"), ([30, 70], "[30.0, 70.0]")]
)
def test_the_interval_is_the_one_that_the_caption_names(with_trainings, shown):
    given = study(
        {"values": dict.fromkeys(FIGURES, VALUE | {"interval_trainings": with_trainings})}
    )
    page = results.page(PUBLISHED, [results.reduced(given)])
    assert shown in page.replace("\\", "")
    assert "with one training, for other videos alone" in page


def study(*changes):
    """Return a ``study.json`` with a row for each change."""
    row = {
        "label": "<b>|ours",
        "dataset": "UCFCrime-AR",
        "simulated": False,
        "embedded": False,
        "fingerprint": "f00d",
        "questions": "asked",
        "weights_of": None,
        "seeds": [0, 1],
        "values": dict.fromkeys(FIGURES, VALUE),
    }
    rows = {f"row{number}": {**row, **change} for number, change in enumerate(changes)}
    return {
        "study": "s",
        "title": "t",
        "text": True,
        "embedded": False,
        "overrides": ["a=1"],
        "unfinished": {},
        "protocol": ["n = 290", "Row b changes nothing: it shares the run /srv/runs/x."],
        "order": ["unfinished", *rows],
        "rows": rows,
    }


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "real"),
        ({"simulated": True}, "simulated"),
        ({"dataset": "MSR-VTT"}, "msrvtt"),
        ({"dataset": "MSR-VTT", "simulated": True}, "simulated"),
    ],
)
def test_each_kind_of_figures_has_a_section_of_its_own(changes, kind):
    found = json.loads(json.dumps(results.reduced(study(changes))))
    page = results.page(PUBLISHED, [found])
    parts = dict(part.split("\n", 1) for part in page.split("\n## ")[1:])
    assert list(parts) == ["Published", *results.KINDS.values()]
    holds = [title for title, text in parts.items() if "50.0 ±2.0" in text]
    assert holds == [results.KINDS[kind]]
    own = parts[results.KINDS[kind]]
    assert ("(simulated data)" in own) == (kind == "simulated")
    assert "varkit study s a=1" in own
    assert "/srv" not in own
    assert r"&lt;b&gt;\|ours" in own or r"\<b\>\|ours" in own
    assert sum(text.count("No result file yet") for text in parts.values()) == 2


@pytest.mark.parametrize(
    ("changes", "lacks", "said"),
    [
        ([{}, {"simulated": True}], {}, "different data"),
        ([{}, {"questions": "others"}], {}, "different data"),
        ([], {}, "no row was measured"),
        ([{}], {"left_out": ["words"]}, r"left out by --rows: \['words'\]"),
        ([{}], {"unfinished": {"b": "stopped"}}, r"not finished: \{'b': 'stopped'\}"),
    ],
)
def test_different_data_and_rows_that_lack_are_no_table(changes, lacks, said):
    with pytest.raises(ValueError, match=said):
        results.reduced(study(*changes) | lacks)


def test_adding_a_study_writes_its_file_and_the_page(tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    shutil.copy(results.HERE / "results/published.yaml", tmp_path / "results")
    (tmp_path / "study.json").write_text(json.dumps(study({})))
    monkeypatch.setattr(results, "HERE", tmp_path)
    results.main(["add", str(tmp_path)])
    assert read_json(tmp_path / "results/s.json", dict)["kind"] == "real"
    assert "50.0 ±2.0" in (tmp_path / "results.md").read_text("utf-8")


def test_result_files_name_no_place_of_one_machine():
    for file in (results.HERE / "results").glob("*.json"):
        text = file.read_text("utf-8")
        assert read_json(file, dict)["kind"] in results.KINDS
        assert not re.search(r'[\s"]/\w', text)
