"""What a world model did not expect: a cart leaves a table and floats, a ball goes behind a screen and is gone.

The model learned from films of everyday scenes only, and foresees the next picture. Its surprise is the energy of what it sees instead.
"""

import argparse
from pathlib import Path

import equinox as eqx
import jax
import matplotlib.pyplot as plt
import numpy as np

import ebm
import envs.cradle

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--number", type=int, default=0, help="which films")
parser.add_argument("--out", type=Path, default=Path())
parser.add_argument("--model", type=Path, default=Path(__file__).parents[1] / "benchmarks/models/cradle/model.safetensors")
parser.add_argument("--quick", action="store_true")
options = parser.parse_args()

# The world model: every patch of a picture has features, and a memory that also takes in what its neighbours remember, so that something
# hidden can be followed. `ebm surprise train` made the numbers in it.
places, features, kept, width = (4, 4), 24, 96, 96
keys = jax.random.split(jax.random.key(0), 3)
model = ebm.RecurrentJEPA(
    encoder=ebm.nets.GridEncoder((3, 32, 32), features, 8, width, key=keys[0]),
    memory=ebm.nets.GridMemory(places, features, kept, key=keys[1]),
    predictor=ebm.nets.GridPredictor(places, features, kept, width, key=keys[2]),
    action_space=ebm.Box([], []),  # nobody acts
)
model = ebm.load(options.model, model)


@eqx.filter_jit
def surprises(films):
    seen = films.reshape(4, 32, 32, 2, 32, 2, 3).mean((3, 5)).round().transpose(0, 1, 4, 2, 3)  # at half the resolution
    return jax.vmap(lambda film: ebm.surprise(model, ebm.Filtering(), film))(seen.astype(np.uint8))


# Two experiments with four films each: what is possible in two scenes, and the outcome of each in the other scene.
shown = range(4, 32, 4 if options.quick else 3)
experiments = {"a cart at the edge of a table": ("gravity", "V"), "a ball behind a screen": ("permanence", "O")}
captions = "possible", "possible", "impossible", "impossible"
figure = plt.figure(figsize=(12, 11), dpi=80, layout="constrained")
for half, (title, (concept, mode)) in zip(figure.subfigures(2, 1), experiments.items(), strict=True):
    films = envs.cradle.quadruplets(concept, mode, "test", options.number, 1).frames[0]
    curves = np.asarray(surprises(films))
    left, right = half.subplots(1, 2, width_ratios=(2.6, 1))
    left.imshow(np.concatenate([np.concatenate(list(film[list(shown)]), axis=1) for film in films]))
    left.set(yticks=[32 + 64 * row for row in range(4)], yticklabels=captions, xticks=[], title=title)
    for curve, name, color in zip(curves, envs.cradle.CELLS, ("#2f6fc0", "#1f9d63", "#d1495b", "#e08e2b"), strict=True):
        right.plot(curve, color=color, ls="-" if name in ("AA", "BB") else "--", label=name)
    right.set(xlabel="frame", ylabel="surprise")
    right.legend(frameon=False)
    contrast = curves[2:].mean() / curves[:2].mean()
figure.savefig(options.out / "expectation.png")
print(f"{contrast:.2f} times as surprising as the possible films are the impossible ones with the screen.")
