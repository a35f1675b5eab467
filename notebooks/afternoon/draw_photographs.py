"""Draw the thirty pictures that stand in for photographs of twelve dishes.

    python notebooks/afternoon/draw_photographs.py

Twemoji drawings on tablecloths, each turned, lit and grained in its own way. The pictures are in the repository, so
nobody needs to run this; put photographs of your own dishes in their place.
"""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from cultureclip.pictures.emoji import render

HERE = Path(__file__).parent
DISHES = {  # file name: drawing, and how many pictures beside the one in dishes.csv
    "bagel": ("🥯", 2),
    "belgian-waffle": ("🧇", 2),
    "pretzel": ("🥨", 2),
    "ring-doughnut": ("🍩", 2),
    "mooncake": ("🥮", 2),
    "fortune-cookie": ("🥠", 2),
    "naan": ("🫓", 1),
    "doner-kebab": ("🥙", 1),
    "pizza": ("🍕", 1),
    "burrito": ("🌯", 1),
    "jiaozi": ("🥟", 1),
    "american-pancakes": ("🥞", 1),
}
EDGE = 96


def draw(char: str, rng: np.random.Generator) -> Image.Image:
    """Lay a drawing on a tablecloth and photograph it."""
    drawing = Image.fromarray(render(char, "twemoji", 4 * EDGE)).convert("RGB")
    shape = drawing.convert("L").point(lambda grey: 255 if grey < 250 else 0)  # the drawing stands on white
    angle, edge = rng.uniform(-18, 18), int(EDGE * rng.uniform(0.82, 0.98))
    corner = tuple(int(c) for c in rng.integers(0, EDGE - edge + 1, 2))
    cloth = np.full((EDGE, EDGE, 3), rng.uniform(232, 252, 3))
    cloth[:: int(rng.integers(5, 9))] -= rng.uniform(3, 9)
    picture = Image.fromarray(cloth.astype(np.uint8))
    turned, mask = (
        layer.rotate(angle, Image.Resampling.BICUBIC, fillcolor=fill).resize((edge, edge), Image.Resampling.LANCZOS)
        for layer, fill in ((drawing, "white"), (shape, 0))
    )
    picture.paste(turned, corner, mask)
    light = np.linspace(*rng.uniform(0.9, 1.06, 2), EDGE)[None, :, None]
    pixels = np.asarray(picture) * light + rng.normal(0, 2.5, (EDGE, EDGE, 1))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def main() -> None:
    """Write the pictures and the table of those that the models are tested with."""
    rng = np.random.default_rng(0)
    with (HERE / "dishes.csv").open(encoding="utf-8", newline="") as file:
        names = {Path(row["reference_image"]).stem.removesuffix("-1"): row["name"] for row in csv.DictReader(file)}
    (HERE / "photographs").mkdir(exist_ok=True)
    rows = []
    for dish, (char, more) in DISHES.items():
        for number in range(1, more + 2):
            path = f"photographs/{dish}-{number}.jpg"
            draw(char, rng).save(HERE / path, quality=85)
            if number > 1:
                rows.append({"image": path, "label": names[dish]})
    with (HERE / "test_photographs.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["image", "label"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
