"""Tokens → nodes, by recursive descent."""

from lstore.cli.template import nodes
from lstore.cli.template.lexer import Token, fail, string_value, tokens

_CONSTANTS: dict[str, nodes.Value] = {"true": True, "false": False, "nil": None}
_KEYWORDS = frozenset({"if", "with", "range", "else", "end"})
MAX_DEPTH = 50
"""Blocks and parentheses inside each other; beyond, the template is refused."""


def parse(source: str) -> tuple[nodes.Node, ...]:
    """The nodes of the template `source`. Raises `UsageError` that points at what is wrong."""
    parser = _Parser(source)
    found, _ = parser.sequence(closers=())
    return found


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = list(tokens(source))
        self._next = 0
        self._depth = 0

    def _peek(self) -> Token | None:
        return self._tokens[self._next] if self._next < len(self._tokens) else None

    def _take(self) -> Token:
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _fail(self, token: Token, message: str) -> None:
        fail(self._source, token.offset, message)

    def _accept(self, kind: str, text: str | None = None) -> bool:
        token = self._peek()
        if token is None or token.kind != kind or text not in (None, token.text):
            return False
        self._next += 1
        return True

    def _close(self) -> None:
        token = self._take()
        if token.kind != "close":
            self._fail(token, f"unexpected {token.text!r}")

    def sequence(
        self, closers: tuple[str, ...], opened: Token | None = None
    ) -> tuple[tuple[nodes.Node, ...], Token]:
        """The nodes up to an action that starts with one of `closers`, and that word's token."""
        found: list[nodes.Node] = []
        while (token := self._peek()) is not None:
            if token.kind == "text":
                found.append(nodes.Text(self._take().text))
                continue
            self._take()  # the lexer gives an "open" between texts, and always its "close"
            word = self._tokens[self._next]
            if word.kind == "word" and word.text in ("else", "end"):
                if word.text not in closers:
                    self._fail(word, f"unexpected {{{{{word.text}}}}}")
                return tuple(found), self._take()
            found.append(self._action())
        if opened is not None:
            self._fail(opened, f"{{{{{opened.text}}}}} has no {{{{end}}}}")
        return tuple(found), Token("text", "", len(self._source))

    def _action(self) -> nodes.Node:
        token = self._tokens[self._next]
        if token.kind == "word" and token.text in ("if", "with"):
            return self._if(self._take())
        if token.kind == "word" and token.text == "range":
            return self._range(self._take())
        if token.kind == "variable" and self._tokens[self._next + 1].text in (":=", "="):
            self._take()
            is_declaration = self._take().text == ":="
            node: nodes.Node = nodes.Assign(token.text, self._pipeline(), is_declaration, token.offset)
        else:
            node = nodes.Output(self._pipeline(), token.offset)
        self._close()
        return node

    def _if(self, keyword: Token) -> nodes.If:
        condition = self._pipeline()
        self._close()
        then, orelse = self._branches(keyword)
        return nodes.If(condition, then, orelse, rebinds=keyword.text == "with")

    def _range(self, keyword: Token) -> nodes.Range:
        names = self._range_names()
        over = self._pipeline()
        self._close()
        body, orelse = self._branches(keyword)
        return nodes.Range(names, over, body, orelse, keyword.offset)

    def _range_names(self) -> tuple[str, ...]:
        token = self._tokens[self._next]
        if token.kind != "variable" or self._tokens[self._next + 1].text not in (":=", ","):
            return ()
        names = [self._take().text]
        if self._accept("mark", ","):
            second = self._take()
            if second.kind != "variable":
                self._fail(second, "a variable must follow the comma")
            names.append(second.text)
        if not self._accept("mark", ":="):
            self._fail(self._take(), "expected :=")
        return tuple(names)

    def _branches(self, keyword: Token) -> tuple[tuple[nodes.Node, ...], tuple[nodes.Node, ...]]:
        """What stands up to ``{{else}}`` and from there to ``{{end}}``."""
        self._enter(keyword)
        then, closer = self.sequence(("else", "end"), keyword)
        orelse: tuple[nodes.Node, ...] = ()
        if closer.text == "else":
            following = self._tokens[self._next]
            if following.kind == "word" and following.text == "if":
                orelse = (self._if(self._take()),)  # {{else if}} shares the {{end}} of the whole
                self._depth -= 1
                return then, orelse
            self._close()
            orelse, _ = self.sequence(("end",), keyword)
        self._close()
        self._depth -= 1
        return then, orelse

    def _enter(self, token: Token) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            self._fail(token, f"nested deeper than {MAX_DEPTH}")

    def _pipeline(self) -> nodes.Pipeline:
        commands = [self._command()]
        while self._accept("mark", "|"):
            bar = self._tokens[self._next]
            command = self._command()
            if not isinstance(command, nodes.Call):
                self._fail(bar, "only a function can follow |")
            commands.append(command)
        return nodes.Pipeline(tuple(commands))

    def _command(self) -> nodes.Operand:
        token = self._tokens[self._next]
        if token.kind == "word" and token.text not in _CONSTANTS:
            if token.text in _KEYWORDS:
                self._fail(token, f"{token.text!r} must stand first")
            self._take()
            arguments = []
            while self._at_operand():
                arguments.append(self._operand())
            return nodes.Call(token.text, tuple(arguments), token.offset)
        operand = self._operand()
        if self._at_operand():
            self._fail(self._take(), "only a function takes arguments")
        return operand

    def _at_operand(self) -> bool:
        token = self._tokens[self._next]
        return token.kind not in ("close", "mark") or token.text == "("

    def _operand(self) -> nodes.Operand:
        token = self._take()
        base = self._base(token)
        path = [token.text[1:]] if token.kind == "field" else []
        while (following := self._tokens[self._next]).kind == "field" and following.is_glued:
            path.append(self._take().text[1:])
        return nodes.Fields(base, tuple(path), token.offset) if path else base

    def _base(self, token: Token) -> nodes.Operand:
        match token.kind:
            case "string":
                return nodes.Constant(string_value(self._source, token))
            case "number":
                return nodes.Constant(float(token.text) if "." in token.text else int(token.text))
            case "variable":
                return nodes.Variable(token.text, token.offset)
            case "dot" | "field":
                return nodes.Dot()
            case "word" if token.text in _CONSTANTS:
                return nodes.Constant(_CONSTANTS[token.text])
            case "word":
                return nodes.Call(token.text, (), token.offset)
        if token.text != "(":
            self._fail(token, "a value is missing" if token.kind == "close" else f"unexpected {token.text!r}")
        self._enter(token)
        inner = self._pipeline()
        if not self._accept("mark", ")"):
            self._fail(token, "this parenthesis is never closed")
        self._depth -= 1
        return inner
