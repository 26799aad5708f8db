"""Published losses, in terms of ours: every paper divides by something else."""

from ._barlow_twins import BarlowTwins
from ._constancy import Constancy
from ._covariance import Covariance
from ._film_variance import FilmVariance
from ._objective import Weighted
from ._prediction import Prediction
from ._sigreg import SIGReg
from ._time_similarity import TimeSimilarity
from ._variance import Variance

Terms = dict[str, Weighted]


def vicreg(size: int, of: str = "features", *, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0) -> Terms:
    """VICReg's own weights, for a block of `size` numbers, seen in two frames: its code sums the covariance of two views, divided by `size`
    only, and averages their variance. With films of two frames the sum is that of the paper, up to what both views share.

    Bardes, Ponce & LeCun 2022, arXiv:2105.04906.
    """
    return {
        "invariance": Weighted(Constancy(of), 4.0 * invariance),
        "variance": Weighted(Variance(of), variance),
        "covariance": Weighted(Covariance(of), 2.0 * covariance * (size - 1)),
    }


def eb_jepa(*, variance: float = 16.0, covariance: float = 8.0, time_similarity: float = 12.0) -> Terms:
    """EB-JEPA's world model, but for its inverse dynamics of weight 1: means throughout, as here.

    EB-JEPA 2026, `examples/ac_video_jepa`.
    """
    return {
        "variance": Weighted(Variance(), variance),
        "covariance": Weighted(Covariance(), covariance),
        "time similarity": Weighted(TimeSimilarity(), time_similarity),
        "prediction": Weighted(Prediction()),
    }


def pldm(*, variance: float = 3.98, covariance: float = 6.92, film: float = 0.245, time_similarity: float = 0.742) -> Terms:
    """PLDM's weights for 1.5 million transitions, but for its inverse dynamics of weight 1.07: means throughout, as here. Its code takes
    variance and covariance of first frames only, and the variance within films film by film.

    Sobal et al. 2025, arXiv:2502.14819.
    """
    return {
        "variance": Weighted(Variance(), variance),
        "covariance": Weighted(Covariance(), covariance),
        "film variance": Weighted(FilmVariance(least=1.0), film),
        "time similarity": Weighted(TimeSimilarity(), time_similarity),
        "prediction": Weighted(Prediction()),
    }


def lejepa(samples: int, weight: float = 0.02, directions: int = 256) -> Terms:
    """LeJEPA's trade, `(1 - λ) prediction + λ SIGReg`, whose SIGReg is multiplied by how many `samples` a batch has.

    Balestriero & LeCun 2025, arXiv:2511.08544.
    """
    return {
        "prediction": Weighted(Prediction(), 1.0 - weight),
        "sigreg": Weighted(SIGReg(count=directions), weight * samples),
    }


def barlow_twins(size: int, of: str = "features", redundancy: float = 5e-3, scale: float = 0.024) -> Terms:
    """Barlow Twins' own weights, for a block of `size` numbers: its code sums over them.

    Zbontar et al. 2021, arXiv:2103.03230.
    """
    return {"barlow twins": Weighted(BarlowTwins(of, redundancy), scale * size)}
