import os
import subprocess
import sys
from pathlib import Path

DOUBLE_PRECISION = """
import ebm, equinox as eqx, jax, jax.numpy as jnp, numpy as np
from worlds import PointMass, Drift, now, point, trajectory, weak

assert jnp.zeros(1).dtype == jnp.float64
energy = (
    ebm.Reach("site:tip", [0.5, 0.5]) + 0.1 * ebm.Effort() + ebm.Terminal(ebm.Velocity("site:tip"))
    + ebm.Track("site:tip", np.zeros((3, 2))) + ebm.Smoothness(2.0)
)
planned = jax.random.uniform(jax.random.key(0), (4, 2))
assert planned.dtype == jnp.float64
rails = ebm.KeepBelow("site:tip", 0.4, axis="x"), ebm.KeepApart("site:tip", [0.0, 0.0], 0.1)
for model, rails, options in (
    (PointMass(), rails, {}),
    (PointMass(uncertain=True), (), {"num_latents": 2, "risk": ebm.CVaR(0.5)}),
    (Drift(), rails, {"num_latents": 2, "risk": ebm.Entropic()}),
):
    problem = ebm.Problem(model, energy, rails, rate_limit=1.0, **options)
    judge = lambda planned: problem.evaluate(point(), planned, now(), key=jax.random.key(0))
    judged = jax.jit(judge)(planned)
    kept = judged.energy, judged.terms, judged.violations, judged.trajectory, judged.violation, judged.mean_violation
    wrong = [path for path, leaf in jax.tree_util.tree_leaves_with_path(kept) if leaf.dtype not in (jnp.float32, jnp.int32)]
    assert not wrong, wrong
    assert not weak(kept)
    executable = problem.project(planned, now())
    assert executable.dtype == jnp.float32
    assert jax.jit(jax.grad(lambda planned: judge(planned).energy))(planned).dtype == jnp.float64
    x = trajectory(model)
    state = model.example_state()
    r, weights = energy.stage_residual(state, executable[0], executable[0], jnp.float32(0.0))
    assert r.dtype == weights.dtype == jnp.float32
    assert model.linearize(x).A.dtype == jnp.float32
    assert problem.action_space.sample((2,), key=jax.random.key(0)).dtype == jnp.float32
    assert ebm.Direct().init(model).state.position.dtype == jnp.float32
"""


def test_double_precision_changes_no_type():
    environment = os.environ | {"JAX_ENABLE_X64": "1", "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-W", "error", "-c", DOUBLE_PRECISION], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
