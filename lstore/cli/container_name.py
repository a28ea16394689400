"""Arguments that name a container: completion offers those of the store."""

import os

import click
from click.shell_completion import CompletionItem
from click.types import StringParamType

import lstore
from layerstore.errors import LstoreError


class ContainerName(StringParamType):
    """Any text; the engine judges it."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names that start with `incomplete`; none where there is no store."""
        from layerstore.store.layout import Layout
        from runner.home import NAMES

        root = ctx.find_root()
        try:
            engine = lstore.open(root.params.get("root"), environment=root.obj.settings.environment)
            names = os.listdir(os.path.join(Layout(engine.root).containers, NAMES))
        except (LstoreError, OSError):
            return []
        return [CompletionItem(name) for name in sorted(names) if name.startswith(incomplete)]


CONTAINER_NAME = ContainerName()
