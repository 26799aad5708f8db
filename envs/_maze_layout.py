"""The layout of a maze: rooms on a grid, walls and panes between them, drawn from a seed."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

ROOMS = 6  # along either side
CELL = 1.0  # m
LOOPS = 2  # walls taken out of a maze in which any two rooms are joined by one way only
WALLS = (ROOMS - 1) ** 2  # that separate the rooms of a maze without loops
Passage = tuple[tuple[int, int], tuple[int, int]]  # two rooms side by side


def centre(room: Any) -> Any:
    """The middle of a room, m, from its column and row."""
    return (room - 0.5 * (ROOMS - 1)) * CELL


def draw_walls(rng: np.random.Generator, loops: int = LOOPS) -> list[Passage]:
    """The walls of a random maze, each as the two rooms that it separates: a random walk that backtracks opens the rest."""
    opened, visited, path = set(), {(0, 0)}, [(0, 0)]
    while path:
        x, y = path[-1]
        near = [room for room in _around((x, y)) if room not in visited]
        if not near:
            path.pop()
            continue
        following = near[rng.integers(len(near))]
        opened.add(edge(path[-1], following))
        visited.add(following)
        path.append(following)
    pairs = [edge((x, y), other) for x in range(ROOMS) for y in range(ROOMS) for other in ((x + 1, y), (x, y + 1)) if _inside(other)]
    walls = [pair for pair in pairs if pair not in opened]
    return [walls[i] for i in sorted(rng.permutation(len(walls))[loops:])]


def draw_panes(
    rng: np.random.Generator, walls: Sequence[Passage], start: tuple[int, int], end: tuple[int, int], count: int
) -> list[Passage] | None:
    """Passages to close, each on the shortest way that is left, so that there is still a way; `None` if there are not so many."""
    panes: list[Passage] = []
    while len(panes) < count:
        closed = [*walls, *panes]
        away = distances(closed, end)
        way = [start]
        while way[-1] != end:
            way.append(next(o for o in _around(way[-1]) if away[o] == away[way[-1]] - 1 and edge(way[-1], o) not in closed))
        passages = [edge(a, b) for a, b in itertools.pairwise(way)]
        possible = [passage for passage in passages if distances([*closed, passage], end)[start] >= 0]
        if not possible:
            return None
        panes.append(possible[rng.integers(len(possible))])
    return panes


def distances(walls: Sequence[Passage], start: tuple[int, int]) -> np.ndarray:
    """How many rooms every room is away from `start`, along the shortest way."""
    closed, found, front = {edge(*pair) for pair in walls}, np.full((ROOMS, ROOMS), -1), [tuple(map(int, start))]
    found[front[0]] = 0
    while front:
        x, y = front.pop(0)
        for other in _around((x, y)):
            if found[other] < 0 and edge((x, y), other) not in closed:
                found[other] = found[x, y] + 1
                front.append(other)
    return found


def _around(room: tuple[int, int]) -> list[tuple[int, int]]:
    x, y = room
    return [other for other in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)) if _inside(other)]


def edge(a: tuple[int, int], b: tuple[int, int]) -> Passage:
    return (a, b) if a < b else (b, a)


def _inside(room: tuple[int, int]) -> bool:
    return all(0 <= i < ROOMS for i in room)
