"""Texts for the tokenizer's goldens and for training the tiny models' byte-pair merges."""

_PROMPTS = [
    "red cat, 4k photo", "A teddy bear on a beach, high quality", "low quality, bad quality",
    "a small house in the forest",
    "portrait of a young woman, blue eyes, cinematic", "an astronaut riding a horse in space, digital art",
    "A fantasy landscape, Cinematic lighting", "bird, 4k photo",
    "the quick brown fox jumps over the lazy dog",
    "oil painting of the sea at night, the moon and the stars over the water",
    "close up photo of a robot, trending on artstation",
    "watercolor of mountains in the morning", "THE QUICK BROWN FOX", "mixed CASE Prompt With Capitals",
    "a photo of the house, the cat and the dog",
    "kandinsky style abstract composition with circles and triangles",
    "isometric room, soft light, 8k, octane render", "macro photography of an insect on a green leaf",
    "a cup of coffee on the table next to a book",
    "city street in the rain at night, neon lights, reflections",
]

_LANGUAGES = [
    "красная кошка, фото 4к", "кот в космосе, цифровое искусство", "Пейзаж с горами и рекой, осень",
    "ёжик в тумане",
    "ночной город, дождь, неоновые огни", "портрет девушки, голубые глаза", "РОССИЯ и москва",
    "їжак, ґанок, Київ",
    "eine rote Katze auf dem Dach", "Größe, Straße, Äpfel, öffnen, übermorgen",
    "un chat rouge sur le toit, été, garçon, œuvre",
    "el niño y la señora, ¿qué es esto? ¡mañana!", "coração, pão, avó e avô", "kırmızı kedi, İstanbul, ışık",
    "mały żółty dom, łódź",
    "červená kočka, příliš žluťoučký kůň", "một con mèo đỏ, ảnh đẹp", "κόκκινη γάτα, Ελλάδα, ΣΊΣΥΦΟΣ",
    "ქართული ენა", "հայերեն լեզու",
    "红色的猫，高质量照片", "宇航员骑马", "赤い猫、高画質の写真", "ひらがなとカタカナ、漢字", "カタカナ", "빨간 고양이, 고화질 사진", "안녕하세요", "한글",
    "قطة حمراء، صورة عالية الجودة", "السَّلَامُ عَلَيْكُمْ", "חתול אדום, תמונה", "שָׁלוֹם",
    "लाल बिल्ली, उच्च गुणवत्ता", "ভালো ছবি",
    "แมวสีแดง ภาพคุณภาพสูง", "சிவப்பு பூனை", "ແມວສີແດງ", "ቀይ ድመት", "улаан муур", "Ꭰꮳꮃ", "𝕬𝖇𝖈 𝒹ℯ𝒻 𝟙𝟚𝟛",
    "ｆｕｌｌ　ｗｉｄｔｈ　１２３", "ﬁne ﬂuffy eﬀects",
]

_ACCENTS = [
    "Café", "Cafe\u0301", "naïve", "nai\u0308ve", "Ångström", "A\u030angstro\u0308m", "\u212b", "é",
    "e\u0301", "ế", "e\u0302\u0301",
    "\u1e69", "s\u0323\u0307", "s\u0307\u0323", "ñ", "n\u0303", "ü", "u\u0308", "\u0344", "\u0958", "가",
    "\u1100\u1161", "각", "\u1100\u1161\u11a8",
    "İ", "I\u0307", "ß", "ẞ", "ŉ", "ǰ", "ΐ", "Σ", "ΣΑΣ", "ς", "ﬀ", "Ǆ", "ǅ", "ǆ", "K", "Ω", "\u0130stanbul",
    "DŽ",
    "Z̴a̷l̸g̵o̶ text", "ø đ ł þ ð", "Ø Đ Ł Þ Ð",
]

_EMOJI = [
    "😀", "😀😀😀", "a 😀 face", "👍🏽", "👨‍👩‍👧‍👦 family", "🏳️‍🌈 flag", "🇷🇺🇺🇸", "❤️", "❤", "1️⃣ 2️⃣",
    "🧑🏿‍🚀 in space", "👩‍💻👨‍🍳",
    "cat🐱dog🐶", "🐈‍⬛", "☺️ ☹️", "🫠🫥", "\u200d", "a\u200db", "a\u200cb", "\ufe0f", "🎨🖼️, 4k", "™ © ®", "♠♥♦♣",
]

_NUMBERS = [
    "0", "12345", "3.14159", "1,000,000", "2024-05-17", "12:30:45", "4k", "8K UHD", "1920x1080", "50%",
    "$99.99", "€20", "£5", "№7",
    "½ ¾ ⅓", "x² + y³", "Ⅳ Ⅷ", "①②③", "٠١٢٣", "०१२३", "1st 2nd 3rd", "+1-234-567", "0x1F", "1e-5", "²", "৪",
    "一二三", "H₂O", "10⁻⁹",
]

_CONTRACTIONS = [
    "it's", "IT'S", "don't", "DON'T", "we're we've we'll I'm he'd", "WE'RE WE'VE WE'LL I'M HE'D", "'s",
    "'sam", "'tis 'twas", "rock'n'roll",
    "it\u2019s", "dogs' toys", "O'Neil", "y'all'd've", "''s", "'S", "x'll", "'ll'd", "'", "''", "can't've",
    "'re'", "l'été", "d'Artagnan",
    "'ss 'tt 'mm 'dd", "'r 'v 'l",
]

_PUNCTUATION = [
    "!", "!!!", "?!?!", "...", "…", "----", "—–-", "(((masterpiece)))", "[best quality:1.2]", "{a|b|c}",
    "<b>bold</b>", "a,b;c:d.e",
    "a , b ; c", "#hashtag @user", "https://example.com/a?b=c&d=e#f", "user@example.com",
    "C:\\path\\file.txt", "a/b/c", "\"quoted\"",
    "\u201ccurly\u201d \u2018quotes\u2019", "«guillemets»", "。，、！？", "؟ ، ؛", "*** ~~~ ^^^", "|||",
    "_underscore_ and __double__", "a_b_c",
    "a-b-c", "&amp; &lt;b&gt; &#39; &eacute;", "&amp;amp;", "&copy 2024", "&unknown;", "rock & roll",
    "100% cotton", "a=b+c*d", "`code`",
    "\\n \\t", "¿¡", "§¶†‡", "→ ← ↑ ↓", "∀x∈ℝ: x²≥0", "▁▂▃", "á!é?í", "cat.dog", "cat . dog", "\u00b7",
    "\u00ad soft\u00adhyphen",
]

_SPACES = [
    "", " ", "   ", "\t", "\n", "\r\n", " leading", "trailing ", "  both  ", "two  spaces", "tab\tseparated",
    "new\nline", "line\r\nfeed",
    "a\u00a0b", "a\u2003b", "a\u3000b", "a\u2028b", "a\u200bb", "a\u0085b", "\ufeffbom", "a\u180eb",
    "a\u205fb", "\u00a0", "it's  a   Café!!",
    "multi\n\n\nline\n\ttext", "a \t\n b", "\u1680ogham",
]

# Unicode's White_Space; and, after it, what Python's str.isspace() or people take for it.
_WHITE_SPACE = "\t\n\v\f\r \u0085\u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200b))) + "\u2028\u2029\u202f\u205f\u3000"
_NO_WHITE_SPACE = "\u001c\u001d\u001e\u001f\u180e\u200b\u200d\u2060\ufeff\u2800\u3164"

_SPACES += [f"red{space}cat,{space}{space}4k{space}" for space in _WHITE_SPACE + _NO_WHITE_SPACE]
_SPACES += [space * 3 for space in _WHITE_SPACE + _NO_WHITE_SPACE]
_SPACES += ["a red cat\r\non a roof\r\n", "\r\n\r\n", "\u3000赤い猫\u3000高画質", f"a{_WHITE_SPACE}b", _WHITE_SPACE,
            "it's\u2028they'll\u20291\u00852", "cat\f<|endoftext|>\vdog"]

_SPECIAL = [
    "<|startoftext|>", "<|endoftext|>", "a <|endoftext|> b", "a<|endoftext|>b",
    "<|startoftext|>cat<|endoftext|>", "<|ENDOFTEXT|>",
    "<|endoftext|", "|endoftext|>", "<|endoftext|><|endoftext|>", "<|EndOfText|> dog", "</w>", "cat</w>",
    "<pad>", "<unk>", "[CLS]", "<s>",
    "  <|endoftext|>  ", "<|startoftext|> <|startoftext|>", "x <|startoftext|>", "<| endoftext |>",
    "!<|endoftext|>!",
]

_LONG = [
    "a" * 1000, "z" * 76, "кот " * 60, "cat " * 74, "cat " * 75, "cat " * 76, "cat " * 77, "word, " * 40,
    "1" * 75, "1" * 76, "1" * 200,
    "😀" * 30, "猫" * 90, "! " * 100, "a photo of " * 30 + "the end", "x" * 77 + " " + "y" * 77, "ab" * 500,
    "<|endoftext|> " * 80,
    "supercalifragilisticexpialidocious " * 10, "." * 500,
]

# Letters and symbols that are rare or not in the corpus of the merges.
_RARE = [
    "\u0001", "a\u0007b", "\u007f", "\u0300", "\u0378", "\ue000", "\ufffd", "\ufffe", "\U0010ffff", "\U0001d11e",
    "\u202e abc", "\u2066x\u2069",
]

# All texts without repetitions, in order.
TEXTS = list(dict.fromkeys(_PROMPTS + _LANGUAGES + _ACCENTS + _EMOJI + _NUMBERS + _CONTRACTIONS + _PUNCTUATION +
                           _SPACES + _SPECIAL + _LONG + _RARE))

# What the byte-pair merges are learned from.
CORPUS = _PROMPTS * 4 + _LANGUAGES + _CONTRACTIONS + _PUNCTUATION + _EMOJI
