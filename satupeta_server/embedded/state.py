"""What a data folder remembers about its embedded servers from one start to the next."""

from pathlib import Path
from typing import Any

from satupeta_server.embedded.files import read_json, replace_private_json


class State:
    """The file `embedded.json` of a data folder: where the data stand, which ports were used."""

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "embedded.json"
        self._values = read_json(self.path)

    @property
    def home(self) -> str | None:
        """Where the data stand: a name in the data folder or a whole path; None before that."""
        home = self._values.get("home")
        return home if isinstance(home, str) else None

    @home.setter
    def home(self, value: str) -> None:
        self._store("home", value)

    @property
    def ports(self) -> dict[str, Any]:
        """The ports that the object store used last."""
        ports = self._values.get("ports")
        return ports if isinstance(ports, dict) else {}

    @ports.setter
    def ports(self, value: dict[str, int]) -> None:
        self._store("ports", value)

    def _store(self, key: str, value: object) -> None:
        if self._values.get(key) != value:
            self._values[key] = value
            replace_private_json(self.path, self._values)
