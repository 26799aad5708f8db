"""Whose fault a bad plan is: of the model, of what was asked, or of the search. The plan of who knows the way is judged by the same energy.

Of every scene four energies are compared: of the plan that was found and of the one that is known to be good, each as the model imagines it
and as it turns out. If the model itself prefers the known plan, the search has missed it. If what is imagined is not what comes, the model
is wrong. If what comes of the known plan is worse, although it ends nearer to the goal, the energy asks for something else.
"""

from typing import Any, NamedTuple, cast

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

import ebm
import envs
import planners

from ._rooms import HELD
from ._rooms_eval import at, pose, route

SCENES, SEED = 24, 424242  # not what anything is judged on
NEARER = 4.5  # px by which one plan must end nearer to the goal than the other, to be the better one


class Plans(NamedTuple):
    """Energies in those of standing still, and how far from the goal each plan really ends, px."""

    found: Float[Array, "*scene"]
    known: Float[Array, "*scene"]
    found_came: Float[Array, "*scene"]
    known_came: Float[Array, "*scene"]
    found_ends: Float[Array, "*scene"]
    known_ends: Float[Array, "*scene"]


def gaps(plans: Plans) -> dict[str, Float[Array, ""]]:
    """What search, model and energy lose; 0 where nothing is to be blamed on them."""
    nearer = plans.known_ends < plans.found_ends - NEARER
    return {
        "search gap": jnp.mean(jnp.maximum(plans.found - plans.known, 0.0)),
        "model gap": jnp.mean(jnp.abs(plans.found_came - plans.found)),
        "energy gap": jnp.mean((nearer & (plans.known_came > plans.found_came)).astype(jnp.float32)),
    }


def compare(model: ebm.JEPA, planner: planners.AbstractPlanner, env: str) -> dict[str, float]:
    """The gaps over some scenes of an environment."""
    rooms = cast(Any, gymnasium.make(env).unwrapped)
    scenes = []
    for seed in range(SEED, SEED + SCENES):
        _, info = rooms.reset(seed=seed)
        start = at(info, info["position"])
        goal = jnp.asarray(info["goal"], jnp.float32), jnp.asarray(info["goal_picture"])
        scenes.append(_compare(model, planner, rooms.model, start, *goal, jax.random.key(seed)))
    return {name: float(gap) for name, gap in gaps(Plans(*map(jnp.stack, zip(*scenes, strict=True)))).items()}


@eqx.filter_jit
def _compare(model: ebm.JEPA, planner: Any, world: envs.TwoRooms, start: Any, goal: Array, goal_picture: Array, key: Array) -> Plans:
    see = lambda place: model.encode(envs.picture(eqx.tree_at(lambda s: s.position, start, place)))  # noqa: E731
    problem, state = pose(model).with_goal(model.encode(goal_picture).features), see(start.position)
    now = ebm.Now(0, problem.action_space.rest, 0.0)
    found = planner.plan(problem, state, planner.init(problem, state, key=key), now)[0].actions
    way = route(world, start, goal, len(found) * HELD)
    known = problem.project(way.reshape(len(found), HELD, -1).mean(axis=1), now)

    def imagined(actions: Array) -> Array:
        return problem.evaluate(state, actions, now, key=key).energy

    def came(actions: Array) -> tuple[Array, Array]:
        places = world.rollout(start, jnp.repeat(actions, HELD, axis=0)).position[::HELD]
        seen = jax.lax.map(see, places)
        energy = cast(Any, problem).energy(ebm.Trajectory(seen, actions, now, problem.dt))
        return energy, jnp.linalg.norm(places[-1] - goal)

    still = imagined(jnp.zeros_like(found))
    (found_came, found_ends), (known_came, known_ends) = came(found), came(known)
    return Plans(imagined(found) / still, imagined(known) / still, found_came / still, known_came / still, found_ends, known_ends)
