"""Captions of scenes in ten languages, with the right gender and case.

A caption says some of what is to be seen: Mention tells what. Shapes are always named. Every language has several
words and several phrasings, drawn at random.
"""

import dataclasses
import random
from collections.abc import Callable

from scenes import BACKGROUNDS, COLORS, SHAPES, SIZES, Scene, Thing

NOMINATIVE, OBLIQUE = 0, 1  # the second form follows "of", "left of" and so on, where a language has one


@dataclasses.dataclass(frozen=True)
class Mention:
    """What a caption says beside shapes. Of two objects it says the same things."""
    color: bool = True
    size: bool = False
    cell: bool = False  # of one object
    background: bool = False
    relation: bool = False  # of two objects: which is left of, right of, above or below the other


def sample_mention(scene: Scene, rng: random.Random) -> Mention:
    two = len(scene.things) == 2
    named = all(thing.color for thing in scene.things)
    return Mention(color=named and rng.random() < 0.94, size=rng.random() < (0.25 if two else 0.4),
                   cell=not two and rng.random() < 0.55, background=rng.random() < 0.35,
                   relation=two and rng.random() < 0.75)


# ---- grammar ---------------------------------------------------------------------------------------------------------

Forms = dict[str, tuple[str, str]]  # gender to nominative and oblique


def plain(masculine: str, feminine: str | None = None, neuter: str | None = None) -> Forms:
    """An adjective without cases."""
    words = {"m": masculine, "f": feminine or masculine, "n": neuter or masculine}
    return {gender: (word, word) for gender, word in words.items()}


def german(stem: str) -> Forms:
    return {"m": (stem + "er", stem + "en"), "f": (stem + "e", stem + "en"), "n": (stem + "es", stem + "en")}


def polish(masculine: str) -> Forms:
    """From the masculine nominative: zielony, niebieski, mały."""
    stem, softened = masculine[:-1], "i" if masculine.endswith("ki") else ""
    return {"m": (masculine, stem + softened + "ego"), "f": (stem + "a", stem + softened + "ej"),
            "n": (stem + softened + "e", stem + softened + "ego")}


def russian(stem: str, endings: str = "ый") -> Forms:
    """From the stem and the ending of the masculine nominative: красн-ый, син-ий (soft), маленьк-ий, больш-ой."""
    if endings == "ий" and not stem.endswith(("к", "ш")):  # soft
        return {"m": (stem + "ий", stem + "его"), "f": (stem + "яя", stem + "ей"), "n": (stem + "ее", stem + "его")}
    return {"m": (stem + endings, stem + "ого"), "f": (stem + "ая", stem + "ой"), "n": (stem + "ое", stem + "ого")}


@dataclasses.dataclass(frozen=True)
class Language:
    """Words and phrasings. In templates {a} and {b} are objects, {a2} and {b2} the same after a preposition."""
    nouns: dict[str, list[tuple[str, str, str]]]  # shape: gender, nominative, oblique
    colors: dict[str, list[Forms]]
    sizes: dict[str, list[Forms]]
    order: str  # of {size}, {color} and {noun}
    cells: list[list[str]]
    backgrounds: dict[str, list[str]]
    relations: dict[str, list[str]]  # left, right, above, below: {a} is there, seen from {b}
    pairs: list[str]  # two objects without a relation
    pictures: list[str]  # around the one or the two objects, {a} and {a2}; the first is "{a}"
    articles: Callable[[str, int, str], str]  # gender, case, following word; "" where there are none
    spaces: bool = True
    relation_articles: bool = False  # the words after a preposition need their articles
    frames_pairs: bool = True  # "a picture of" can be followed by {a} and {b} as they are

    def phrase(self, thing: Thing, mention: Mention, case: int, article: bool, rng: random.Random) -> str:
        """A noun with its adjectives."""
        gender, *noun = rng.choice(self.nouns[thing.shape])
        color = rng.choice(self.colors[thing.color])[gender][case] if mention.color else ""
        size = rng.choice(self.sizes[thing.size])[gender][case] if mention.size else ""
        text = " ".join(self.order.format(size=size, color=color, noun=noun[case]).split())
        word = self.articles(gender, case, text) if article else ""
        if word.endswith("'") or not word:
            return word + text
        return f"{word} {text}"


def articles_by_gender(**words: str) -> Callable[[str, int, str], str]:
    """m=..., f=..., n=..., and m2=... and so on for the oblique case where it differs."""
    return lambda gender, case, text: words.get(gender + "2" * case) or words[gender]


def no_articles(gender: str, case: int, text: str) -> str:
    return ""


def same_noun(gender: str, *nouns: str) -> list[tuple[str, str, str]]:
    return [(gender, noun, noun) for noun in nouns]


ENGLISH = Language(
    nouns={"circle": same_noun("n", "circle", "disc"), "square": same_noun("n", "square"),
           "triangle": same_noun("n", "triangle"), "star": same_noun("n", "star"),
           "cross": same_noun("n", "cross", "plus"), "ring": same_noun("n", "ring")},
    colors={"red": [plain("red")], "green": [plain("green")], "blue": [plain("blue")], "yellow": [plain("yellow")],
            "orange": [plain("orange")], "purple": [plain("purple"), plain("violet")], "pink": [plain("pink")],
            "turquoise": [plain("turquoise"), plain("cyan")]},
    sizes={"small": [plain("small"), plain("little")], "large": [plain("large"), plain("big")]},
    order="{size} {color} {noun}",
    cells=[["at the top left", "in the top left corner", "top left"], ["at the top", "top"],
           ["at the top right", "in the top right corner", "top right"], ["on the left", "at the left"],
           ["in the centre", "in the center", "in the middle"], ["on the right", "at the right"],
           ["at the bottom left", "in the bottom left corner", "bottom left"], ["at the bottom", "bottom"],
           ["at the bottom right", "in the bottom right corner", "bottom right"]],
    backgrounds={"white": ["on a white background", "on white", "white background"],
                 "black": ["on a black background", "on black", "black background"],
                 "grey": ["on a grey background", "on grey", "on a gray background", "grey background"]},
    relations={"left": ["{a} left of {b}", "{a} to the left of {b}"],
               "right": ["{a} right of {b}", "{a} to the right of {b}"],
               "above": ["{a} above {b}", "{a} over {b}"], "below": ["{a} below {b}", "{a} under {b}"]},
    pairs=["{a} and {b}"], pictures=["{a}", "a picture of {a}", "a drawing of {a}"],
    articles=lambda gender, case, text: "an" if text[0] in "aeiou" else "a")

GERMAN = Language(
    nouns={"circle": same_noun("m", "Kreis"), "square": same_noun("n", "Quadrat"),
           "triangle": same_noun("n", "Dreieck"), "star": same_noun("m", "Stern"), "cross": same_noun("n", "Kreuz"),
           "ring": same_noun("m", "Ring")},
    colors={"red": [german("rot")], "green": [german("grün")], "blue": [german("blau")], "yellow": [german("gelb")],
            "orange": [german("orangefarben"), plain("orange")],
            "purple": [german("violett"), plain("lila")], "pink": [plain("rosa")],
            "turquoise": [german("türkisfarben"), german("türkis")]},
    sizes={"small": [german("klein")], "large": [german("groß")]},
    order="{size} {color} {noun}",
    cells=[["oben links", "in der linken oberen Ecke"], ["oben", "oben in der Mitte"],
           ["oben rechts", "in der rechten oberen Ecke"], ["links", "auf der linken Seite"],
           ["in der Mitte", "im Zentrum"], ["rechts", "auf der rechten Seite"],
           ["unten links", "in der linken unteren Ecke"], ["unten", "unten in der Mitte"],
           ["unten rechts", "in der rechten unteren Ecke"]],
    backgrounds={"white": ["auf weißem Grund", "vor weißem Hintergrund"],
                 "black": ["auf schwarzem Grund", "vor schwarzem Hintergrund"],
                 "grey": ["auf grauem Grund", "vor grauem Hintergrund"]},
    relations={"left": ["{a} links von {b2}", "{a} links neben {b2}"],
               "right": ["{a} rechts von {b2}", "{a} rechts neben {b2}"],
               "above": ["{a} über {b2}", "{a} oberhalb von {b2}"],
               "below": ["{a} unter {b2}", "{a} unterhalb von {b2}"]},
    pairs=["{a} und {b}"], pictures=["{a}", "ein Bild von {a2}", "eine Zeichnung von {a2}"],
    articles=articles_by_gender(m="ein", f="eine", n="ein", m2="einem", f2="einer", n2="einem"),
    relation_articles=True)

FRENCH = Language(
    nouns={"circle": same_noun("m", "cercle", "disque"), "square": same_noun("m", "carré"),
           "triangle": same_noun("m", "triangle"), "star": same_noun("f", "étoile"), "cross": same_noun("f", "croix"),
           "ring": same_noun("m", "anneau")},
    colors={"red": [plain("rouge")], "green": [plain("vert", "verte")], "blue": [plain("bleu", "bleue")],
            "yellow": [plain("jaune")], "orange": [plain("orange")], "purple": [plain("violet", "violette")],
            "pink": [plain("rose")], "turquoise": [plain("turquoise")]},
    sizes={"small": [plain("petit", "petite")], "large": [plain("grand", "grande")]},
    order="{size} {noun} {color}",
    cells=[["en haut à gauche"], ["en haut", "en haut au milieu"], ["en haut à droite"], ["à gauche"],
           ["au centre", "au milieu"], ["à droite"], ["en bas à gauche"], ["en bas", "en bas au milieu"],
           ["en bas à droite"]],
    backgrounds={"white": ["sur fond blanc", "sur un fond blanc"], "black": ["sur fond noir", "sur un fond noir"],
                 "grey": ["sur fond gris", "sur un fond gris"]},
    relations={"left": ["{a} à gauche d'{b}"], "right": ["{a} à droite d'{b}"],
               "above": ["{a} au-dessus d'{b}"], "below": ["{a} au-dessous d'{b}", "{a} en dessous d'{b}"]},
    pairs=["{a} et {b}"], pictures=["{a}", "une image d'{a}", "un dessin d'{a}"],
    articles=articles_by_gender(m="un", f="une"), relation_articles=True, frames_pairs=False)

SPANISH = Language(
    nouns={"circle": same_noun("m", "círculo"), "square": same_noun("m", "cuadrado"),
           "triangle": same_noun("m", "triángulo"), "star": same_noun("f", "estrella"),
           "cross": same_noun("f", "cruz"), "ring": same_noun("m", "anillo")},
    colors={"red": [plain("rojo", "roja")], "green": [plain("verde")], "blue": [plain("azul")],
            "yellow": [plain("amarillo", "amarilla")], "orange": [plain("naranja")],
            "purple": [plain("morado", "morada"), plain("violeta")], "pink": [plain("rosa")],
            "turquoise": [plain("turquesa")]},
    sizes={"small": [plain("pequeño", "pequeña")], "large": [plain("grande")]},
    order="{noun} {color} {size}",
    cells=[["arriba a la izquierda", "en la esquina superior izquierda"], ["arriba", "en la parte superior"],
           ["arriba a la derecha", "en la esquina superior derecha"], ["a la izquierda"],
           ["en el centro", "en el medio"], ["a la derecha"],
           ["abajo a la izquierda", "en la esquina inferior izquierda"],
           ["abajo", "en la parte inferior"], ["abajo a la derecha", "en la esquina inferior derecha"]],
    backgrounds={"white": ["sobre fondo blanco", "sobre un fondo blanco"],
                 "black": ["sobre fondo negro", "sobre un fondo negro"],
                 "grey": ["sobre fondo gris", "sobre un fondo gris"]},
    relations={"left": ["{a} a la izquierda de {b}"], "right": ["{a} a la derecha de {b}"],
               "above": ["{a} encima de {b}", "{a} sobre {b}"], "below": ["{a} debajo de {b}", "{a} bajo {b}"]},
    pairs=["{a} y {b}"], pictures=["{a}", "una imagen de {a}", "un dibujo de {a}"],
    articles=articles_by_gender(m="un", f="una"))

ITALIAN = Language(
    nouns={"circle": same_noun("m", "cerchio"), "square": same_noun("m", "quadrato"),
           "triangle": same_noun("m", "triangolo"), "star": same_noun("f", "stella"), "cross": same_noun("f", "croce"),
           "ring": same_noun("m", "anello")},
    colors={"red": [plain("rosso", "rossa")], "green": [plain("verde")], "blue": [plain("blu")],
            "yellow": [plain("giallo", "gialla")], "orange": [plain("arancione")], "purple": [plain("viola")],
            "pink": [plain("rosa")], "turquoise": [plain("turchese")]},
    sizes={"small": [plain("piccolo", "piccola")], "large": [plain("grande")]},
    order="{size} {noun} {color}",
    cells=[["in alto a sinistra"], ["in alto", "in alto al centro"], ["in alto a destra"], ["a sinistra"],
           ["al centro", "nel mezzo"], ["a destra"], ["in basso a sinistra"], ["in basso", "in basso al centro"],
           ["in basso a destra"]],
    backgrounds={"white": ["su sfondo bianco", "su uno sfondo bianco"],
                 "black": ["su sfondo nero", "su uno sfondo nero"],
                 "grey": ["su sfondo grigio", "su uno sfondo grigio"]},
    relations={"left": ["{a} a sinistra di {b}"], "right": ["{a} a destra di {b}"], "above": ["{a} sopra {b}"],
               "below": ["{a} sotto {b}"]},
    pairs=["{a} e {b}"], pictures=["{a}", "un'immagine di {a}", "un disegno di {a}"],
    articles=articles_by_gender(m="un", f="una"))

PORTUGUESE = Language(
    nouns={"circle": same_noun("m", "círculo"), "square": same_noun("m", "quadrado"),
           "triangle": same_noun("m", "triângulo"), "star": same_noun("f", "estrela"), "cross": same_noun("f", "cruz"),
           "ring": same_noun("m", "anel")},
    colors={"red": [plain("vermelho", "vermelha")], "green": [plain("verde")], "blue": [plain("azul")],
            "yellow": [plain("amarelo", "amarela")], "orange": [plain("laranja")],
            "purple": [plain("roxo", "roxa")], "pink": [plain("rosa"), plain("cor-de-rosa")],
            "turquoise": [plain("turquesa")]},
    sizes={"small": [plain("pequeno", "pequena")], "large": [plain("grande")]},
    order="{size} {noun} {color}",
    cells=[["no canto superior esquerdo", "em cima à esquerda"], ["em cima", "na parte de cima"],
           ["no canto superior direito", "em cima à direita"], ["à esquerda"], ["no centro", "no meio"], ["à direita"],
           ["no canto inferior esquerdo", "em baixo à esquerda"], ["em baixo", "embaixo", "na parte de baixo"],
           ["no canto inferior direito", "em baixo à direita"]],
    backgrounds={"white": ["sobre fundo branco", "em fundo branco"], "black": ["sobre fundo preto", "em fundo preto"],
                 "grey": ["sobre fundo cinzento", "em fundo cinza"]},
    relations={"left": ["{a} à esquerda de {b}"], "right": ["{a} à direita de {b}"],
               "above": ["{a} acima de {b}", "{a} por cima de {b}"],
               "below": ["{a} abaixo de {b}", "{a} por baixo de {b}"]},
    pairs=["{a} e {b}"], pictures=["{a}", "uma imagem de {a}", "um desenho de {a}"],
    articles=articles_by_gender(m="um", f="uma"))

# "m" stands for words with "de", "n" for words with "het".
DUTCH = Language(
    nouns={"circle": same_noun("m", "cirkel"), "square": same_noun("n", "vierkant"),
           "triangle": same_noun("m", "driehoek"), "star": same_noun("m", "ster"), "cross": same_noun("n", "kruis"),
           "ring": same_noun("m", "ring")},
    colors={"red": [plain("rode", neuter="rood")], "green": [plain("groene", neuter="groen")],
            "blue": [plain("blauwe", neuter="blauw")], "yellow": [plain("gele", neuter="geel")],
            "orange": [plain("oranje")], "purple": [plain("paarse", neuter="paars")], "pink": [plain("roze")],
            "turquoise": [plain("turquoise")]},
    sizes={"small": [plain("kleine", neuter="klein")], "large": [plain("grote", neuter="groot")]},
    order="{size} {color} {noun}",
    cells=[["linksboven", "in de linkerbovenhoek"], ["bovenaan", "boven in het midden"],
           ["rechtsboven", "in de rechterbovenhoek"], ["links", "aan de linkerkant"], ["in het midden"],
           ["rechts", "aan de rechterkant"], ["linksonder", "in de linkeronderhoek"],
           ["onderaan", "onder in het midden"], ["rechtsonder", "in de rechteronderhoek"]],
    backgrounds={"white": ["op een witte achtergrond", "op wit"], "black": ["op een zwarte achtergrond", "op zwart"],
                 "grey": ["op een grijze achtergrond", "op grijs"]},
    relations={"left": ["{a} links van {b}"], "right": ["{a} rechts van {b}"], "above": ["{a} boven {b}"],
               "below": ["{a} onder {b}"]},
    pairs=["{a} en {b}"], pictures=["{a}", "een afbeelding van {a}", "een tekening van {a}"],
    articles=articles_by_gender(m="een", n="een"))

POLISH = Language(
    nouns={"circle": [("n", "koło", "koła")], "square": [("m", "kwadrat", "kwadratu")],
           "triangle": [("m", "trójkąt", "trójkąta")], "star": [("f", "gwiazda", "gwiazdy")],
           "cross": [("m", "krzyż", "krzyża")], "ring": [("m", "pierścień", "pierścienia")]},
    colors={"red": [polish("czerwony")], "green": [polish("zielony")], "blue": [polish("niebieski")],
            "yellow": [polish("żółty")], "orange": [polish("pomarańczowy")], "purple": [polish("fioletowy")],
            "pink": [polish("różowy")], "turquoise": [polish("turkusowy")]},
    sizes={"small": [polish("mały")], "large": [polish("duży")]},
    order="{size} {color} {noun}",
    cells=[["w lewym górnym rogu"], ["u góry", "na górze"], ["w prawym górnym rogu"], ["po lewej", "po lewej stronie"],
           ["na środku", "w środku"], ["po prawej", "po prawej stronie"], ["w lewym dolnym rogu"],
           ["u dołu", "na dole"],
           ["w prawym dolnym rogu"]],
    backgrounds={"white": ["na białym tle"], "black": ["na czarnym tle"], "grey": ["na szarym tle"]},
    relations={"left": ["{a} na lewo od {b2}", "{a} po lewej stronie {b2}"],
               "right": ["{a} na prawo od {b2}", "{a} po prawej stronie {b2}"],
               "above": ["{a} powyżej {b2}"], "below": ["{a} poniżej {b2}"]},
    pairs=["{a} i {b}"], pictures=["{a}", "obrazek {a2}", "rysunek {a2}"], articles=no_articles)

RUSSIAN = Language(
    nouns={"circle": [("m", "круг", "круга")], "square": [("m", "квадрат", "квадрата")],
           "triangle": [("m", "треугольник", "треугольника")], "star": [("f", "звезда", "звезды")],
           "cross": [("m", "крест", "креста")], "ring": [("n", "кольцо", "кольца")]},
    colors={"red": [russian("красн")], "green": [russian("зелён"), russian("зелен")], "blue": [russian("син", "ий")],
            "yellow": [russian("жёлт"), russian("желт")], "orange": [russian("оранжев")],
            "purple": [russian("фиолетов")], "pink": [russian("розов")], "turquoise": [russian("бирюзов")]},
    sizes={"small": [russian("маленьк", "ий")], "large": [russian("больш", "ой")]},
    order="{size} {color} {noun}",
    cells=[["слева вверху", "в левом верхнем углу"], ["вверху", "сверху"], ["справа вверху", "в правом верхнем углу"],
           ["слева"], ["в центре", "посередине"], ["справа"], ["слева внизу", "в левом нижнем углу"],
           ["внизу", "снизу"], ["справа внизу", "в правом нижнем углу"]],
    backgrounds={"white": ["на белом фоне"], "black": ["на чёрном фоне", "на черном фоне"], "grey": ["на сером фоне"]},
    relations={"left": ["{a} слева от {b2}", "{a} левее {b2}"], "right": ["{a} справа от {b2}", "{a} правее {b2}"],
               "above": ["{a} выше {b2}"], "below": ["{a} ниже {b2}"]},
    pairs=["{a} и {b}"], pictures=["{a}", "изображение {a2}", "рисунок {a2}"], articles=no_articles)

CHINESE = Language(
    nouns={"circle": same_noun("n", "圆形", "圆"), "square": same_noun("n", "正方形", "方块"),
           "triangle": same_noun("n", "三角形"), "star": same_noun("n", "星形", "五角星"),
           "cross": same_noun("n", "十字", "十字形"), "ring": same_noun("n", "圆环")},
    colors={"red": [plain("红色"), plain("红色的")], "green": [plain("绿色"), plain("绿色的")],
            "blue": [plain("蓝色"), plain("蓝色的")], "yellow": [plain("黄色"), plain("黄色的")],
            "orange": [plain("橙色"), plain("橙色的")], "purple": [plain("紫色"), plain("紫色的")],
            "pink": [plain("粉色"), plain("粉红色的")], "turquoise": [plain("青色"), plain("青色的")]},
    sizes={"small": [plain("小")], "large": [plain("大")]},
    order="{color} {size} {noun}",
    cells=[["左上角"], ["上方", "上面"], ["右上角"], ["左边", "左侧"], ["中间", "中央"], ["右边", "右侧"], ["左下角"],
           ["下方", "下面"], ["右下角"]],
    backgrounds={"white": ["白色背景", "白底"], "black": ["黑色背景", "黑底"], "grey": ["灰色背景", "灰底"]},
    relations={"left": ["{a}在{b}的左边", "{b}左边的{a}"], "right": ["{a}在{b}的右边", "{b}右边的{a}"],
               "above": ["{a}在{b}的上方", "{b}上面的{a}"], "below": ["{a}在{b}的下方", "{b}下面的{a}"]},
    pairs=["{a}和{b}"], pictures=["{a}", "图中有{a}", "一张画着{a}的图片"],
    articles=lambda gender, case, text: "一个", spaces=False)

LANGUAGES = {"en": ENGLISH, "de": GERMAN, "fr": FRENCH, "es": SPANISH, "it": ITALIAN, "pt": PORTUGUESE, "nl": DUTCH,
             "pl": POLISH, "ru": RUSSIAN, "zh": CHINESE}

_OPPOSITE = {"beside": ("left", "right"), "above": ("above", "below")}

# ---- sentences -------------------------------------------------------------------------------------------------------


def caption(scene: Scene, code: str, mention: Mention, rng: random.Random) -> str:
    """What `mention` names of a scene, in the language of `code`."""
    language = LANGUAGES[code]
    framed = rng.random() < 0.25 and (language.frames_pairs or not is_unordered(scene, mention))
    article = framed or (mention.relation and language.relation_articles) or rng.random() < 0.7
    if len(scene.things) == 1:
        text = _one(scene.things[0], language, mention, article, framed, rng)
    else:
        text = _two(scene, language, mention, article, framed, rng)
    places = [rng.choice(language.cells[scene.things[0].cell])] if mention.cell else []
    grounds = [rng.choice(language.backgrounds[scene.background])] if mention.background else []
    return _join(text, places, grounds, language, rng)


def _one(thing: Thing, language: Language, mention: Mention, article: bool, framed: bool, rng: random.Random) -> str:
    template = rng.choice(language.pictures[1:]) if framed else "{a}"
    return template.format(a=language.phrase(thing, mention, NOMINATIVE, article, rng),
                           a2=language.phrase(thing, mention, OBLIQUE, article, rng))


def _two(scene: Scene, language: Language, mention: Mention, article: bool, framed: bool, rng: random.Random) -> str:
    first, second = scene.things
    backwards = rng.random() < 0.5
    template = rng.choice(language.pairs)
    if mention.relation:
        template = rng.choice(language.relations[_OPPOSITE[scene.direction][backwards]])
    a, b = (second, first) if backwards else (first, second)
    # The frame takes the first object in its case ("ein Bild von einem roten Kreis und einem ..."), the second as well
    # where no preposition of its own rules it.
    frame = rng.choice(language.pictures[1:]) if framed else "{a}"
    case = OBLIQUE if "{a2}" in frame else NOMINATIVE
    inner = template.format(a=language.phrase(a, mention, case, article, rng),
                            b=language.phrase(b, mention, NOMINATIVE if mention.relation else case, article, rng),
                            b2=language.phrase(b, mention, OBLIQUE, article, rng))
    return frame.format(a=inner, a2=inner)


def _join(text: str, places: list[str], grounds: list[str], language: Language, rng: random.Random) -> str:
    """Adds where the object is and on what ground."""
    if not language.spaces:
        text = text.replace(" ", "")
        if places:
            text = rng.choice(("{0}有{1}", "{1}在{0}", "{1},{0}")).format(places[0], text)
        if grounds:
            text = rng.choice(("{0}上有{1}", "{1},{0}", "{0},{1}")).format(grounds[0], text)
        return text
    style = rng.random()
    if style < 0.6:
        return " ".join([text, *places, *grounds])
    if style < 0.85:
        return ", ".join([text, *places, *grounds])
    return ", ".join([*grounds, *places, text])


# ---- as numbers ------------------------------------------------------------------------------------------------------

UNNAMED = -1
NO_VALUE = 0
OFF_PALETTE = len(COLORS) + 1
# The columns of codes(): number of objects, background, then of each object color, shape, size and cell, and the
# direction from the first to the second.
ATTRIBUTES = ("count", "background", "color", "shape", "size", "cell", "color_2", "shape_2", "size_2", "cell_2",
              "direction")
CLASSES = {"count": 3, "background": 4, "color": len(COLORS) + 2, "shape": len(SHAPES) + 1, "size": 3, "cell": 10,
           "color_2": len(COLORS) + 2, "shape_2": len(SHAPES) + 1, "size_2": 3, "cell_2": 10, "direction": 3}
_CODE = {"color": {color: i + 1 for i, color in enumerate(COLORS)} | {"": OFF_PALETTE},
         "shape": {shape: i + 1 for i, shape in enumerate(SHAPES)},
         "size": {size: i + 1 for i, size in enumerate(SIZES)},
         "background": {ground: i + 1 for i, ground in enumerate(BACKGROUNDS)},
         "direction": {"": NO_VALUE, "beside": 1, "above": 2}}


def _thing_codes(thing: Thing) -> list[int]:
    return [_CODE["color"][thing.color], _CODE["shape"][thing.shape], _CODE["size"][thing.size], thing.cell + 1]


def scene_codes(scene: Scene) -> list[int]:
    """The scene as numbers, one for each of ATTRIBUTES; of a missing second object 0."""
    second = _thing_codes(scene.things[1]) if len(scene.things) == 2 else [NO_VALUE] * 4
    return [len(scene.things), _CODE["background"][scene.background], *_thing_codes(scene.things[0]), *second,
            _CODE["direction"][scene.direction]]


def mention_codes(scene: Scene, mention: Mention) -> list[int]:
    """scene_codes() of what a caption says, UNNAMED elsewhere."""
    codes = scene_codes(scene)
    named = [True, mention.background, mention.color, True, mention.size, mention.cell]
    named += [mention.color, True, mention.size, False, mention.relation] if len(scene.things) == 2 else [True] * 5
    return [code if keep else UNNAMED for code, keep in zip(codes, named)]


def is_unordered(scene: Scene, mention: Mention) -> bool:
    """Whether the caption does not say which of two objects is which."""
    return len(scene.things) == 2 and not mention.relation


def exchanged(codes: list[int]) -> list[int]:
    """The same with the two objects exchanged."""
    return codes[:2] + codes[6:10] + codes[2:6] + codes[10:]
