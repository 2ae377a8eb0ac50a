"""The measurements work; how fast things are they tell by hand."""

import subprocess
import sys

from tests.cli.program import ROOT


def test_the_measurement_of_imports_compares_with_a_bare_copy() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.imports", "--mapsets", "300", "--no-regions"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    assert "of the rate of a bare COPY." in ended.stdout
    assert "mapsets, first: {'created': 300}" in ended.stdout
    assert "mapsets, again: {'unchanged': 300}" in ended.stdout


def test_the_measurement_prints_a_ratio_for_each_command() -> None:
    few = ["--small", "4", "--large", "1", "--large-bytes", "9000000", "--rounds", "1"]
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.bucket", *few],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()[2:]
    names = ["verify", "mirror to a store", "mirror to a folder"]
    assert [line[:24].strip() for line in lines] == names
    assert all(float(line.split()[-1]) > 0 for line in lines)


def test_the_reference_and_the_server_are_measured_after_giving_the_same_json() -> None:
    few = ["--only", "reference", "--mapsets", "120", "--rounds", "1", "--seconds", "0.1"]
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving", *few],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    rows = [line.split(" | ") for line in ended.stdout.splitlines() if " | ours | " in line]
    assert len(rows) == 6
    assert all(float(rate) > 0 and errors == "0 |" for _, _, rate, *_, errors in rows)
