"""Nodes + data → text."""

import difflib
import inspect
from collections import ChainMap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NoReturn

from layerstore.errors import UsageError
from lstore.cli.template.functions import FUNCTIONS, BadArguments, Function, go_string, is_true
from lstore.cli.template.lexer import fail
from lstore.cli.template.nodes import (
    Assign,
    Call,
    Constant,
    Dot,
    Fields,
    If,
    Node,
    Operand,
    Output,
    Pipeline,
    Range,
    Text,
    Value,
    Variable,
)
from lstore.cli.template.parser import parse

Scope = ChainMap[str, Value]


class Template:
    """A parsed template. Raises `UsageError`, pointing at the place, when it is no template."""

    def __init__(self, source: str, functions: Mapping[str, Function] = FUNCTIONS) -> None:
        self._source = source
        self._functions = functions
        self._nodes = parse(source)

    def render(self, data: Value) -> str:
        """The text for `data`. Raises `UsageError` for a field or function that is not there."""
        return "".join(
            _Rendering(self._source, self._functions).nodes(self._nodes, data, ChainMap({"$": data}))
        )


class _Rendering:
    """One execution of a template. Each block has a scope of its own on top of its parent's."""

    def __init__(self, source: str, functions: Mapping[str, Function]) -> None:
        self._source = source
        self._functions = functions

    def _fail(self, offset: int, message: str) -> NoReturn:
        fail(self._source, offset, message)

    def nodes(self, nodes: Iterable[Node], dot: Value, scope: Scope) -> Iterator[str]:
        """The text of `nodes`, piece by piece."""
        for node in nodes:
            if isinstance(node, Text):
                yield node.text
            elif isinstance(node, Output):
                value = self._value(node.pipeline, dot, scope)
                yield "<no value>" if value is None else go_string(value)
            elif isinstance(node, Assign):
                self._assign(node, self._value(node.pipeline, dot, scope), scope)
            elif isinstance(node, If):
                yield from self._if(node, dot, scope)
            else:
                yield from self._range(node, dot, scope)

    def _assign(self, node: Assign, value: Value, scope: Scope) -> None:
        if not node.is_declaration and node.name not in scope:
            self._fail(node.offset, f"undefined variable {node.name}")
        home = next((each for each in scope.maps if node.name in each), scope.maps[0])
        (scope.maps[0] if node.is_declaration else home)[node.name] = value

    def _if(self, node: If, dot: Value, scope: Scope) -> Iterator[str]:
        value = self._value(node.condition, dot, scope)
        if is_true(value):
            inner = value if node.rebinds else dot
            yield from self.nodes(node.then, inner, scope.new_child())
        else:
            yield from self.nodes(node.orelse, dot, scope.new_child())

    def _range(self, node: Range, dot: Value, scope: Scope) -> Iterator[str]:
        value = self._value(node.over, dot, scope)
        pairs = self._pairs(node, value)
        if not pairs:
            yield from self.nodes(node.orelse, dot, scope.new_child())
        for key, element in pairs:
            bound = dict(zip(reversed(node.names), (element, key), strict=False))
            yield from self.nodes(node.body, element, scope.new_child(bound))

    def _pairs(self, node: Range, value: Value) -> Sequence[tuple[Value, Value]]:
        if value is None:
            return []
        if isinstance(value, Mapping):
            return [(key, value[key]) for key in sorted(value)]
        if isinstance(value, str) or not isinstance(value, Sequence):
            self._fail(node.offset, f"cannot range over {go_string(value)[:40]}")
        return list(enumerate(value))

    def _value(self, operand: Operand, dot: Value, scope: Scope) -> Value:
        match operand:
            case Constant():
                return operand.value
            case Dot():
                return dot
            case Variable():
                if operand.name not in scope:
                    self._fail(operand.offset, f"undefined variable {operand.name}")
                return scope[operand.name]
            case Fields():
                return self._fields(operand, self._value(operand.base, dot, scope))
            case Call():
                return self._call(operand, [self._value(each, dot, scope) for each in operand.arguments])
            case Pipeline():
                return self._pipeline(operand, dot, scope)

    def _pipeline(self, pipeline: Pipeline, dot: Value, scope: Scope) -> Value:
        first, *others = pipeline.commands
        value = self._value(first, dot, scope)
        for command in others:
            if isinstance(command, Call):  # the parser lets nothing else follow a bar
                arguments = [self._value(each, dot, scope) for each in command.arguments]
                value = self._call(command, [*arguments, value])
        return value

    def _fields(self, node: Fields, value: Value) -> Value:
        for name in node.path:
            if not isinstance(value, Mapping):
                self._fail(node.offset, f"{go_string(value)[:40]} has no field {name!r}")
            if name not in value:
                close = difflib.get_close_matches(name, value, n=1, cutoff=0.5)
                known = f"did you mean .{close[0]}?" if close else f"there are {', '.join(value)[:300]}"
                self._fail(node.offset, f"no field {name!r}; {known}")
            value = value[name]
        return value

    def _call(self, node: Call, arguments: list[Value]) -> Value:
        function = self._functions.get(node.function)
        if function is None:
            close = difflib.get_close_matches(node.function, self._functions, n=1)
            more = f"; did you mean {close[0]}?" if close else ""
            self._fail(node.offset, f"no function {node.function!r}{more}")
        try:
            inspect.signature(function).bind(*arguments)
        except TypeError:
            self._fail(node.offset, f"{len(arguments)} arguments do not fit function {node.function}")
        try:
            return function(*arguments)
        except BadArguments as error:
            self._fail(node.offset, f"{node.function}: {error}")
        except (TypeError, ValueError, RecursionError) as error:
            raise UsageError(f"invalid --format template: {node.function} failed: {error}") from error
