"""MuJoCo and Gymnasium worlds: as plants, and as world models to plan with."""

from . import _neighbours as _neighbours  # first: it refuses strangers of our names

# isort: split
from typing import TYPE_CHECKING

from ebm import on_first_use

from ._analytic import CartPole as CartPole
from ._analytic import CartPoleState as CartPoleState
from ._analytic import Pendulum as Pendulum
from ._analytic import PendulumState as PendulumState
from ._analytic import cart_pole as cart_pole
from ._analytic import pendulum as pendulum
from ._camera import Camera as Camera
from ._camera import RayImage as RayImage
from ._cart_table import CartTableEnv as CartTableEnv
from ._cart_table import cart_table as cart_table
from ._disc_reach import DiscReachEnv as DiscReachEnv
from ._draw_lines import draw_lines as draw_lines
from ._env import AbstractMujocoEnv as AbstractMujocoEnv
from ._env import MjcfEnv as MjcfEnv
from ._gym import READY_MADE as READY_MADE
from ._gym import FromGym as FromGym
from ._gym import problem as problem
from ._load import load as load
from ._maze import PointMazeEnv as PointMazeEnv
from ._maze import maze_energy as maze_energy
from ._maze_map import MazeMap as MazeMap
from ._maze_map import MazeNotes as MazeNotes
from ._maze_map import MazeState as MazeState
from ._maze_map import MazeWalk as MazeWalk
from ._maze_map import WayLeft as WayLeft
from ._maze_map import from_above as from_above
from ._maze_map import maze_map as maze_map
from ._mujoco import MujocoModel as MujocoModel
from ._physics import PhysicsState as PhysicsState
from ._reacher_match import ReacherMatchEnv as ReacherMatchEnv
from ._record import from_minari as from_minari
from ._record import record as record
from ._record import to_minari as to_minari
from ._register import ENTRY_POINTS as ENTRY_POINTS
from ._register import register as register
from ._swing_up import CartPoleSwingUpEnv as CartPoleSwingUpEnv
from ._swing_up import PendulumSwingUpEnv as PendulumSwingUpEnv
from ._two_rooms import TwoRooms as TwoRooms
from ._two_rooms import TwoRoomsState as TwoRoomsState
from ._two_rooms import draw_dot as draw_dot
from ._two_rooms import draw_walls as draw_walls
from ._two_rooms import picture as picture
from ._two_rooms_data import Films as Films
from ._two_rooms_data import draw_films as draw_films
from ._two_rooms_data import oracle_route as oracle_route
from ._two_rooms_data import play_films as play_films
from ._two_rooms_env import TwoRoomsEnv as TwoRoomsEnv
from ._two_rooms_match import TwoRoomsMatch as TwoRoomsMatch
from ._two_rooms_match import TwoRoomsMatchEnv as TwoRoomsMatchEnv

__getattr__ = on_first_use(__name__)[0]  # MJX is an extra, and slow to import

if TYPE_CHECKING:
    from ._mjx import MjxModel as MjxModel
