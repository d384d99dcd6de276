"""Whether a text is in the language that was asked for. The only file that imports py3langid.

Offline, 97 languages, 0.5 ms a text; loading takes 1.5 s and 100 MB, so only a run that asks for it does. A text is in
the wrong language when its own has less than a chance of 0.001: of captions of six words and more that kept all English
ones (the least likely had 0.05, full of foreign names) and caught all of 14 other languages. Near relatives, such as
Swedish and Norwegian, are not told apart.
"""

from functools import cache
from typing import Any

from pipeline.engine.asking.lint import LanguageCheck
from pipeline.errors import MissingExtra, UserError

LEAST_PROBABILITY = 0.001
LEAST_LETTERS = 15
"""A shorter one in Latin letters says too little."""
_AFTER_LATIN = "\u0250"


@cache
def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        raise MissingExtra("Checking the language of captions", "language") from None
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def load_language_check(language: str) -> LanguageCheck:
    """The check for an ISO 639-1 code such as `de`. Raises MissingExtra, and UserError for a code that is not known."""
    identifier = _identifier()
    known = sorted(identifier.nb_classes)
    if language not in known:
        raise UserError(f"The language {language!r} is not known; give one of {', '.join(known)}.")

    def check(text: str) -> str | None:
        if sum(map(str.isalpha, text)) < LEAST_LETTERS and max(text, default="") < _AFTER_LATIN:
            return None
        ranking: list[tuple[str, float]] = identifier.rank(text)
        own = dict(ranking)[language]
        return None if own >= LEAST_PROBABILITY else f"The answer is not in {language} but in {ranking[0][0]}"

    return check
