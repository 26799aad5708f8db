"""Goals and guardrails by name, on a plant with a ball joint, a muscle, and something loose beside it."""

import mujoco
import pytest

import ebm
from benchmarks._errors import UsageError
from benchmarks._goals import Names, Wishes, energy_of, guardrails_of
from benchmarks._plant import scale_plant

BALL = """
<mujoco>
  <worldbody>
    <body name="loose" pos="0 0 3"><joint name="fall" type="slide" axis="0 0 1"/><geom size="0.1"/></body>
    <body name="arm">
      <joint name="neck" type="ball"/>
      <geom name="head" type="capsule" fromto="0 0 0 0 0 0.3" size="0.05"/>
      <body name="hand" pos="0 0 0.3"><joint name="wrist" axis="0 1 0"/><geom size="0.05"/></body>
    </body>
  </worldbody>
  <actuator>
    <motor joint="neck" gear="1 0 0" ctrlrange="-1 1"/>
    <muscle joint="wrist" ctrlrange="0 1" lengthrange="-1 1"/>
  </actuator>
</mujoco>
"""


def test_a_heavier_plant_has_no_stronger_muscles():
    class Plant:
        model = mujoco.MjModel.from_xml_string(BALL)

    before = Plant.model.actuator_acc0.copy()
    scale_plant(Plant, 2.0)
    assert before[1] > 0
    assert (Plant.model.actuator_acc0 == before).all()


def test_a_ball_joint_turns_about_three_axes_and_the_machine_is_what_is_driven():
    names, box = Names(mujoco.MjModel.from_xml_string(BALL), "ball.xml"), ebm.Box([-1.0, 0.0], [1.0, 1.0])
    for speed, reading in (("neck=0,0,1", "velocity:joint:neck"), ("neck.z=1", "velocity:joint:neck"), ("x=0.2", "velocity:com:arm")):
        energy = energy_of(Wishes(speed=(speed,)), names, box)
        assert ebm.readings(energy) == (reading,)
    for keep in ("neck.x<0.5", "orientation:body:hand.x<0.5"):
        with pytest.raises(UsageError, match="quaternion"):
            guardrails_of(Wishes(keep=(keep,)), names)
