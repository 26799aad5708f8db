import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from worlds import counted

import ebm
import envs

NO_CONTACTS = {"contact_cost_weight": 0.0}  # whose cost no energy knows
REWARDED = {
    "Reacher-v5": {},
    "Pusher-v5": {},
    "HalfCheetah-v5": {},
    "Swimmer-v5": {},
    "Hopper-v5": {},
    "Walker2d-v5": {"forward_reward_weight": 2.0},
    "Ant-v5": NO_CONTACTS,
    "Humanoid-v5": NO_CONTACTS,
    "HumanoidStandup-v5": {"impact_cost_weight": 0.0},
}
READY = ["InvertedPendulum-v5", *REWARDED]
FOR_NOTHING = {"HumanoidStandup-v5": 1.0}  # a step, whatever is done; others say so in `info`
PLANE = """
<mujoco><worldbody>
<body name="cup"><joint name="slider" type="slide" axis="1 0 0"/><geom name="hull" size=".1"/><site name="tip"/></body>
</worldbody>
<actuator><motor joint="slider" ctrlrange="-1 1"/></actuator></mujoco>
"""


def now(problem):
    return ebm.Now(0, jnp.zeros(problem.action_space.size))


@eqx.filter_jit
def energy_of(problem, state, actions):
    return problem.evaluate(state, jnp.asarray(actions, jnp.float32), now(problem), key=jax.random.key(0))


def unavoidable(problem, state):
    """What the first state contributes to an energy, whatever is done: rewards begin with the second."""
    nothing = jnp.zeros(problem.action_space.size)
    energy, time = problem.energy, jnp.float32(0.0)
    start = problem.dt * energy.stage(state, nothing, nothing, time)
    return start + energy.final(state, time) if "advance" in {getattr(term, "name", "") for term in energy.parts} else start


@pytest.mark.parametrize("env_id", REWARDED)
def test_the_ready_energy_is_minus_the_return(env_id):
    env = gymnasium.make(env_id, **REWARDED[env_id])
    problem = envs.problem(env)
    perceiver = envs.FromGym(env)
    generator = np.random.default_rng(0)
    low, high = env.action_space.low, env.action_space.high
    judge = jax.jit(lambda state, actions: energy_of(problem, state, actions).energy - unavoidable(problem, state))
    returns, energies = [], []
    for seed in range(4):
        observation, _ = env.reset(seed=seed)
        for scale in (0.1, 0.5, 1.0):
            state = perceiver.sense(problem.model, observation)
            actions = scale * generator.uniform(low, high, (12, len(low))).astype(np.float32)
            energies.append(float(judge(state, actions)))
            steps = [env.step(action) for action in actions]
            observation = steps[-1][0]
            returns.append(sum(step[1] - step[4].get("reward_survive", FOR_NOTHING.get(env_id, 0.0)) for step in steps))
    returns, energies = np.array(returns), np.array(energies)
    assert np.allclose(energies, -problem.dt * returns, rtol=0.02, atol=0.02 * problem.dt * np.std(returns))


@pytest.mark.parametrize("env_id", READY)
def test_a_ready_problem_is_finite_and_has_a_gradient(env_id):
    problem = envs.problem(env_id)
    state = problem.model.example_state()
    actions = 0.1 * jnp.ones((3, problem.action_space.size))
    value, slope = jax.jit(jax.value_and_grad(lambda actions: energy_of(problem, state, actions).energy))(actions)
    assert jnp.isfinite(value)
    assert jnp.isfinite(slope).all()
    assert (slope != 0).any()


@pytest.mark.parametrize("env_id", ["Hopper-v5", "Walker2d-v5", "Ant-v5", "Humanoid-v5"])
def test_what_ends_an_episode_is_a_guardrail(env_id):
    env = gymnasium.make(env_id)
    problem, perceiver, noise = envs.problem(env), envs.FromGym(env), np.random.default_rng(0)
    ended = []
    for seed in range(3):
        env.reset(seed=seed)
        for _ in range(60):
            state = perceiver.sense(problem.model, None)
            action = noise.uniform(env.action_space.low, env.action_space.high).astype(np.float32)
            violation = energy_of(problem, state, action[None]).violation
            ended.append(env.step(action)[2])
            assert (violation > 0) == ended[-1]
            if ended[-1]:
                break
    assert any(ended)


def test_a_standing_pole_is_the_best_pole():
    problem = envs.problem("InvertedPendulum-v5")
    model = problem.model
    energies = [energy_of(problem, model.state(qpos=[0, angle], qvel=[0, 0]), np.zeros((10, 1))).energy for angle in (0.0, 0.05, -0.2)]
    assert energies[0] < energies[1] < energies[2]


def test_the_perceiver_reads_the_live_simulator_to_the_bit():
    env = gymnasium.make("Pusher-v5")
    problem, perceiver = envs.problem(env), envs.FromGym(env)
    observation, _ = env.reset(seed=1)
    for _ in range(3):
        observation = env.step(np.full(7, 0.5, np.float32))[0]
    seen = perceiver.sense(problem.model, observation)
    assert (seen.qpos == env.unwrapped.data.qpos).all()
    assert (seen.qvel == env.unwrapped.data.qvel).all()
    assert np.allclose(seen.read("body:object"), env.unwrapped.data.body("object").xpos, atol=1e-3)


def test_the_perceiver_foresees_and_is_not_surprised():
    env = gymnasium.make("Reacher-v5")
    problem, perceiver = envs.problem(env), envs.FromGym(env)
    model, memory = problem.model, perceiver.init(problem.model)
    action = jnp.array([0.3, -0.2], jnp.float32)
    observation = perceiver.sense(model, env.reset(seed=0)[0])
    assert perceiver.energy(model, memory, action, observation) == 0
    _, memory = perceiver.observe(model, memory, action, observation)
    observation = perceiver.sense(model, env.step(np.asarray(action))[0])
    assert perceiver.energy(model, memory, action, observation) < 1e-6
    assert perceiver.energy(model, memory, -action, observation) > 1e-3


def test_any_model_takes_an_energy_and_offers_what_it_reads():
    energy = ebm.Reach("site:tip", [0.3, 0.0, 0.0]) + 0.1 * ebm.Velocity("site:tip") + ebm.Effort()
    keep = ebm.KeepBelow("body:cup", 0.5, axis="x")
    problem = envs.problem(mujoco.MjSpec.from_string(PLANE), energy, keep, read="geom:hull", parameters={"mass": 2.0}, period=0.01)
    state = problem.model.example_state()
    for name in ("site:tip", "velocity:site:tip", "body:cup", "geom:hull", "joint:slider"):
        state.read(name)
    assert problem.dt == 0.01
    judged = energy_of(problem, state, np.zeros((5, 1)))
    assert set(judged.terms) == {"reach", "velocity", "effort"}
    assert judged.violation < 0


def test_the_cart_comes_with_its_guardrail_and_plan_model():
    env = gymnasium.make("CartTable-v0", mass=1.3, goal=0.5)
    problem = envs.problem(env)
    assert [guardrail.name for guardrail in problem.guardrails] == ["wheels stay on the table", "room to brake after a shove"]
    assert np.isclose(problem.model.mj_model.body_mass.sum(), 1.0)
    assert problem.energy.parts[0].goal == 0.5
    env.reset(seed=0)
    assert jnp.isfinite(energy_of(problem, envs.FromGym(env).sense(problem.model, None), np.zeros((5, 1))).energy)
    assert not envs.problem(env, ebm.Reach("joint:slider", 0.0)).guardrails


@pytest.mark.parametrize("plant", ["CartTable-v0", "PointMaze-v0", "DiscReach-v0"])
def test_to_an_environment_of_ours_more_can_be_added(plant):
    ready = envs.problem(plant)
    body = f"com:{ready.model.mj_model.body(ready.model.mj_model.nbody - 1).name}"
    rail = ebm.KeepBelow(body, 9.0, axis="z", name="low")
    more = envs.problem(plant, guardrails=rail, period=2 * ready.dt, parameters={"gain": 0.5})
    more.model.example_state().read(body)
    assert more.dt == 2 * ready.dt
    assert dict(zip(more.model.engine.parameters, more.model.parameters, strict=True))["gain"] == 0.5
    np.testing.assert_array_equal(more.model.spread[:, : ready.model.spread.shape[1]], ready.model.spread)
    assert [g.name for g in more.guardrails] == [*(g.name for g in ready.guardrails), "low"]
    assert more.num_latents == ready.num_latents
    with pytest.raises(ValueError, match="nonsense"):
        envs.problem(plant, read="body:nonsense")
    with pytest.raises(ValueError, match="nonsense"):
        envs.problem(plant, parameters={"nonsense": 1.0})


def test_what_can_be_read_is_listed_where_an_energy_is_missing():
    gymnasium.register("Stranger-v0", "gymnasium.envs.mujoco.hopper_v5:HopperEnv")
    with pytest.raises(ValueError, match=r"Stranger-v0 has no energy of its own: pass `energy=`.*joint: rootx.*Reacher-v5"):
        envs.problem("Stranger-v0")
    with pytest.raises(ValueError, match=r"This model has no energy.*site: tip.*body: cup"):
        envs.problem(mujoco.MjSpec.from_string(PLANE))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="`engine` must be one of c"):
        envs.problem("Reacher-v5", engine="cuda")
    with pytest.raises(ValueError, match="not a MuJoCo environment"):
        envs.problem("CartPole-v1")
    with pytest.raises(ValueError, match="not a MuJoCo environment"):
        envs.FromGym(gymnasium.make("CartPole-v1"))


def test_new_episodes_do_not_retrace():
    env = gymnasium.make("Reacher-v5")
    problem, perceiver = envs.problem(env), envs.FromGym(env)
    evaluate, traces = counted(lambda problem, state: energy_of(problem, state, jnp.zeros((5, 2))).energy)
    for seed in range(3):
        env.reset(seed=seed)
        evaluate(problem, perceiver.sense(problem.model, None))
    evaluate(envs.problem("Reacher-v5"), perceiver.sense(problem.model, None))
    assert len(traces) == 1
