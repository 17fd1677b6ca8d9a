"""A setting exists only if its engine reads it, from a config of its own class."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from ksh_studio import config as configs
from ksh_studio.config import CaptionConfig, Config, GenerateConfig, TrainConfig

PACKAGE = Path(__file__).resolve().parent.parent / "ksh_studio"
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Reads:
    """The settings that the modules of a room read from variables annotated with a config or its settled subclass."""

    def __init__(self, trees: list[ast.Module], config: type[Config]) -> None:
        self.classes = {config.__name__, *(kind.__name__ for kind in config.__subclasses__())}
        nodes = [node for tree in trees for node in ast.walk(tree)]
        fields = [line for node in nodes if isinstance(node, ast.ClassDef) for line in node.body]
        self.attributes = {field.target.id for field in fields if self._is_config(field)}
        """Names of attributes that hold a config: `run.config`."""
        functions = [node for node in nodes if isinstance(node, Function)]
        self.makers = {function.name for function in functions if self._names(function.returns) & self.classes}
        """Names of functions and properties that return one."""
        self.names = {name for function in functions for name in self._read_in(function)}

    def _is_config(self, line: ast.stmt) -> bool:
        return (
            isinstance(line, ast.AnnAssign)
            and isinstance(line.target, ast.Name)
            and bool(self._names(line.annotation) & self.classes)
        )

    def _names(self, annotation: ast.expr | None) -> set[str]:
        nodes = list(ast.walk(annotation)) if annotation is not None else []
        texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
        return texts | {node.id for node in nodes if isinstance(node, ast.Name)}

    def _read_in(self, function: Function) -> Iterator[str]:
        arguments = [*function.args.args, *function.args.kwonlyargs]
        variables = {argument.arg for argument in arguments if self._names(argument.annotation) & self.classes}
        variables |= {line.target.id for line in ast.walk(function) if self._is_config(line)}
        for target, value in _assigned(function):  # config = run.config
            if isinstance(target, ast.Name) and self._gives_config(value, variables):
                variables.add(target.id)
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and self._gives_config(node.value, variables):
                yield node.attr

    def _gives_config(self, value: ast.expr, variables: set[str]) -> bool:
        match value:
            case ast.Name(id=name):
                return name in variables
            case ast.Attribute(attr=name):
                return name in self.attributes | self.makers
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
                return name in self.makers
        return False


def _assigned(function: Function) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Each target of an assignment with its value; `a, b = x, y` are two."""
    for line in ast.walk(function):
        for target in line.targets if isinstance(line, ast.Assign) else []:
            if isinstance(target, ast.Tuple) and isinstance(line.value, ast.Tuple):
                yield from zip(target.elts, line.value.elts, strict=False)
            else:
                yield target, line.value


def reads(room: str, config: type[Config]) -> set[str]:
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (PACKAGE / room).rglob("*.py")]
    return Reads(trees, config).names


@pytest.mark.parametrize(
    ("config", "room"), [(CaptionConfig, "captions"), (TrainConfig, "training"), (GenerateConfig, "generation")]
)
def test_every_setting_is_read_by_its_engine(config, room):
    assert set(config.model_fields) - reads(room, config) == set()


def test_an_attribute_of_another_thing_is_no_read():
    code = """
class Run:
    config: SettledTraining

def one(config: TrainConfig, other: Device) -> int:
    return config.rank + other.seed

def two(run: Run, base: BaseEntry) -> None:
    config, base = run.config, base
    print(config.resolution, run.config.name, base.clip_skip, run.optimizer)
"""
    assert configs.SettledTraining in TrainConfig.__subclasses__()
    assert Reads([ast.parse(code)], TrainConfig).names == {"rank", "resolution", "name"}
