"""Small MuJoCo scenes for tests, and the plain float64 loops that the engines must agree with."""

import copy

import jax
import mujoco
import numpy as np

import envs

SENSORS = """
<sensor>
  <framepos name="tip" objtype="site" objname="tip"/>
  <framelinvel name="tip_velocity" objtype="site" objname="tip"/>
  <accelerometer name="acceleration" site="tip"/>
  <gyro name="gyro" site="tip"/>
  {more}
</sensor>
"""

# A pendulum whose actuators are filled in.
PENDULUM = """
<mujoco>
  <option timestep="0.02"/>
  <worldbody><body name="pole"><joint name="hinge" axis="0 1 0"/><geom name="pole" size="0.1" pos="0 0 -0.5" mass="1"/></body></worldbody>
  <actuator>{}</actuator>
</mujoco>
"""
# A two-link arm in the air: no contact, smooth. One motor is direct, one is filtered.
ARM = f"""
<mujoco>
  <option timestep="0.01" integrator="Euler"><flag contact="disable"/></option>
  <worldbody>
    <body name="upper">
      <joint name="shoulder" axis="0 1 0" damping="0.1"/><geom name="upper" type="capsule" fromto="0 0 0 0.4 0 0" size="0.03" mass="1"/>
      <body name="lower" pos="0.4 0 0">
        <joint name="elbow" axis="0 1 0" damping="0.1"/><geom name="lower" type="capsule" fromto="0 0 0 0.3 0 0" size="0.02" mass="0.5"/>
        <site name="tip" pos="0.3 0 0"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor name="shoulder" joint="shoulder" ctrlrange="-6 6"/>
    <general name="elbow" joint="elbow" ctrlrange="-3 3" dyntype="filter" dynprm="0.05" gainprm="1"/>
  </actuator>
  {SENSORS.format(more='<force name="force" site="tip"/><actuatorfrc name="torque" actuator="elbow"/>')}
  <keyframe><key name="bent" qpos="0.3 0.8" qvel="0.1 0" act="0.2" ctrl="0.5 0.1"/></keyframe>
</mujoco>
"""
RK4 = ARM.replace('integrator="Euler"', 'integrator="RK4"')

# A pusher that leans against a box which rests on a plane: contact and friction.
PUSH = f"""
<mujoco>
  <option timestep="0.005" cone="elliptic" impratio="5" jacobian="dense"/>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 0.1" friction="0.6"/>
    <body name="box" pos="0.3 0 0.1">
      <freejoint name="box"/><geom name="box" type="box" size="0.1 0.1 0.1" mass="1" friction="0.6"/><site name="tip"/>
    </body>
    <body name="pusher" pos="0.15 0.01 0.1">
      <joint name="px" type="slide" axis="1 0 0" damping="2"/><joint name="py" type="slide" axis="0 1 0" damping="2"/>
      <geom name="pusher" type="sphere" size="0.05" mass="0.5" friction="0.3"/><site name="skin" size="0.06"/>
    </body>
  </worldbody>
  <actuator><motor name="fx" joint="px" ctrlrange="-12 12"/><motor name="fy" joint="py" ctrlrange="-5 5"/></actuator>
  {SENSORS.format(more='<touch name="touch" site="skin"/>')}
</mujoco>
"""

# A drone with a pendulum on a ball joint: quaternions of both kinds, thrusters.
FREE = f"""
<mujoco>
  <option timestep="0.01"><flag contact="disable"/></option>
  <worldbody>
    <body name="hull" pos="0 0 1">
      <freejoint name="hull"/><geom name="hull" type="box" size="0.2 0.15 0.05" mass="1"/>
      <site name="left" pos="0 0.2 0"/><site name="right" pos="0.05 -0.2 0"/>
      <body name="bob" pos="0 0 -0.05">
        <joint name="hook" type="ball" damping="0.01"/><geom name="bob" type="capsule" fromto="0 0 0 0 0 -0.3" size="0.02" mass="0.2"/>
        <site name="tip" pos="0 0 -0.3"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor name="left" site="left" gear="0 0 1 0 0 0.1" ctrlrange="0 12"/>
    <motor name="right" site="right" gear="0 0 1 0 0 -0.1" ctrlrange="0 12"/>
  </actuator>
  {SENSORS.format(more='<framequat name="attitude" objtype="body" objname="hull"/><ballquat name="swing" joint="hook"/>')}
</mujoco>
"""

# Everything that a state must remember: integrated and muscle activations, a mocap body on a weld, a rope, a clock.
KEEPS = f"""
<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 0.1"/>
    <body name="hand" mocap="true" pos="0.5 0 0.6"/>
    <body name="held" pos="0.5 0 0.5">
      <freejoint name="held"/><geom name="held" type="box" size="0.05 0.05 0.05" mass="0.3"/>
    </body>
    <body name="limb" pos="0 0 0.4">
      <joint name="limb" axis="0 1 0" damping="0.05" range="-90 90"/>
      <geom name="limb" type="capsule" fromto="0 0 0 0.2 0 0" size="0.02" mass="0.2"/><site name="tip" pos="0.2 0 0"/>
    </body>
    <body name="cart" pos="0 0.5 0.4">
      <joint name="cart" type="slide" axis="1 0 0" damping="1"/><geom name="cart" size="0.05" mass="1"/>
    </body>
  </worldbody>
  <tendon><fixed name="cord"><joint joint="limb" coef="0.1"/></fixed></tendon>
  <equality><weld name="grip" body1="hand" body2="held" solref="0.02 1"/></equality>
  <actuator>
    <muscle name="muscle" tendon="cord" ctrlrange="0 1" lengthrange="-0.2 0.2" force="40"/>
    <intvelocity name="servo" joint="cart" kp="40" ctrlrange="-1 1" actrange="-2 2"/>
  </actuator>
  {SENSORS.format(more='<clock name="clock"/><framepos name="held" objtype="body" objname="held"/>')}
</mujoco>
"""
SCENES = {"arm": ARM, "rk4": RK4, "push": PUSH, "free": FREE, "keeps": KEEPS}
CONTACT = {"push"}


def build(xml, skip=1, **options):
    """The model of a scene whose control period is `skip` physics steps."""
    model = mujoco.MjModel.from_xml_string(xml)
    return envs.MujocoModel(model, period=skip * model.opt.timestep, **options)


def batched(model, of_states=None, of_actions=0):
    """Compiled rollouts over a batch of actions, of states, or of both."""
    return jax.jit(jax.vmap(lambda state, actions: model.rollout(state, actions), (of_states, of_actions)))


def begin(model, seed=0):
    """A state in motion, whose leaves are float32, so that a float64 loop starts from exactly the same numbers."""
    rng = np.random.default_rng(seed)
    mj = model.mj_model
    data = mujoco.MjData(mj)
    touching = not mj.opt.disableflags & int(mujoco.mjtDisableBit.mjDSBL_CONTACT)
    if not touching:
        mujoco.mj_integratePos(mj, data.qpos, rng.normal(size=mj.nv) * 0.3, 1.0)
    data.qvel[:] = rng.normal(size=mj.nv) * (0.02 if touching else 0.4)
    data.act[:] = rng.uniform(0.1, 0.3, size=mj.na)
    data.ctrl[:] = drive(model, 1, seed)[0]
    for _ in range(3):
        mujoco.mj_step(mj, data)
    state = model.state(data)
    rounded = (np.float32(leaf) for leaf in (state.physics, state.inputs, state.sensors))
    return type(state)(*rounded, state.layout)


def drive(model, horizon, seed=0, scale=0.8):
    """Actions inside the box, float32."""
    box = model.action_space
    noise = np.random.default_rng(seed).uniform(-scale, scale, size=(horizon, box.size))
    return np.float32(np.asarray(box.center) + noise * np.asarray(box.half_range))


def plain(model, state, actions, mj=None):
    """MuJoCo's own loop in float64: the physics and the sensors of all `horizon + 1` states."""
    mj = model.mj_model if mj is None else mj
    data, here = mujoco.MjData(mj), mujoco.MjData(mj)
    model.write(state, data)
    late, everything = model.engine.layout.late_sensors, mujoco.mjtState.mjSTATE_INTEGRATION
    whole = np.zeros(mujoco.mj_stateSize(mj, everything))
    physics, sensors = [np.asarray(state.physics, float)], [np.asarray(state.sensors, float)]
    for action in np.asarray(actions, float):
        data.ctrl[:] = action
        for _ in range(model.engine.substeps):
            mujoco.mj_step(mj, data)
        mujoco.mj_getState(mj, data, whole, everything)
        mujoco.mj_setState(mj, here, whole, everything)
        mujoco.mj_forward(mj, here)
        here.sensordata[late] = data.sensordata[late]
        row = np.zeros(mujoco.mj_stateSize(mj, mujoco.mjtState.mjSTATE_FULLPHYSICS))
        mujoco.mj_getState(mj, data, row, mujoco.mjtState.mjSTATE_FULLPHYSICS)
        physics.append(row)
        sensors.append(here.sensordata.copy())
    return np.array(physics), np.array(sensors)


def tight(model):
    """A copy of the MjModel whose contacts are solved to rounding, for finite differences."""
    mj = copy.copy(model.mj_model)
    mj.opt.tolerance, mj.opt.iterations, mj.opt.ccd_tolerance = 1e-14, 500, 1e-13
    return mj


def relative(a, b):
    """The largest difference, relative to the size of `b`."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-12))
