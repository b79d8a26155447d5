"""Do the tests notice? Planted bugs, one at a time, in a copy of the package.

``python tests/support/mutants.py`` runs the suite that should catch each, and fails if one
survives. It is not part of the default run: every mutant costs a run of the tests.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "kernels" / "varkit_kernels"
INTERPRETED, CPU, GRADIENTS = "triton_suite.py", "test_ranking_loss.py", "test_gradients.py"


@dataclass(frozen=True)
class Mutant:
    """A planted bug.

    Attributes:
        what: in words.
        file: in ``similarity_ranking``.
        right: the text as it is, which occurs once.
        wrong: the text as it is then.
        suite: the tests that should notice.
    """

    what: str
    file: str
    right: str
    wrong: str
    suite: str


MUTANTS = [
    Mutant(
        "a tie at the margin counts as a violation",
        "triton_hinge.py",
        "row_hit = negative & ~(to_query <= 0.0)",
        "row_hit = negative & ~(to_query < 0.0)",
        INTERPRETED,
    ),
    Mutant(
        "columns beyond the end count",
        "triton_hinge.py",
        "negative = row_inside[:, None] & column_inside[None, :]",
        "negative = row_inside[:, None] & (column_inside | True)[None, :]",
        INTERPRETED,
    ),
    Mutant(
        "the projection is missing from the gradient of a unit vector",
        "triton_pack.py",
        "tangent = dp - part * (inverse * along)[:, None]",
        "tangent = dp + 0.0 * part * (inverse * along)[:, None]",
        INTERPRETED,
    ),
    Mutant(
        "a NaN is no violation",
        "triton_hinge.py",
        """row_hit = negative & ~(to_query <= 0.0)
    column_hit = negative & ~(to_video <= 0.0)""",
        """row_hit = negative & (to_query > 0.0)
    column_hit = negative & (to_video > 0.0)""",
        INTERPRETED,
    ),
    Mutant(
        "the list of tiles with violations keeps the strides of its transpose",
        "triton_gradients.py",
        "hit = hit.contiguous()",
        "hit = hit",
        INTERPRETED,
    ),
    Mutant(
        "the positive's share of the gradient is missing",
        "triton_mask_product.py",
        "total -= violations[:, None] * partner",
        "total -= 0.0 * violations[:, None] * partner",
        INTERPRETED,
    ),
    Mutant(
        "the last tile of a row with violations is skipped",
        "triton_mask_product.py",
        "tl.load(number + down) * steps",
        "(tl.load(number + down) - 1) * steps",
        INTERPRETED,
    ),
    Mutant(
        "only rows are counted",
        "hinge.py",
        "block.row_counts + block.column_counts,",
        "block.row_counts,",
        CPU,
    ),
    Mutant(
        "only rows are counted, in a small batch",
        "cpu_small.py",
        "counts = row_hit.sum(1) + column_hit.sum(0)",
        "counts = row_hit.sum(1)",
        CPU,
    ),
    Mutant(
        "the projection is missing, in a small batch",
        "cpu_small.py",
        "along.mul_(inverse[a]).mul_(scale), value=-1)",
        "along.mul_(inverse[a]).mul_(scale), value=0)",
        CPU,
    ),
    Mutant(
        "groups are not looked at",
        "cpu.py",
        "to_video.clamp_(min=0).masked_fill_(same, 0)",
        "to_video.clamp_(min=0).fill_diagonal_(0)",
        CPU,
    ),
    Mutant(
        "each piece takes the first rows' own pairs",
        "blocks.py",
        "None if own_column is None else own_column + rows.start",
        "own_column",
        CPU,
    ),
    Mutant(
        "the weights' gradient lacks alpha",
        "cpu.py",
        "(along[:, experts] * alpha).to(w.dtype)",
        "along[:, experts].to(w.dtype)",
        CPU,
    ),
    Mutant(
        "a zero vector's gradient is not 0",
        "cpu.py",
        "nan_to_num_(nan=torch.nan, posinf=0)",
        "nan_to_num_(nan=torch.nan, posinf=1e12)",
        CPU,
    ),
    Mutant(
        "gathered rows count once, whether one hinge violates or both",
        "triton_gather.py",
        "often[:, None] * some",
        "tl.minimum(often, 1.0)[:, None] * some",
        INTERPRETED,
    ),
    Mutant(
        "the last of a row's violations is not gathered",
        "triton_gather.py",
        "end = tl.load(starts + row + 1)",
        "end = tl.load(starts + row + 1) - 1",
        INTERPRETED,
    ),
    Mutant(
        "the list of a piece starts at row 0",
        "violations.py",
        "torch.where(real, row + piece.start, rows)",
        "torch.where(real, row, rows)",
        GRADIENTS,
    ),
    Mutant(
        "what fills up the list stands in row 0",
        "violations.py",
        "codes.masked_fill_((byte < 0).unsqueeze(1), 0)",
        "codes.masked_fill_((byte < 0).unsqueeze(1), 1)",
        GRADIENTS,
    ),
    Mutant(
        "rows are gathered however many pairs violate",
        "violations.py",
        "sum(numbers) > operations.gather_below * pairs",
        "sum(numbers) < 0",
        GRADIENTS,
    ),
    Mutant(
        "in forward a pair's violations lack those of its column in later pieces",
        "in_forward.py",
        "counts += found.column_counts",
        "counts[: rows.stop] += found.column_counts[: rows.stop]",
        GRADIENTS,
    ),
    Mutant(
        "in forward the queries' gradient is that of the last piece",
        "in_forward.py",
        "add_product(of_query, codes.T, factors)",
        "add_product(of_query.zero_(), codes.T, factors)",
        INTERPRETED,
    ),
    Mutant(
        "in forward the incoming gradient is left out",
        "in_forward.py",
        "scale = len(video.tensors), incoming / ctx.divisor",
        "scale = len(video.tensors), 1 / ctx.divisor",
        GRADIENTS,
    ),
]


def survives(mutant: Mutant, folder: Path) -> bool:
    """Return whether the tests pass with the bug planted."""
    package = folder / "varkit_kernels"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    file = package / "similarity_ranking" / mutant.file
    text = file.read_text()
    file.write_text(text.replace(mutant.right, mutant.wrong))
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    if mutant.suite == INTERPRETED:
        environment["TRITON_INTERPRET"] = "1"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += ["-m", "not slow", str(Path(__file__).with_name(mutant.suite))]
    check = "import varkit_kernels; print(varkit_kernels.__file__)"
    where = subprocess.run(
        [sys.executable, "-c", check], env=environment, capture_output=True, text=True, check=True
    )
    if not where.stdout.startswith(str(folder)):
        raise SystemExit(f"the tests would look at {where.stdout.strip()}, not at the mutant")
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"the tests did not run: {done.stdout.decode()[-2000:]}")
    return done.returncode == 0


def main() -> None:
    """Plant every bug and say who notices."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", help="mutants whose description has this in it")
    only = parser.parse_args().only
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        for mutant in MUTANTS:
            if only is None or only in mutant.what:
                alive = survives(mutant, Path(folder))
                survivors += alive
                sys.stdout.write(f"{'SURVIVES' if alive else 'caught  '}  {mutant.what}\n")
                sys.stdout.flush()
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    main()
