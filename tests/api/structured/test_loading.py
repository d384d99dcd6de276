"""--schema: what is taken, and one sentence for what is not."""

import json
from pathlib import Path

import pytest

from pipeline.api.structured.loading import load_schema
from pipeline.errors import UserError

SCHEMA = {"type": "object", "properties": {"caption": {"type": "string"}}}
MODELS = """
from typing import Optional
from pydantic import BaseModel

class Place(BaseModel):
    name: str

class Photo(BaseModel):
    caption: str
    place: Optional[Place] = None

class Notes:
    pass

number = 3
"""


def test_a_file_a_table_and_json_itself_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(SCHEMA, indent=4))
    text = json.dumps(SCHEMA, separators=(",", ":"))
    assert load_schema("a.json", tmp_path) == load_schema(SCHEMA, tmp_path) == load_schema(text, tmp_path) == text


def test_a_pydantic_model_of_the_users_folder(tmp_path: Path) -> None:
    (tmp_path / "photo_models.py").write_text(MODELS)
    schema = json.loads(load_schema("photo_models:Photo", tmp_path))
    assert schema["properties"].keys() == {"caption", "place"}
    for name, told in (
        ("Photos", "has no 'Photos'"),
        ("Notes", "has no JSON Schema"),
        ("number", "has no JSON Schema"),
    ):
        with pytest.raises(UserError, match=told):
            load_schema(f"photo_models:{name}", tmp_path)
    with pytest.raises(UserError, match="cannot be imported"):
        load_schema("photo_models_that_are_not:Photo", tmp_path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is not JSON"),
        ("[1]", "is no JSON Schema"),
        ('{"type": "objekt"}', "is no JSON Schema at type"),
        ('{"type": "string"}', "must describe an object with properties"),
        ('{"type": "object", "properties": {}}', "must describe an object with properties"),
        ('{"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}}', "refers to '#/\\$defs/b'"),
        ('{"type": "object", "properties": {"a": {"$ref": "https://x.y/z"}}}', "refers to 'https://x.y/z'"),
        ('{"type": "object", "properties": {"a": {"$dynamicRef": "https://x.y/z"}}}', "refers to 'https://x.y/z'"),
        ('{"$ref": "#"}', "refers to '#', which refers to nothing but itself"),
        ('{"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}', "refers to nothing but itself"),
    ],
)
def test_a_schema_that_is_none_is_one_sentence(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=told) as caught:
        load_schema("a.json", tmp_path)
    assert "\n" not in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no schema file 'b\.json'"):
        load_schema("b.json", tmp_path)
