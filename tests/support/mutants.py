"""Do the tests notice? Planted bugs, one at a time, in a copy of the package.

``python tests/support/mutants.py`` runs the suite that should catch each, and fails if one
survives. It is not part of the default run: every mutant costs a run of the tests.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "kernels" / "varkit_kernels"
SUITES = {
    "interpreted": "support/triton_suite.py",
    "ranking_loss": "kernels/test_ranking_loss.py",
    "gradients": "kernels/test_gradients.py",
}


@dataclass(frozen=True)
class Mutant:
    """A planted bug.

    Attributes:
        what: in words.
        file: in ``similarity_ranking``.
        suite: the tests that should notice, a key of ``SUITES``.
        right: the text as it is, which occurs once.
        wrong: the text as it is then.
    """

    what: str
    file: str
    suite: str
    right: str
    wrong: str


PLANTED = """
triton_hinge.py, interpreted: a tie at the margin counts as a violation
- row_hit = negative & ~(to_query <= 0.0)
+ row_hit = negative & ~(to_query < 0.0)
triton_hinge.py, interpreted: columns beyond the end count
- negative = row_inside[:, None] & column_inside[None, :]
+ negative = row_inside[:, None] & (column_inside | True)[None, :]
triton_pack.py, interpreted: the projection is missing from the gradient of a unit vector
- tangent = dp - part * (inverse * along)[:, None]
+ tangent = dp + 0.0 * part * (inverse * along)[:, None]
triton_hinge.py, interpreted: a NaN is no violation
- row_hit = negative & ~(to_query <= 0.0)
-     column_hit = negative & ~(to_video <= 0.0)
+ row_hit = negative & (to_query > 0.0)
+     column_hit = negative & (to_video > 0.0)
triton_gradients.py, interpreted: the list of tiles with violations keeps its transpose's strides
- hit = hit.contiguous()
+ hit = hit
triton_mask_product.py, interpreted: the positive's share of the gradient is missing
- total -= violations[:, None] * partner
+ total -= 0.0 * violations[:, None] * partner
triton_mask_product.py, interpreted: the last tile of a row with violations is skipped
- tl.load(number + down) * steps
+ (tl.load(number + down) - 1) * steps
hinge.py, ranking_loss: only rows are counted
- block.row_counts + block.column_counts,
+ block.row_counts,
cpu_small.py, ranking_loss: only rows are counted, in a small batch
- counts = row_hit.sum(1) + column_hit.sum(0)
+ counts = row_hit.sum(1)
cpu_small.py, ranking_loss: the projection is missing, in a small batch
- along.mul_(inverse[a]).mul_(scale), value=-1)
+ along.mul_(inverse[a]).mul_(scale), value=0)
cpu.py, ranking_loss: groups are not looked at
- to_video.clamp_(min=0).masked_fill_(same, 0)
+ to_video.clamp_(min=0).fill_diagonal_(0)
blocks.py, ranking_loss: each piece takes the first rows' own pairs
- None if own_column is None else own_column + rows.start
+ own_column
cpu.py, ranking_loss: the weights' gradient lacks alpha
- (along[:, experts] * alpha).to(w.dtype)
+ along[:, experts].to(w.dtype)
cpu.py, ranking_loss: a zero vector's gradient is not 0
- nan_to_num_(nan=torch.nan, posinf=0)
+ nan_to_num_(nan=torch.nan, posinf=1e12)
triton_gather.py, interpreted: gathered rows count once, whether one hinge violates or both
- often[:, None] * some
+ tl.minimum(often, 1.0)[:, None] * some
triton_gather.py, interpreted: the last of a row's violations is not gathered
- end = tl.load(starts + row + 1)
+ end = tl.load(starts + row + 1) - 1
violations.py, gradients: the list of a piece starts at row 0
- torch.where(real, row + piece.start, rows)
+ torch.where(real, row, rows)
violations.py, gradients: what fills up the list stands in row 0
- codes.masked_fill_((byte < 0).unsqueeze(1), 0)
+ codes.masked_fill_((byte < 0).unsqueeze(1), 1)
violations.py, gradients: rows are gathered however many pairs violate
- sum(numbers) > operations.gather_below * pairs
+ sum(numbers) < 0
in_forward.py, gradients: in forward a pair's violations lack those of its column in later pieces
- counts += found.column_counts
+ counts[: rows.stop] += found.column_counts[: rows.stop]
in_forward.py, interpreted: in forward the queries' gradient is that of the last piece
- add_product(of_query, codes.T, factors)
+ add_product(of_query.zero_(), codes.T, factors)
in_forward.py, gradients: in forward the incoming gradient is left out
- scale = len(video.tensors), incoming / ctx.divisor
+ scale = len(video.tensors), 1 / ctx.divisor
"""


def read_mutants(text: str) -> list[Mutant]:
    """Read ``file, suite: what``, the lines as they are after -, and as they are then after +."""
    mutants = []
    for block in re.findall(r"^\w.*\n(?:[-+] .*\n)+", text, re.MULTILINE):
        place, what = block.splitlines()[0].split(": ", 1)
        right, wrong = (
            "\n".join(re.findall(rf"^{sign} (.*)", block, re.MULTILINE)) for sign in ("-", r"\+")
        )
        mutants.append(Mutant(what, *place.split(", "), right, wrong))
    return mutants


MUTANTS = read_mutants(PLANTED)


def survives(mutant: Mutant, folder: Path) -> bool:
    """Return whether the tests pass with the bug planted."""
    package = folder / "varkit_kernels"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    file = package / "similarity_ranking" / mutant.file
    text = file.read_text()
    file.write_text(text.replace(mutant.right, mutant.wrong))
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    if mutant.suite == "interpreted":
        environment["TRITON_INTERPRET"] = "1"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += ["-m", "not slow", str(ROOT / "tests" / SUITES[mutant.suite])]
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
