"""The planted bugs of ``mutants.py`` still fit the code; running them is a command of its own."""

import pytest

from tests.support.mutants import MUTANTS, PACKAGE


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.what)
def test_a_mutant_can_be_planted(mutant):
    text = (PACKAGE / "similarity_ranking" / mutant.file).read_text(encoding="utf-8")
    assert text.count(mutant.right) == 1
    assert mutant.right != mutant.wrong
