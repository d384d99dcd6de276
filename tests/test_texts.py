"""Texts of servers, users and file names, before they reach a row, a log or a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.texts import MAX_MESSAGE_CHARACTERS, one_line, printable, redact

KEY = "sk-proj-Ab12Cd34Ef56Gh78"
AZURE_KEY = "0123456789abcdef0123456789abcdef"
SIGNATURE = "Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE%3D"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4fw"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"Incorrect API key provided: {KEY}. You can find your API key at https://platform.openai.com.", KEY),
        ("Incorrect API key provided: sk-ab***********yz12.", "sk-ab***********yz12"),
        (f"key {KEY} is over its limit", KEY),
        (f"Authorization: Bearer {KEY}", KEY),
        (f"authorization=bearer {AZURE_KEY}", AZURE_KEY),
        (f"header 'Bearer {JWT}' expired", JWT),
        (f"token {JWT}", JWT),
        (f"api-key: {AZURE_KEY}", AZURE_KEY),
        (f'{{"api-key": "{AZURE_KEY}", "host": "x"}}', AZURE_KEY),
        (f"Ocp-Apim-Subscription-Key: {AZURE_KEY}", AZURE_KEY),
        (f"x-api-key={AZURE_KEY}", AZURE_KEY),
        (f"AccountKey={AZURE_KEY}==;EndpointSuffix=core.windows.net", AZURE_KEY),
        (f"https://a.blob.core.windows.net/c/i.jpg?sv=2024-11-04&sig={SIGNATURE}&se=2027", SIGNATURE),
        ("GET https://host/v1?key=AIzaSyA1234567890abcdefghijklmnopqrs failed", "AIzaSyA1234567890abcdefghijklmnopqrs"),
        ("proxy http://user:hunter2@proxy.local:3128 refused", "hunter2"),
        ("proxy http://ghtoken1234@proxy.local:3128 refused", "ghtoken1234"),
        ("https://user:p@ss:word@host/x.jpg", "p@ss:word"),
        ("Authorization: Basic dXNlcjpodW50ZXIy", "dXNlcjpodW50ZXIy"),
        (f"https://b.s3.amazonaws.com/i.jpg?X-Amz-Signature={AZURE_KEY}&X-Amz-Date=2026", AZURE_KEY),
        (f"i.jpg?X-Amz-Security-Token={SIGNATURE}", SIGNATURE),
        (f"https://storage.googleapis.com/b/i.jpg?X-Goog-Signature={AZURE_KEY}", AZURE_KEY),
        (f"aws_secret_access_key = {AZURE_KEY}", AZURE_KEY),
        ("AccessKeyId AKIAIOSFODNN7EXAMPLE is not known", "AKIAIOSFODNN7EXAMPLE"),
        (f'{{"client_secret": "{AZURE_KEY}"}}', AZURE_KEY),
        (f"SharedAccessSignature=sv=2024&sig={SIGNATURE}", SIGNATURE),
        ('{"access_token":"ab12cd34"}', "ab12cd34"),
        ("input: data:image/jpeg;base64,/9j/4AAQSkZJRg== is bad", "/9j/4AAQSkZJRg"),
    ],
)
def test_secrets_and_images_are_redacted(text: str, secret: str) -> None:
    assert secret in text
    assert secret not in redact(text)
    assert secret not in one_line(text)


@pytest.mark.parametrize(
    "text",
    [
        "Limit 90000, Used 89919, Requested 1144. Please try again in 708ms",
        "Use Bearer auth, as the guide says.",
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "The API deployment for this resource does not exist.",
        "see https://platform.openai.com/account/rate-limits",
        "Access denied due to invalid subscription key or wrong API endpoint.",
        "Invalid token: expected a comma",
        "/data/key=7/token=x/IMG_1.jpg cannot be read",
        "Cannot connect to host 127.0.0.1:9 ssl:default [Connect call failed ('127.0.0.1', 9)]",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert one_line(text) == text


def test_what_follows_a_secret_stays() -> None:
    assert redact(f'{{"api-key": "{AZURE_KEY}", "host": "x"}}') == '{"api-key": "[redacted]", "host": "x"}'
    assert redact(f"?sv=1&sig={SIGNATURE}&se=2027") == "?sv=1&sig=[redacted]&se=2027"


def test_a_long_image_leaves_room_for_what_is_said_about_it() -> None:
    text = f"data:image/jpeg;base64,{'A' * 3000} cannot be decoded"
    assert one_line(text) == "[image] cannot be decoded"


@given(st.text(st.characters(), max_size=2000))
def test_messages_are_short_single_lines_that_any_file_can_hold(text: str) -> None:
    line = one_line(text)
    line.encode()
    assert len(line) <= MAX_MESSAGE_CHARACTERS
    assert len(line.splitlines()) <= 1
    assert line == printable(line)


def test_what_would_command_a_terminal_is_shown_instead() -> None:
    assert printable("a\x1b[2J\x07\x9b31m\u202egpj.exe\n\ud83d.jpg") == r"a\x1b[2J\x07\x9b31m\u202egpj.exe\n\ud83d.jpg"
    assert printable("größe 写真 😀.jpg") == "größe 写真 😀.jpg"
    assert one_line("title\x1b]0;owned\x07 end") == r"title\x1b]0;owned\x07 end"


WORDS = st.sampled_from(["key", "api-key", "token", "sig", "bearer", "Basic", "data", "base64", "sk-", "AKIA", "eyJ"])


@given(st.lists(WORDS | st.text("aZ09_.-", max_size=20), max_size=6).map("".join))
def test_a_word_alone_hides_no_more_than_one_among_others(word: str) -> None:
    assert redact(f"{word} ") == f"{redact(word)} "
