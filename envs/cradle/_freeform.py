"""Films of everyday scenes to learn from: things roll, stop, collide, fall, and pass behind screens, and no experiment is shown."""

import math
from collections.abc import Callable, Iterator

import numpy as np

from ._draw import BEHIND, CLOSED, OPEN, OUTSIDE, SCREEN_SPEED, Draw, block, enters, screen, stands, stops, sunk
from ._physics import simulate
from ._scene import FRAMES, MOST_THINGS, Cast, Fixed, Free, Look, Moved, Stage, Thing, mirrored

LANES = (0.0, BEHIND)  # m from the front: things in one lane meet, those in two pass each other
CEILING = 1.7  # m, where the world is upside down
SCREENS = (1, 1, 2)
ABOVE = 0.25  # of the films are seen from above
SIGHT = 1.3  # m from the middle, where things are in the picture
MOVES, AT_REST = 0.1, 0.004  # m: what moves less in a film, and in a frame, is at rest
WALL = 0.3  # m, half of what is at most a wall, and no table
SHADE = 0.7  # m above the ground, of plates that hide what is seen from above

Moment = tuple[float, float, int]  # x and y in m, and a frame


def freeform(label: str, *, up: bool) -> tuple[Stage, Cast]:
    """What is on one film, and where. `up` turns gravity around: what would stand on the ground then hangs under a ceiling."""
    draw = Draw(label)
    above = draw.coin(ABOVE) and not up
    stage = draw.stage(above=above)
    cast = from_above(draw) if above else on_lanes(draw)
    moments, ends = list(moments_of(draw, stage, cast, turning=0.25 if above else 0.75)), list(ends_of(cast))
    for _ in range(draw.choice(SCREENS)):
        # were screens only where something happens, they would tell that it does
        anywhere: Moment = draw.uniform(-0.9, 0.9), draw.uniform(-0.9, 0.9), draw.integer(0, FRAMES - 1)
        moment: Moment = draw.choice(moments) if moments and draw.coin() else anywhere
        if above:
            cast.append(shade(draw, *moment))
        elif draw.coin(0.35):
            cast.append(curtain(draw, *moment))
        else:
            place = draw.choice(ends) if ends and draw.coin(0.8) else (moment[0], 0.0)
            cast.append(veil(draw, *place))
    if up:
        stage, cast = stage._replace(gravity=-stage.gravity, ceiling=CEILING), [overturned(thing) for thing in cast]
    return stage, mirrored(tuple(cast)) if draw.coin() else tuple(cast)


def on_lanes(draw: Draw) -> list[Thing]:
    """What goes on in front, and often behind it."""
    cast: list[Thing] = []
    for lane in LANES[: draw.choice((1, 1, 2))]:
        scene = on_a_lane(draw, lane)
        cast += scene if len(cast) + len(scene) + max(SCREENS) <= MOST_THINGS else ()
    return cast


def on_a_lane(draw: Draw, lane: float) -> tuple[Thing, ...]:
    """One of the `OFTEN`, from one side or the other."""
    things = tuple(draw.choice(SCENES)(draw, lane))
    return mirrored(things) if lane and draw.coin() else things  # pyright: ignore[reportReturnType]


def moments_of(draw: Draw, stage: Stage, cast: list[Thing], *, turning: float) -> Iterator[Moment]:
    """Where each thing that moves is in some frame: with the chance `turning` when it comes to rest or its motion changes most, else in
    any in which it is in the picture."""
    motion = simulate(stage, tuple(cast))[..., :3]
    for slot in range(len(cast)):
        way = motion[:, slot]
        steps = np.linalg.norm(np.diff(way, axis=0), axis=1)
        seen = np.flatnonzero(np.abs(way[:, 0]) < SIGHT)
        if not len(seen) or steps.sum() < MOVES or steps.max() <= AT_REST:
            continue
        rests = int(np.flatnonzero(steps > AT_REST)[-1]) + 1
        change = np.zeros(FRAMES)
        change[1:-1] = np.linalg.norm(np.diff(way, n=2, axis=0), axis=1)
        turns = rests if rests < FRAMES - 1 and rests in seen else int(seen[change[seen].argmax()])
        frame = turns if draw.coin(turning) else draw.choice(seen.tolist())
        yield float(way[frame, 0]), float(way[frame, 1]), frame


def curtain(draw: Draw, x: float, y: float, frame: int) -> Moved:
    """A screen before this place, closed in this frame and around it: what happens there is not seen, only what comes of it.

    Some open and close again and again, so that one sees more often what has become of what was there.
    """
    del y
    plate = draw.plate(draw.uniform(0.4, 0.75), draw.uniform(0.38, 0.58))
    away = draw.choice((OPEN, sunk(plate), sunk(plate)))
    slides = math.ceil(abs(away) / SCREEN_SPEED)
    closes = frame - draw.integer(2, 9) - slides
    opens = frame + draw.integer(2, 9)
    begins_open = draw.coin() and closes > 0
    moves = [(closes, CLOSED)] if begins_open else []
    if draw.coin(0.9):
        moves.append((opens, away))
        if draw.coin(0.6):
            closes = opens + slides + draw.integer(1, 4)
            moves += [(closes, CLOSED), (closes + slides + draw.integer(4, 12), away)]
    return before(draw, x, plate, moves, away if begins_open else CLOSED)


def ends_of(cast: list[Thing]) -> Iterator[tuple[float, float]]:
    """Where walls, and the ends of tables, stand in the picture, and how high above the ground things pass there, in m."""
    for thing in cast:
        if isinstance(thing, Fixed):
            x, (half, _, height) = thing.position[0], thing.look.size
            ends, level = ((x,), 0.0) if half < WALL else ((x - half, x + half), 2 * height)
            yield from ((end, level) for end in ends if abs(end) < SIGHT)


def veil(draw: Draw, x: float, level: float) -> Moved:
    """A screen that comes up before this place early on: what stands there, or that nothing does, was seen and has to be remembered."""
    plate = draw.plate(draw.uniform(0.5, 0.8), draw.uniform(0.42, 0.55) + 0.4 * level)
    rises = draw.integer(2, 8)
    moves = [(rises, CLOSED)]
    if draw.coin():
        moves.append((rises + draw.integer(10, 22), draw.choice((OPEN, sunk(plate)))))
    return before(draw, x, plate, moves, sunk(plate))


def before(draw: Draw, x: float, plate: Look, moves: list[tuple[int, float]], height: float) -> Moved:
    """A screen about in front of this place, and well inside the picture."""
    place = float(np.clip(x + draw.uniform(-0.25, 0.25), -0.6, 0.6))
    return screen(plate, place, draw.uniform(-0.75, -0.45), moves, height=height)


def shade(draw: Draw, x: float, y: float, frame: int) -> Moved:
    """A plate that hangs above this place, and may slide away after this frame."""
    plate = draw.plate(draw.uniform(0.3, 0.65), 0.02, draw.uniform(0.3, 0.65))
    leaves = frame + draw.integer(3, 12) if draw.coin() else FRAMES
    way = x + np.sign(x) * SCREEN_SPEED * np.maximum(np.arange(FRAMES) - leaves, 0)
    return Moved(plate, np.stack([way, np.full(FRAMES, y), np.full(FRAMES, SHADE)], 1))


def from_above(draw: Draw) -> list[Thing]:
    """Things cross the picture in any direction, stop, meet others or a block."""
    cast: list[Thing] = [crosses_anywhere(draw) for _ in range(draw.choice((0, 1, 1, 2, 3)))]
    if draw.coin(0.4):
        plate = draw.plate(draw.uniform(0.05, 0.4), 0.3, draw.uniform(0.05, 0.4))
        cast.append(block(plate, draw.uniform(-1.0, 1.0), y=draw.uniform(-1.0, 1.0)))
    return cast


def crosses_anywhere(draw: Draw) -> Free:
    """Something comes in from any side, and goes on or slows down."""
    look, angle, speed = draw.look(), draw.uniform(0.0, 2 * math.pi), draw.uniform(1.2, 3.0)
    x, y = OUTSIDE * math.cos(angle), OUTSIDE * math.sin(angle)
    turn = math.atan2(draw.uniform(-0.7, 0.7) - y, draw.uniform(-0.7, 0.7) - x)
    slowing = draw.choice((0.0, 0.0, speed**2 / (2 * draw.uniform(1.6, 3.2))))
    velocity = (speed * math.cos(turn), speed * math.sin(turn), 0.0)
    return Free(look, (x, y, look.size[2]), velocity, slowing, elastic=draw.coin(), held=draw.integer(0, 10))


def wall(draw: Draw) -> Look:
    """So low that a screen can hide all of it."""
    return draw.plate(draw.uniform(0.04, 0.2), draw.uniform(0.2, 0.38), draw.uniform(0.25, 0.35))


def nothing(draw: Draw, lane: float) -> list[Thing]:
    """Nobody comes. Without such films, one who has seen nothing yet would be sure that something is behind the screen."""
    del draw, lane
    return []


def stands_about(draw: Draw, lane: float) -> list[Thing]:
    """A wall, and nobody who runs into it."""
    return [block(wall(draw), draw.uniform(-1.0, 1.2), y=lane)]


def crosses(draw: Draw, lane: float) -> list[Thing]:
    """Something comes in and goes on, and perhaps another follows."""
    guest = enters(draw.look(), draw.uniform(1.2, 3.0), y=lane, held=draw.integer(0, 8))
    if draw.coin(0.7):
        return [guest]
    look = draw.look()
    return [guest, guest._replace(look=look, position=(-OUTSIDE - draw.uniform(0.8, 2.0), lane, look.size[2]))]


def comes_to_rest(draw: Draw, lane: float) -> list[Thing]:
    """Something comes in and stops somewhere."""
    return [stops(draw.look(), draw.uniform(-1.1, 1.1), draw.uniform(9.0, 18.0), y=lane, held=draw.integer(0, 4))]


def rests(draw: Draw, lane: float) -> list[Thing]:
    """Something stands there."""
    return [stands(draw.look(), draw.uniform(-1.2, 1.2), y=lane)]


def meets_a_wall(draw: Draw, lane: float) -> list[Thing]:
    """Something comes in and bounces off a wall, or is stopped by it."""
    stops_it, guest = wall(draw), draw.look()
    speed = draw.uniform(1.5, 3.0)
    return [block(stops_it, draw.uniform(-0.6, 0.7), y=lane), enters(guest, speed, y=lane, elastic=draw.coin(0.4), held=draw.integer(0, 8))]


def meets_another(draw: Draw, lane: float) -> list[Thing]:
    """Something comes in and hits another that rests or comes from the other side."""
    guest = enters(draw.look(), draw.uniform(1.5, 3.0), y=lane, elastic=True, held=draw.integer(0, 6))
    look = draw.look()
    if draw.coin():
        return [guest, stands(look, draw.uniform(-0.6, 0.6), y=lane)._replace(elastic=True)]
    return [guest, *(mirrored((enters(look, draw.uniform(1.5, 3.0), y=lane, elastic=True),)))]  # pyright: ignore[reportReturnType]


def drops(draw: Draw, lane: float) -> list[Thing]:
    """Something is held in the air, and let go."""
    look = draw.look()
    at = (draw.uniform(-1.1, 1.1), lane, draw.uniform(0.6, 1.3))
    return [Free(look, at, held=draw.integer(4, 20), slowing=1.0)]


def flies(draw: Draw, lane: float) -> list[Thing]:
    """Something is thrown in."""
    look = draw.look()
    return [Free(look, (-OUTSIDE, lane, draw.uniform(0.3, 0.9)), (draw.uniform(1.8, 3.0), 0.0, draw.uniform(0.5, 3.0)), slowing=1.0)]


def on_a_table(draw: Draw, lane: float) -> list[Thing]:
    """Something slides along a table, and on along others, as far as there are any right behind it."""
    height, end, depth = draw.uniform(0.15, 0.33), draw.uniform(-0.9, 0.3), draw.uniform(0.14, 0.35)
    plate, start, tables = draw.plate(1.0, height, depth), -OUTSIDE - 0.3, []
    halves = ((end - start) / 2, draw.uniform(0.2, 0.9), draw.uniform(0.5, 1.2))[: draw.choice((1, 2, 2, 3, 3))]
    torn = draw.integer(1, max(len(halves) - 1, 1)) if draw.coin() else len(halves)  # how many there are tells nothing of whether they meet
    for number, half in enumerate(halves):
        start += draw.uniform(0.4, 1.0) if number == torn else 0.0
        tables.append(block(plate._replace(size=(half, depth, height)), start + half, y=lane))
        start += 2 * half
    guest = enters(draw.look(), draw.uniform(1.4, 2.6), y=lane, height=2 * height, held=draw.integer(0, 8))
    stops_at = draw.uniform(0.8, 2.4)
    slowing = draw.choice((0.0, 0.0, 0.0, guest.velocity[0] ** 2 / (2 * stops_at)))
    return [*tables, guest._replace(slowing=slowing)]


def stacked(draw: Draw, lane: float) -> list[Thing]:
    """One thing rests or falls on another."""
    below, above = draw.look("box"), draw.look("box")
    x = draw.uniform(-1.0, 1.0)
    height = 2 * below.size[2] + above.size[2] + draw.choice((0.0, draw.uniform(0.2, 0.6)))
    return [stands(below, x, y=lane), Free(above, (x + draw.uniform(-0.1, 0.1), lane, height), slowing=3.0, held=draw.choice((0, 12)))]


def down_a_ramp(draw: Draw, lane: float) -> list[Thing]:
    """A ball rolls down a slope and on."""
    look, tilt = draw.look("sphere"), draw.uniform(0.25, 0.45)
    plate = draw.plate(0.6, 0.03, 0.35)
    x = draw.uniform(-1.0, -0.3)
    up = 0.6 * tilt  # about the sine
    position = (x - 0.45, lane, up + 0.45 * tilt + look.size[2] + 0.06)
    return [Fixed(plate, (x, lane, up), tilt), Free(look, position, held=draw.integer(2, 10))]


OFTEN: dict[Callable[[Draw, float], list[Thing]], int] = {  # how often each kind is drawn, beside the others
    nothing: 8,
    stands_about: 3,
    crosses: 12,
    comes_to_rest: 8,
    rests: 1,
    meets_a_wall: 18,
    meets_another: 8,
    on_a_table: 16,
    drops: 1,
    flies: 1,
    stacked: 1,
    down_a_ramp: 1,
}
SCENES = tuple(scene for scene, times in OFTEN.items() for _ in range(times))


def overturned(thing: Thing) -> Thing:
    """The same thing as far from the ceiling as it was from the ground; screens stay, and hide it there as well."""
    match thing:
        case Moved():
            return thing
        case Fixed():
            x, y, z = thing.position
            return thing._replace(position=(x, y, CEILING - z), tilt=-thing.tilt)
        case Free():
            x, y, z = thing.position
            u, v, w = thing.velocity
            return thing._replace(position=(x, y, CEILING - z), velocity=(u, v, -w))
