"""What the job's output holds already: images that need no asking, and how long answers to the same prompt were."""

from collections.abc import Mapping

from pipeline import store
from pipeline.estimation.survey import IsDone


class Output:
    """An output folder, or none yet. Reads rows only of requests that it holds."""

    def __init__(self, out: str) -> None:
        self._out = out
        self._rows: Mapping[str, int] = store.request_counts(out) if out else {}

    def finished(self, request_hash: str) -> IsDone | None:
        """Whether an image is finished; None when that request has made no row."""
        if not self._rows.get(request_hash):
            return None
        keys = store.finished_keys(self._out, request_hash)
        return lambda image: keys.status_of(image.key, image.version) is not None

    def answers(self, request_hash: str) -> list[int]:
        """Completion tokens of answers to that request."""
        return store.completion_tokens(self._out, request_hash) if self._rows.get(request_hash) else []

    def other_rows(self, request_hash: str) -> int:
        """Rows that other requests made."""
        return sum(self._rows.values()) - self._rows.get(request_hash, 0)
