"""Arguments that name an image: completion offers what the store has."""

import click
from click.shell_completion import CompletionItem
from click.types import StringParamType

import lstore
from layerstore.errors import LstoreError


class ImageName(StringParamType):
    """Any text; the engine judges it."""

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names in the store that start with `incomplete`; none where there is no store, or a damaged one."""
        try:
            names = _names(ctx.find_root())
        except LstoreError:
            return []
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def _names(root: click.Context) -> list[str]:
    from layerstore.store.layout import Layout
    from layerstore.store.refs import RefStore

    engine = lstore.open(root.params.get("root"), environment=root.obj.settings.environment)
    table = RefStore(Layout(engine.root)).read()  # not through the engine, which would make a store
    return sorted({ref.name.familiar for ref in table.refs if ref.name is not None})


IMAGE_NAME = ImageName()
