"""Videos of an index made ready to ask about: nothing of them is read here, so no process of its own is needed."""

from collections.abc import Sequence

from pipeline.api.options import ModelOptions
from pipeline.api.vision.video import document_tail
from pipeline.engine.preparing.preparer import Listed, image_of
from pipeline.items import Request, Sent, SourceImage, Unprepared
from pipeline.models import TRANSCRIPT_TOKENS, Model, prompt_tokens, video_tokens


class Documents:
    """In place of `Processes`."""

    lanes = 1

    def __init__(self, options: ModelOptions, model: Model) -> None:
        self._options = options
        self._model = model
        self._tail = document_tail(options)
        self._image_tokens = video_tokens(model)
        self._text_tokens = prompt_tokens(model, options.system, options.prompt, (0,))

    async def prepare(self, images: Sequence[Listed]) -> list[Request | Unprepared]:
        return [self.request(image_of(image)) for image in images]

    def request(self, image: SourceImage) -> Request | Unprepared:
        if image.failure:
            return Unprepared(image, image.failure)
        text = self._text_tokens
        if image.prompt is not None:
            text = prompt_tokens(self._model, self._options.system, image.prompt, (0,))
        frames = self._image_tokens
        address = image.address or image.uri
        return Request(
            image=image,
            probe=None,
            content_hash=None,
            original_bytes=image.bytes,
            sent=Sent(None, None, None, 0),
            body=self._tail.render(image.key, address, image.prompt),
            predicted_image_tokens=frames,
            predicted_prompt_tokens=None if text is None or frames is None else text + frames + TRANSCRIPT_TOKENS,
        )

    async def remake(self, request: Request) -> None:
        """There is no smaller one: what is sent is an id."""
