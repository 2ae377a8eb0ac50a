"""The measurement of ``bucket verify`` and ``mirror`` works; how fast they are it tells by hand."""

import subprocess
import sys

from tests.cli.program import ROOT


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
