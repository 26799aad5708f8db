"""MuJoCo and Gymnasium worlds: as plants, and as world models to plan with."""

from ._analytic import (
    CartPole as CartPole,
    CartPoleState as CartPoleState,
    Pendulum as Pendulum,
    PendulumState as PendulumState,
    cart_pole as cart_pole,
    pendulum as pendulum,
)
from ._camera import Camera as Camera, RayImage as RayImage, draw_lines as draw_lines
from ._cart_table import CartTableEnv as CartTableEnv, cart_table as cart_table
from ._env import AbstractMujocoEnv as AbstractMujocoEnv, MjcfEnv as MjcfEnv
from ._gym import FromGym as FromGym, problem as problem
from ._load import load as load
from ._mujoco import MujocoModel as MujocoModel
from ._physics import PhysicsState as PhysicsState
from ._register import register as register
