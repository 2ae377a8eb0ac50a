"""The Dockerfile, by the rules of hadolint."""

import subprocess
import sys
from pathlib import Path

from tests.running import ROOT


def test_the_dockerfile_keeps_the_rules() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    ended = subprocess.run(
        [hadolint, str(ROOT / "Dockerfile")], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout
