"""Networks: their sizes counted by hand, seeds, factors, refusals, and members packed by vmap."""

import copy

import pytest
import torch
from rounding import U_SINGLE
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from deepnorm.networks import NAMES, build
from deepnorm.networks.initial import initialise, widened
from deepnorm.networks.resnet import BasicBlock

GREY, SMALL, COLOUR = (1, 28, 28), (1, 8, 8), (3, 32, 32)
#: Sums of a few hundred products in double precision, taken in another order, and what the square
#: roots of small variances make of that.
ROUNDING = 1e-11
#: The smallest of each kind; the others differ by their tables of sizes alone.
KINDS = ("cnn-small", "resnet-small", "vit-small")


def dense(inputs, outputs):
    return inputs * outputs + outputs


def conv(inputs, outputs, side=3):
    return side * side * inputs * outputs


def block(inputs, outputs):
    """Two convolutions with their norms; a third where channels change."""
    count = conv(inputs, outputs) + conv(outputs, outputs) + 4 * outputs
    return count + (conv(inputs, outputs, 1) + 2 * outputs if inputs != outputs else 0)


def resnet(channels, blocks, widths, classes):
    count = conv(channels, widths[0]) + 2 * widths[0]
    inputs = widths[0]
    for number, width in zip(blocks, widths, strict=True):
        count += block(inputs, width) + (number - 1) * block(width, width)
        inputs = width
    return count + dense(inputs, classes)


def vit(channels, patch, tokens, dim, depth, classes):
    attention, mlp = 4 * dense(dim, dim), dense(dim, 4 * dim) + dense(4 * dim, dim)
    count = conv(channels, dim, patch) + dim + dim + (tokens + 1) * dim
    return count + depth * (attention + mlp + 4 * dim) + 2 * dim + dense(dim, classes)


def cnn(channels, widths, inputs, hidden, classes):
    count = 0
    for width in widths:
        count, channels = count + conv(channels, width) + width, width
    for width in (*hidden, classes):
        count, inputs = count + dense(inputs, width), width
    return count


COUNTS = [
    ("cnn", GREY, 10, cnn(1, (32, 64, 128), 128 * 14 * 14, (512,), 10)),
    ("cnn", COLOUR, 10, cnn(3, (32, 64, 128), 128 * 16 * 16, (512,), 10)),
    ("cnn-cifar100", COLOUR, 100, cnn(3, (64, 128, 256, 512), 512 * 8 * 8, (1024, 512), 100)),
    ("cnn-small", GREY, 10, 160 + 4640 + 1568 * 64 + 64 + 650),
    ("cnn-small", SMALL, 10, 160 + 4640 + 128 * 64 + 64 + 650),
    ("resnet", COLOUR, 10, resnet(3, (2, 2, 2, 2), (64, 128, 256, 512), 10)),
    ("resnet", COLOUR, 10, 11_173_962),  # that of the well-known ResNet-18 for CIFAR-10
    ("resnet-mnist", GREY, 10, resnet(1, (2, 2, 2, 2), (16, 32, 64, 128), 10)),
    ("resnet-cifar100", COLOUR, 100, resnet(3, (3, 4, 6, 3), (64, 128, 256, 512), 100)),
    ("resnet-small", COLOUR, 10, resnet(3, (1, 1, 1), (16, 32, 64), 10)),
    ("vit", COLOUR, 10, vit(3, 4, 64, 192, 6, 10)),
    ("vit-mnist", GREY, 10, vit(1, 7, 16, 128, 4, 10)),
    ("vit-cifar100", COLOUR, 100, vit(3, 4, 64, 256, 6, 100)),
    ("vit-small", GREY, 10, vit(1, 4, 49, 64, 4, 10)),
]


def state(network):
    return torch.cat([value.flatten().double() for value in network.state_dict().values()])


@pytest.mark.parametrize(("name", "shape", "classes", "count"), COUNTS)
def test_sizes_are_those_counted_by_hand(name, shape, classes, count):
    network = build(name, shape, classes, seed=0)
    assert sum(parameter.numel() for parameter in network.parameters()) == count


def test_every_network_was_counted():
    assert {name for name, *_ in COUNTS} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_logits_are_finite_and_one_for_each_class(name):
    for shape in (GREY, COLOUR) if name != "vit-mnist" else (GREY, (3, 14, 21)):
        network = build(name, shape, 7, width=0.25, seed=1).eval()
        with torch.no_grad():
            logits = network(torch.randn(3, *shape, generator=torch.Generator().manual_seed(0)))
        assert logits.shape == (3, 7)
        assert logits.isfinite().all()
        assert (logits[0] - logits[1]).abs().max() > 0


@pytest.mark.parametrize("name", ["cnn", *KINDS])
def test_the_embedded_digits_fit(name):
    assert build(name, SMALL, 10, seed=0)(torch.zeros(2, *SMALL)).shape == (2, 10)


def test_images_need_not_be_square():
    assert build("cnn-small", (2, 13, 4), 3)(torch.zeros(1, 2, 13, 4)).shape == (1, 3)
    assert build("resnet-small", (2, 13, 5), 3)(torch.zeros(2, 2, 13, 5)).shape == (2, 3)
    assert build("vit-small", (2, 12, 4), 3)(torch.zeros(1, 2, 12, 4)).shape == (1, 3)


@pytest.mark.parametrize("name", NAMES)
def test_no_1x1_convolution_has_a_stride(name):
    """oneDNN 3.12 overruns its scratchpad in the gradient of one with few channels (#6035)."""
    shape = COLOUR if "cifar" in name else GREY
    kernels = [m for m in build(name, shape, 10).modules() if isinstance(m, nn.Conv2d)]
    assert kernels
    assert all(m.stride == (1, 1) for m in kernels if m.kernel_size == (1, 1))


@pytest.mark.parametrize("size", [8, 9])
def test_the_straight_way_is_the_1x1_convolution_with_a_stride(size):
    torch.manual_seed(0)
    block = BasicBlock(3, 5, stride=2).double().eval()
    x = torch.randn(2, 3, size, size, dtype=torch.float64)
    kernel, norm = block.shortcut
    straight = norm(F.conv2d(x, kernel.weight, stride=2))
    y = block.norm2(block.conv2(block.relu1(block.norm1(block.conv1(x)))))
    torch.testing.assert_close(block(x), (y + straight).relu(), rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("name", KINDS)
def test_a_seed_decides_the_weights_and_leaves_the_global_generator_alone(name):
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, again, other = (state(build(name, GREY, 10, seed=seed)) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", KINDS)
def test_without_a_seed_the_global_generator_decides(name):
    torch.manual_seed(3)
    first, second = state(build(name, GREY, 10)), state(build(name, GREY, 10))
    torch.manual_seed(3)
    assert torch.equal(state(build(name, GREY, 10)), first)
    assert not torch.equal(first, second)


@pytest.mark.parametrize("name", KINDS)
def test_weights_have_the_distribution_that_torch_itself_draws_from(name):
    network = build(name, COLOUR, 10, seed=0)
    seen = 0
    for module in network.modules():
        if not isinstance(module, nn.Linear | nn.Conv2d):
            continue
        torch.manual_seed(1)
        twin = copy.deepcopy(module)
        twin.reset_parameters()
        bound = module.weight[0].numel() ** -0.5
        assert module.weight.abs().max() <= bound
        # A standard deviation of n numbers scatters by less than 1/sqrt(2n); five of those.
        ours, theirs = module.weight.std().item(), twin.weight.std().item()
        assert ours == pytest.approx(theirs, rel=5 * module.weight.numel() ** -0.5)
        if module.bias is not None:
            assert module.bias.abs().max() <= bound
            assert twin.bias.abs().max() <= bound
        seen += 1
    assert seen >= 3


@pytest.mark.parametrize("name", KINDS)
def test_initial_scale_multiplies_what_is_drawn_and_spares_the_norms(name):
    plain, scaled = (build(name, GREY, 10, seed=2, initial_scale=scale) for scale in (1.0, 0.05))
    norms = {
        f"{prefix}.{child}"
        for prefix, module in plain.named_modules()
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm)
        for child, _ in module.named_parameters()
    }
    for (key, before), after in zip(plain.named_parameters(), scaled.parameters(), strict=True):
        factor = 1.0 if key in norms else 0.05
        # A draw from (-a, a) is a difference, seven roundings of numbers of size a.
        slack = 16 * U_SINGLE * factor * before.detach().abs().max().item()
        torch.testing.assert_close(after, factor * before, rtol=0, atol=slack)
        assert before.abs().max() > 0 or key in norms


def test_norms_start_as_the_identity():
    buffers = dict(build("resnet-small", GREY, 10, seed=0).named_buffers())
    for key, value in buffers.items():
        assert (value == (1 if key.endswith("running_var") else 0)).all()


def test_width_multiplies_every_width():
    count = sum(p.numel() for p in build("resnet", COLOUR, 10, width=0.25).parameters())
    assert count == resnet(3, (2, 2, 2, 2), (16, 32, 64, 128), 10)
    count = sum(p.numel() for p in build("vit", COLOUR, 10, width=2).parameters())
    assert count == vit(3, 4, 64, 384, 6, 10)
    count = sum(p.numel() for p in build("cnn", GREY, 10, width=0.5).parameters())
    assert count == cnn(1, (16, 32, 64), 64 * 14 * 14, (256,), 10)


def test_width_of_tokens_is_a_multiple_of_the_heads():
    assert widened(64, 0.3, 4) == 20
    assert build("vit-small", GREY, 10, width=0.3).head.in_features == 20


def test_dropout_is_where_the_paper_has_it():
    drops = {}
    for name in NAMES:
        shape = GREY if name == "vit-mnist" else COLOUR  # patches of 7 do not divide 32
        modules = build(name, shape, 10, width=0.1).modules()
        drops[name] = [module.p for module in modules if isinstance(module, nn.Dropout)]
    assert drops.pop("cnn-cifar100") == [0.1, 0.1]
    assert not any(drops.values())


def packed(members, images, randomness="error"):
    """The outputs and buffers of all members from one program."""
    parameters, buffers = stack_module_state(members)
    skeleton = copy.deepcopy(members[0]).to("meta")

    def one(parameters, buffers, images):
        return functional_call(skeleton, (parameters, buffers), (images,))

    with sdpa_kernel(SDPBackend.MATH):  # vmap has no rule for the fused kernel of the CPU
        outputs = vmap(one, randomness=randomness)(parameters, buffers, images)
    return outputs, parameters, buffers


@pytest.mark.parametrize("name", ["cnn", *KINDS])
def test_members_packed_by_vmap_are_the_separate_members(name):
    members = [build(name, SMALL, 5, width=0.5, seed=seed).double() for seed in range(3)]
    images = torch.randn(3, 6, *SMALL, generator=torch.Generator().manual_seed(0)).double()
    outputs, parameters, buffers = packed(members, images)
    outputs.square().sum().backward()
    for index, member in enumerate(members):
        alone = member(images[index])  # updates the statistics of batch norm, as the pack has
        torch.testing.assert_close(outputs[index], alone, rtol=ROUNDING, atol=ROUNDING)
        alone.square().sum().backward()
        for key, parameter in member.named_parameters():
            found, expected = parameters[key].grad[index], parameter.grad
            scale = ROUNDING * max(1.0, expected.abs().max().item())
            torch.testing.assert_close(found, expected, rtol=ROUNDING, atol=scale)
        for key, buffer in member.named_buffers():
            torch.testing.assert_close(buffers[key][index], buffer, rtol=ROUNDING, atol=ROUNDING)
    if name == "resnet-small":
        assert (buffers["stem.1.num_batches_tracked"] == 1).all()


def test_packed_members_drop_different_units():
    members = [build("cnn-cifar100", SMALL, 5, width=0.25, seed=0) for _ in range(2)]
    images = torch.ones(2, 1, *SMALL)
    outputs, *_ = packed(members, images, randomness="different")
    assert not torch.allclose(outputs[0], outputs[1])
    for member in members:
        member.eval()
    outputs, *_ = packed(members, images, randomness="different")
    torch.testing.assert_close(outputs[0], outputs[1])


def test_inputs_are_left_as_they_are():
    for name in KINDS:
        images = torch.randn(2, *GREY)
        before = images.clone()
        build(name, GREY, 10, seed=0)(images)
        assert torch.equal(images, before)


def test_half_precision_works():
    for name in KINDS:
        network = build(name, GREY, 10, seed=0)
        with torch.autocast("cpu", torch.bfloat16):
            assert network(torch.zeros(2, *GREY)).isfinite().all()


GOOD = {"name": "cnn-small", "input_shape": GREY, "classes": 10}
REFUSED = [
    ({"name": "alexnet"}, r"`name` must be one of cnn, .*vit-small; got 'alexnet'"),
    ({"input_shape": (28, 28)}, r"`input_shape` must be three positive integers.*\(28, 28\)"),
    ({"input_shape": (1, 28, 0)}, r"`input_shape` must be three positive integers"),
    ({"input_shape": (1, 28.0, 28)}, r"`input_shape` must be three positive integers"),
    ({"input_shape": 28}, r"`input_shape` must be three positive integers.*got 28"),
    ({"classes": 1}, r"`classes` must be an integer of at least 2; got 1"),
    ({"classes": True}, r"`classes` must be an integer"),
    ({"width": 0}, r"`width` must be positive and finite; got 0"),
    ({"width": -1.0}, r"`width` must be positive and finite; got -1.0"),
    ({"width": float("nan")}, r"`width` must be positive and finite; got nan"),
    ({"width": "2"}, r"`width` must be positive and finite; got '2'"),
    ({"width": 0.01}, r"`width` must leave at least 1 of a width of 16; got 0.01"),
    ({"name": "vit-small", "width": 0.01}, r"`width` must leave at least 4 of a width of 64"),
    ({"initial_scale": 0.0}, r"`initial_scale` must be positive and finite; got 0.0"),
    ({"initial_scale": float("inf")}, r"`initial_scale` must be positive and finite; got inf"),
    ({"seed": -1}, r"`seed` must be an integer between 0 and 2\^63 - 1; got -1"),
    ({"seed": 0.5}, r"`seed` must be an integer"),
    ({"input_shape": (1, 3, 28)}, r"`input_shape` must be at least 4 x 4 for 2 poolings; .* 3 x"),
    ({"name": "resnet", "input_shape": SMALL}, r"`input_shape` must be more than 8 x 8"),
    ({"name": "vit-mnist", "input_shape": COLOUR}, r"patches of 7 x 7 divide; got 32 x 32"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_bad_arguments_are_named(change, message):
    arguments = GOOD | change
    name, shape, classes = (arguments.pop(key) for key in GOOD)
    with pytest.raises(ValueError, match=message):
        build(name, shape, classes, **arguments)


def test_a_module_without_a_rule_is_not_left_with_garbage():
    with pytest.raises(TypeError, match="no rule for the initial weights of Bilinear"):
        initialise(nn.Sequential(nn.Bilinear(2, 2, 2)), 1.0, None)
