"""What features and context of Two Rooms are trained for: the recipe, and others in the place of what keeps it from collapsing."""

from collections.abc import Callable
from typing import NamedTuple

import jax
from jaxtyping import Array, Key

import ebm
from ebm import objectives

from ._errors import UsageError, near

weigh = objectives.Weighted
HIDDEN = 0.3  # of a picture, where it is guessed
APART = ("context rate", "variance", "covariance")  # the terms of the recipe that keep representations apart


class Block(NamedTuple):
    """A block of a representation, its size, and the randomness of networks on it."""

    of: str
    size: int
    key: Key[Array, ""]


def _vicreg(block: Block) -> dict[str, objectives.Weighted]:
    return {"variance": weigh(objectives.Variance(block.of), 16.0), "covariance": weigh(objectives.Covariance(block.of), 8.0)}


def _subspaces(block: Block) -> dict[str, objectives.Weighted]:
    bases = objectives.draw_subspaces(4, block.size, block.size // 2, key=block.key)
    return {"sigreg": weigh(objectives.SIGReg(block.of, 16, subspaces=bases), 40.0)}


# In place of `APART`, for each block. Weights were chosen once, beside a prediction of weight 4, and not tuned.
INSTEAD: dict[str, Callable[[Block], dict[str, objectives.Weighted]]] = {
    "vicreg": _vicreg,
    "coding-rate": lambda block: {"rate": weigh(objectives.CodingRate(block.of), 4.0)},
    "barlow-twins": lambda block: {"barlow twins": weigh(objectives.BarlowTwins(block.of), 16.0)},
    "whitening": lambda block: {"whitening": weigh(objectives.Whitening(block.of), 4.0)},
    "sigreg": lambda block: {"sigreg": weigh(objectives.SIGReg(block.of), 40.0)},
    "subspace-sigreg": _subspaces,
    "sliced-wasserstein": lambda block: {"wasserstein": weigh(objectives.SlicedWasserstein(block.of), 16.0)},
    "infonce": lambda block: {"infonce": weigh(objectives.InfoNCE(block.of), 1.0)},
    "ema": lambda block: {"distillation": weigh(objectives.Distillation(block.size, block.of, key=block.key), 4.0)},
    "simsiam": lambda block: {"simsiam": weigh(objectives.SimSiam(block.size, block.of, key=block.key), 4.0)},
    "masked-ema": lambda block: {"masked": weigh(objectives.MaskedDistillation(block.size, block.of, key=block.key), 4.0)},
    "nothing": lambda block: {},
}
OBJECTIVES = ("recipe", *INSTEAD)
DISTILLING = ("ema", "simsiam", "masked-ema")  # here the target of a prediction must not learn, or both agree on nothing


def compose(name: str, without: str, features: int, context: int, *, key: Key[Array, ""]) -> objectives.Composition:
    """The terms by name.

    **Raises:**

    `UsageError` for an objective or a term that there is not.
    """
    if name not in OBJECTIVES:
        raise UsageError(f"there is no objective {name!r}.{near(name, OBJECTIVES)} There are {', '.join(OBJECTIVES)}.")
    terms = {
        "context rate": weigh(objectives.CodingRate("context"), 4.0),
        "context constancy": weigh(objectives.Constancy("context"), 50.0),
        "variance": weigh(objectives.Variance("features"), 16.0),
        "covariance": weigh(objectives.Covariance("features"), 8.0),
        "film variance": weigh(objectives.FilmVariance("features"), 16.0),
        "cross covariance": weigh(objectives.CrossCovariance(), 8.0),
        "time similarity": weigh(objectives.TimeSimilarity("features"), 1.0),
        "inverse dynamics": weigh(objectives.InverseDynamics(features, 2, key=key), 25.0, 5.0),
        "prediction": weigh(objectives.Prediction(stopped=name in DISTILLING), 4.0),
    }
    if name != "recipe":
        terms = {term: weighted for term, weighted in terms.items() if term not in APART}
        for index, (of, size) in enumerate((("features", features), ("context", context)), start=1):
            terms |= {f"{of} {term}": w for term, w in INSTEAD[name](Block(of, size, jax.random.fold_in(key, index))).items()}
    if without and without not in terms:
        raise UsageError(f"there is no term {without!r}.{near(without, tuple(terms))} There are {', '.join(terms)}.")
    return objectives.Composition(terms).without(*[without] * bool(without))


def join(model: ebm.JEPA, objective: objectives.Composition) -> ebm.Joint:
    """Model and objective, with a slow copy of the encoder and hidden pictures where some term asks for them."""
    kinds = {type(term.objective) for term in objective.terms.values()}
    masked = objectives.MaskedDistillation in kinds
    slow = masked or objectives.Distillation in kinds
    return ebm.Joint(model, objective, ebm.Average(model.encoder) if slow else None, HIDDEN if masked else 0.0)
