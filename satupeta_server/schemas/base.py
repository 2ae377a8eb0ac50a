"""Forms: what the fields of a body are, how they are read, and what is wrong with them.

Cerberus validates. What it would do slowly (normalising) or cannot say (in which language an
error is read) is done here: texts become UUIDs and dates, a blank means "no value", and Cerberus'
errors become messages.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar
from uuid import UUID

from cerberus import TypeDefinition, Validator
from cerberus.errors import BaseErrorHandler, ValidationError

from satupeta_server.errors import InvalidError
from satupeta_server.messages import Message
from satupeta_server.queries.values import (
    ValueProblem,
    is_storable,
    parse_date,
    parse_datetime,
    parse_uuid,
)

Rules = dict[str, Any]
Values = dict[str, Any]
Errors = dict[str, list[Message]]

_TYPE_MESSAGES = {
    "string": "must_be_text",
    "boolean": "must_be_boolean",
    "integer": "must_be_integer",
    "number": "must_be_number",
    "list": "must_be_list",
    "dict": "must_be_object",
    "uuid": "must_be_uuid",
    "date": "must_be_date",
    "datetime": "must_be_datetime",
}
_CONVERTERS: Mapping[str, Callable[[str], Any]] = {
    "uuid": parse_uuid,
    "date": parse_date,
    "datetime": parse_datetime,
}


class MessageHandler(BaseErrorHandler):  # type: ignore[misc]
    """Turns Cerberus' errors into messages by field."""

    def __call__(self, errors: Iterable[ValidationError]) -> Errors:
        """Give the messages of each top-level field."""
        messages: Errors = {}
        for error in errors:
            field = str(error.document_path[0]) if error.document_path else ""
            messages.setdefault(field, []).extend(_messages_of(error))
        return messages


def _messages_of(error: ValidationError) -> list[Message]:
    if error.child_errors:
        return [message for child in error.child_errors for message in _messages_of(child)][:1]
    if error.rule == "check_with":
        return [Message(error.info[0])]
    return [_RULE_MESSAGES.get(error.rule, _wrong_form)(error)]


def _wrong_form(_error: ValidationError) -> Message:
    return Message("wrong_form")


def _limited(text_key: str, list_key: str) -> Callable[[ValidationError], Message]:
    def message(error: ValidationError) -> Message:
        key = text_key if isinstance(error.value, str) else list_key
        return Message(key, {"limit": error.constraint})

    return message


_RULE_MESSAGES: Mapping[str, Callable[[ValidationError], Message]] = {
    "required": lambda _error: Message("required"),
    "nullable": lambda _error: Message("required"),
    "type": lambda error: Message(_TYPE_MESSAGES[error.constraint]),
    "allowed": lambda error: Message("must_be_one_of", {"allowed": ", ".join(error.constraint)}),
    "minlength": _limited("too_short", "required"),
    "maxlength": _limited("too_long", "too_many"),
    "min": lambda error: Message("too_small", {"limit": error.constraint}),
    "max": lambda error: Message("too_big", {"limit": error.constraint}),
}


class BodyValidator(Validator):  # type: ignore[misc]
    """Cerberus with the type ``uuid`` and with our messages."""

    types_mapping: ClassVar = {
        **Validator.types_mapping,
        "uuid": TypeDefinition("uuid", (UUID,), ()),
    }


class Form:
    """The fields of one kind of body, to create a record or to change one."""

    def __init__(self, fields: Mapping[str, Rules]) -> None:
        self.fields = fields
        optional = {name: {**rules, "required": False} for name, rules in fields.items()}
        # Made once: making a validator costs as much as using it five times.
        self._create = self._validator(fields)
        self._update = self._validator(optional)

    def for_create(self, body: Mapping[str, Any]) -> Values:
        """Read a whole body; raises InvalidError that names each wrong field."""
        return self._checked(self._create, body)

    def for_update(self, body: Mapping[str, Any]) -> Values:
        """Read a partial body: what is absent stays as it is; raises InvalidError."""
        return self._checked(self._update, body)

    @staticmethod
    def _validator(fields: Mapping[str, Rules]) -> BodyValidator:
        return BodyValidator(dict(fields), error_handler=MessageHandler, allow_unknown=True)

    def _checked(self, validator: BodyValidator, body: Mapping[str, Any]) -> Values:
        values, errors = self._converted(body)
        if not validator.validate(values, normalize=False):
            errors = {**validator.errors, **errors}
        if errors:
            raise InvalidError(errors=errors)
        return values

    def _converted(self, body: Mapping[str, Any]) -> tuple[Values, Errors]:
        """Pick the known fields and convert them; unknown ones are ignored by contract."""
        values: Values = {}
        errors: Errors = {}
        for name, rules in self.fields.items():
            if name not in body:
                continue
            try:
                value = converted(body[name], rules)
            except ValueProblem as problem:
                errors[name] = [problem.message]
                continue
            is_switch_without_value = value is None and not rules["nullable"]
            if is_switch_without_value and not rules["required"]:
                continue
            values[name] = value
        return values, errors


def converted(value: Any, rules: Rules) -> Any:
    """Convert one value by its rules; a blank is None. Raises ValueProblem."""
    meta = rules.get("meta", {})
    if isinstance(value, str):
        if not is_storable(value):
            raise ValueProblem("not_text_safe")
        value = value if meta.get("is_verbatim") else value.strip()
    if value is None or value == "":
        return None
    if "convert" in meta:
        return meta["convert"](value)
    converter = _CONVERTERS.get(rules["type"])
    return converter(value) if converter and isinstance(value, str) else value
