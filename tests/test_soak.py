"""The soak: random problems against their certificates, and a file that survives anything."""

import dataclasses

import pytest

from validation import soak

SEED = 20261124
FEW = 16


@pytest.fixture(scope="module")
def found():
    return list(soak.points(FEW, SEED))


def check(found):
    """Every point is certified or refused, within the budget and below its own estimate."""
    assert not [point for point in found if point.outcome not in ("certified", "refused")]
    sound = [point for point in found if point.outcome == "certified"]
    assert len(sound) > 0.9 * len(found)
    for point in sound:
        assert max(point.error, point.small, point.log_x, point.variance) <= soak.BUDGET, point
        assert point.error <= point.claimed, point
        assert point.ratio <= 1, point


def test_random_points_are_within_the_budget(found):
    check(found)
    assert len({point.kind for point in found}) > 5


@pytest.mark.slow
def test_many_random_points_are_within_the_budget():
    check(list(soak.points(600, SEED + 1)))


def test_a_point_depends_on_its_number_alone(found):
    assert soak.draw(4, SEED) == found[4]
    assert soak.draw(4, SEED + 1) != found[4]


def test_a_wrong_digit_is_seen(monkeypatch):
    right = soak.solve

    def wrong(problem):
        solution = right(problem)
        eps = solution.generalization_error * (1 + 1e-11)
        return dataclasses.replace(solution, generalization_error=eps)

    monkeypatch.setattr(soak, "solve", wrong)
    row = soak.summary(list(soak.points(4, SEED)))[-1]
    assert row["error"] > soak.BUDGET
    assert row["underestimated"] == row["points"] > 0


def test_points_in_a_file_are_not_computed_again(found, tmp_path, monkeypatch):
    path = tmp_path / "soak.csv"
    list(soak.points(5, SEED, path))
    assert soak.read(path) == found[:5]
    # killed in the middle of a line, in its last number
    path.write_bytes(path.read_bytes()[:-3])
    assert soak.read(path) == found[:4]
    drawn = []
    right = soak.draw
    monkeypatch.setattr(soak, "draw", lambda n, seed: drawn.append(n) or right(n, seed))
    assert sorted(soak.points(6, SEED, path), key=lambda p: p.number) == found[:6]
    assert drawn == [4, 5]
    assert sorted(soak.read(path), key=lambda p: p.number) == found[:6]
    with pytest.raises(ValueError, match="`seed` must be that of the points in"):
        list(soak.points(6, SEED + 1, path))


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "curves.csv"
    path.write_text("P,norm\n1,2\n")
    with pytest.raises(ValueError, match="must have the columns seed, number"):
        list(soak.points(2, SEED, path))
    assert path.read_text() == "P,norm\n1,2\n"


def test_the_summary_counts(found):
    rows = soak.summary(found)
    assert rows[-1]["kind"] == "all"
    assert rows[-1]["points"] == sum(row["points"] for row in rows[:-1])
    assert rows[-1]["error"] == max(row["error"] for row in rows[:-1] if row["points"])
