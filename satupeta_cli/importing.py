"""What the commands share that import files: reading, storing, telling."""

import contextlib
import dataclasses
import io
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from satupeta_cli.context import Administration, Context, administer, command_caller
from satupeta_cli.output import write_record
from satupeta_cli.progress import progress

if TYPE_CHECKING:
    import uuid

    from satupeta_server.transfer.batching import Plan, Told
    from satupeta_server.transfer.importing import Recording
    from satupeta_server.transfer.journal import Done
    from satupeta_server.transfer.outcomes import Outcome
    from satupeta_server.transfer.reading import Row
    from satupeta_server.transfer.reports import Reporter
    from satupeta_server.transfer.singly import Store
    from satupeta_server.transfer.sources import Source

_STANDARD_STREAM = "-"


@dataclass(frozen=True)
class Job:
    """An import as it was asked for."""

    context: Context
    plan: "Plan"
    sources: "Sequence[Source]"
    folder: Path | None
    """In which the contents of files lie."""


def import_files(context: Context, kind: str, files: Sequence[str], options: dict[str, Any]) -> int:
    """Import files and tell what came of it; gives the exit code."""
    from satupeta_server.errors import InputError
    from satupeta_server.transfer.reports import Reporter

    if options["create_only"] and options["update_only"]:
        raise click.UsageError("--create-only and --update-only leave nothing to do.")
    if options["resume"] and (options["atomic"] or options["dry_run"]):
        raise click.UsageError("With --atomic and --dry-run nothing is kept to --resume.")
    if list(files).count(_STANDARD_STREAM) > 1:
        raise click.UsageError("Standard input can be read once only.")
    reporter: Reporter | None = None
    code = 0
    try:
        with contextlib.ExitStack() as stack:
            sources = [stack.enter_context(_opened(name, options)) for name in files]
            for source in sources:
                context.say(f"{source.name}: {_described(source)}")
            job = Job(context, _plan(kind, options), sources, _folder(kind, files, options))
            reporter = Reporter(sources, options["report"], options["errors"])
            with reporter:
                _run(job, reporter, resumes=options["resume"])
    except InputError as error:
        if reporter is None or job.plan.is_undone or not reporter.totals.counts:
            raise click.UsageError(str(error)) from None
        click.echo(f"satupeta: {error} The rows before it are imported.", err=True)
        code = 1
    if options["atomic"] and reporter.totals.failed:
        click.echo("satupeta: Rows failed, so nothing was changed.", err=True)
    write_record(reporter.totals.as_dict(), options["form"])
    return 1 if reporter.totals.failed else code


def _opened(name: str, options: dict[str, Any]) -> "contextlib.AbstractContextManager[Source]":
    from satupeta_server.transfer.sources import find_source

    return find_source(
        name,
        standard_input=sys.stdin.buffer if name == _STANDARD_STREAM else io.BytesIO(),
        chosen_format=options["chosen_format"],
        encoding=options["encoding"],
        delimiter=options["delimiter"],
    )


def _described(source: "Source") -> str:
    parts: list[str] = [source.format]
    if source.format != "xlsx":
        parts.append(source.encoding)
    if source.format == "csv":
        parts.append(f"cells separated by {source.delimiter!r}")
    return ", ".join(parts)


def _plan(kind: str, options: dict[str, Any]) -> "Plan":
    from satupeta_cli.__main__ import terminal_language
    from satupeta_server.transfer.batching import Plan
    from satupeta_server.transfer.outcomes import Rules

    return Plan(
        kind,
        Rules(may_create=not options["update_only"], may_update=not options["create_only"]),
        options["mapping"],
        language=terminal_language(),
        ignores_unknown=options["ignore_unknown"],
        is_atomic=options["atomic"],
        is_dry_run=options["dry_run"],
    )


def _folder(kind: str, files: Sequence[str], options: dict[str, Any]) -> Path | None:
    if kind != "files":
        return None
    if options["folder"] is not None:
        return Path(options["folder"])
    folders = {Path() if name == _STANDARD_STREAM else Path(name).parent for name in files}
    if len(folders) > 1:
        raise click.UsageError("The files lie in several folders; say --folder.")
    return folders.pop()


def _run(job: Job, reporter: "Reporter", *, resumes: bool) -> None:
    with progress(f"Importing {job.plan.kind_name}", is_quiet=job.context.is_quiet) as advance:

        def told(source: "Source", row: "Row", outcome: "Outcome") -> None:
            reporter.add(source, row, outcome)
            advance(1)

        if job.plan.is_undone:
            _store(job, {}, told, lambda: _recording(job, reporter))
        else:
            _import(job, told, reporter, resumes=resumes)


def _recording(job: Job, reporter: "Reporter") -> Any:
    """Make the audit record of an atomic import."""
    from satupeta_server.models.audit import recording

    files = [source.name for source in job.sources]
    details = {"files": files, **reporter.totals.as_dict()}
    return recording(command_caller(), "import", job.plan.kind.subject, None, details)


def _import(job: Job, told: "Told", reporter: "Reporter", *, resumes: bool) -> None:
    """Import what is kept batch by batch, under a record of what is done."""
    from satupeta_server.errors import InputError
    from satupeta_server.transfer import journal

    import_id, is_resumed = administer(job.context, lambda one: _begun(one, job, resumes=resumes))
    if resumes and not is_resumed:
        job.context.say("No interrupted import of this is known; it begins anew.")
    with journal.alone(job.context.settings(), import_id), _interruptible(job.context):
        done = administer(job.context, lambda _: journal.done(import_id)) if is_resumed else {}
        plan = dataclasses.replace(job.plan, import_id=import_id)
        try:
            _store(dataclasses.replace(job, plan=plan), done, told, lambda: None)
        except InputError:
            _finish(job, import_id, reporter)
            raise
        _finish(job, import_id, reporter)


def _finish(job: Job, import_id: "uuid.UUID", reporter: "Reporter") -> None:
    from satupeta_server.transfer import journal

    totals = reporter.totals.as_dict()
    administer(job.context, lambda _: journal.finish(import_id, totals))


async def _begun(
    administration: Administration, job: Job, *, resumes: bool
) -> "tuple[uuid.UUID, bool]":
    from satupeta_server.transfer import journal

    plan = job.plan
    options = {
        "kind": plan.kind_name,
        "rules": dataclasses.astuple(plan.rules),
        "mapping": dict(plan.mapping),
        "ignores_unknown": plan.ignores_unknown,
    }
    mark = journal.fingerprint(job.sources, options)
    files = [source.name for source in job.sources]
    return await journal.begin(
        administration.caller, plan.kind_name, plan.kind.subject, files, mark, resumes=resumes
    )


@contextlib.contextmanager
def _interruptible(context: Context) -> Iterator[None]:
    """Say how to go on, however an import was interrupted."""
    from satupeta_server.errors import UnavailableError, UnreachableError

    try:
        yield
    except (KeyboardInterrupt, UnavailableError, UnreachableError):
        context.say("What is imported stays; the same command with --resume goes on.")
        raise


def _store(job: Job, done: "Done", told: "Told", recording: "Recording") -> None:
    from satupeta_server.transfer.importing import import_bulk, import_singly

    if job.plan.kind.is_bulk:
        import_bulk(job.context.settings(), job.sources, job.plan, done, told, recording)
        return

    async def work(administration: Administration) -> None:
        store = _store_of(administration, job)
        await import_singly(store, job.sources, job.plan, done, told, recording)

    administer(job.context, work, object_store=job.plan.kind_name == "files")


def _store_of(administration: Administration, job: Job) -> "Store":
    from satupeta_server.transfer.files import FileStore
    from satupeta_server.transfer.singly import SingleStore

    plan, caller, services = job.plan, administration.caller, administration.services
    if job.folder is not None:
        return FileStore(
            services.files,
            caller,
            plan.rules,
            plan.language,
            job.folder,
            is_trial=plan.is_dry_run,
        )
    service = getattr(services, plan.kind.subject)
    return SingleStore(plan.kind, plan.rules, plan.language, service, caller)
