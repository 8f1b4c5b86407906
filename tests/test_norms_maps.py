"""Linear maps against the dense matrices that they are: sigma, its bracket, row norms."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from rounding import gamma
from torch import nn

from deepnorm.norms import NormTracker, davidson, maps, measure, spectral_complexity, torus
from deepnorm.norms.trace import named_tensors, trace

#: What the issue asks of sigma, and what is reached: the iteration stops at 1e-9 by its estimate.
ASKED, REACHED = 1e-6, 1e-8
#: Of row norms: sums of a few hundred squares in double precision.
ROWS = 1e-12
#: Of the ends of a bracket, and of a sigma that they enclose: norms of products of fewer than a
#: thousand numbers each.
ENDS = gamma(2000)


#: Of single precision: sums of a few hundred products.
SINGLE = 300 * torch.finfo(torch.float32).eps


def dense_twin(function, shape):
    """The matrix of a linear function, column by column, from its values on unit vectors."""
    size = math.prod(shape)
    with torch.no_grad():
        offset = function(torch.zeros((1, *shape), dtype=torch.float64))
        unit = torch.eye(size, dtype=torch.float64).view(size, *shape)
        return (function(unit) - offset).reshape(size, -1).T


def the_use(layer, shape):
    graph = trace(layer, shape)
    (use,) = graph.uses
    return use, use.weight(named_tensors(layer))


def sigma_warm(linear_map, weight):
    finder = measure.Warm(measure.TOLERANCE)
    found = finder.exact(linear_map, weight)
    return (found or finder.iterated("", linear_map, weight, measure.TOLERANCE)).value


@st.composite
def layers(draw):
    """A convolution or its transpose of any setting, with an input it fits."""
    axes = draw(st.integers(1, 2))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    inputs, outputs = (groups * draw(st.integers(1, 3)) for _ in range(2))
    kernel, stride, dilation = (
        tuple(draw(st.integers(1, most)) for _ in range(axes)) for most in (4, 3, 2)
    )
    size = tuple(
        draw(st.integers(d * (k - 1) + 1, 9)) for k, d in zip(kernel, dilation, strict=True)
    )
    transposed = draw(st.booleans())
    if transposed:
        padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
        more = tuple(
            draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
        )
        build = (nn.ConvTranspose1d, nn.ConvTranspose2d)[axes - 1]
        settings = {"output_padding": more}
    else:
        mode = draw(st.sampled_from(["zeros", "circular", "reflect", "replicate"]))
        same = draw(st.booleans()) and set(stride) == {1}
        most = 3 if mode == "zeros" else min(size) - 1
        padding = "same" if same else tuple(draw(st.integers(0, min(3, most))) for _ in kernel)
        if same and mode == "reflect":
            padding = "valid"
        build = (nn.Conv1d, nn.Conv2d)[axes - 1]
        settings = {"padding_mode": mode}
    layer = build(
        inputs,
        outputs,
        kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
        **settings,
    )
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    weight = torch.randn(layer.weight.shape, generator=generator)
    layer.weight = nn.Parameter(weight.abs() if draw(st.booleans()) else weight)
    return layer.double(), (inputs, *size)


#: torch says once in a process that an even kernel costs a copy.
OF_EVEN_KERNELS = "ignore:Using padding='same'"


@pytest.mark.filterwarnings(OF_EVEN_KERNELS)
@settings(max_examples=75)
@given(layers())
def test_convolutions_are_the_matrices_that_they_are(case):
    layer, shape = case
    try:
        matrix = dense_twin(layer, shape)
    except RuntimeError:  # torch refuses the setting
        return
    if matrix.numel() == 0:
        return
    use, weight = the_use(layer, shape)
    sigma = float(torch.linalg.matrix_norm(matrix, 2))
    found = measure.sigma_cold(use.map, weight)
    assert found.value == pytest.approx(sigma, rel=REACHED, abs=1e-12)
    assert found.lower <= sigma * (1 + ENDS)
    assert found.upper >= sigma * (1 - ENDS)
    assert sigma_warm(use.map, weight) == pytest.approx(sigma, rel=ASKED, abs=1e-12)
    average, total = use.map.norm_21(weight)
    rows = torch.linalg.vector_norm(matrix, dim=1)
    assert float(total) == pytest.approx(float(rows.sum()), rel=ROWS)
    assert float(average) == pytest.approx(float(rows.mean()), rel=ROWS)
    assert use.map.rows == len(rows)


@pytest.mark.filterwarnings(OF_EVEN_KERNELS)
@settings(max_examples=40)
@given(layers(), st.integers(1, 13), st.booleans())
def test_sigma_is_as_good_as_was_asked_for(case, digits, degenerate):
    layer, shape = case
    if degenerate:  # every output channel the same kernel, and groups that repeat one another
        layer.weight.data[:] = layer.weight.data[:1].clone()
    try:
        matrix = dense_twin(layer, shape)
    except RuntimeError:  # torch refuses the setting
        return
    if matrix.numel() == 0:
        return
    use, weight = the_use(layer, shape)
    sigma = float(torch.linalg.matrix_norm(matrix, 2))
    found = measure.sigma_cold(use.map, weight, 10.0**-digits)
    assert abs(found.value - sigma) <= (10.0**-digits + ENDS) * sigma
    assert found.error <= 10.0**-digits
    assert found.lower <= sigma * (1 + ENDS)
    assert found.upper >= sigma * (1 - ENDS)


@pytest.mark.filterwarnings(OF_EVEN_KERNELS)
@settings(max_examples=40)
@given(layers())
def test_the_torus_holds_the_map(case):
    # On the side that is iterated: the map's normal matrix lies below a corner of the torus'.
    layer, shape = case
    try:
        layer(torch.zeros((1, *shape), dtype=torch.float64))
    except RuntimeError:
        return
    use, weight = the_use(layer, shape)
    found = use.map.torus(weight)
    normal = use.map.normal()
    if not found.holds or 0 in normal.shape:
        return
    size = math.prod(normal.shape)
    unit = torch.eye(size, dtype=torch.float64).view(size, *normal.shape)
    matrix = normal.back(weight, normal.out(weight, unit)).reshape(size, size)
    lengths = [axis.length for axis in found.axes]
    indices = torch.cartesian_prod(*map(torch.arange, lengths)).view(-1, len(lengths))
    symbols = found.at(indices, lengths)
    waves = torch.fft.fftn(unit, s=lengths, dim=list(range(2, 2 + len(lengths))))
    waves = waves.view(size, found.groups, found.side, -1).permute(3, 1, 2, 0)
    inside = (waves.mH @ symbols @ waves).sum(dim=(0, 1)) / len(indices)
    scale = float(weight.abs().sum()) ** 2
    assert float(inside.imag.abs().max()) <= ENDS * scale
    assert float(torch.linalg.eigvalsh(inside.real - matrix)[0]) >= -size * ENDS * scale


@pytest.mark.filterwarnings(OF_EVEN_KERNELS)
@settings(max_examples=20)
@given(layers(), st.integers(0, 99))
def test_the_two_halves_of_a_normal_map_are_transposes(case, seed):
    layer, shape = case
    try:
        layer(torch.zeros((1, *shape), dtype=torch.float64))
    except RuntimeError:
        return
    use, weight = the_use(layer, shape)
    generator = torch.Generator().manual_seed(seed)
    normal = use.map.normal()
    x = torch.randn((1, *normal.shape), generator=generator, dtype=torch.float64)
    image = normal.out(weight, x)
    y = torch.randn(image.shape, generator=generator, dtype=torch.float64)
    back = normal.back(weight, y)
    assert torch.allclose((image * y).sum(), (x * back).sum(), rtol=1e-10, atol=1e-10)


def test_a_three_dimensional_convolution_too():
    layer = nn.Conv3d(2, 3, (2, 3, 2), stride=(1, 2, 1), padding=(1, 1, 0)).double()
    use, weight = the_use(layer, (2, 3, 4, 3))
    matrix = dense_twin(layer, (2, 3, 4, 3))
    found = measure.sigma_cold(use.map, weight)
    sigma = float(torch.linalg.matrix_norm(matrix, 2))
    assert found.value == pytest.approx(sigma, rel=REACHED)
    assert found.upper >= sigma * (1 - ENDS)
    rows = torch.linalg.vector_norm(matrix, dim=1).mean()
    assert float(use.map.norm_21(weight)[0]) == pytest.approx(float(rows), rel=ROWS)


@pytest.mark.parametrize("shape", [(7, 5), (5, 7), (1, 6), (6, 1), (3, 4, 5)])
def test_dense_matrices_and_blocks(shape):
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(shape, generator=generator, dtype=torch.float64)
    dense = maps.Dense(shape, copies=4)
    matrix = torch.block_diag(*weight) if len(shape) == 3 else weight
    sigma = float(torch.linalg.matrix_norm(matrix, 2))
    found = measure.sigma_cold(dense, weight)
    assert found.value == found.lower == found.upper == pytest.approx(sigma, rel=1e-13)
    average, total = dense.norm_21(weight)
    rows = torch.linalg.vector_norm(matrix, dim=1)
    assert float(average) == pytest.approx(float(rows.mean()), rel=ROWS)
    assert float(total) == pytest.approx(4 * float(rows.sum()), rel=ROWS)


def test_the_bound_is_within_two_percent_where_the_image_is_large():
    # What is cut off is a border: the torus is nearly the truth.
    layer = nn.Conv2d(3, 4, 3, padding=1).double()
    for size, excess in ((8, 0.2), (32, 0.02), (100, 0.02)):
        use, weight = the_use(layer, (3, size, size))
        found = measure.sigma_cold(use.map, weight)
        assert found.value <= found.upper <= (1 + excess) * found.value


def test_the_bound_holds_between_the_frequencies_that_it_looks_at():
    # A kernel whose spectrum peaks between two of the few frequencies of a long axis.
    n, k = 397, 5
    places = torch.arange(k, dtype=torch.float64)
    frequency = 2 * math.pi * (3.5 / torus.FREQUENCIES)
    layer = nn.Conv1d(1, 1, k, padding=k - 1, bias=False).double()
    layer.weight.data = torch.cos(frequency * places).view(1, 1, k)
    use, weight = the_use(layer, (1, n))
    found = measure.sigma_cold(use.map, weight)
    assert found.lower <= found.upper <= 1.05 * found.lower


def test_circular_padding_has_an_exact_bound():
    layer = nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular").double()
    use, weight = the_use(layer, (2, 6, 5))
    found = measure.sigma_cold(use.map, weight)
    assert found.upper == pytest.approx(found.value, rel=1e-7)


def test_a_kernel_that_is_its_stride_is_its_reshaped_matrix():
    layer = nn.Conv2d(3, 5, 4, stride=4).double()
    use, weight = the_use(layer, (3, 16, 16))
    found = measure.sigma_cold(use.map, weight)
    assert found.method == "exact"
    assert found.value == pytest.approx(
        float(torch.linalg.matrix_norm(weight.flatten(1), 2)), rel=1e-13
    )


def test_reshaping_the_kernel_gives_too_little():
    # The number that other programs call the norm of a 3 x 3 convolution.
    layer = nn.Conv2d(8, 8, 3, padding=1).double()
    use, weight = the_use(layer, (8, 12, 12))
    reshaped = float(torch.linalg.matrix_norm(weight.flatten(1), 2))
    assert 0.3 < reshaped / measure.sigma_cold(use.map, weight).value < 0.9


def test_zero_weights_have_norm_zero():
    layer = nn.Conv2d(2, 2, 3, padding=1).double()
    layer.weight.data.zero_()
    use, weight = the_use(layer, (2, 5, 5))
    assert measure.sigma_cold(use.map, weight).value == 0
    assert sigma_warm(use.map, weight) == 0


def test_many_equal_singular_values_end_the_iteration():
    layer = nn.Conv2d(2, 2, 3, padding=1, bias=False).double()
    layer.weight.data.zero_()
    layer.weight.data[[0, 1], [0, 1], 1, 1] = 3.0
    use, weight = the_use(layer, (2, 20, 20))
    assert measure.sigma_cold(use.map, weight).value == pytest.approx(3.0, rel=1e-12)


def test_a_vector_that_was_overtaken_is_left():
    # Groups do not see one another: the old vector has no part along the new one.
    layer = nn.Conv2d(2, 2, 3, padding=1, groups=2, bias=False)
    torch.manual_seed(0)
    layer.weight.data = torch.rand_like(layer.weight)
    layer.weight.data[0] *= 2
    model = nn.Sequential(layer, nn.Flatten(), nn.Linear(2 * 12 * 12, 3))
    tracker = NormTracker(model, (2, 12, 12))
    tracker.measure()
    for ratio in (1.001, 1.05, 2.0):
        layer.weight.data[0], layer.weight.data[1] = (
            layer.weight.data[0].clone(),
            ratio * layer.weight.data[0].clone(),
        )
        exact = spectral_complexity(model, (2, 12, 12)).log_value
        assert tracker.measure()["eq2"] == pytest.approx(exact, abs=1e-6)


def test_two_equal_groups_and_a_wave_with_its_mirror_image():
    # Degenerate to rounding, and nearly: whichever of the vectors is met, the value is right.
    generator = torch.Generator().manual_seed(4)
    layer = nn.Conv2d(6, 6, 3, padding=1, groups=2, bias=False).double()
    kernel = torch.randn((3, 3, 3, 3), generator=generator, dtype=torch.float64)
    for ratio in (1.0, 1 + 1e-9, 1 + 1e-5):
        layer.weight.data = torch.cat([kernel, ratio * kernel])
        use, weight = the_use(layer, (6, 10, 10))
        one = torch.linalg.matrix_norm(dense_twin(layer, (6, 10, 10)), 2)
        found = measure.sigma_cold(use.map, weight, 1e-12)
        assert found.value == pytest.approx(float(one), rel=1e-12 + ENDS)


def test_a_preconditioner_saves_products():
    layer = nn.Conv2d(8, 8, 3, padding=1).double()
    use, weight = the_use(layer, (8, 24, 24))
    normal, known = use.map.normal(), use.map.torus(weight).preconditioner()
    start = davidson.random_vectors(2, normal.shape, weight, 0)
    start = known.apply(known.apply(start))  # as `Cold` does: a part along what lies close together
    helped = davidson.largest_singular_value(normal, weight, start, 1e-8, known)
    alone = davidson.largest_singular_value(normal, weight, start, 1e-8)
    assert helped.value == pytest.approx(alone.value, rel=REACHED)
    assert helped.steps < 0.8 * alone.steps


@pytest.mark.parametrize("groups", [1, 2])
def test_the_largest_eigenvalue_of_all_frequencies_is_found(groups):
    generator = torch.Generator().manual_seed(5)
    layer = nn.Conv2d(12, 12, 3, padding=1, groups=groups, bias=False).double()
    layer.weight.data = torch.randn(layer.weight.shape, generator=generator, dtype=torch.float64)
    use, weight = the_use(layer, (12, 9, 14))
    found = use.map.torus(weight)
    points, indices = found._grid
    matrices = found.at(indices, points)
    exact = torch.linalg.eigvalsh(matrices)[..., -1]
    assert found.spectrum.largest == pytest.approx(float(exact.max()), rel=ENDS)
    # Ritz values of single precision: sums of 144 products.
    values, vectors = found.spectrum.values, found.spectrum.vectors.to(matrices)[..., None]
    assert bool((values <= exact * (1 + SINGLE)).all())
    quotients = (vectors.mH @ matrices @ vectors)[..., 0, 0].real
    assert torch.allclose(quotients, values, rtol=SINGLE)


def test_what_a_search_hands_over_may_be_turned_within_its_span():
    layer = nn.Conv2d(4, 4, 3, padding=1).double()
    use, weight = the_use(layer, (4, 8, 8))
    normal = use.map.normal()
    start = davidson.random_vectors(2, normal.shape, weight, 0)
    vectors = davidson.largest_singular_value(normal, weight, start, 1e-9).vectors.flatten(1)
    found = []
    for angle in (0.0, 0.6):
        turn = torch.tensor(
            [[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]]
        ).double()
        search = davidson._Search(normal, weight, None, (0.1, 0.1))
        found.append(search.check(torch.linalg.qr((turn @ vectors).mT).Q.mT.contiguous())[2])
    assert found[1] == pytest.approx(found[0], rel=ENDS)


@pytest.mark.parametrize("smooth", [False, True])
def test_an_error_that_is_told_holds(smooth):
    # Waves and their mirror images: pairs that lie together as 1e-3 and less.
    generator = torch.Generator().manual_seed(6)
    layer = nn.Conv2d(8, 8, 3, padding=1, bias=False).double()
    weight = torch.randn(layer.weight.shape, generator=generator, dtype=torch.float64)
    layer.weight.data = weight.cumsum(2).cumsum(3) if smooth else weight
    use, weight = the_use(layer, (8, 20, 20))
    sigma = measure.sigma_cold(use.map, weight, 1e-13).value
    for tolerance in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8):
        found = measure.sigma_cold(use.map, weight, tolerance)
        assert found.value <= sigma * (1 + ENDS)
        assert sigma - found.value <= (found.error + ENDS) * sigma
        assert found.error <= tolerance


def test_single_precision_that_is_none_is_left():
    # Some machines multiply with fewer bits than they say: the rest is done in double precision.
    layer = nn.Conv2d(4, 4, 3, padding=1).double()
    use, weight = the_use(layer, (4, 12, 12))
    normal = use.map.normal()

    def coarse(weight, x):
        if x.dtype == torch.float32:
            return normal.out(weight.bfloat16().float(), x.bfloat16().float())
        return normal.out(weight, x)

    start = davidson.random_vectors(2, normal.shape, weight, 0)
    poor = davidson.Normal(normal.shape, coarse, normal.back)
    found = davidson.largest_singular_value(poor, weight, start, 1e-9)
    sigma = float(torch.linalg.matrix_norm(dense_twin(layer, (4, 12, 12)), 2))
    assert found.value == pytest.approx(sigma, rel=REACHED)


def test_the_tolerance_of_ln_R_is_kept():
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 3, stride=2), nn.ReLU(),
        nn.Flatten(), nn.Linear(150, 4),
    )  # fmt: skip
    for convention in ("eq2", "bartlett"):
        exact = spectral_complexity(model, (2, 12, 12), convention=convention, tolerance=1e-12)
        assert exact.log_error <= 1e-12 * max(1.0, abs(exact.log_value))
        for tolerance in (1e-2, 1e-5):
            found = spectral_complexity(
                model, (2, 12, 12), convention=convention, tolerance=tolerance
            )
            allowed = tolerance * max(1.0, abs(exact.log_value))
            assert abs(found.log_value - exact.log_value) <= allowed
            assert found.log_error <= allowed
        tracked = NormTracker(model, (2, 12, 12), conventions=(convention,), tolerance=1e-10)
        values = [tracked.measure()[convention] for _ in range(3)]
        assert values == pytest.approx([exact.log_value] * 3, abs=1e-10)


def test_the_basis_is_dropped_when_it_is_full(monkeypatch):
    monkeypatch.setattr(davidson, "LONGEST", 10)
    layer = nn.Conv2d(2, 3, 3, padding=1).double()
    use, weight = the_use(layer, (2, 14, 14))
    matrix = dense_twin(layer, (2, 14, 14))
    found = measure.sigma_cold(use.map, weight)
    assert found.value == pytest.approx(float(torch.linalg.matrix_norm(matrix, 2)), rel=REACHED)


def test_an_iteration_that_was_stopped_says_so(monkeypatch):
    monkeypatch.setattr(davidson, "MOST_STEPS", 3)
    layer = nn.Conv2d(2, 3, 3, padding=1).double()
    use, weight = the_use(layer, (2, 14, 14))
    found = measure.sigma_cold(use.map, weight)
    assert "stopped at a relative error" in found.method
    sigma = float(torch.linalg.matrix_norm(dense_twin(layer, (2, 14, 14)), 2))
    assert found.lower <= sigma * (1 + ENDS)
    assert found.upper >= sigma * (1 - ENDS)


def test_a_large_dense_matrix_is_bracketed(monkeypatch):
    monkeypatch.setattr(measure, "LARGE", 100.0)
    weight = torch.randn((40, 30), generator=torch.Generator().manual_seed(0)).double()
    found = measure.sigma_cold(maps.Dense((40, 30)), weight)
    sigma = float(torch.linalg.matrix_norm(weight, 2))
    assert found.value == pytest.approx(sigma, rel=REACHED)
    assert found.lower <= sigma * (1 + ENDS)
    assert found.upper >= sigma * (1 - ENDS)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_the_same_norm():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding="same", padding_mode="circular"),
        nn.Flatten(),
        nn.Linear(8 * 64, 10),
    )
    cpu = spectral_complexity(model, (3, 16, 16), convention="bartlett").log_value
    model.cuda()
    assert spectral_complexity(
        model, (3, 16, 16), convention="bartlett"
    ).log_value == pytest.approx(cpu, abs=1e-6)
    assert NormTracker(model, (3, 16, 16)).measure()["eq2"] == pytest.approx(
        spectral_complexity(model, (3, 16, 16)).log_value, abs=1e-6
    )


def test_padding_before_a_convolution_is_part_of_it():
    # Written as a function, a module or a mode: one map.
    kernel = nn.Conv2d(2, 3, 3, bias=False).double()
    shape = (2, 6, 7)
    reference = nn.Conv2d(2, 3, 3, padding=(1, 2), padding_mode="replicate", bias=False).double()
    reference.weight = kernel.weight

    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.kernel = kernel

        def forward(self, x):
            return self.kernel(F.pad(x, (2, 2, 1, 1), mode="replicate"))

    module = nn.Sequential(nn.ReplicationPad2d((2, 2, 1, 1)), kernel)
    values = [spectral_complexity(m, shape).log_value for m in (reference, Functional(), module)]
    assert values == pytest.approx([values[0]] * 3, abs=1e-12)
