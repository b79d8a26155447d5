"""Fails unless a wheel holds what an installed varkit needs beside its modules."""

import re
import sys
from zipfile import ZipFile

NEEDED = (
    r"varkit/py\.typed",
    r"varkit/_recipes/alan_ucf\.yaml",
    r"varkit/_recipes/alan_xd\.yaml",
    r"varkit/_recipes/studies/methods_ucf\.yaml",
    r"varkit/runs/report/.*\.j2",
    r"varkit/testing/templates/sampler\.py",
    r"varkit_alan/__init__\.py",
    r"varkit_baselines/__init__\.py",
    r"varkit_bench/__init__\.py",
    r"varkit_datasets/__init__\.py",
    r"varkit_extractors/kinetics_400\.txt",
    r"varkit_extractors/yamnet_classes\.txt",
    r"varkit_simulator/__init__\.py",
    r"varkit_studies/.*\.j2",
    r"varkit_varcmp/__init__\.py",
    r"varkit_kernels/__init__\.py",
    r"varkit_kernels/py\.typed",
    r"varkit-.*\.dist-info/entry_points\.txt",
    r"varkit-.*\.dist-info/licenses/LICENSE",
)
FORBIDDEN = (r"tests/", r"docs/", r"runs/", r".*\.pyc")

names = ZipFile(sys.argv[1]).namelist()
faults = [f"lacks {n}" for n in NEEDED if not any(re.fullmatch(n, name) for name in names)]
faults += [f"holds {name}" for name in names if any(re.match(f, name) for f in FORBIDDEN)]
sys.exit("\n".join(f"{sys.argv[1]} {fault}" for fault in faults) or None)
