"""How `ebm eval` judges models of Two Rooms in the other geometry, where the wall stays and goals are where somebody had been."""

from functools import partial

from . import _rooms_judged
from ._eval import Search
from ._rooms_diagnosis import LIGHTS as ALL

ENV = "TwoRoomsMatch-v0"
TITLE, UNIT, STEPS = "Two Rooms, goals 75 steps ahead", "px", 150
RULE = "within 4.6 px of the goal at one of 150 steps"
SEARCH = Search("subgoals", 100, 4, 18)
LIGHTS = {name: light for name, light in ALL.items() if name not in ("wall R²", "door R²")}

rows = partial(_rooms_judged.rows, env=ENV)
diagnose = partial(_rooms_judged.diagnose, env=ENV)
write_page = partial(_rooms_judged.write_page, env=ENV)
