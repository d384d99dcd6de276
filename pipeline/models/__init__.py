"""What we know about models, as data: which there are, what an image and a text cost in tokens, what tokens cost.

Importing this is cheap: catalogue, numpy, tokenizer and price list are loaded by the first call that needs them.
"""

from pipeline.models.catalogue import MAX_SIDE_PX, Model, find_model, list_models
from pipeline.models.dimensions import best_dimensions, fits_array, image_tokens, image_tokens_array, parse_policy
from pipeline.models.limits import Limit, RequestLimits, find_limits
from pipeline.models.prices import Fee, FeeName, Price, Rates, find_fee, find_price
from pipeline.models.text_tokens import forget_vocabularies, further_tokens, prompt_tokens, schema_tokens, text_tokens
from pipeline.models.video_prompts import TRANSCRIPT_TOKENS, find_video_price, video_tokens

__all__ = [
    "MAX_SIDE_PX",
    "TRANSCRIPT_TOKENS",
    "Fee",
    "FeeName",
    "Limit",
    "Model",
    "Price",
    "Rates",
    "RequestLimits",
    "best_dimensions",
    "find_fee",
    "find_limits",
    "find_model",
    "find_price",
    "find_video_price",
    "fits_array",
    "forget_vocabularies",
    "further_tokens",
    "image_tokens",
    "image_tokens_array",
    "list_models",
    "parse_policy",
    "prompt_tokens",
    "schema_tokens",
    "text_tokens",
    "video_tokens",
]
