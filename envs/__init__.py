"""MuJoCo and Gymnasium worlds: as plants, and as world models to plan with."""

from ._analytic import CartPole as CartPole
from ._analytic import CartPoleState as CartPoleState
from ._analytic import Pendulum as Pendulum
from ._analytic import PendulumState as PendulumState
from ._analytic import cart_pole as cart_pole
from ._analytic import pendulum as pendulum
from ._camera import Camera as Camera
from ._camera import RayImage as RayImage
from ._camera import draw_lines as draw_lines
from ._env import AbstractMujocoEnv as AbstractMujocoEnv
from ._env import MjcfEnv as MjcfEnv
from ._load import load as load
from ._mujoco import MujocoModel as MujocoModel
from ._physics import PhysicsState as PhysicsState
