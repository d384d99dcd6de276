"""Is this answer a caption? Pure rules over the text, made so that a caption is never called anything else.

A refusal opens with the model speaking of itself and of what it will not do, and goes on to nothing else; so neither
a sign that says "I'm sorry", nor a man who looks sorry, nor "I can't identify the people, but I can describe ..." is
taken for one. What slips through is a caption that a reader will notice; what was wrongly thrown away is money.
"""

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache
from textwrap import shorten

REFUSAL_CHARACTERS = 400
"""Refusals are short; a longer answer says something."""
REPEATED_CHARACTERS = 60
REPEATS = 4
"""So often a passage comes once more, and so many characters long, before it is taken for endless."""
LONGEST_PASSAGE = 200

LanguageCheck = Callable[[str], str | None]
"""What is wrong with the language of a text, in words; None: nothing."""

_APOLOGY = (
    r"(?:(?:i'm|i am|we're|we are) (?:(?:very|really|so|terribly) )?sorry|sorry|(?:my )?apologies"
    r"|(?:i|we) apologi[sz]e|unfortunately)"
)
_CANNOT = (
    r"(?:can(?:'?t| ?not)|am (?:not able|unable) to|'m (?:not able|unable) to|won't|will not"
    r"|(?:must|have to) decline to|could(?:n't| not)|(?:don't|do not) have the (?:ability|capability) to)"
)
_DO = (
    r"(?:be able to |directly |really |actually )?"
    r"(?:help|assist|describe|identify|provide|analy[sz]e|view|see|process|comply|fulfil+|comment|generate|create"
    r"|caption|continue|determine|recogni[sz]e|discuss|engage|answer|complete|share|respond|interpret|access|do)\b"
)
_ABOUT = (
    r"[^.!?\n]*\b(?:images?|pictures?|photos?|photographs?|requests?|content|with (?:that|this)|you with"
    r"|(?:do|see|answer|process|describe|identify|view|share) (?:that|this|it)|people|persons?|individuals?"
    r"|descriptions?|captions?|assistance)\b"
)
_REFUSALS = re.compile(
    rf"(?:{_APOLOGY}[,.:;!]?\s+(?:but\s+)?)?(?:as an ai(?: language)?(?: model| assistant)?,?\s+)?"
    rf"(?:i|we)\s?{_CANNOT} {_DO}{_ABOUT}"
    r"|lo siento,?\s+(?:pero\s+)?no puedo\b|je suis désolée?,?\s+(?:mais\s+)?je ne peux pas\b"
    r"|(?:es )?tut mir leid,?\s+(?:aber\s+)?(?:ich kann|dabei kann ich)\b|desculpe,?\s+(?:mas\s+)?(?:eu\s+)?não posso\b"
    r"|mi dispiace,?\s+(?:ma\s+)?non posso\b|(?:извините|к сожалению),?\s+(?:но\s+)?я не могу\b"
    r"|(?:很?抱歉|对不起)[,\uff0c]\s?(?:但)?我(?:无法|不能)|申し訳(?:ありません|ございません)が、.*(?:できません|お手伝い)",
    re.IGNORECASE,
)
_PIVOT = re.compile(
    r"\b(?:but|however|instead|though)\b[^.!?\n]{0,20}"
    r"\b(?:i can(?!'?t|not)\b|it (?:shows|depicts)|the image|there)\b|:\s*\n",
    re.IGNORECASE,
)
"""It goes on to what it can say."""


@lru_cache(maxsize=1024)
def find_flaw(text: str, check_language: LanguageCheck | None = None) -> tuple[str, str] | None:
    """(reason, message) of an answer that is no caption: `empty_reply`, `refused`, `repetition`, `wrong_language`.

    Remembers the last texts: an answer that is none is judged for its row, and for whether and how to ask once more.
    """
    if is_empty(text):
        return "empty_reply", "The model answered with nothing."
    if is_refusal(text):
        return "refused", text
    if is_endless(text):
        return "repetition", f"The answer repeats itself: {shorten(text, 300)}"
    if check_language and (complaint := check_language(text)):
        return "wrong_language", f"{complaint}: {text}"
    return None


def is_empty(text: str) -> bool:
    """Whether there is nothing but punctuation and white space."""
    return all(unicodedata.category(character)[0] in "PZC" for character in text)


def is_refusal(text: str) -> bool:
    """Whether the model declines, and does nothing else."""
    text = text.replace("\u2019", "'")
    return len(text) <= REFUSAL_CHARACTERS and bool(_REFUSALS.match(text)) and not _PIVOT.search(text)


def is_endless(text: str) -> bool:
    """Whether the text ends in one passage again and again. Takes a microsecond."""
    end = len(text.rstrip(".,;:!?-\u2013\u2026 \n\"'"))
    if end <= REPEATED_CHARACTERS:
        return False
    # What repeats itself has its last characters once more, one passage before.
    last = text[end - REPEATED_CHARACTERS : end]
    farthest = max(0, end - REPEATED_CHARACTERS - LONGEST_PASSAGE)
    before = text.rfind(last, farthest, end - 1)
    while before >= 0:
        period = end - REPEATED_CHARACTERS - before
        start = end - max(REPEATED_CHARACTERS, REPEATS * period)
        repeats = start >= period and text[start:end] == text[start - period : end - period]
        if repeats and any(map(str.isalnum, text[end - period : end])):
            return True
        before = text.rfind(last, farthest, before + REPEATED_CHARACTERS - 1)
    return False
