#!/usr/bin/env python3
"""Chooses the committed seeds of fuzz targets out of their corpora.

For each target that is named: libFuzzer merges `corpus` and `seeds`, smallest
inputs first, and notes which of them reaches something new; those that reach the
most, with as few bytes, become `seeds/TARGET`. The target must be built.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

FILES = 30
BYTES = 38 << 10
LONGEST = 4 << 10

HERE = pathlib.Path(__file__).resolve().parent


def reached(target, folders):
    """How much that no smaller one reaches each input reaches."""
    (binary,) = HERE.glob(f"target/*/release/{target}")
    with tempfile.TemporaryDirectory() as folder:
        notes = pathlib.Path(folder, "notes")
        into = pathlib.Path(folder, "into")
        into.mkdir()
        command = [binary, "-merge=1", f"-merge_control_file={notes}", into, *folders]
        # SQLite has two constants of one name; `cargo fuzz run` says the same.
        around = os.environ | {"ASAN_OPTIONS": "detect_odr_violation=0"}
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL, env=around)
        lines = notes.read_text().splitlines()
    count = int(lines[0])
    files = [pathlib.Path(line) for line in lines[2 : 2 + count]]
    new = {}
    for line in lines[2 + count :]:
        kind, *words = line.split()
        if kind == "FT":
            new[files[int(words[0])]] = len(words) - 1
    return new


def choose(target):
    seeds = HERE / "seeds" / target
    folders = [it for it in (seeds, HERE / "corpus" / target) if it.is_dir()]
    new = reached(target, folders)
    chosen, size = [], 0
    for file in sorted(new, key=lambda it: (-new[it], it.stat().st_size, it.name)):
        length = file.stat().st_size
        if new[file] and length <= LONGEST and size + length <= BYTES and len(chosen) < FILES:
            chosen.append(file)
            size += length
    with tempfile.TemporaryDirectory() as folder:
        for file in chosen:
            shutil.copy(file, folder)
        shutil.rmtree(seeds, ignore_errors=True)
        shutil.copytree(folder, seeds)
    print(f"{target}: {len(chosen)} of {len(new)} inputs, {size} bytes")


for target in sys.argv[1:]:
    choose(target)
