"""Rules that the store itself carries out; none that this module makes ends a living object."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from satupeta_server.maintenance.bucket_store import AdministeredStore

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
_SPACE = f"{{{_NAMESPACE}}}"
ABORT_UNFINISHED = "satupeta-abort-unfinished"
REMOVE_OLD_VERSIONS = "satupeta-remove-old-versions"
_OURS = {
    ABORT_UNFINISHED: ("AbortIncompleteMultipartUpload", "DaysAfterInitiation"),
    REMOVE_OLD_VERSIONS: ("NoncurrentVersionExpiration", "NoncurrentDays"),
}
_OUTER = ("ID", "Status", "Filter", "Prefix")


@dataclass(frozen=True)
class Rule:
    """A rule as people read it."""

    name: str
    is_enabled: bool
    prefix: str
    does: str

    @property
    def is_ours(self) -> bool:
        """Tell whether ``lifecycle set`` made it."""
        return self.name in _OURS


def rules(store: AdministeredStore) -> list[Rule]:
    """Give the rules that are set."""
    document = store.lifecycle()
    return [] if document is None else [_read(one) for one in _elements(document)]


def set_rules(
    store: AdministeredStore, days: Mapping[str, int], *, dry_run: bool = False
) -> list[str]:
    """Set rules of ours by their names, and keep all others; gives the names of what changed."""
    document = store.lifecycle()
    if document is None:
        document = ElementTree.Element(f"{_SPACE}LifecycleConfiguration")
    present = {one.name: one for one in map(_read, _elements(document))}
    wanted = {name: _read(_element(name, number)) for name, number in days.items()}
    changed = [name for name, rule in wanted.items() if present.get(name) != rule]
    if changed and not dry_run:
        for one in list(_elements(document)):
            if _read(one).name in changed:
                document.remove(one)
        document.extend([_element(name, days[name]) for name in changed])
        ElementTree.register_namespace("", _NAMESPACE)
        store.set_lifecycle(ElementTree.tostring(document))
    return changed


def clear_rules(store: AdministeredStore) -> None:
    """Take all rules away."""
    store.set_lifecycle(None)


def _element(name: str, days: int) -> ElementTree.Element:
    rule = ElementTree.Element(f"{_SPACE}Rule")
    action, unit = _OURS[name]
    for tag, text in (("ID", name), ("Status", "Enabled")):
        ElementTree.SubElement(rule, f"{_SPACE}{tag}").text = text
    around = ElementTree.SubElement(rule, f"{_SPACE}Filter")
    ElementTree.SubElement(around, f"{_SPACE}Prefix").text = ""
    inner = ElementTree.SubElement(rule, f"{_SPACE}{action}")
    ElementTree.SubElement(inner, f"{_SPACE}{unit}").text = str(days)
    return rule


def _elements(document: Any) -> list[ElementTree.Element]:
    return [one for one in document if _plain(one) == "Rule"]


def _plain(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]


def _read(rule: ElementTree.Element) -> Rule:
    texts = {_plain(one): (one.text or "").strip() for one in rule.iter()}
    actions = [one for one in rule if _plain(one) not in _OUTER]
    does = ", ".join(
        f"{_plain(one)} ({', '.join(f'{_plain(part)} {part.text}' for part in one)})"
        for one in actions
    )
    return Rule(
        texts.get("ID", ""), texts.get("Status") == "Enabled", texts.get("Prefix", ""), does
    )
