#!/usr/bin/env python3
"""Judges the shapes models: has a server draw what prompts of ten languages and all tasks ask for, and looks at it.

Usage: judge_model.py BUILD_DIR MODELS_FOLDER OUTPUT [--require] [--rounds N] [--only GROUP] [--guidance X] ...

OUTPUT gets a picture for each case, results.jsonl with the cases and the answers, table.md, and contact_sheet.png. The
judge sees pixels only (judge.py, judge_tasks.py). --require ends with an error where a share is below REQUIRED.
"""

import argparse
import json
import pathlib
import random

import numpy
from PIL import Image, ImageDraw

import captions
import judge_tasks
import prompts
import scenes
import task_scenes
from drawing import SETTINGS, draw_all
from judge import Table

# Group, question, least share: what makes the models worth shipping. Another processor rounds otherwise and draws a few
# pictures differently, for which what the models reach leaves room.
REQUIRED = (("one object", "color", 0.97), ("one object", "shape", 0.90), ("one object, placed", "color", 0.97),
            ("one object, placed", "position", 0.95), ("one object, placed", "shape", 0.90),
            ("held out", "color", 0.90), ("held out", "shape", 0.70), ("two objects", "all", 0.60),
            ("negative prompt", "color", 0.85), ("inpaint", "kept", 0.85), ("inpaint", "color", 0.85),
            ("inpaint", "shape", 0.85), ("image to image, low strength", "position", 0.85),
            ("image to image, low strength", "shape", 0.85), ("image to image, high strength", "color", 0.85),
            ("image to image, high strength", "shape", 0.85), ("mix", "monotone", 0.80),
            ("control_net", "outline", 0.85), ("control_net", "color", 0.85))
SHEET_COLUMNS, SHEET_TILE = 10, 96  # tiles in a row, pixels

Case = tuple[dict, dict[str, numpy.ndarray]]


def make_cases(seed: int, rounds: int, only: str) -> list[Case]:
    cases: list[Case] = []
    for groups, make in ((prompts.GROUPS, lambda *arguments: (prompts.make_prompt(*arguments), {})),
                         (task_scenes.GROUPS, task_scenes.make_case)):
        for group, count in groups.items():
            for code in captions.LANGUAGES:
                for index in range(count * rounds):
                    rng = random.Random(f"cases {seed} {group} {code}/{index}")
                    case, inputs = make(group, code, index, rng)
                    common = {"id": len(cases), "group": group, "language": code, "seed": len(cases)}
                    cases.append((common | case, inputs))
    return [case for case in cases if only in case[0]["group"]]


def write_pictures(folder: pathlib.Path, cases: list[Case], pictures: list[list[numpy.ndarray]]) -> None:
    for (case, inputs), drawn in zip(cases, pictures):
        for name, picture in inputs.items():
            Image.fromarray(picture).save(folder / f"{case['id']}_{name}.png")
        for i, picture in enumerate(drawn):
            Image.fromarray(picture).save(folder / f"{case['id']}_{i}.png")


def contact_sheet(cases: list[Case], pictures: list[list[numpy.ndarray]], answers: list[dict]) -> Image.Image:
    """One row for each group, the first picture of each language; a red corner where the judge says no."""
    groups = list(dict.fromkeys(case["group"] for case, _ in cases))
    sheet = Image.new("RGB", (SHEET_COLUMNS * (SHEET_TILE + 4), len(groups) * (SHEET_TILE + 18)), "white")
    pen = ImageDraw.Draw(sheet)
    for row, group in enumerate(groups):
        top = row * (SHEET_TILE + 18)
        pen.text((2, top + 2), group, fill="black")
        for column, code in enumerate(captions.LANGUAGES):
            chosen = [i for i, (case, _) in enumerate(cases) if case["group"] == group and case["language"] == code]
            if not chosen or column >= SHEET_COLUMNS:
                continue
            tile = Image.fromarray(pictures[chosen[0]][len(pictures[chosen[0]]) // 2])
            left = column * (SHEET_TILE + 4)
            sheet.paste(tile.resize((SHEET_TILE, SHEET_TILE), Image.Resampling.BICUBIC), (left, top + 16))
            if not answers[chosen[0]]["all"]:
                pen.polygon([(left, top + 16), (left + 12, top + 16), (left, top + 28)], fill="red")
    return sheet


def shortcomings(table: Table) -> list[str]:
    """What is below REQUIRED."""
    found = []
    for group, question, least in REQUIRED:
        share = table.share(group, question)
        if share is None or share < least:
            found.append(f"{group}: {question} {share if share is None else round(share, 3)}, at least {least} wanted")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("models", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--require", action="store_true")
    parser.add_argument("--rounds", type=int, default=1, help="how many times the numbers of cases")
    parser.add_argument("--only", default="", metavar="GROUP", help="groups whose name has this in it")
    parser.add_argument("--seed", type=int, default=2022)
    for name, option in (("guidance_scale", "--guidance"), ("prior_guidance_scale", "--prior-guidance")):
        parser.add_argument(option, dest=name, type=float, default=SETTINGS[name])
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    cases = make_cases(arguments.seed, arguments.rounds, arguments.only)
    settings = {name: getattr(arguments, name) for name in ("guidance_scale", "prior_guidance_scale")}
    pictures = draw_all(arguments.build.resolve(), arguments.models.resolve(), cases, settings)
    answers = [judge_tasks.answers(case, drawn, inputs) for (case, inputs), drawn in zip(cases, pictures)]
    table = Table()
    for (case, _), answer in zip(cases, answers):
        table.add(case["group"], answer)
    write_pictures(arguments.output, cases, pictures)
    rows = [json.dumps(dict(case, answers=answer), ensure_ascii=False) for (case, _), answer in zip(cases, answers)]
    (arguments.output / "results.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (arguments.output / "table.md").write_text("\n".join(table.lines(together=False)) + "\n", encoding="utf-8")
    contact_sheet(cases, pictures, answers).save(arguments.output / "contact_sheet.png")
    print("\n".join(table.lines(together=False)))
    missing = shortcomings(table) if arguments.require else []
    if missing:
        raise SystemExit("\n".join(missing))


if __name__ == "__main__":
    main()
