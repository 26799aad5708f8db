"""MuJoCo and Gymnasium worlds: as plants, and as world models to plan with."""

from ._camera import Camera as Camera
from ._camera import RayImage as RayImage
from ._camera import draw_lines as draw_lines
from ._load import load as load
from ._mujoco import MujocoModel as MujocoModel
from ._physics import PhysicsState as PhysicsState
