"""The rules of training beside plain numpy, their laws, and what all of them share."""

import dataclasses
import pickle
import signal
import threading

import numba
import numpy as np
import pytest
from grids import diagonal
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

import perceptron as p
from perceptron.losses import Exponential, Hinge, Linear, Logistic, Square, SquaredHinge
from perceptron.powers import conjugate, power_mean
from perceptron.products import Products
from perceptron.training.minibatches import order
from perceptron.training.steepest import steepest

COMPILED = not numba.config.DISABLE_JIT
compiled_only = pytest.mark.skipif(not COMPILED, reason="too slow when not compiled")

RATE = 0.003
#: Every rule with the parameters under which it is compared with plain numpy.
RULES = {
    "gradient": (p.gradient_descent, {}),
    "decay": (p.gradient_descent, {"weight_decay": 0.7}),
    "momentum": (p.momentum_descent, {"momentum": 0.8}),
    "nesterov": (p.momentum_descent, {"momentum": 0.8, "nesterov": True, "weight_decay": 0.7}),
    "minibatches": (p.stochastic_gradient_descent, {"batch_size": 7, "seed": 5, "decay": 0.5}),
    "coordinate": (p.coordinate_descent, {}),
    "p = 3": (p.steepest_descent, {"p": 3.0, "decay": 0.25}),
    "p = 1.5": (p.steepest_descent, {"p": 1.5, "normalized": False}),
    "sign": (p.sign_descent, {}),
    "adam": (p.adam, {"beta1": 0.8, "beta2": 0.9}),
}
LOSSES = [Logistic(1.0), Logistic(2.5), Exponential(0.5), Square(1.0), SquaredHinge(0.5), Linear()]


@pytest.fixture(scope="module")
def examples():
    # normal inputs and an odd number of them: no two slopes are equal, and none is zero
    n, odd = (20, 47) if COMPILED else (10, 23)
    return p.teacher_student(n, odd / n, seed=3, inputs="gaussian")


def with_intercept(data):
    return dataclasses.replace(data, intercept=True)


def run(name, data, steps, **options):
    rule, parameters = RULES[name]
    return rule(
        data, steps, RATE, **{"precision": "double", **parameters, **options}, progress=False
    )


def same_bits(a, b):
    pairs = [(a.columns[name], b.columns[name]) for name in a.columns]
    pairs += [(a.weights, b.weights), (np.float64(a.constant), np.float64(b.constant))]
    return all(np.array_equal(x, y, equal_nan=True) for x, y in pairs) and a.complete == b.complete


# ------------------------------------------------------------------- beside plain numpy


def slope_of(loss, z):
    """V' by complex steps: exact to rounding for what is smooth, and no formula of ours."""
    h = 1e-30
    values = {
        Logistic: lambda x: np.log(1 + np.exp(-2 * loss.lam * x)) / loss.lam,
        Exponential: lambda x: np.exp(-loss.lam * x) / loss.lam,
        Square: lambda x: (loss.margin - x) ** 2 / 2,
        SquaredHinge: lambda x: np.where(x.real < loss.margin, (loss.margin - x) ** 2 / 2, 0),
        Linear: lambda x: -x,
    }
    return np.imag(values[type(loss)](z + 1j * h)) / h


def plain(name, data, loss, steps):
    """The rule of that name as its article has it, on inputs with a column of ones if asked."""
    options = RULES[name][1]
    x = data.inputs.astype(float) * data.labels[:, None]
    if data.intercept:
        x = np.column_stack([x, data.labels])
    x /= np.sqrt(data.N)
    n, size = data.N, x.shape[1]
    v, u, s = np.zeros(size), np.zeros(size), np.zeros(size)
    decays = np.where(np.arange(size) < n, options.get("weight_decay", 0.0), 0.0)
    for t in range(1, steps + 1):
        rows = slice(None)
        if name == "minibatches":
            batches = -(-data.P // 7)
            epoch, batch = divmod(t - 1, batches)
            rows = np.random.default_rng([5, epoch]).permutation(data.P)[7 * batch : 7 * batch + 7]
        g = x[rows].T @ slope_of(loss, x[rows] @ v)
        if name == "minibatches":
            g *= data.P / len(rows)
        g += decays * v
        if name in ("gradient", "decay"):
            v = v - RATE * g
        elif name == "momentum":
            u = 0.8 * u - RATE * g
            v = v + u
        elif name == "nesterov":
            # as Nesterov has it, the gradient at a point ahead, which is where our weights are
            before = u
            u = 0.8 * u - RATE * g
            v = v - 0.8 * before + 1.8 * u
        elif name == "minibatches":
            v = v - RATE / t**0.5 * g
        elif name == "coordinate":
            j = np.argmax(np.abs(g))
            v = v.copy()
            v[j] -= RATE / t**0.5 * size * np.sign(g[j])
        elif name == "sign":
            v = v - RATE / t**0.5 * np.sign(g)
        elif name == "p = 3":
            d = np.sign(g) * np.abs(g) ** 0.5
            v = v - RATE / t**0.25 * d / np.mean(np.abs(d) ** 3) ** (1 / 3)
        elif name == "p = 1.5":
            # half the square of the dual norm has this gradient
            norm = np.mean(np.abs(g) ** 3) ** (1 / 3)
            v = v - RATE * np.sign(g) * np.abs(g) ** 2 / norm
        elif name == "adam":
            g = g / data.P
            u = 0.8 * u + 0.2 * g
            s = 0.9 * s + 0.1 * g**2
            v = v - RATE * (u / (1 - 0.8**t)) / (np.sqrt(s / (1 - 0.9**t)) + 1e-8)
    return v


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize(("name", "loss"), diagonal(RULES, LOSSES), ids=repr)
def test_a_rule_is_that_of_its_article(examples, name, loss, intercept):
    data = with_intercept(examples) if intercept else examples
    done = run(name, data, 9, loss=loss)
    v = plain(name, data, loss, 9)
    assert done.weights == pytest.approx(v[: data.N], rel=1e-9, abs=1e-11)
    assert done.intercept == pytest.approx(v[data.N] / np.sqrt(data.N) if intercept else 0.0)


@pytest.mark.parametrize("name", RULES)
def test_single_precision_is_near(examples, name):
    single, double = (run(name, examples, 9, precision=kind) for kind in ("single", "double"))
    assert single.weights == pytest.approx(double.weights, abs=1e-4 * np.abs(double.weights).max())
    assert not np.array_equal(single.weights, double.weights) or name in ("sign", "coordinate")


# --------------------------------------------------------------------------- what they share


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("name", RULES)
def test_records_are_what_they_say(examples, name, intercept):
    d = with_intercept(examples) if intercept else examples
    done = run(name, d, 12)
    fields = d.inputs.astype(float) @ done.weights / np.sqrt(d.N) + done.intercept
    margins = d.labels * fields
    power = {"coordinate": 1.0, "p = 3": 3.0, "p = 1.5": 1.5, "sign": np.inf, "adam": np.inf}
    natural = np.linalg.norm(done.weights, power.get(name, 2.0)) / d.N ** (1 / power.get(name, 2.0))
    assert done.columns["step"] is done.step
    assert list(done.columns) == [column.name for column in dataclasses.fields(p.Records)]
    assert done.natural_norm[-1] == pytest.approx(natural, rel=1e-12)
    assert done.norm[-1] == pytest.approx(np.linalg.norm(done.weights) / np.sqrt(d.N), rel=1e-12)
    assert done.stability[-1] == pytest.approx(margins.min() / natural, rel=1e-9)
    assert np.isnan(done.stability[0])
    assert done.train_error[-1] == np.mean(margins < 0)
    assert done.train_loss[-1] == pytest.approx(np.mean(np.logaddexp(0, -2 * margins)), rel=1e-12)
    assert done.rule.learning_rate == RATE
    assert done.time[-1] == done.state.time


@pytest.mark.parametrize("loss", [Logistic(1.0), SquaredHinge(1.0)], ids=repr)
@pytest.mark.parametrize(("name", "cut"), diagonal(RULES, [1, 6, 13]))
def test_a_resumed_run_is_the_uninterrupted_one(examples, name, cut, loss):
    data = with_intercept(examples)
    whole = run(name, data, 20, loss=loss)
    first = pickle.loads(pickle.dumps(run(name, data, cut, loss=loss)))
    assert same_bits(whole, run(name, data, 20, loss=loss, resume=first))


@compiled_only
@pytest.mark.parametrize(("name", "loss"), diagonal(RULES, [Logistic(1.0), Square(1.0)]), ids=repr)
def test_every_number_of_threads_gives_the_same_bits(name, loss):
    data = p.teacher_student(110, 4.99, seed=2)  # the last part is short, and its rows odd
    runs = []
    for threads in (1, 2, 8):
        data.products.threads = threads
        runs.append(run(name, data, 30, loss=loss))
    assert all(same_bits(runs[0], other) for other in runs[1:])


@compiled_only
@pytest.mark.parametrize("name", ["momentum", "adam", "minibatches", "p = 3", "sign"])
def test_an_interrupted_run_goes_on_to_the_same_bits(examples, name, monkeypatch):
    if threading.current_thread() is not threading.main_thread():
        pytest.skip("only the main thread can be interrupted")
    method = "pull_of" if name == "minibatches" else "pull"
    product, calls = getattr(Products, method), 0

    def product_with_a_key_pressed(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == 40:
            signal.raise_signal(signal.SIGINT)
        return product(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Products, method, product_with_a_key_pressed)
        with pytest.warns(
            RuntimeWarning, match=r"interrupted at step \d+ of 100; .* `resume`"
        ) as w:
            cut = run(name, examples, 100, loss=Square(1.0))
    assert w[0].filename == __file__
    assert not cut.complete
    assert cut.step[-1] < 100
    on = run(name, examples, 100, loss=Square(1.0), resume=cut)
    assert same_bits(on, run(name, examples, 100, loss=Square(1.0)))


# --------------------------------------------------------------------------------- laws


@settings(deadline=None)
@given(
    seed=st.integers(0, 10**6),
    power=st.sampled_from([1.0, 1.2, 1.5, 2.0, 3.0, 10.0, np.inf]),
    size=st.sampled_from([1e-200, 1.0, 1e200]),
)
def test_no_direction_of_unit_norm_is_steeper(seed, power, size):
    rng = np.random.default_rng(seed)
    g = size * rng.standard_normal(9)
    d = steepest(g, power)
    assert power_mean(d, power) == pytest.approx(1.0, rel=1e-12)
    assert g @ d == pytest.approx(len(g) * power_mean(g, conjugate(power)), rel=1e-12)
    other = rng.standard_normal(9)
    assert g @ other / power_mean(other, power) <= g @ d * (1 + 1e-12)


@pytest.mark.parametrize("power", [1.0, 1.5, 2.0, np.inf])
def test_there_is_no_steepest_direction_without_a_slope(power):
    assert np.array_equal(steepest(np.zeros(5), power), np.zeros(5))


def test_steepest_descent_at_two_is_gradient_descent(examples):
    a = run("gradient", examples, 30)
    b = p.steepest_descent(examples, 30, RATE, normalized=False, progress=False)
    assert b.weights == pytest.approx(a.weights, rel=1e-11)
    assert b.time == pytest.approx(a.time, rel=1e-12)


@pytest.mark.parametrize("name", ["coordinate", "p = 3", "sign"])
def test_the_natural_norm_grows_no_faster_than_time(examples, name):
    done = run(name, examples, 50)
    assert np.all(done.natural_norm <= done.time * (1 + 1e-12))
    # from zero the first step is along the direction that is recorded there
    assert done.natural_norm[1] == pytest.approx(done.time[1], rel=1e-12)
    assert done.overlap[1] == pytest.approx(done.overlap[0], rel=1e-12)


@pytest.mark.parametrize("name", ["coordinate", "sign", "p = 3"])
def test_by_default_the_first_step_changes_a_field_by_one_at_most(examples, name):
    rule, options = RULES[name]
    for data in (examples, with_intercept(examples)):
        done = rule(data, 1, **options, progress=False)
        change = data.inputs.astype(float) @ done.weights / np.sqrt(data.N) + done.intercept
        assert np.abs(change).max() <= 1 + 1e-12


@compiled_only
@pytest.mark.parametrize("power", [1.0, 1.5, 2.0, 4.0, np.inf])
def test_the_default_rate_of_steps_that_shrink_is_stable(power):
    data = p.teacher_student(30, 3.0, seed=1)
    done = p.steepest_descent(data, 300, p=power, normalized=False, progress=False)
    assert np.all(np.diff(done.train_loss) < 0)


@compiled_only
@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_follows_the_flow_in_its_time(examples, nesterov):
    """The difference at one time falls in proportion to the learning rate."""
    until, momentum = 4.0, 0.8
    flow = p.gradient_flow(examples, until_time=until, tolerance=1e-8, progress=False)
    off = []
    for rate in (1.6e-3, 8e-4):
        steps = round(until / rate * (1 - momentum))
        done = p.momentum_descent(
            examples, steps, rate, momentum=momentum, nesterov=nesterov, precision="double",
            progress=False,
        )  # fmt: skip
        assert done.time[-1] == pytest.approx(until, rel=1e-12)
        off.append(done.norm[-1] - flow.norm[-1])
    # terms of second order are of the size rate * curvature / (1 - momentum), below 5% here
    assert off[0] / off[1] == pytest.approx(2.0, abs=0.2)


def test_an_epoch_takes_every_example_once(examples):
    taken = [order(1, epoch, examples.P) for epoch in range(3)]
    assert all(np.array_equal(np.sort(rows), np.arange(examples.P)) for rows in taken)
    assert not np.array_equal(taken[0], taken[1])


def test_a_batch_of_all_is_gradient_descent(examples):
    a = run("gradient", examples, 30)
    b = run("minibatches", examples, 30, batch_size=examples.P, decay=0.0)
    assert b.weights == pytest.approx(a.weights, rel=1e-9, abs=1e-12)


@compiled_only
def test_small_steps_of_minibatches_follow_the_flow():
    """The noise of the batches averages out, within an epoch nearly to nothing."""
    data = p.teacher_student(40, 5.0, seed=4)
    until = 1.0
    flow = p.gradient_flow(data, until_time=until, tolerance=1e-8, progress=False)
    off = []
    for rate in (2e-3, 1e-4):
        done = p.stochastic_gradient_descent(
            data, round(until / rate), rate, batch_size=4, precision="double", progress=False
        )
        off.append(np.linalg.norm(done.weights - flow.weights) / np.linalg.norm(flow.weights))
    # in proportion to the rate, as that of descent; independent batches would give its root, 4.5
    assert off[1] < off[0] / 4
    assert off[1] < 0.01


@compiled_only
@pytest.mark.parametrize(("name", "intercept"), diagonal(["decay", "nesterov"], [False, True]))
def test_weight_decay_ends_at_the_ridge_minimiser(examples, name, intercept):
    data = with_intercept(examples) if intercept else examples
    done = RULES[name][0](
        data,
        4000,
        0.02,
        precision="double",
        progress=False,
        **{**RULES[name][1], "weight_decay": 0.7},
    )
    x = data.inputs.astype(float) * data.labels[:, None] / np.sqrt(data.N)

    def ridge(v):
        offset = v[data.N] * data.labels if intercept else 0.0
        w = v[: data.N]
        return np.sum(np.logaddexp(0, -2 * (x @ w + offset))) + 0.35 * w @ w

    found = minimize(ridge, np.zeros(data.N + intercept), method="BFGS", options={"gtol": 1e-7})
    # BFGS with differences stops at slopes of 1e-6 or so, and the curvature is 0.7 at least
    assert done.weights == pytest.approx(found.x[: data.N], abs=1e-4)
    if intercept:
        assert done.intercept == pytest.approx(found.x[-1], abs=1e-4)


@compiled_only
@pytest.mark.parametrize(
    ("loss", "intercept"),
    diagonal([Exponential(1.0), SquaredHinge(1.0), Square(1.0)], [False, True]),
    ids=repr,
)
def test_the_flow_of_any_loss_is_the_limit_of_small_steps(examples, loss, intercept):
    data = with_intercept(examples) if intercept else examples
    flow = p.gradient_flow(data, until_time=1.0, tolerance=1e-7, loss=loss, progress=False)
    off = []
    for rate in (2e-3, 1e-3):
        done = p.gradient_descent(
            data, round(1 / rate), rate, loss=loss, precision="double", progress=False
        )
        off.append(done.norm[-1] - flow.norm[-1])
    assert off[0] / off[1] == pytest.approx(2.0, abs=0.1)


@compiled_only
def test_the_flow_of_a_loss_with_a_minimum_comes_to_rest():
    data = with_intercept(p.teacher_student(20, 4.0, seed=2))
    rest = p.gradient_flow(data, until_time=1e9, loss=Square(1.0), progress=False)
    assert rest.complete
    x = np.column_stack([data.inputs / np.sqrt(data.N), np.ones(data.P)])
    exact = np.linalg.lstsq(x, data.labels.astype(float), rcond=None)[0]
    assert rest.weights == pytest.approx(exact[:-1], abs=1e-3)
    assert rest.intercept == pytest.approx(exact[-1], abs=1e-3)


@compiled_only
def test_the_early_flow_is_hebbs_rule_at_the_norm_of_the_theory():
    """lam = t sqrt(alpha + 2 alpha^2/pi), overlap 1/sqrt(1 + pi/(2 alpha)), in standard errors."""
    alpha, n, t = 2.0, 200, 1e-4
    found = []
    for seed in range(24):
        flow = p.gradient_flow(p.teacher_student(n, alpha, seed), until_time=t, progress=False)
        found.append((flow.norm[-1] / t, flow.overlap[-1]))
    mean, error = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) / np.sqrt(24)
    theory = np.sqrt(alpha + 2 * alpha**2 / np.pi), 1 / np.sqrt(1 + np.pi / (2 * alpha))
    # the step is finite (t times the curvature, 6e-4) and so is N (1/N, 5e-3, of which some part)
    assert np.all(np.abs(mean - theory) < 4 * error + 3e-3)
    # a theory that forgets the noise of the other examples, or the teacher, is seen
    assert abs(mean[0] - alpha * np.sqrt(2 / np.pi)) > 8 * error[0]
    assert abs(mean[0] - np.sqrt(alpha)) > 8 * error[0]


# --------------------------------------------------------------------------- what they refuse


@pytest.mark.parametrize("name", RULES)
def test_a_loss_without_a_derivative_is_refused(examples, name):
    with pytest.raises(
        ValueError, match=r"`loss` must be finite and have a continuous derivative; got Hin"
    ):
        run(name, examples, 3, loss=Hinge(1.0))
    with pytest.raises(ValueError, match=r"`loss` must be finite .* got Logistic\(lam=inf\)"):
        run(name, examples, 3, loss=Logistic(np.inf))
    with pytest.raises(ValueError, match=r"`loss` must be of type Loss; got 'hinge'"):
        run(name, examples, 3, loss="hinge")


@pytest.mark.parametrize(
    ("rule", "changes", "message"),
    [
        (p.gradient_descent, {"weight_decay": -1.0}, "`weight_decay` must be 0 or positive"),
        (p.gradient_descent, {"loss": Exponential(1.0)}, r"`learning_rate` must be given for Expo"),
        (p.gradient_descent, {"loss": Linear()}, r"`learning_rate` must be given for Linear"),
        (p.gradient_flow, {"loss": Hinge(1.0), "until_time": 1.0}, "`loss` must be finite and"),
        (p.momentum_descent, {"momentum": 1.0}, r"`momentum` must be in \[0, 1\); got 1.0"),
        (p.momentum_descent, {"nesterov": 1}, "`nesterov` must be of type bool; got 1"),
        (p.stochastic_gradient_descent, {"batch_size": 0}, "`batch_size` must be a positive int"),
        (p.stochastic_gradient_descent, {"batch_size": 10**6}, r"`batch_size` must be at most \d+"),
        (p.stochastic_gradient_descent, {"seed": -1}, "`seed` must be a non-negative integer"),
        (p.stochastic_gradient_descent, {"decay": 1.5}, r"`decay` must be in \[0, 1\]; got 1.5"),
        (p.steepest_descent, {"p": 0.5}, "`p` must be at least 1, or inf; got 0.5"),
        (p.steepest_descent, {"normalized": "yes"}, "`normalized` must be of type bool"),
        (p.sign_descent, {"precision": "half"}, "`precision` must be one of single, double"),
        (p.coordinate_descent, {"decay": -0.5}, r"`decay` must be in \[0, 1\]; got -0.5"),
        (p.adam, {"beta1": 1.0}, r"`beta1` must be in \[0, 1\); got 1.0"),
        (p.adam, {"epsilon": -1e-8}, r"`epsilon` must be in \[0, 1\]; got -1e-08"),
        (p.adam, {"learning_rate": 0.0}, "`learning_rate` must be positive and finite; got 0.0"),
    ],
)
def test_refusals(examples, rule, changes, message):
    steps = {} if rule is p.gradient_flow else {"steps": 3}
    with pytest.raises(ValueError, match=message):
        rule(examples, **steps, **changes, progress=False)


def test_one_rule_does_not_go_on_with_another(examples):
    first = run("momentum", examples, 5)
    with pytest.raises(
        ValueError, match="`resume` must come from adam; got a run of momentum_desc"
    ):
        run("adam", examples, 9, resume=first)
    with pytest.raises(ValueError, match=r"`momentum` must be that of `resume`, 0\.8; got 0\.9"):
        run("momentum", examples, 9, resume=first, momentum=0.9)
    with pytest.raises(ValueError, match=r"`loss` must be that of `resume`, Logistic\(lam=1\.0\)"):
        run("momentum", examples, 9, resume=first, loss=Square(1.0))
    sign = run("sign", examples, 5)
    with pytest.raises(ValueError, match=r"`p` must be that of `resume`, inf; got 1\.0"):
        run("coordinate", examples, 9, resume=sign)
    # and what is not asked for is taken over
    again = p.momentum_descent(
        examples, 9, resume=first, momentum=0.8, precision="double", progress=False
    )
    assert again.rule == first.rule


@pytest.mark.parametrize("name", ["momentum", "minibatches", "p = 1.5"])
def test_weights_beyond_all_numbers_are_told(examples, name):
    rule, options = RULES[name]
    with pytest.raises(p.DescentError, match=r"`learning_rate` = 1e\+3\d is too large: .* to inf"):
        rule(examples, 20, 1e36, **options, progress=False)


def test_a_descent_that_climbs_is_told(examples):
    with pytest.raises(p.DescentError, match=r"`learning_rate` = 500 is too large: the mean loss"):
        p.momentum_descent(examples, 50, 500.0, progress=False)
    # sign descent may climb for a while, since its steps shrink
    assert p.sign_descent(examples, 3, 500.0, progress=False).complete
