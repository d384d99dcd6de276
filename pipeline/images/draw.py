"""Places on a picture, drawn: polygons with numbers. Bytes in, bytes out."""

from collections.abc import Sequence

from pipeline.images.rgb import decode_rgb

Polygon = Sequence[tuple[float, float]]
"""(x, y) corners as fractions 0..1 of the picture's sides."""

COLOURS = ("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4", "#008080", "#9a6324", "#808000")
"""Dark enough for white numbers; one after the other."""


def draw_polygons(data: bytes, polygons: Sequence[Polygon]) -> bytes:
    """The picture as a person sees it, as PNG, with each polygon outlined and numbered from 1 at its first corner.

    Raises ImageError for a picture that cannot be decoded.
    """
    import io

    from PIL import Image, ImageDraw, ImageFont

    picture = Image.fromarray(decode_rgb(data))
    width, height = picture.size
    pen = ImageDraw.Draw(picture)
    stroke = max(2, round(min(width, height) / 200))
    font = ImageFont.load_default(size=max(10.0, min(width, height) / 25))
    for number, polygon in enumerate(polygons, 1):
        colour = COLOURS[(number - 1) % len(COLOURS)]
        corners = [(x * (width - 1), y * (height - 1)) for x, y in polygon]
        if not corners:
            continue
        pen.line([*corners, corners[0]], fill=colour, width=stroke, joint="curve")
        left, top = corners[0]
        _, _, wide, high = pen.textbbox((stroke, stroke), str(number), font=font)
        top -= min(top, high + stroke)  # above the corner, where there is room: not on what is shown
        pen.rectangle((left, top, left + wide + stroke, top + high + stroke), fill=colour)
        pen.text((left + stroke, top + stroke), str(number), fill="white", font=font)
    out = io.BytesIO()
    picture.save(out, "png")
    return out.getvalue()
