"""The query language of ``assay catalogue search``: parsed here, checked against the codebook, never inserted into SQL.

    query      = [condition] ["order by" field ["asc" | "desc"] {"," field ["asc" | "desc"]}] ["limit" number]
    condition  = term {"or" term}          term = factor {"and" factor}
    factor     = ["not"] ( "(" condition ")" | field comparison )
    comparison = ("=" | "!=" | "<" | "<=" | ">" | ">=") value | "~" text | "in" "(" value {"," value} ")"
               | "is" ["not"] "known"

``~`` means contains, in either case. A comparison with an unknown field of a record is never true.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from assay.base.errors import UsageError, nearest
from assay.catalogue.codebook import CODEBOOK, Kind
from assay.catalogue.names import require_dataset

ALIASES = {"params": "parameters", "license": "licence", "model": "architecture", "flops": "macs"}
EXTRA: dict[str, Kind] = {"id": "text", "height": "number", "width": "number", "channels": "number"}
EXTRA |= {"sources": "texts", "conflicts": "number", "measured": "number", "loads": "text"}
KINDS: dict[str, Kind] = EXTRA | {name: code.kind for name, code in CODEBOOK.items() if code.kind != "object"}
"""Every field that a query may name."""

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[+-]?\d[\d_]*(?:\.\d*)?(?:e[+-]?\d+)?(?![\w.]))"
    r"|(?P<text>\"[^\"]*\"|'[^']*')|(?P<op><=|>=|!=|=|<|>|~|\(|\)|,)|(?P<word>[A-Za-z_][\w.-]*))",
    re.IGNORECASE,
)
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "known", "order", "by", "asc", "desc", "limit", "true", "false"})


class Token(NamedTuple):
    """A piece of a query, and where it starts."""

    kind: str
    text: str
    at: int


@dataclass(frozen=True)
class Compiled:
    """A query as SQL with parameters. ``where`` and ``order`` hold only names of the codebook and ``?``."""

    where: str
    order: str
    limit: int | None
    parameters: tuple[Any, ...]


def compile_query(text: str) -> Compiled:
    """Compile a query to SQL with parameters for DuckDB.

    Raises:
        UsageError: if it cannot be read, names a field that does not exist (the message names the nearest), or compares
            a field with a value of another kind.
    """
    return _Parser(text).query()


def field_name(word: str) -> str:
    """The field that a word names.

    Raises:
        UsageError: if there is none.
    """
    name = ALIASES.get(word.lower(), word.lower())
    if name not in KINDS:
        raise UsageError(f"There is no field {word!r} to search by: {nearest(name, [*KINDS, *ALIASES])}")
    return name


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.position = 0
        self.parameters: list[Any] = []

    def query(self) -> Compiled:
        ends = self.peek() in ("order", "limit", "")
        where = "true" if ends else self.condition()
        order, limit = [], None
        if self.take("order"):
            self.expect("by")
            order.append(self.ordering())
            while self.take(","):
                order.append(self.ordering())
        if self.take("limit"):
            limit = self.whole_number()
        if self.peek():
            self.fail("a further condition after 'and' or 'or', 'order by', 'limit' or the end")
        return Compiled(where, ", ".join([*order, '"id"']), limit, tuple(self.parameters))

    def condition(self) -> str:
        terms = [self.term()]
        while self.take("or"):
            terms.append(self.term())
        return f"({' or '.join(terms)})"

    def term(self) -> str:
        factors = [self.factor()]
        while self.take("and"):
            factors.append(self.factor())
        return " and ".join(factors)

    def factor(self) -> str:
        if self.take("not"):
            return f"not coalesce({self.factor()}, false)"
        if self.take("("):
            inner = self.condition()
            self.expect(")")
            return inner
        return self.comparison(self.field())

    def comparison(self, name: str) -> str:
        column, kind = f'"{name}"', KINDS[name]
        if self.take("is"):
            negated = self.take("not")
            self.expect("known")
            return f"{column} is {'' if negated else 'not '}null"
        if self.take("in"):
            self.expect("(")
            places = [self.place(name)]
            while self.take(","):
                places.append(self.place(name))
            self.expect(")")
            if kind == "texts":
                return "(" + " or ".join(f"list_contains({column}, {place})" for place in places) + ")"
            return f"{column} in ({', '.join(places)})"
        operator = self.peek()
        if operator not in ("=", "!=", "<", "<=", ">", ">=", "~"):
            self.fail(f"a comparison of {name!r}: =, !=, <, <=, >, >=, ~, in or is known")
        self.position += 1
        if operator == "~":
            self.parameters.append(self.plain_text(name))
            return f"contains(lower(cast({column} as varchar)), lower(?))"
        if kind in ("text", "texts", "truth", "shape") and operator not in ("=", "!="):
            raise UsageError(f"{name} is not a number: compare it with =, !=, ~ or in.")
        place = self.place(name)
        if kind == "texts":
            return f"{'not ' if operator == '!=' else ''}list_contains({column}, {place})"
        return f"{column} {operator} {place}"

    def ordering(self) -> str:
        column = f'"{self.field()}"'
        descending = not self.take("asc") and self.take("desc")
        return f"{column} {'desc' if descending else 'asc'} nulls last"

    def place(self, name: str) -> str:
        self.parameters.append(self.value(name))
        return "?"

    def value(self, name: str) -> Any:
        kind = KINDS[name]
        token = self.next(f"a value to compare {name!r} with")
        if kind == "number":
            if token.kind != "number":
                raise UsageError(f"{name} is a number, and {token.text} is not.")
            return float(token.text.replace("_", ""))
        if kind == "truth":
            if token.text.lower() not in ("true", "false"):
                raise UsageError(f"{name} is true or false, not {token.text}.")
            return token.text.lower() == "true"
        if token.kind == "op":
            self.position -= 1
            self.fail(f"a value to compare {name!r} with")
        text = _unquoted(token)
        if name == "dataset":
            return require_dataset(text)
        choices = CODEBOOK[name].choices if name in CODEBOOK else ()
        if choices and text not in choices:
            raise UsageError(f"{name} is never {text!r}: {nearest(text, choices)}")
        return text

    def plain_text(self, name: str) -> str:
        return _unquoted(self.next(f"a text that {name!r} contains"))

    def field(self) -> str:
        token = self.next("the name of a field")
        if token.kind != "word" or token.text.lower() in _KEYWORDS:
            self.position -= 1
            self.fail("the name of a field")
        return field_name(token.text)

    def whole_number(self) -> int:
        token = self.next("a number of results")
        if token.kind != "number" or not token.text.isdigit() or int(token.text) < 1:
            raise UsageError(f"limit takes a whole number of results, at least 1, not {token.text}.")
        return int(token.text)

    def peek(self) -> str:
        return self.tokens[self.position].text.lower() if self.position < len(self.tokens) else ""

    def next(self, wanted: str) -> Token:
        if self.position >= len(self.tokens):
            self.fail(wanted)
        self.position += 1
        return self.tokens[self.position - 1]

    def take(self, word: str) -> bool:
        if self.peek() == word and self.tokens[self.position].kind in ("word", "op"):
            self.position += 1
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.take(word):
            self.fail(repr(word))

    def fail(self, wanted: str) -> None:
        if self.position >= len(self.tokens):
            raise UsageError(f"The query ends where {wanted} was expected: {self.text}")
        token = self.tokens[self.position]
        raise UsageError(f"The query has {token.text!r} at character {token.at + 1} where {wanted} was expected.")


def _unquoted(token: Token) -> str:
    return token.text[1:-1] if token.kind == "text" else token.text


def _tokens(text: str) -> list[Token]:
    tokens, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            bad = text[at:].lstrip()
            raise UsageError(f"The query cannot be read from {bad[:20]!r} on (character {text.index(bad, at) + 1}).")
        tokens.append(Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
        at = match.end()
    return tokens
