"""NumPy inside compiled programs: the same numbers whether buffers are shared with XLA or copied."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from envs._host import host_call


def powers(x, y, *, times):
    """A product and a sum, for any batch."""
    return (x * y[..., :1]) ** times, np.float32(x.sum(-1))


def call(x, y, times=2):
    shapes = jax.ShapeDtypeStruct(x.shape, jnp.float32), jax.ShapeDtypeStruct((), jnp.float32)
    return host_call(powers, shapes, x, y, times=times)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_shared_and_copied_arrays_give_the_same(backend, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    x, y = jnp.arange(12.0).reshape(4, 3), jnp.array([2.0, 5.0])
    for plain in (call, jax.jit(call)):
        product, total = plain(x[1], y)
        np.testing.assert_array_equal(product, (2.0 * np.arange(3.0, 6.0)) ** 2)
        np.testing.assert_array_equal(total, 12.0)
    product, total = jax.jit(jax.vmap(call, (0, None)))(x, y)
    np.testing.assert_array_equal(product, (2.0 * np.asarray(x)) ** 2)
    np.testing.assert_array_equal(total, np.asarray(x).sum(1))
    np.testing.assert_array_equal(call(x[1], y, times=1)[0], 2.0 * np.arange(3.0, 6.0))


def test_an_array_of_no_elements_passes():
    result = jax.jit(lambda x, none: host_call(lambda x, none: x + none.size, jax.ShapeDtypeStruct((2,), jnp.float32), x, none))
    np.testing.assert_array_equal(result(jnp.ones(2), jnp.zeros(0)), 1.0)


def test_an_error_inside_is_raised():
    def fail(x):
        raise RuntimeError("the rope has snapped")

    with pytest.raises(Exception, match="the rope has snapped"):
        jax.block_until_ready(jax.jit(lambda x: host_call(fail, jax.ShapeDtypeStruct((), jnp.float32), x))(1.0))


def test_a_call_outside_jit_compiles_once(caplog):
    x, y, compiled = jnp.ones(3), jnp.ones(2), []
    for times in (5, 5, 6):  # the last one is another program
        caplog.clear()
        with jax.log_compiles():
            call(x, y, times)
        compiled.append(any("Compiling" in record.getMessage() for record in caplog.records))
    assert compiled == [True, False, True]
