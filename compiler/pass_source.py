"""What a pass takes, gives and has for options, read from its source, as torch takes seconds."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import passes

_FOLDER = Path(passes.__file__).parent
GIVEN = "from the goals"
"""Default of an option that the compilation's goals fill in."""


def described(name: str) -> dict[str, Any] | None:
    """Pass `name` as `liftflow passes --json` has it; None where only an import can tell."""
    if name not in passes.ORDER:
        return None
    tree = ast.parse((_FOLDER / f"{name.replace('-', '_')}.py").read_text())
    kinds = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    kind = kinds[passes.ORDER[name]]
    stages = _stages(kind)
    if stages is None:
        return None
    try:
        options = [_option(field, tree) for field in kind.body if _is_option(field)]
    except ValueError:
        return None
    return {
        "name": name,
        "takes": stages[0],
        "gives": stages[1],
        "help": inspect.cleandoc(ast.get_docstring(kind) or ""),
        "options": options,
    }


def _stages(kind: ast.ClassDef) -> tuple[str, str] | None:
    """A and B of a class that derives from `Pass[A, B]` and nothing else."""
    if len(kind.bases) != 1:
        return None
    match kind.bases[0]:
        case ast.Subscript(
            value=ast.Name("Pass"), slice=ast.Tuple(elts=[ast.Name(taken), ast.Name(given)])
        ):
            return taken, given
    return None


def _is_option(field: ast.stmt) -> bool:
    """An annotated field that is no ClassVar."""
    return isinstance(field, ast.AnnAssign) and not ast.unparse(field.annotation).startswith(
        "ClassVar"
    )


def _option(field: ast.stmt, tree: ast.Module) -> dict[str, Any]:
    """Raises ValueError for a default that is more than a literal or the name of one."""
    assert isinstance(field, ast.AnnAssign)
    assert isinstance(field.target, ast.Name)
    default = GIVEN if field.value is None else _value(field.value, tree)
    return {
        "name": field.target.id,
        "type": ast.unparse(_written_out(field.annotation, tree)),
        "default": default,
    }


def _written_out(annotation: ast.expr, tree: ast.Module) -> ast.expr:
    """The type itself where this module has a name of its own for it."""
    for statement in tree.body:
        match (annotation, statement):
            case ast.Name(own), ast.Assign(targets=[ast.Name(name)], value=value) if name == own:
                return value
    return annotation


def _value(node: ast.expr, tree: ast.Module) -> Any:
    """A literal, or a constant of this module or of the module of this project it comes from."""
    if not isinstance(node, ast.Name):
        return ast.literal_eval(node)
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(name)], value=value) if name == node.id:
                return _value(value, tree)
            case ast.ImportFrom(module=str(module), names=names):
                if any(node.id == (found.asname or found.name) for found in names):
                    path = _FOLDER.parent.joinpath(*module.split(".")).with_suffix(".py")
                    if path.is_file():
                        return _value(node, ast.parse(path.read_text()))
    raise ValueError(f"{node.id} is no literal")
