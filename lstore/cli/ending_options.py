"""What `stop` and `restart` have in common: whom they end, and how."""

from collections.abc import Callable, Sequence
from functools import wraps

import click

from layerstore.dataclass import dataclass
from lstore.cli.container_name import CONTAINER_NAME
from lstore.cli.containers import for_each
from lstore.cli.session import Session


@dataclass(frozen=True, slots=True)
class Ending:
    """The containers, and the signal and the seconds to wait; None where each container's own holds."""

    names: Sequence[str]
    number: int | None
    timeout: int | None

    def carry_out(self, session: Session, act: Callable[..., None]) -> int:
        """Let `act`, which is `stop` or `restart` of the engine, end each; the exit status of all together."""
        engine = session.engine()
        return for_each(
            session, self.names, lambda name: act(engine, name, number=self.number, timeout=self.timeout)
        )


def ending_options(function: Callable[..., int]) -> Callable[..., int]:
    """The argument and the options; they arrive as ``ending`` at `function`, which gets its session first."""

    @click.argument("names", metavar="CONTAINER...", nargs=-1, required=True, type=CONTAINER_NAME)
    @click.option(
        "-s",
        "--signal",
        "signal_name",
        metavar="SIGNAL",
        help="The signal to send, instead of the container's own",
    )
    @click.option(
        "-t",
        "--timeout",
        "--time",
        type=int,
        metavar="NUMBER",
        help="Seconds until it is then killed; -1 for never",
    )
    @wraps(function)
    def command(
        session: object, *, names: Sequence[str], signal_name: str | None, timeout: int | None
    ) -> int:
        from runner.signals import parse_signal

        number = None if signal_name is None else parse_signal(signal_name)
        return function(session, ending=Ending(names, number, timeout))

    return command
