"""
The norm of your own model
==========================

``spectral_complexity`` watches one forward pass and finds the norm layer by layer: of any module
made of convolutions, dense layers, batch norms, poolings, residual connections. ``NormTracker``
measures it again and again while you train.
"""

import torch
from sklearn.datasets import load_digits

from deepnorm import NormTracker, spectral_complexity
from deepnorm.figures import panels, style

torch.set_num_threads(1)
torch.manual_seed(0)


class Small(torch.nn.Module):
    """A convolution, one residual block, and a dense layer on 8 x 8 images."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Conv2d(1, 8, 3, padding=1)
        self.block = torch.nn.Conv2d(8, 8, 3, padding=1)
        self.last = torch.nn.Linear(8 * 16, 10)

    def forward(self, x):
        x = torch.relu(self.first(x))
        x = torch.relu(x + self.block(x))
        return self.last(torch.nn.functional.max_pool2d(x, 2).flatten(1))


model = Small()
found = spectral_complexity(model, (1, 8, 8))
print(f"ln R = {found.log_value:.6f}")
print(found.layers[["name", "kind", "sigma", "norm_21", "share", "counted"]].round(3).to_string())

# %%
# Now it learns, and after each epoch the norm is measured.

images = torch.tensor(load_digits().images, dtype=torch.float32)[:, None] / 8 - 1
labels = torch.tensor(load_digits().target)
tracker = NormTracker(model, (1, 8, 8))
optimizer = torch.optim.Adam(model.parameters(), 1e-3)
norms, errors = [], []
for _ in range(20):
    for batch in torch.randperm(1200).split(64):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
    with torch.no_grad():
        wrong = model(images[1200:]).argmax(1) != labels[1200:]
    norms.append(tracker.measure()["eq2"])
    errors.append(float(wrong.double().mean()))

with style.context():
    figure = style.canvas(style.COLUMN, 2.5)
    axes = figure.add_subplot()
    axes.plot(norms, errors, "o-", ms=2.5, **style.THEORY)
    axes.set(xlabel=r"$\ln R$, the norm of eq. (2)", ylabel="test error")
    panels.log_scale(axes.yaxis, errors)
    axes.set_title("one training on 1200 digits, a point an epoch")
