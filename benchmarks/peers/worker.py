"""One peer in a process of its own: plans for the pendulum when asked to, and says how long that took.

Run by `ebm bench peers` with the Python of the peers' environment. A line `replan` is answered with milliseconds, a line `episode SEED`
with the total cost of 150 steps in closed loop, on a plant in NumPy.
"""

import math
import sys
import time

import numpy as np
import torch

SAMPLES, HORIZON, STEPS = 512, 50, 150
DT, TORQUE, SPEED = 0.05, 2.0, 8.0  # s, N m, rad/s: Gymnasium's Pendulum-v1
START = 0.1  # rad and rad/s around hanging at rest


def dynamics(state, action):
    """Gymnasium's pendulum for a batch: (batch, 2) and (batch, 1) to (batch, 2)."""
    angle, speed = state[..., 0], state[..., 1]
    torque = torch.clamp(action[..., 0], -TORQUE, TORQUE)
    speed = torch.clamp(speed + (15.0 * torch.sin(angle) + 3.0 * torque) * DT, -SPEED, SPEED)
    return torch.stack([angle + speed * DT, speed], dim=-1)


def cost(state, action):
    """2 (1 − cos θ) + 0.1 θ'² + 0.001 u², for a batch."""
    angle, speed = state[..., 0], state[..., 1]
    return 2.0 * (1.0 - torch.cos(angle)) + 0.1 * speed**2 + 0.001 * action[..., 0] ** 2


def pytorch_mppi():
    """Its own defaults but for the size of the problem, its limits, and noise of 1 N m."""
    from pytorch_mppi import MPPI

    limit = torch.tensor([TORQUE])
    planner = MPPI(dynamics, cost, 2, torch.tensor([[1.0]]), num_samples=SAMPLES, horizon=HORIZON, u_min=-limit, u_max=limit)
    return lambda state: planner.command(state), planner.reset


def pytorch_icem():
    """Three iterations, as ours."""
    from pytorch_icem import iCEM, icem

    planner = iCEM(
        dynamics,
        icem.accumulate_running_cost(cost),
        2,
        1,
        sigma=torch.tensor([1.0]),
        num_samples=SAMPLES,
        horizon=HORIZON,
        warmup_iters=3,
        online_iters=3,
    )
    return lambda state: torch.clamp(planner.command(state), -TORQUE, TORQUE), planner.reset


def torchrl_cem():
    """Three iterations, 51 elites, as ours."""
    from tensordict import TensorDict
    from torchrl.data import Bounded, Composite, Unbounded
    from torchrl.envs import EnvBase
    from torchrl.modules import CEMPlanner

    class Pendulum(EnvBase):
        def __new__(cls):
            return super().__new__(cls, _batch_locked=False)

        def __init__(self):
            super().__init__(batch_size=[])
            self.observation_spec = Composite(state=Unbounded((2,)))
            self.action_spec = Bounded(-TORQUE, TORQUE, (1,))
            self.reward_spec = Unbounded((1,))

        def _reset(self, tensordict, **_):
            return TensorDict({"state": torch.zeros(2)}, [])

        def _step(self, tensordict):
            state, action = tensordict["state"], tensordict["action"]
            done = torch.zeros((*tensordict.shape, 1), dtype=torch.bool)
            return TensorDict(
                {"state": dynamics(state, action), "reward": -cost(state, action)[..., None], "done": done, "terminated": done.clone()},
                tensordict.shape,
            )

        def _set_seed(self, seed):
            torch.manual_seed(seed)

    planner = CEMPlanner(Pendulum(), planning_horizon=HORIZON, optim_steps=3, num_candidates=SAMPLES, top_k=51)

    def plan(state):
        return planner(TensorDict({"state": state}, []))["action"]

    return plan, lambda: None


PEERS = {"pytorch-mppi": pytorch_mppi, "pytorch-icem": pytorch_icem, "torchrl-cem": torchrl_cem}


def main() -> None:
    torch.set_num_threads(1)  # two are slower here, for tensors as small as these
    plan, reset = PEERS[sys.argv[1]]()
    hanging = torch.tensor([math.pi, 0.0])
    with torch.no_grad():
        for line in sys.stdin:
            word, *rest = line.split()
            if word == "replan":
                start = time.perf_counter()
                plan(hanging)
                print(1e3 * (time.perf_counter() - start), flush=True)
            else:
                seed, total = int(rest[0]), 0.0
                torch.manual_seed(seed)
                reset()
                state = hanging + torch.from_numpy(np.random.default_rng(seed).uniform(-START, START, 2)).float()
                for _ in range(STEPS):
                    action = torch.clamp(torch.as_tensor(plan(state)).reshape(1), -TORQUE, TORQUE)
                    total += float(cost(state, action))
                    state = dynamics(state, action)
                print(total, flush=True)


if __name__ == "__main__":
    main()
