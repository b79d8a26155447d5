"""What every benchmark does with a folder that has faults."""

import inspect

import pytest

from varkit.errors import DataError


def expect_faults(benchmark, layout, root, expected):
    """The faults are those expected; training refuses in the same words; so does the survey."""
    found = layout(root=str(root)).faults
    assert len(found) == len(expected), found
    for text, fault in zip(expected, found, strict=True):
        assert text.format(root=root) in fault
    with pytest.raises(DataError) as caught:
        benchmark(root=str(root))
    for fault in found:
        assert fault in str(caught.value), "the same words"
    assert benchmark.survey(root=str(root)).faults == found


def expect_the_same_options(constructor, scan):
    one, other = (inspect.signature(f).parameters for f in (constructor, scan))
    assert {n: p.default for n, p in one.items()} == {n: p.default for n, p in other.items()}
