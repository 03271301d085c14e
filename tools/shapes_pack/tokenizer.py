"""A byte-level BPE tokenizer in CLIP's published form (vocab.json and merges.txt), learned from captions."""

import collections
import pathlib
import random

import regex
from transformers import CLIPTokenizer

import captions
import scenes
from training_run import published_configs, write_json

MERGES = 2000
CAPTIONS_PER_LANGUAGE = 1500
LENGTH = 77

_PIECES = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
_END = "</w>"
Pair = tuple[str, str]


def byte_symbols() -> dict[int, str]:
    """The printable stand-ins of GPT-2 for the 256 bytes, in the order of CLIP's vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def corpus(seed: int) -> list[str]:
    texts = []
    for code in captions.LANGUAGES:
        for index in range(CAPTIONS_PER_LANGUAGE):
            scene, rng = scenes.scene_of(f"tokenizer {seed} {code}", index, two_objects=0.4)
            texts.append(captions.caption(scene, code, captions.sample_mention(scene, rng), rng))
    return texts


def _chinese_words() -> str:
    """A pattern of the words; without it, merges of text without spaces would run across words."""
    language = captions.CHINESE
    words = {noun for nouns in language.nouns.values() for _, noun, _ in nouns} | {word for cell in language.cells
                                                                                   for word in cell}
    words |= {forms["n"][0].removesuffix("的") for colors in language.colors.values() for forms in colors}
    words |= {"一个", "一张", "画着", "图片", "图中", "背景", "白色", "黑色", "灰色"}
    return "|".join(sorted(words, key=lambda word: (-len(word), word))) + r"|\p{Han}"


def words_of(text: str, chinese: str) -> list[tuple[str, bool]]:
    """The parts of a text that merges may join, and whether one ends a word of the tokenizer."""
    result = []
    for piece in regex.findall(_PIECES, text.lower()):
        parts = regex.findall(chinese, piece) if regex.match(r"\p{Han}", piece) else [piece]
        result += [(part, i + 1 == len(parts)) for i, part in enumerate(parts)]
    return result


def learn_merges(texts: list[str], count: int) -> list[Pair]:
    """Byte-pair encoding: the most frequent pair first, ties in the order of the pairs' text."""
    symbols = byte_symbols()
    chinese = _chinese_words()
    frequencies = collections.Counter(word for text in texts for word in words_of(text, chinese))
    words = []
    pairs: collections.Counter[Pair] = collections.Counter()
    places: dict[Pair, set[int]] = collections.defaultdict(set)

    def count_pairs(index: int, sign: int) -> None:
        word, frequency = words[index]
        for pair in zip(word, word[1:]):
            pairs[pair] += sign * frequency
            places[pair].add(index)

    for index, ((piece, ends), frequency) in enumerate(sorted(frequencies.items())):
        letters = [symbols[byte] for byte in piece.encode()]
        words.append((letters[:-1] + [letters[-1] + _END * ends], frequency))
        count_pairs(index, 1)
    merges = []
    while len(merges) < count and pairs:
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        if pairs[best] < 2:
            break
        merges.append(best)
        for index in places.pop(best):
            count_pairs(index, -1)
            words[index] = (_join(words[index][0], best), words[index][1])
            count_pairs(index, 1)
        del pairs[best]
    return merges


def _join(word: list[str], pair: Pair) -> list[str]:
    result, i = [], 0
    while i < len(word):
        if tuple(word[i:i + 2]) == pair:
            result.append(word[i] + word[i + 1])
            i += 2
        else:
            result.append(word[i])
            i += 1
    return result


def write_tokenizer(folder: pathlib.Path, seed: int) -> None:
    """The four files of the published repositories."""
    folder.mkdir(parents=True, exist_ok=True)
    merges = learn_merges(corpus(seed), MERGES)
    symbols = list(byte_symbols().values())
    tokens = symbols + [symbol + _END for symbol in symbols] + ["".join(pair) for pair in merges]
    # Two merges can make the same token; the published vocabularies have every token once, the special ones last.
    tokens = list(dict.fromkeys(tokens)) + ["<|startoftext|>", "<|endoftext|>"]
    write_json(folder / "vocab.json", {token: i for i, token in enumerate(tokens)}, indent=None)
    lines = ["#version: 0.2"] + [" ".join(pair) for pair in merges]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_json(folder / "special_tokens_map.json", published_configs.SPECIAL_TOKENS_MAP)
    write_json(folder / "tokenizer_config.json", published_configs.TOKENIZER_CONFIG)


def load_tokenizer(folder: pathlib.Path) -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(folder)
