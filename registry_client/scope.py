"""Scopes: what a token is to allow. Distribution specification's token authentication, "scope"."""

from collections.abc import Iterable

from layerstore.dataclass import dataclass

PULL = frozenset({"pull"})
PUSH = frozenset({"pull", "push"})


@dataclass(frozen=True, slots=True)
class Scope:
    """``type:name:actions``."""

    kind: str
    name: str
    actions: frozenset[str]

    @classmethod
    def repository(cls, name: str, actions: frozenset[str]) -> "Scope":
        """Access to one repository."""
        return cls("repository", name, actions)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}:{','.join(sorted(self.actions))}"


CATALOG = Scope("registry", "catalog", frozenset({"*"}))


@dataclass(frozen=True, slots=True)
class Access:
    """Who is asked for what: the registry and repository whose credentials count, and the scopes needed."""

    registry: str
    repository: str = ""
    scopes: frozenset[Scope] = frozenset()

    def with_scopes(self, more: Iterable[Scope]) -> "Access":
        """The same with `more` scopes: a cross-repository mount needs two."""
        return Access(self.registry, self.repository, self.scopes | frozenset(more))

    @property
    def scope_texts(self) -> tuple[str, ...]:
        """The scopes as a token server takes them, in a stable order."""
        return tuple(sorted(str(scope) for scope in self.scopes))
