"""API_DOCUMENTATION.md from the application's own OpenAPI document and from examples that a test runs."""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias, cast

from app.main import create_app
from config import profile
from config.environment import CHECKOUT
from deployments.documents.examples import Example
from deployments.documents.examples import load as load_examples

Schema: TypeAlias = Mapping[str, Any]
METHODS = ("get", "post", "put", "patch", "delete")
INTRODUCTION = CHECKOUT / "docs" / "api" / "introduction.md"


def text() -> str:
    """The whole document."""
    document = openapi()
    examples: dict[str, list[Example]] = {}
    for example in load_examples():
        examples.setdefault(example.operation, []).append(example)
    parts = [INTRODUCTION.read_text()]
    for tag, operations in _by_tag(document).items():
        parts.append(f"\n## {tag}\n")
        for name, operation in operations:
            parts.append(_operation(document, name, operation, examples.get(name, [])))
    return "".join(parts)


def openapi() -> Schema:
    """What `/openapi.json` answers; nothing is opened for it."""
    return create_app(profile.load("local"), cast(Any, None)).openapi()


def operations(document: Schema) -> Iterator[tuple[str, Schema]]:
    """Each operation as `METHOD /path`."""
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


def _by_tag(document: Schema) -> dict[str, list[tuple[str, Schema]]]:
    found: dict[str, list[tuple[str, Schema]]] = {}
    for name, operation in operations(document):
        found.setdefault((operation.get("tags") or ["other"])[0], []).append((name, operation))
    return found


def _operation(document: Schema, name: str, operation: Schema, examples: list[Example]) -> str:
    lines = [f"\n### {name}\n"]
    if description := operation.get("description"):
        lines.append(f"{description.strip()}\n")
    if rows := [*_parameters(document, operation), *_body(document, operation)]:
        lines += ["| field | in | type | |", "|---|---|---|---|", *rows, ""]
    lines.append(f"Answers {', '.join(_answers(operation))}.\n")
    lines += [_shown(each) for each in examples]
    return "\n".join(lines)


def _parameters(document: Schema, operation: Schema) -> Iterator[str]:
    for each in operation.get("parameters", ()):
        name = f"`{each['name']}`{' *' if each.get('required') else ''}"
        notes = _notes(each.get("description"), each["schema"])
        yield f"| {name} | {each['in']} | {_type(document, each['schema'])} | {notes} |"


def _body(document: Schema, operation: Schema) -> Iterator[str]:
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = _resolved(document, content["schema"])
        needed = schema.get("required", ())
        where = (
            "body"
            if media == "application/json"
            else media.rpartition("/")[2].removeprefix("x-www-").partition("-")[0]
        )
        for name, field in schema.get("properties", {}).items():
            star = " *" if name in needed else ""
            notes = _notes(field.get("description"), field)
            yield f"| `{name}`{star} | {where} | {_type(document, field)} | {notes} |"


def _answers(operation: Schema) -> Iterator[str]:
    for status, response in operation["responses"].items():
        content = response.get("content", {})
        kinds = {"text/event-stream": "a stream of events"}
        shape = next((kinds.get(media, "") for media in content if media in kinds), "")
        for media in content.values():
            reference = media.get("schema", {}).get("$ref", "")
            shape = shape or (f"`{_last(reference)}`" if reference else "")
        shape = shape.replace(
            "`HTTPValidationError`", "a problem"
        )  # FastAPI's name for what we answer otherwise
        yield f"{status}{f' {shape}' if shape else ''}"


def _type(document: Schema, schema: Schema) -> str:
    if "$ref" in schema:
        target = _resolved(document, schema)
        return _type(document, target) if "enum" in target else f"`{_last(schema['$ref'])}`"
    if "enum" in schema:
        return " ".join(f"`{each}`" for each in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            kinds = [_type(document, each) for each in schema[several] if each.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    if schema.get("type") == "array":
        return f"list of {_type(document, schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "any")


def _notes(description: str | None, schema: Schema) -> str:
    notes = [" ".join(description.split())] if description else []
    limits = {"minLength": "at least {} long", "maxLength": "at most {} long", "minimum": "from {}"}
    limits |= {"maximum": "to {}", "maxItems": "at most {}", "exclusiveMinimum": "more than {}"}
    notes += [text.format(schema[key]) for key, text in limits.items() if key in schema]
    if schema.get("default") not in (None, [], {}, ""):
        notes.append(f"default `{json.dumps(schema['default'])}`")
    return "; ".join(notes).replace("|", "\\|")


def _resolved(document: Schema, schema: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    return cast(Schema, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])


def _last(reference: str) -> str:
    """A schema's own name, without the module that FastAPI puts before it where two have the same."""
    return reference.rpartition("/")[2].rpartition("__")[2]


def _shown(example: Example) -> str:
    """The example as curl; what earlier examples answered stands in shell variables."""
    command = ["curl -s" if example.method == "GET" else f"curl -s -X {example.method}"]
    command.append(f'"http://127.0.0.1:8000{example.shell_path}"')
    if example.role:
        command.append(f'-H "Authorization: Bearer $(make -s token ROLE={example.role})"')
    command += [f'-H "{name}: {value}"' for name, value in example.shell_headers.items()]
    if example.form:
        command += [f'-d "{name}={value}"' for name, value in example.shell_form.items()]
    elif example.body is not None:
        command += ["-H 'Content-Type: application/json'", f"-d {_quoted(example.shell_body)}"]
    title = f"{example.title}:\n\n" if example.title else ""
    joined = " \\\n  ".join(command)
    return f"{title}<!-- run by tests/e2e/test_documents.py -->\n```sh\n{joined}\n```\n"


def _quoted(body: str) -> str:
    """In double quotes where a variable has to be seen, in single quotes elsewhere."""
    if "$" in body:
        return '"' + body.replace('"', '\\"') + '"'
    return shlex.quote(body)
