"""What is no caption, and above all what is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.asking.language import load_language_check
from pipeline.engine.asking.lint import find_flaw, is_endless, is_refusal
from pipeline.errors import UserError

GOOD = """
A cat.
A man who looks sorry stands in front of a brick wall.
A woman apologizes to a police officer; he shakes his head.
A hand-written sign says "I'm sorry, I can't help you with this request".
"I'm sorry, Dave. I'm afraid I can't do that." is written over a red camera eye.
Sorry, we're closed: a wooden sign hangs in the window of a shop.
Sorry We're Open
I can't help falling in love with you - white letters on a pink heart.
I can't see the forest for the trees.
I can't breathe, says a protester's cardboard sign.
I cannot tell a lie. George Washington stands beside a cherry tree.
Unfortunately named town sign: "Boring, Oregon".
Unfortunately the top of the tower is outside the frame; the rest shows a clock and two flags.
Apologies are written in chalk on a pavement.
Unable to stand, a newborn foal lies in the straw.
Unable to load image: a browser window with a grey placeholder.
I am a sunflower, says the label on the child's drawing.
As an AI conference banner hangs above them, three people shake hands.
I can't identify the people in this image, but I can describe it: two women in raincoats walk a dog.
I'm sorry, but I can't identify real people. However, there is a man in a suit at a lectern with two flags behind him.
I won't give up. A poster with a climber on a cliff.
The picture shows an error message: "Sorry, I cannot process your request. Please try again."
We can't stop here, this is bat country: a film still of two men in a convertible.
I will not share this cake, reads the icing.
A screenshot of a chat: "I'm unable to help with that." The reply bubble is blue.
Entschuldigung steht auf einem Schild in einem Schaufenster.
Ein Mann, dem es leid tut, steht vor einer Tür.
Une femme désolée regarde par la fenêtre.
Lo siento: un graffiti en una pared de ladrillo.
对不起的牌子挂在门上。
一位抱歉的店员站在柜台后面。
ha ha ha ha ha ha, says the speech bubble of a laughing clown.
Row after row of red tulips, row after row of yellow tulips, row after row of white tulips.
A red car, a blue car, a green car, a white car, a black car, a silver car, a yellow car, an orange car and a grey car.
No no no no no no no no no
Bananas, bananas, bananas everywhere.
| item | price |\n| --- | --- |\n| tea | 2.00 |\n| tea | 2.00 |\n| tea | 2.00 |\n| tea | 2.00 |
1 1 2 3 5 8 13 21 34 55 89 144 on a blackboard
Name: ______________________________________________________________________________________________
................................................................................................... THE END
The image shows a spreadsheet with the values 0 0 0 0 0 0 0 0 0 0 0 0 in the first row.
🐱
42
10:45
STOP
"""

REFUSALS = """
I'm sorry, but I can't help with that.
I'm sorry, I can't assist with that request.
I’m sorry, but I can’t provide a description of this image.
Sorry, I can't help with identifying people in images.
Sorry, but I cannot describe this image.
I can't help with that.
I cannot assist with this request.
I'm unable to view images.
I am unable to describe this image as it contains explicit content.
I am not able to process this image.
I'm not able to help with that request.
Unfortunately, I cannot analyze this image.
I apologize, but I cannot identify people in photographs.
My apologies, but I can't caption this picture.
As an AI language model, I cannot view images directly.
As an AI, I'm unable to process this request.
I'm really sorry, but I can't help with identifying or describing people in this photo.
I won't describe this image.
I do not have the ability to see images.
I must decline to describe this content.
Lo siento, pero no puedo ayudar con eso.
Je suis désolé, mais je ne peux pas décrire cette image.
Es tut mir leid, aber ich kann dieses Bild nicht beschreiben.
Tut mir leid, dabei kann ich nicht helfen.
Desculpe, mas não posso ajudar com isso.
Mi dispiace, ma non posso descrivere questa immagine.
Извините, но я не могу описать это изображение.
抱歉，我无法描述这张图片。
申し訳ありませんが、この画像を説明することはできません。
"""


def lines(text: str) -> list[str]:
    return [line.replace("\\n", "\n") for line in text.strip().splitlines()]


@pytest.mark.parametrize("caption", lines(GOOD))
def test_a_caption_is_never_called_anything_else(caption: str) -> None:
    assert find_flaw(caption) is None
    assert find_flaw(f"{caption} {caption}") is None, "said twice is not endless"


@pytest.mark.parametrize("answer", lines(REFUSALS))
def test_refusals_written_as_answers(answer: str) -> None:
    assert find_flaw(answer) == ("refused", answer)
    assert not is_refusal(f"The sign says: {answer}")


@given(st.sampled_from(lines(GOOD)), st.sampled_from(lines(GOOD)))
def test_two_captions_in_one_are_a_caption(one: str, other: str) -> None:
    assert find_flaw(f"{one}\n{other}") is None


@pytest.mark.parametrize("nothing", ["...", "-", " \n", '""', "—"])
def test_punctuation_alone_is_nothing(nothing: str) -> None:
    assert find_flaw(nothing) == ("empty_reply", "The model answered with nothing.")


@given(
    st.text("abcdefg ", min_size=1, max_size=40).filter(lambda text: text.strip()),
    st.integers(0, 39),
    st.sampled_from(["", ".", "..."]),
)
def test_a_passage_without_end(passage: str, cut: int, ending: str) -> None:
    endless = "A dog " + passage * (70 // len(passage) + 7) + passage[: cut % len(passage)]
    assert is_endless(endless + ending)


@given(st.text(max_size=300))
def test_chance_texts_raise_nothing(text: str) -> None:
    find_flaw(text)


FOREIGN = ("Entschuldigung", "Ein ", "Lo siento", "Une ")
ENGLISH = [line for line in lines(GOOD) if line.isascii() and not line.startswith(FOREIGN)]
OTHERS = {
    "de": ["Eine Katze sitzt auf einem Sofa.", "Ein Mann mit Hut steht vor einer Ziegelmauer."],
    "fr": ["Un chat est assis sur un canapé.", "Deux chiens courent sur la plage au coucher du soleil."],
    "es": ["Un gato está sentado en un sofá.", "Dos perros corren por la playa al atardecer."],
    "pt": ["Um gato está sentado num sofá.", "Dois cães correm na praia ao pôr do sol."],
    "it": ["Un gatto è seduto su un divano.", "Due cani corrono sulla spiaggia al tramonto."],
    "nl": ["Een kat zit op een bank.", "Twee honden rennen op het strand bij zonsondergang."],
    "sv": ["En katt sitter på en soffa.", "Två hundar springer på stranden vid solnedgången."],
    "pl": ["Kot siedzi na kanapie.", "Dwa psy biegną po plaży o zachodzie słońca."],
    "ru": ["Кошка сидит на диване.", "Две собаки бегут по пляжу на закате."],
    "zh": ["一只猫坐在沙发上。", "两只狗在日落时的海滩上奔跑。"],
    "ja": ["ソファに座っている猫。", "夕暮れのビーチを走る二匹の犬。"],
    "ko": ["소파에 앉아 있는 고양이.", "해질녘 해변을 달리는 두 마리의 개."],
    "ar": ["قطة تجلس على أريكة.", "كلبان يركضان على الشاطئ عند غروب الشمس."],
    "tr": ["Bir kedi kanepede oturuyor.", "İki köpek gün batımında sahilde koşuyor."],
}


def test_the_wrong_language_is_told_and_the_right_one_never() -> None:
    english = load_language_check("en")
    for caption in ENGLISH:
        assert english(caption) is None, caption
    for language, captions in OTHERS.items():
        right = load_language_check(language)
        for caption in captions:
            assert right(caption) is None, caption
            found = find_flaw(caption, english)
            assert found is not None, caption
            assert found[0] == "wrong_language"
            assert caption in found[1], "what was paid for is still to be read"


def test_a_language_that_nobody_knows() -> None:
    with pytest.raises(UserError, match="'english' is not known"):
        load_language_check("english")
