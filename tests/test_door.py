"""Arrays, scalars and bad input: what goes in at the public doors, and what comes out."""

import dataclasses
import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import replica
from replica import (
    ConvergenceError,
    Hinge,
    Logistic,
    LogisticTeacher,
    Problem,
    RandomLabels,
    SmoothLoss,
    Square,
    SquaredHinge,
    Teacher,
    bayes_optimal,
    convexity_limit,
    gardner_capacity,
    gibbs,
    hebb,
    logistic_storage,
    logistic_teacher_student,
    max_stability,
    optimal_norm,
    ranges,
    separability_capacity,
    solve,
    storage_max_stability,
)
from replica.teachers import LabelModel, NoiseMixture

NUMBERS = [
    "overlap", "one_minus_overlap", "generalization_error", "log_x", "train_loss", "train_error",
    "multiplier", "replicon", "stability", "slope", "error_estimate", "log_c",
    "overlap_error", "variance_error", "log_x_error",
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class TeacherOfMyOwn(LabelModel):
    """Lies in a fraction of the cases."""

    lies: float

    def parameters(self):
        return {"lies": (self.lies, ranges.FLIP)}

    def mixture(self, parameters, size):
        random = 2.0 * parameters["lies"]
        return NoiseMixture((1.0 - random)[:, None], np.zeros((size, 1)), random)


def test_scalars_give_python_numbers():
    solution = logistic_teacher_student(5, 4.5)
    for name in ["alpha", "lam", *NUMBERS, "residual"]:
        assert type(getattr(solution, name)) is float, name
    assert type(solution.iterations) is int
    assert type(solution.status) is str
    assert solution.converged is True
    assert solution.shape == ()
    assert type(gardner_capacity(1)) is float
    assert type(hebb(1).overlap) is float
    # zero-dimensional arrays and numpy scalars are scalars too
    assert str(logistic_teacher_student(np.float32(5), np.array(4.5))) == str(solution)


def test_arrays_equal_loops_of_scalars():
    alpha = np.array([1e-3, 0.3, 5.0, 1e4, 1e8])[:, None]
    lam = np.array([0.0, 1e-6, 0.4, 30.0, 1e6, np.inf])
    table = logistic_teacher_student(alpha, lam)
    assert table.shape == (5, 6)
    for i in range(5):
        for j in range(6):
            one = logistic_teacher_student(alpha[i, 0], lam[j])
            for name in NUMBERS:
                np.testing.assert_array_equal(getattr(table, name)[i, j], getattr(one, name))


def test_threads_do_not_change_a_bit(monkeypatch):
    lam = np.logspace(-3, 3, 500)
    many = logistic_teacher_student(5.0, lam)
    monkeypatch.setattr("replica.common.processors.count", lambda: 1)
    one = logistic_teacher_student(5.0, lam)
    np.testing.assert_array_equal(many.generalization_error, one.generalization_error)


def test_blocks_do_not_change_a_bit(monkeypatch):
    lam = np.logspace(-3, 3, 50)
    whole = logistic_teacher_student(5.0, lam)
    monkeypatch.setattr("replica.saddle_point.BLOCK", 7)
    cut = logistic_teacher_student(5.0, lam)
    np.testing.assert_array_equal(whole.generalization_error, cut.generalization_error)
    np.testing.assert_array_equal(whole.margins.mean(), cut.margins.mean())


def test_broadcasting_of_all_arguments():
    flips = logistic_teacher_student(
        np.array([1.0, 5.0])[:, None, None],
        np.array([0.1, 0.5, 0.9])[:, None],
        label_flip=np.array([0.0, 0.1]),
        label_noise=0.2,
    )
    assert flips.shape == (2, 3, 2)
    one = logistic_teacher_student(5.0, 0.5, label_flip=0.1, label_noise=0.2)
    assert flips.overlap[1, 1, 1] == one.overlap
    assert flips[1, 1, 1].overlap == one.overlap
    assert flips[1, 1, 1].problem.teacher == Teacher(0.1, 0.2)
    assert flips[1].shape == (3, 2)
    assert flips[..., 0].margins.mean().shape == (2, 3)


def test_empty_arrays():
    assert logistic_teacher_student([], 1.0).generalization_error.shape == (0,)
    assert hebb([]).overlap.shape == (0,)
    assert optimal_norm(np.zeros((0, 3))).lam.shape == (0, 3)


def test_a_solution_is_frozen_and_travels():
    solution = logistic_teacher_student([1.0, 5.0], 1.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        solution.overlap = 0
    with pytest.raises(ValueError, match="read-only"):
        solution.overlap[0] = 0
    again = pickle.loads(pickle.dumps(solution))
    np.testing.assert_array_equal(again.overlap, solution.overlap)
    np.testing.assert_array_equal(again.margins.pdf(0.5), solution.margins.pdf(0.5))
    record = json.loads(json.dumps(solution[1].to_dict()))
    assert record["generalization_error"] == solution.generalization_error[1]
    with pytest.raises(IndexError, match="a record of scalars cannot be indexed"):
        solution[1][0]


def own_hinge(margin):
    built_in = SquaredHinge(margin)
    return SmoothLoss(built_in.value, built_in.derivative, built_in.curvature)


def own(V, dV, d2V):
    return solve(Problem(5.0, SmoothLoss(V, dV, d2V)))


student = logistic_teacher_student  # short, for the table below


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: student(-0.3, 1), r"`alpha` must be positive.*; got -0.3"),
        (lambda: student(0, 1), "`alpha` must be positive"),
        (lambda: student(np.inf, 1), "`alpha` must be positive and finite.*got inf"),
        (lambda: student(np.nan, 1), "`alpha` must be positive.*; got nan"),
        (lambda: student(1, -2), r"`lam` must be non-negative.*; got -2"),
        (lambda: student(1, np.nan), "`lam` must be non-negative.*; got nan"),
        (lambda: student("one", 1), "`alpha` must be a real number.*got 'one'"),
        (lambda: student(1 + 1j, 1), "`alpha` must be a real number"),
        (lambda: student(None, 1), "`alpha` must be a real number.*got None"),
        (lambda: student([1, 2], [1, 2, 3]), "arguments must broadcast.*`lam` .3,"),
        (lambda: student([[1], [1, 2]], 1), "`alpha` must be a real number"),
        (lambda: student(1, 1, label_flip=0.6), r"`label_flip` must lie in .0, 0.5"),
        (lambda: student(1, 1, label_noise=-1), "`label_noise` must be non-negative"),
        (lambda: student(9, 1e3, label_flip=0.1), "`lam` must not exceed 1.41664"),
        (lambda: student(9, np.inf, label_flip=0.1), "`alpha` must be below 2.99"),
        (lambda: logistic_storage(2, np.inf), "`alpha` must be below 2 .*got 2"),
        (lambda: logistic_storage(3, 2), "`lam` must not exceed 1.18352.*; got 2"),
        (lambda: storage_max_stability(2), r"`alpha` must be in \(0, 2\).*; got 2"),
        (lambda: gardner_capacity(-0.5), "`kappa` must be non-negative.*; got -0.5"),
        (lambda: gibbs(0), "`alpha` must be positive"),
        (lambda: bayes_optimal(np.nan), "`alpha` must be positive"),
        (lambda: max_stability(-1), "`alpha` must be positive"),
        (lambda: optimal_norm(-1), "`alpha` must be positive"),
        (lambda: convexity_limit(-1), "`alpha` must be positive"),
        (lambda: separability_capacity(label_flip=1), "`label_flip` must lie in"),
        (lambda: SmoothLoss(np.exp, np.exp, None), "`d2V` must be a function.*None"),
        (lambda: SmoothLoss(1.0, np.exp, np.exp), "`V` must be a function"),
        (lambda: solve(Problem(5, Hinge(0.1))), "must exceed the maximum stability 0.1967"),
        (lambda: solve(Problem(5, Hinge(np.nan))), "`margin` must be finite"),
        (lambda: solve(Problem(0.5, Square(0.1))), "`margin` must be large enough"),
        (lambda: solve(Problem(5, Square(0.1))), "`alpha` must be small enough for the norm"),
        (lambda: solve(Problem(5, Square(-1))), "`margin` must be positive"),
        (lambda: Problem(5, "logistic"), "`loss` must be a Loss such as"),
        (lambda: Problem(5, Logistic(1), 0.1), "`teacher` must be a Teacher"),
        (lambda: solve(Problem(5, Logistic(1), LogisticTeacher(-1))), "`slope` must be positive"),
        (lambda: solve(Problem(5, Logistic(1), LogisticTeacher([1]))), "must be one number"),
        (
            lambda: solve(Problem(5, SmoothLoss(np.exp, np.exp, np.exp))),
            "`dV` must be negative at some margin",
        ),
        (lambda: own(np.sin, np.sin, np.cos), "`dV` must be the derivative of `V`"),
        (lambda: own(np.exp, np.exp, np.sin), "`d2V` must be the derivative of `dV`"),
        (lambda: own(np.cos, lambda d: -np.sin(d), lambda d: -np.cos(d)), "convex"),
        (lambda: own(np.sum, np.exp, np.exp), "must return an array of the shape"),
        (lambda: own(math.exp, math.exp, math.exp), "must take a float64 array"),
        (lambda: solve(Problem(0.5, own_hinge(0.3))), "log x diverges, many weights"),
    ],
)  # fmt: skip
def test_bad_input_names_argument_rule_and_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_bad_entries_of_an_array_are_marked_and_the_others_kept():
    table = logistic_teacher_student(
        [5.0, -1.0, 5.0, 5.0, 5.0, 5.0], [1.0, 1.0, -1.0, 1e3, np.inf, 1.0],
        label_flip=[0.1, 0.1, 0.1, 0.1, 0.1, 0.7],
    )  # fmt: skip
    np.testing.assert_array_equal(table.converged, [True] + [False] * 5)
    for name in NUMBERS:
        assert np.isnan(getattr(table, name)[1:]).all(), name
    assert table.overlap[0] == logistic_teacher_student(5.0, 1.0, label_flip=0.1).overlap
    for status, word in zip(
        table.status[1:], ["`alpha`", "`lam`", "`lam`", "`alpha`", "`label_flip`"], strict=True
    ):
        assert status.startswith(word)
        assert "; got " in status
    assert "convexity_limit" in table.status[3]
    limit = convexity_limit(5.0, label_flip=0.1)
    for teacher in (
        Teacher(label_flip=0.1),
        RandomLabels(),
        LogisticTeacher(1.0),
        TeacherOfMyOwn(0.1),
    ):
        beyond = solve(Problem([5.0, 5.0], Logistic([0.01, 1e3]), teacher))
        assert beyond.converged[0]
        assert beyond.status[1].startswith("`lam` must not exceed the limit of convexity")
        assert "`convexity_limit` computes it" in beyond.status[1]
        assert convexity_limit(5.0, teacher=teacher) < 1e3
    with pytest.raises(ValueError, match=f"`lam` must not exceed {limit:.10g}, the limit"):
        solve(Problem(5.0, Logistic(1e3), TeacherOfMyOwn(0.1)))
    rules = hebb([1.0, -1.0])
    assert np.isnan(rules.overlap[1])
    assert rules.status[1].startswith("`alpha` must be positive")
    assert rules.overlap[0] == hebb(1.0).overlap
    best = optimal_norm([1.0, np.nan])
    assert np.isnan(best.lam[1])
    assert best.lam[0] == pytest.approx(optimal_norm(1.0).lam, rel=1e-12)
    with pytest.warns(RuntimeWarning, match="1 of 2 entries are nan: `kappa` must be non-negative"):
        assert np.isnan(gardner_capacity([1.0, -1.0])[1])


def test_a_solver_that_fails_says_so_and_shows_where_it_stood(monkeypatch):
    monkeypatch.setattr("replica.solver.HALVINGS", 0)
    monkeypatch.setattr("replica.solver.LONGEST_STEP", 1e-6)
    with pytest.raises(ConvergenceError, match="the saddle point was not reached in") as caught:
        solve(Problem(1.0, Hinge(2.0)))
    assert np.isfinite(caught.value.solution.log_x)
    table = solve(Problem([1.0, -1.0], Hinge(2.0)))
    assert table.status[0].startswith("not converged")
    assert np.isnan(table.overlap).all()


any_number = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True),
    st.integers(-(10**30), 10**30),
    st.sampled_from([5e-324, -0.0, 1e308, 2.0**-1074, np.nan, np.inf, -np.inf, True]),
)


@given(any_number, any_number, any_number, any_number)
def test_any_scalar_gives_a_solution_or_a_sentence(alpha, lam, flip, noise):
    try:
        solution = logistic_teacher_student(alpha, lam, label_flip=flip, label_noise=noise)
    except ValueError as error:
        said = str(error)
    else:
        assert 0 < solution.generalization_error <= 0.5
        assert solution.error_estimate < 1e-12
        return
    assert said.startswith("`")
    assert "; got " in said


@given(
    hnp.arrays(np.float64, hnp.array_shapes(max_dims=2, max_side=4), elements=st.floats(width=64)),
    st.sampled_from([hebb, gibbs, bayes_optimal, max_stability, optimal_norm]),
)
def test_any_array_is_answered_entry_by_entry(alpha, rule):
    answer = rule(alpha)
    good = (alpha >= (1e-6 if rule is optimal_norm else 1e-15)) & (alpha <= 1e15)
    assert answer.generalization_error.shape == alpha.shape
    np.testing.assert_array_equal(np.isfinite(answer.generalization_error), good)
    np.testing.assert_array_equal(answer.status == "converged", good)


@given(st.floats(-15, 15), st.one_of(st.floats(-30, 20), st.just(np.inf)), st.floats(0, 0.5))
def test_the_whole_admitted_range_converges(log_alpha, log_lam, flip):
    """Far outside the range of the promise too: an answer with its error, or no answer."""
    alpha, lam = np.clip(10.0**log_alpha, 1e-15, 1e15), np.clip(10.0**log_lam, 1e-30, 1e20)
    clean = logistic_teacher_student(alpha, lam)
    assert clean.error_estimate < 1e-11
    noisy = logistic_teacher_student([alpha], lam, label_flip=flip)
    assert noisy.converged[0] or "; got " in noisy.status[0]


def test_integers_lists_and_other_dtypes():
    expected = logistic_teacher_student(5.0, 2.0).overlap
    for alpha in (
        5,
        np.int8(5),
        np.float16(5),
        [5],
        (5,),
        np.array([5], dtype=object),
        [np.array(5)],
    ):
        assert np.ravel(logistic_teacher_student(alpha, 2).overlap)[0] == expected
    assert logistic_teacher_student(True, 2).alpha == 1.0


def test_everything_promised_can_be_imported():
    for name in replica.__all__:
        assert getattr(replica, name).__doc__, name


def test_storage_is_a_teacher():
    one = solve(Problem([0.4, 1.0], Logistic(2.0), RandomLabels()))
    np.testing.assert_array_equal(one.log_x, logistic_storage([0.4, 1.0], 2.0).log_x)
