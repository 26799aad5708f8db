"""One peer in a process of its own: plans for one of the problems when asked to, and says how long that took.

Run by `ebm bench peers` as `worker.py PEER PROBLEM SAMPLES`, with the Python of the peers' environment. A line `replan` is answered with
milliseconds; `plan SEED` with the cost of what is planned after three replans from rest, or NaN if the peer does not show its plan;
`episode SEED` with the total cost in closed loop, on the same plant in NumPy for everybody.
"""

import math
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

if __package__:
    from .problems import PROBLEMS
else:
    from problems import PROBLEMS

START = 0.05  # around rest, in the units of the state
REPLANS = 3  # before a plan is looked at
ITERATIONS = 3

Plan = Callable[[Any], tuple[Any, Any]]  # state -> (action, all actions or None)
Reset = Callable[[int], None]


def pytorch_mppi(problem: Any, samples: int) -> tuple[Plan, Reset]:
    """Its own defaults but for the size of the problem, its limits, and the noise, which is ours."""
    torch = one_thread()
    from pytorch_mppi import MPPI

    limit = torch.tensor(problem.limit)
    noise = torch.diag(torch.tensor(problem.noise) ** 2)
    planner = MPPI(
        lambda state, action: problem.step(torch, state, action),
        lambda state, action: problem.cost(torch, state, action),
        problem.size,
        noise,
        num_samples=samples,
        horizon=problem.horizon,
        u_min=-limit,
        u_max=limit,
    )

    def plan(state):
        with torch.no_grad():
            action = planner.command(torch.from_numpy(state).float())
        return action.numpy(), planner.U.numpy()

    def reset(seed):
        torch.manual_seed(seed)
        planner.reset()

    return plan, reset


def pytorch_icem(problem: Any, samples: int) -> tuple[Plan, Reset]:
    """Three iterations, as ours, and the same noise; otherwise its own defaults."""
    torch = one_thread()
    from pytorch_icem import iCEM, icem

    wanted = [1] * (len(problem.limit) - 1) + [-1]  # it takes the number of dimensions for that of the actuators
    planner = iCEM(
        lambda state, action: problem.step(torch, state, action),
        icem.accumulate_running_cost(lambda state, action: problem.cost(torch, state, action)),
        problem.size,
        len(problem.limit),
        sigma=torch.tensor(problem.noise).reshape(wanted),
        num_samples=samples,
        horizon=problem.horizon,
        warmup_iters=ITERATIONS,
        online_iters=ITERATIONS,
    )

    def plan(state):
        with torch.no_grad():
            whole = planner.command(torch.from_numpy(state).float(), return_full_trajectories=True)[0]
        actions = whole[:, problem.size :].numpy()
        return actions[0], actions

    def reset(seed):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002  (what it draws from)
        planner.reset()

    return plan, reset


def torchrl_cem(problem: Any, samples: int) -> tuple[Plan, Reset]:
    """Three iterations and a tenth of the samples as elites, as ours."""
    torch = one_thread()
    from tensordict import TensorDict
    from torchrl.data import Bounded, Composite, Unbounded
    from torchrl.envs import EnvBase
    from torchrl.modules import CEMPlanner

    limit = torch.tensor(problem.limit)

    class World(EnvBase):
        def __new__(cls):
            return super().__new__(cls, _batch_locked=False)

        def __init__(self):
            super().__init__(batch_size=[])
            self.observation_spec = Composite(state=Unbounded((problem.size,)))
            self.action_spec = Bounded(-limit, limit, limit.shape)
            self.reward_spec = Unbounded((1,))

        def _reset(self, tensordict, **_):
            return TensorDict({"state": torch.zeros(problem.size)}, [])

        def _step(self, tensordict):
            state, action = tensordict["state"], tensordict["action"]
            done = torch.zeros((*tensordict.shape, 1), dtype=torch.bool)
            reward = -problem.cost(torch, state, action)[..., None]
            after = {"state": problem.step(torch, state, action), "reward": reward, "done": done, "terminated": done.clone()}
            return TensorDict(after, tensordict.shape)

        def _set_seed(self, seed):
            torch.manual_seed(seed)

    planner = CEMPlanner(World(), planning_horizon=problem.horizon, optim_steps=ITERATIONS, num_candidates=samples, top_k=samples // 10)

    def plan(state):
        with torch.no_grad():
            action = planner(TensorDict({"state": torch.from_numpy(state).float()}, []))["action"]
        return action.numpy(), None

    return plan, torch.manual_seed


def plain_jax(problem: Any, samples: int) -> tuple[Plan, Reset]:
    """MPPI as one writes it in 20 lines of JAX, with a temperature that was fitted to these problems by hand."""
    import jax
    import jax.numpy as jnp

    limit, noise = jnp.array(problem.limit), jnp.array(problem.noise)

    @jax.jit
    def replan(key, mean, state):
        key, sub = jax.random.split(key)
        actions = jnp.clip(mean + noise * jax.random.normal(sub, (samples, *mean.shape)), -limit, limit)

        def total(actions):
            def step(state, action):
                return problem.step(jnp, state, action), problem.cost(jnp, state, action)

            return jnp.sum(jax.lax.scan(step, state, actions)[1])

        mean = jnp.tensordot(jax.nn.softmax(-jax.vmap(total)(actions)), actions, axes=1)
        return key, mean, jnp.roll(mean, -1, axis=0).at[-1].set(0.0)

    memory = {}

    def reset(seed):
        memory.update(key=jax.random.key(seed), mean=jnp.zeros((problem.horizon, len(problem.limit))))

    def plan(state):
        memory["key"], mean, memory["mean"] = replan(memory["key"], memory["mean"], jnp.asarray(state, jnp.float32))
        mean = np.asarray(mean)
        return mean[0], mean

    return plan, reset


def mctx_search(problem: Any, samples: int) -> tuple[Plan, Reset]:
    """Gumbel MuZero's search with as many simulations as others have samples, over three actions held for five steps each."""
    import importlib

    import jax
    import jax.numpy as jnp

    mctx: Any = importlib.import_module("mctx")
    choices, hold = jnp.linspace(-1.0, 1.0, 3)[:, None] * jnp.array(problem.limit), 5

    def advance(state, choice):
        def step(state, _):
            return problem.step(jnp, state, choices[choice]), problem.cost(jnp, state, choices[choice])

        state, costs = jax.lax.scan(step, state, length=hold)
        return state, -jnp.sum(costs)

    def recurrent(params, key, action, state):
        after, reward = jax.vmap(advance)(state, action)
        zeros = jnp.zeros(action.shape)
        logits = jnp.zeros((*action.shape, len(choices)))
        return mctx.RecurrentFnOutput(reward=reward, discount=jnp.ones(action.shape), prior_logits=logits, value=zeros), after

    @jax.jit
    def search(key, state):
        root = mctx.RootFnOutput(prior_logits=jnp.zeros((1, len(choices))), value=jnp.zeros(1), embedding=state[None])
        return mctx.gumbel_muzero_policy(None, key, root, recurrent, samples, max_depth=problem.horizon // hold).action[0]

    memory = {}

    def reset(seed):
        memory["key"] = jax.random.key(seed)

    def plan(state):
        memory["key"], key = jax.random.split(memory["key"])
        return np.asarray(choices[search(key, jnp.asarray(state, jnp.float32))]), None

    return plan, reset


def crocoddyl_fddp(problem: Any, samples: int) -> tuple[Plan, Reset]:
    """Box-FDDP, warm-started, of a model in Python with numerical derivatives: how a user begins who has no C++ model. Deterministic."""
    import crocoddyl

    class Step(crocoddyl.ActionModelAbstract):
        def __init__(self):
            super().__init__(crocoddyl.StateVector(problem.size), len(problem.limit), 0)
            self.u_lb, self.u_ub = -np.array(problem.limit), np.array(problem.limit)

        def calc(self, data, x, u=None):
            u = np.zeros(self.nu) if u is None else u
            data.xnext = problem.step(np, x, u)
            data.cost = float(problem.cost(np, x, u)) * problem.dt

    model = crocoddyl.ActionModelNumDiff(Step(), True)
    model.u_lb, model.u_ub = -np.array(problem.limit), np.array(problem.limit)
    memory = {}

    def reset(seed):
        memory["actions"] = [np.zeros(len(problem.limit))] * problem.horizon

    def plan(state):
        shooting = crocoddyl.ShootingProblem(np.asarray(state, float), [model] * problem.horizon, model)
        solver = crocoddyl.SolverBoxFDDP(shooting)
        actions = memory["actions"]
        solver.solve(shooting.rollout(actions), actions, 5, False)
        actions = [np.array(u) for u in solver.us]
        memory["actions"] = [*actions[1:], actions[-1]]
        return actions[0], np.array(actions)

    return plan, reset


PEERS = {
    "pytorch-mppi": pytorch_mppi,
    "pytorch-icem": pytorch_icem,
    "torchrl-cem": torchrl_cem,
    "plain-jax": plain_jax,
    "mctx": mctx_search,
    "crocoddyl": crocoddyl_fddp,
}


def one_thread() -> Any:
    """Torch on one thread: two are slower here, for tensors as small as these."""
    import torch

    torch.set_num_threads(1)
    return torch


def begin(problem: Any, seed: int) -> np.ndarray:
    """The state in which an episode begins."""
    return np.asarray(problem.rest, float) + np.random.default_rng(seed).uniform(-START, START, problem.size)


def total(problem: Any, state: np.ndarray, decide: Callable[[int, np.ndarray], Any], steps: int) -> float:
    """The summed cost of so many steps on the plant."""
    limit, sum_ = np.array(problem.limit), 0.0
    for t in range(steps):
        action = np.clip(np.asarray(decide(t, state), float).reshape(limit.shape), -limit, limit)
        sum_ += float(problem.cost(np, state, action))
        state = problem.step(np, state, action)
    return sum_


def main() -> None:
    """Answer line by line."""
    peer, name, samples = sys.argv[1:]
    problem = PROBLEMS[name]()
    plan, reset = PEERS[peer](problem, int(samples))
    rest = np.asarray(problem.rest, float)
    reset(0)
    actions: Any
    for line in sys.stdin:
        word, *given = line.split()
        seed = int(given[0]) if given else 0
        if word == "replan":
            start = time.perf_counter()
            plan(rest)
            answer = 1e3 * (time.perf_counter() - start)
        elif word == "plan":
            reset(seed)
            actions = [plan(rest)[1] for _ in range(REPLANS)][-1]
            answer = math.nan if actions is None else total(problem, rest, lambda t, _, actions=actions: actions[t], problem.horizon)
        else:
            reset(seed)
            answer = total(problem, begin(problem, seed), lambda _, state: plan(state)[0], problem.steps)
        print(answer, flush=True)


if __name__ == "__main__":
    main()
