import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import Named, assert_close, counted, now, point, trajectory

import ebm

NOTHING = jnp.zeros(2)
TIME = jnp.float32(0.0)


def at(term, state, time=TIME, action=NOTHING, previous_action=NOTHING):
    return term.stage(state, action, previous_action, time)


def turned(axis, angle):
    """The quaternion of a rotation."""
    axis = jnp.asarray(axis, jnp.float32) / jnp.linalg.norm(jnp.asarray(axis, jnp.float32))
    return jnp.concatenate([jnp.cos(angle / 2)[None], jnp.sin(angle / 2) * axis])


def product(a, b):
    vector = a[0] * b[1:] + b[0] * a[1:] + jnp.cross(a[1:], b[1:])
    return jnp.concatenate([(a[0] * b[0] - a[1:] @ b[1:])[None], vector])


STATE = Named(
    site__tip=[0.3, 0.4, 1.2],
    body__target=[1.0, 1.0, 1.0],
    joint__elbow=[0.5],
    joint__wrist=[-0.5],
    velocity__site__tip=[1.0, 2.0, 2.0],
    orientation__body__cup=[1.0, 0.0, 0.0, 0.0],
    up__body__cup=[0.0, 0.0, 1.0],
)
GOALS = [
    (lambda goal, **kw: ebm.Reach("site:tip", goal, **kw), [0.3, 0.4, 1.2], [0.3, 0.4, 0.7]),
    (lambda goal, **kw: ebm.Reach("site:tip", goal, axis="z", **kw), 1.2, 0.7),
    (lambda goal, **kw: ebm.Posture(("elbow", "joint:wrist"), goal, **kw), [0.5, -0.5], [0.5, 0.0]),
    (lambda goal, **kw: ebm.Velocity("site:tip", goal, **kw), [1.0, 2.0, 2.0], [1.0, 2.0, 1.5]),
    (lambda goal, **kw: ebm.Orientation("body:cup", goal, **kw), [1.0, 0.0, 0.0, 0.0], turned([1, 2, 3], jnp.float32(0.5))),
]


@pytest.mark.parametrize(("make", "here", "away"), GOALS)
def test_a_goal_costs_nothing_there_and_half_a_second_one_tolerance_away(make, here, away):
    assert at(make(here), STATE) == 0
    assert make(here).distance(STATE) == 0
    assert jnp.allclose(make(away).distance(STATE), 0.5, rtol=1e-5)
    assert jnp.allclose(at(make(away, tolerance=0.5), STATE), 0.5, rtol=1e-5)
    assert jnp.allclose(at(make(away, tolerance=0.25), STATE), 2.0, rtol=1e-5)


@pytest.mark.parametrize(("make", "here", "away"), GOALS)
def test_gradients_are_finite_at_the_goal_and_away_from_it(make, here, away):
    for goal in (here, away):
        for quantity in (lambda state, term: at(term, state), lambda state, term: term.distance(state)):
            slopes = jax.grad(quantity)(STATE, make(goal)), jax.grad(lambda term, state, q=quantity: q(state, term))(make(goal), STATE)
            assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(slopes))


@pytest.mark.parametrize(("make", "here", "away"), GOALS)
def test_new_goals_and_tolerances_do_not_retrace(make, here, away):
    distance, traces = counted(lambda term, state: term.distance(state))
    for goal, tolerance in ((here, 0.1), (away, 1), (np.asarray(here), np.float64(0.3))):
        assert jnp.allclose(distance(make(goal, tolerance=tolerance), STATE), make(goal).distance(STATE))
    assert len(traces) == 1


@pytest.mark.parametrize(("make", "here", "away"), GOALS)
def test_terms_carry_their_name(make, here, away):
    x = trajectory()
    term = ebm.Reach(lambda state: state.position, [0.0, 0.0], name="dock")
    assert (term + make(here)).parts[0].terms(x).keys() == {"dock"}
    assert make(here, name="other").name == "other"


@pytest.mark.parametrize(
    "term",
    [
        ebm.Reach("site:tip", [1.0, 2.0]),
        ebm.Reach("site:tip", [1.0, 2.0, 3.0], axis="x"),
        ebm.Reach("joint:elbow", "site:tip"),
        ebm.Reach("site:tip", "joint:elbow"),
        ebm.Posture(("elbow", "wrist"), [0.0, 0.0, 0.0]),
        ebm.Velocity("site:tip", [0.0, 0.0]),
        ebm.Track("site:tip", [[0.0, 0.0]]),
        ebm.Track("site:tip", [0.0, 1.0, 2.0]),
        ebm.Track("site:tip", lambda time: time),
    ],
)
def test_a_goal_of_the_wrong_size_is_refused(term):
    with pytest.raises(ValueError, match=r"site:tip|joint:elbow"):
        at(term, STATE)
    with pytest.raises(ValueError, match=r"site:tip|joint:elbow"):
        eqx.filter_jit(at)(term, STATE)


@pytest.mark.parametrize(
    "make", [lambda: ebm.Orientation("a", [1.0, 0.0, 0.0]), lambda: ebm.Upright("a", goal=[1.0]), lambda: ebm.Upright("a", goal=1.0)]
)
def test_directions_and_quaternions_are_checked(make):
    with pytest.raises(ValueError, match="`goal` of"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: ebm.Reach("a", 0.0, tolerance=0.0),
        lambda: ebm.Velocity("a", 0.0, tolerance=-1.0),
        lambda: ebm.Track("a", [0.0], period=0.0),
        lambda: ebm.Effort(0.0),
        lambda: ebm.Smoothness([1.0, jnp.nan]),
    ],
)
def test_units_must_be_positive(make):
    with pytest.raises(ValueError, match="must be positive"):
        make()


def test_one_number_is_a_goal_for_every_component():
    assert jnp.allclose(ebm.Reach("site:tip", 0.0).distance(STATE), 1.3)


def test_a_goal_can_be_another_reading():
    moving = ebm.Reach("site:tip", "body:target")
    assert jnp.allclose(moving.distance(STATE), ebm.Reach("site:tip", [1.0, 1.0, 1.0]).distance(STATE))
    assert jnp.allclose(ebm.Reach("site:tip", "body:target", axis="z").distance(STATE), 0.2)
    assert jnp.allclose(ebm.Reach("site:tip", lambda state: state.read("body:target")).distance(STATE), moving.distance(STATE))
    assert ebm.readings(moving) == ("body:target", "site:tip")


@pytest.mark.parametrize("axis", ["x", "y", "z", 0, 1, 2, -1])
def test_an_axis_is_one_component(axis):
    index = "xyz".index(axis) if isinstance(axis, str) else axis
    tip = STATE.read("site:tip")
    assert ebm.Reading("site:tip", axis)(STATE) == tip[index][None]
    assert ebm.Reach("site:tip", tip[index], axis=axis).distance(STATE) == 0
    assert ebm.Velocity("site:tip", STATE.read("velocity:site:tip")[index], axis=axis).distance(STATE) == 0


@pytest.mark.parametrize("axis", ["w", "", "xy"])
def test_a_bad_axis_is_refused(axis):
    with pytest.raises(ValueError, match="`axis` must be"):
        ebm.Reading("site:tip", axis)


@pytest.mark.parametrize(("name", "axis"), [("site:tip", 3), ("site:tip", -4), ("joint:elbow", "y")])
def test_an_axis_outside_the_reading_is_refused(name, axis):
    with pytest.raises(ValueError, match="outside"):
        ebm.Reading(name, axis)(STATE)


def test_an_axis_counts_components_however_they_are_shaped():
    assert ebm.Reading(lambda state: state.read("site:tip")[None], "z")(STATE) == jnp.float32(1.2)
    assert ebm.Reading(lambda state: state.read("site:tip")[0])(STATE).shape == (1,)


def test_readings_are_vectors_with_labels():
    def height(state):
        return state.read("site:tip")[2]

    assert ebm.Reading("site:tip").label == "site:tip"
    assert ebm.Reading(height).label == "height"
    assert ebm.Reading(eqx.nn.Identity()).label == "Identity"
    assert ebm.Reading(ebm.Reading("site:tip", "x"), "y").axis == 1
    assert ebm.Reading(ebm.Reading("site:tip", "x")).axis == 0
    with pytest.raises(TypeError, match="name such as"):
        ebm.Reading(3.0)


def test_readings_are_found_wherever_they_are():
    task = ebm.Reach("site:tip", 0.0) + 2 * ebm.Terminal(ebm.Velocity("body:cup")), (ebm.KeepApart("site:tip", "body:arm", 0.1),)
    assert ebm.readings(task) == ("body:arm", "site:tip", "velocity:body:cup")
    assert ebm.readings(ebm.Orientation("body:cup", [1, 0, 0, 0]) + ebm.Upright("body:cup")) == ("orientation:body:cup", "up:body:cup")
    assert ebm.readings(ebm.Posture(("elbow", "joint:wrist"), [0, 0]) + ebm.Effort()) == ("joint:elbow", "joint:wrist")
    assert ebm.readings(ebm.Reach(lambda state: state.position, 0.0)) == ()


def test_quantities_are_asked_for_once_and_only_of_names():
    assert ebm.Velocity("velocity:site:tip").reading.name == "velocity:site:tip"
    assert ebm.Velocity(lambda state: state.read("velocity:site:tip"), [1.0, 2.0, 2.0]).distance(STATE) == 0


class Probe(eqx.Module):
    """A linear read-out of a state, as of a learned latent."""

    weight: jax.Array

    def __call__(self, state):
        return self.weight @ state.read("site:tip")


def test_a_probe_stays_differentiable_and_does_not_retrace():
    distance, traces = counted(lambda term, state: term.distance(state))
    for factor in (1.0, 2.0):
        probe = Probe(factor * jnp.eye(3))
        assert jnp.allclose(distance(ebm.Reach(probe, 0.0), STATE), factor * 1.3)
    assert len(traces) == 1
    slopes = jax.grad(lambda term: term.distance(STATE))(ebm.Reach(Probe(jnp.eye(3)), 0.0))
    assert jnp.any(slopes.reading.probe.weight != 0)


@pytest.mark.parametrize("function", [jnp.ravel, jax.jit(lambda state: state.read("site:tip")), lambda state: state.read("site:tip")])
def test_functions_are_no_leaves(function):
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(ebm.Reach(function, 0.0)))


def test_an_orientation_and_its_negative_are_one():
    goal = turned([1, -2, 0.5], jnp.float32(2.0))
    state = Named(orientation__body__cup=turned([0.3, 1, 1], jnp.float32(1.0)))
    flipped = jax.tree.map(jnp.negative, state)
    for term in (ebm.Orientation("body:cup", goal), ebm.Orientation("body:cup", -goal)):
        assert_close(term.error(state), term.error(flipped))
        slopes = [jax.grad(lambda s, term=term: at(term, s))(s).values["orientation:body:cup"] for s in (state, flipped)]
        assert_close(slopes[0], -slopes[1], rtol=1e-3)


@pytest.mark.parametrize("angle", [0.0, 1e-7, 1e-5, 1e-3, 0.5, 3.0, 3.1415927, 4.0])
@pytest.mark.parametrize("scale", [1.0, 3.0])
def test_the_distance_of_orientations_is_the_shorter_angle(angle, scale):
    goal = turned([1, 2, 3], jnp.float32(0.7))
    state = Named(orientation__body__cup=product(goal, turned([2, -1, 1], jnp.float32(angle))))
    term = ebm.Orientation("body:cup", scale * goal)
    shorter = min(angle, 2 * np.pi - angle)
    assert jnp.allclose(term.distance(state), shorter, atol=1e-3 if shorter > 3 else 1e-6, rtol=1e-3)
    for quantity in (lambda s: at(term, s), term.distance):
        assert jnp.isfinite(jax.grad(quantity)(state).values["orientation:body:cup"]).all()


@pytest.mark.parametrize("name", ["joint:neck", "orientation:body:head"])
def test_reaching_a_quaternion_or_its_negative_is_one(name):
    goal = np.array([0.8, 0.6, 0.0, 0.0])
    for sign in (1.0, -1.0):
        state = Named(**{name.replace(":", "__"): sign * goal})
        np.testing.assert_allclose(ebm.Reach(name, goal).distance(state), 0.0, atol=1e-6)
        np.testing.assert_allclose(ebm.Reach(name, -goal).distance(state), 0.0, atol=1e-6)


def test_a_quaternion_has_components_and_no_axes():
    state = Named(orientation__body__head=[0.8, 0.6, 0.0, 0.0])
    with pytest.raises(ValueError, match="quaternion"):
        ebm.Reading("orientation:body:head", "x")(state)
    np.testing.assert_allclose(ebm.Reading("orientation:body:head", 1)(state), [0.6])


def test_a_ball_joint_has_no_angle_to_hold():
    with pytest.raises(ValueError, match="Orientation"):
        ebm.Posture("neck", [1.0, 0.0, 0.0, 0.0]).distance(Named(joint__neck=[1.0, 0.0, 0.0, 0.0]))


def test_no_rotation_at_all_still_has_a_finite_gradient():
    state = Named(orientation__body__cup=jnp.zeros(4))
    assert jnp.isfinite(jax.grad(lambda s: at(ebm.Orientation("body:cup", [1, 0, 0, 0]), s))(state).values["orientation:body:cup"]).all()


def test_upright_is_the_angle_for_small_angles():
    state = Named(up__body__cup=[jnp.sin(0.05), 0.0, jnp.cos(0.05)])
    assert jnp.allclose(ebm.Upright("body:cup").distance(state), 0.05, rtol=1e-3)
    assert ebm.Upright("body:cup").distance(STATE) == 0
    assert ebm.Upright("body:cup", goal=[0, 0, -1]).distance(STATE) == 2


REFERENCE = jnp.array([[0.0, 0.0, 0.0], [1.0, 0.0, 2.0], [1.0, 4.0, 2.0]])


@pytest.mark.parametrize("time", [0.0, 0.1, 0.5, 0.75, 1.0, 1.5, 100.0])
def test_a_reference_is_interpolated_and_held(time):
    expected = [np.interp(time, [0.0, 0.5, 1.0], np.asarray(REFERENCE[:, i])) for i in range(3)]
    track = ebm.Track("site:tip", REFERENCE, period=0.5)
    assert jnp.allclose(at(track, Named(site__tip=expected), jnp.float32(time)), 0.0, atol=1e-5)
    miss = Named(site__tip=np.add(expected, [0.0, 0.02, 0.0]))
    assert jnp.allclose(at(track, miss, jnp.float32(time)), 0.5, rtol=1e-3)


def test_a_reference_can_be_one_step_one_axis_or_a_function():
    held = ebm.Track("site:tip", STATE.read("site:tip")[None])
    assert at(held, STATE) == at(held, STATE, jnp.float32(9.0)) == 0
    height = ebm.Track("site:tip", [0.0, 2.4], period=1.0, axis="z")
    assert jnp.allclose(at(height, STATE, jnp.float32(0.5)), 0.0, atol=1e-6)
    circle = ebm.Track(lambda state: state.read("site:tip")[:2], lambda time: jnp.stack([jnp.cos(time), jnp.sin(time)]))
    assert jnp.allclose(at(circle, Named(site__tip=[np.cos(0.3), np.sin(0.3), 0.0]), jnp.float32(0.3)), 0.0, atol=1e-6)


def test_references_follow_the_episode_not_the_plan():
    early, late = trajectory(moment=now(0)), trajectory(moment=now(40))
    track = ebm.Track("site:tip", [[0.0, 0.0], [1.0, 1.0]], period=5.0)
    assert not jnp.allclose(track(early), track(late))


def test_references_do_not_retrace():
    evaluate, traces = counted(lambda term, x: term(x))
    for reference, period in ((np.zeros((4, 2)), 0.1), (jnp.ones((4, 2)), 1)):
        evaluate(ebm.Track("site:tip", reference, period=period), trajectory())
    assert len(traces) == 1


def test_effort_and_smoothness_are_measured_in_their_scale():
    action, before = jnp.array([1.0, -2.0]), jnp.array([0.5, -1.0])
    assert at(ebm.Effort(), STATE, action=action) == 2.5
    assert at(ebm.Effort([1.0, 2.0]), STATE, action=action) == 1.0
    assert at(ebm.Smoothness(0.5), STATE, action=action, previous_action=before) == 2.5
    assert at(ebm.Smoothness(), STATE, action=action, previous_action=action) == 0.0


@pytest.mark.parametrize("term", [ebm.Effort([1.0, 2.0, 3.0]), ebm.Smoothness([1.0, 2.0])])
def test_a_scale_has_one_entry_for_each_actuator(term):
    with pytest.raises(ValueError, match="one for each actuator"):
        at(term, STATE, action=jnp.ones(1), previous_action=jnp.ones(1))


def test_a_terminal_term_is_paid_once_at_the_end():
    x = trajectory()
    last = jax.tree.map(lambda leaf: leaf[-1], x.states)
    reach, speed = ebm.Reach("site:tip", [1.0, 1.0]), ebm.Velocity("site:tip")
    assert jnp.allclose(ebm.Terminal(reach)(x), at(reach, last))
    assert ebm.Terminal(reach).stage(point(), NOTHING, NOTHING, TIME) == 0
    assert ebm.Terminal(reach).terms(x).keys() == {"terminal_reach"}
    both = ebm.Terminal(reach + 0.5 * speed)
    assert_close(both.terms(x), {"terminal_reach": at(reach, last), "terminal_velocity": 0.5 * at(speed, last)})
    assert jnp.allclose(both(x), sum(both.terms(x).values()))


@pytest.mark.parametrize(
    "make", [ebm.Effort, ebm.Smoothness, lambda: 2 * ebm.Effort() + ebm.Velocity("a"), lambda: ebm.Terminal(ebm.Velocity("a"))]
)
def test_what_the_last_state_cannot_show_is_no_terminal_term(make):
    with pytest.raises(ValueError, match="would count nothing"):
        ebm.Terminal(make())
