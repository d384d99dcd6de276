"""Which rung an endpoint is asked on first. Pure.

Sources: Azure how-to/structured-outputs and how-to/json-mode (api-versions), OpenAI structured outputs and JSON mode
guides (models, in the catalogue). A refusal takes the whole run one rung down (`payload.Form.correct`).
"""

from pipeline.api.structured.shape import Rung
from pipeline.errors import UserError
from pipeline.models import Model

AZURE_SCHEMA_SINCE = "2024-08-01"
AZURE_JSON_MODE_SINCE = "2023-12-01"


def check_schema_is_followed(schema: str | None, model: Model) -> None:
    """UserError for a schema with a model that cannot be told one."""
    if schema and model.provider == "builtin":
        raise UserError(f"{model} answers in plain text; for a schema name another model, as --model gpt-4o.")


def first_rung(model: Model, api_version: str | None) -> Rung:
    """The highest that the model and a dated Azure api-version are known to have, or not known to lack."""
    version = (api_version or "9999")[:10]
    if model.follows_schema is not False and version >= AZURE_SCHEMA_SINCE:
        return "json_schema"
    if model.json_mode is not False and version >= AZURE_JSON_MODE_SINCE:
        return "json_object"
    return "prompt"
