"""The store of a run: rows go into the journal, journals become parts, and OUT holds one row per key.

Puts the other files of this room in order and decides nothing itself. One thread appends; any thread may ask what is
finished. A run may die at every line: `journal` says why no row is lost or doubled by a cut, `parts` by a merge, and
`open_store` first finishes what a dead run had begun.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.clock import Clock
from pipeline.errors import Unavailable, UserError
from pipeline.items import Record, SourceImage
from pipeline.store.folders import open_folder
from pipeline.store.folders.folder import CONTROL, JOB, RUNS, Folder, require
from pipeline.store.journal import Journal
from pipeline.store.keys.captioned import CaptionedContent
from pipeline.store.keys.finished import COLUMNS, REPEATED, FinishedKeys
from pipeline.store.keys.prune import ListedKeys
from pipeline.store.options import StoreOptions
from pipeline.store.parts import (
    merge_parts,
    next_name,
    read_part,
    refuse_foreign_file,
    tidy,
    without_overtaken,
    write_part,
)
from pipeline.store.patience import Patience
from pipeline.store.raw import write_raw
from pipeline.store.schema import PLAIN_ROWS, RowSchema, records_to_batch, row_schema


def open_store(
    out: str,
    options: StoreOptions,
    clock: Clock,
    run_id: str,
    request_hash: str,
    answer_schema: str | None = None,
) -> "Store":
    """Open OUT for one run, creating it where needed, and finish what a dead run left behind.

    `out` is a folder or the URL of a prefix in an object store, or `NAME.parquet`: then NAME is the folder, and
    `Store.close` also merges it into that file. `answer_schema` (JSON Schema as JSON) gives column `fields` its type in
    the parts of this run. Takes about 0.7 s per million rows in OUT and, in an object store, two requests for each
    part; 16 bytes a row stay in memory.

    Raises UserError: OUT is not Nightcap's or may not be written, or another run is writing it. RunError: the disk is
    full, a part is damaged.
    """
    folder = open_folder(out)
    with folder.explained(denied=UserError):
        folder.refuse_foreign()
        refuse_foreign_file(folder)
        return Store(folder, options, clock, run_id, request_hash, row_schema(answer_schema))


def try_output(out: str) -> str:
    """See whether a run could write OUT, leaving nothing behind; what to call it. Errors as `open_store`."""
    folder = open_folder(out)
    with folder.explained(denied=UserError):
        folder.refuse_foreign()
        refuse_foreign_file(folder)
        folder.try_writing()
    return str(folder)


def compact(out: str, options: StoreOptions, clock: Clock, run_id: str) -> tuple[int, int]:
    """Merge the small parts of OUT, and finish what a dead run left behind: parts before and after."""
    folder = open_folder(out)
    with folder.explained(denied=UserError):
        require(folder)
        before = len(folder.part_names())
        with open_store(out, options, clock, run_id, request_hash="") as store:
            store.merge_small_parts()
        return before, len(folder.part_names())


class Store:
    """One output, open for one run. A context manager.

    `append`, `find_caption` and `close` belong to one thread. They raise RunError when the disk is full, or OUT became
    read-only or was deleted; what was appended before stays, and later appends are still tried, so that replies in
    flight can be saved.
    """

    def __init__(
        self,
        folder: Folder,
        options: StoreOptions,
        clock: Clock,
        run_id: str,
        request_hash: str,
        rows: RowSchema = PLAIN_ROWS,
    ) -> None:
        self._folder = folder
        self._options = options
        self._clock = clock
        self._run_id = run_id
        self._row_schema = rows
        self._patience = Patience(clock)
        self._waiting_since: float | None = None
        self._replaced = False
        self._raw_files = 0
        """Written by this run."""
        self._closed = False
        folder.create()
        with ExitStack() as undo:
            self._lock = folder.lock(clock, run_id)
            undo.callback(self._lock.release)
            folder.discard_unfinished()
            self._journal = Journal(folder.journal, folder.step)
            undo.callback(self._journal.close)
            self._cut(of_a_dead_run=True)
            self._finished = self._load(request_hash)
            self._captioned = CaptionedContent(folder, self._journal, request_hash, rows)
            self._journal.begin(rows.arrow)
            undo.pop_all()
        folder.hurry = True  # rows can wait in the journal

    @property
    def other_requests(self) -> int:
        """Rows that were in OUT when it was opened and were made by another request."""
        return self._finished.other_requests

    def finished_status(self, image: SourceImage) -> str | None:
        """The status of OUT's row for this image; None when it is to be asked.

        A row is finished when key, version and request match and it did not fail for a passing reason.
        """
        return self._finished.status_of(image.key, image.version)

    def load_captions(self) -> None:
        """Take in whose content has a caption, before `may_have_caption`: 0.6 s per million rows, which a run that has
        nothing to ask need not wait for.
        """
        with self._folder.explained(), self._patient():
            self._captioned.load(self._folder.part_names())

    def warm_up(self) -> None:
        """Make the first `append` as fast as the others: where there is pandas, pyarrow imports it for its first
        conversion, 0.7 s in which no paid answer should wait to become durable.
        """
        records_to_batch(())

    def may_have_caption(self, content_hash: str) -> bool:
        """Whether `find_caption` may find something. Takes a microsecond."""
        return self._captioned.may_have(content_hash)

    def find_caption(self, content_hash: str, own_prompt: str) -> Record | None:
        """A row with a caption of the same content that the same request made; None when there is none.

        `own_prompt` is the `items.own_prompt` of the image's version. Takes 30 ms where a row group has to be decoded
        first, a fraction of one after that.
        """
        with self._folder.explained(), suppress(Unavailable):  # not to be had for the moment
            return self._captioned.find(content_hash, own_prompt)
        return None

    def append(self, records: Sequence[Record], raw: bytes = b"") -> None:
        """Make records durable: one commit, about 3 ms for 256 of them; sometimes a part is cut, 0.2 s for 20,000 rows.

        `raw`: JSON lines of replies as they came, kept beside the parts (`raw.py`); durable with the records.

        Without any it only does what time asks for: an idle run calls it every ten seconds, so that its lock stays
        alive and rows that waited for `flush_seconds` become a part.
        """
        with self._folder.explained():
            if records or raw:
                raw_file = f"{self._run_id}-{self._raw_files:05d}"
                group = self._journal.add(records_to_batch(records, self._row_schema), raw, raw_file)
                self._captioned.add(records, group)
                self._replaced = self._finished.add(records) or self._replaced
                if self._waiting_since is None:
                    self._waiting_since = self._clock.monotonic()
            self._keep_up()

    def write_run(self, summary: Mapping[str, Any]) -> None:
        """Keep the summary of this run."""
        self._write_json(f"{RUNS}/{self._run_id}.json", summary)

    def write_job(self, job: Mapping[str, Any]) -> None:
        """Keep what was asked for."""
        self._write_json(JOB, job)

    def read_control(self) -> bytes | None:
        """What the user has to say to the run going on; None: nothing."""
        if self._patience.tried_in_vain:
            raise Unavailable(f"{self._folder} is out of reach.")  # rows must not wait for this question
        try:
            [content] = self._folder.read_all([CONTROL])
        except FileNotFoundError:
            return None
        return content

    def close(self) -> None:
        """Cut the last part, leave one row per key, merge where asked, and let the next run in."""
        if self._closed:
            return
        self._closed = True
        with self._folder.explained(), self._patient(), ExitStack() as always:
            always.callback(self._lock.release)
            always.callback(self._journal.close)
            self._cut()
            self._tidy()
            if self._folder.merged:
                merge_parts(self._folder, self._folder.merged)

    def merge_small_parts(self) -> None:
        """Merge all small parts, however few."""
        with self._folder.explained(), self._patient():
            self._cut()
            self._tidy(many=2)

    def prune(self, listed: ListedKeys) -> int:
        """Remove the rows of images that the listing, which came to its end, did not have; how many there were."""
        with self._folder.explained(), self._patient():
            self._cut()
            return self._tidy(listed=listed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _load(self, request_hash: str) -> FinishedKeys:
        finished = FinishedKeys(request_hash)
        if finished.load(self._rows()):
            # A run died between writing newer rows and dropping the older ones.
            self._replaced = True
            self._tidy()
            finished = FinishedKeys(request_hash)
            finished.load(self._rows())
        return finished

    def _rows(self) -> Iterator[Any]:
        for name in self._folder.part_names():
            yield from read_part(self._folder, name, COLUMNS, as_dictionary=REPEATED)

    def _due(self) -> bool:
        if self._waiting_since is None:
            return False
        late = self._clock.monotonic() - self._waiting_since >= self._options.flush_seconds
        return late or self._journal.rows >= self._options.rows_per_part

    def _keep_up(self) -> None:
        """What time asks for. While an object store is out of reach, rows wait in the journal."""
        if not self._patience.may_try:
            return
        try:
            self._lock.beat()
            if self._due():
                for part in self._cut():
                    self._captioned.add_part(part)
        except Unavailable as trouble:
            self._patience.failed(trouble)
        else:
            self._patience.succeeded()

    def _cut(self, *, of_a_dead_run: bool = False) -> list[str]:
        """Move all rows of the journal into a part, and name those that hold them; the argument is in `journal`."""
        parts = []
        for name in self._journal.announced():
            if self._folder.settled(name):
                self._journal.forget(name)
                parts.append(name)
            else:
                self._journal.withdraw(name)
        raw_file = self._journal.raw_file()
        if self._journal.rows or raw_file:
            name = next_name(self._folder, self._run_id)
            self._journal.announce(name)
            if raw_file:
                write_raw(self._folder, raw_file, self._journal.raw_lines())
                self._raw_files += 1
            rows = self._journal.table()
            if of_a_dead_run and self._folder.apart and len(rows):
                rows = without_overtaken(self._folder, rows)
            if len(rows):
                write_part(self._folder, name, rows)
                parts.append(name)
            self._journal.forget(name)
        self._waiting_since = None
        return parts

    @contextmanager
    def _patient(self) -> Iterator[None]:
        self._folder.hurry = False
        try:
            yield
        finally:
            self._folder.hurry = True

    def _tidy(self, many: int | None = None, listed: ListedKeys | None = None) -> int:
        pruned = tidy(
            self._folder,
            self._run_id,
            self._options.rows_per_part,
            replaced=self._replaced,
            many=many or self._options.small_parts,
            gone=listed.gone if listed is not None else None,
        )
        self._replaced = False
        return pruned

    def _write_json(self, name: str, value: Mapping[str, Any]) -> None:
        text = json.dumps(value, indent=2, default=str) + "\n"

        def write(aside: Path) -> None:
            aside.write_text(text, "utf-8")

        with self._folder.explained(), self._patient():
            self._folder.put(name, write)
