"""``lstore fsck``."""

from typing import TYPE_CHECKING

import click

from layerstore.errors import EXIT_FAILURE
from lstore.cli.format import object_text
from lstore.cli.parsing import verb
from lstore.cli.session import Session
from lstore.cli.template.nodes import Value
from lstore.cli.verbs import FSCK

if TYPE_CHECKING:
    from lstore.engine.fsck import Report


@verb(FSCK)
@click.option("--repair", is_flag=True, help="Mend what is broken, from its registry where it has to be")
@click.option("--format", "form", metavar="STRING", help="Show as 'json', or by a Go template")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress")
@click.pass_obj
def command(session: Session, *, repair: bool, form: str | None, quiet: bool) -> int:
    from lstore.engine.fsck import fsck

    with session.progress(is_quiet=quiet) as progress:
        report = fsck(session.engine(), repair=repair, progress=progress)
    if form is not None:
        session.line(object_text(_as_value(report), form))
    else:
        _show(session, report)
    return 0 if report.is_clean else EXIT_FAILURE


def _as_value(report: "Report") -> Value:
    damages: list[Value] = [
        {"Kind": each.kind, "Subject": each.subject, "Reason": each.reason} for each in report.damages
    ]
    repairs: list[Value] = [
        {"Subject": each.damage.subject, "Outcome": each.outcome, "Mended": each.is_mended}
        for each in report.repairs
    ]
    return {"Clean": report.is_clean, "Damages": damages, "Repairs": repairs}


def _show(session: Session, report: "Report") -> None:
    if not report.damages:
        session.line("The store is clean")
    session.lines(str(damage) for damage in report.damages)
    session.lines(f"{each.damage.kind} {each.damage.subject}: {each.outcome}" for each in report.repairs)
