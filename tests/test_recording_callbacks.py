"""The recorder inside the trainers of Lightning and transformers, with the real packages."""

import warnings

import pytest
import torch
from torch import nn

from replica.scaling import read_curves


def examples(count=32):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(count, 4, generator=generator)
    return inputs, (inputs[:, 0] > 0).long()


@pytest.fixture
def quiet():
    """Their own warnings, of loggers, workers and versions, are not of the recorder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def of_lightning(path, metric="val_acc", **options):
    lightning = pytest.importorskip("lightning.pytorch", reason="lightning is not installed")
    from deepnorm.recording.lightning import RecordCurve

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch, _):
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def validation_step(self, batch, _):
            accuracy = (self(batch[0]).argmax(1) == batch[1]).float().mean()
            self.log("val_acc", accuracy)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    torch.manual_seed(0)
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*examples()), batch_size=8)
    curve = RecordCurve(
        path, P=32, seed=3, metric=metric, input_shape=(4,), per_doubling=4, **options
    )
    trainer = lightning.Trainer(
        max_epochs=8, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[curve],
    )  # fmt: skip
    trainer.fit(Module(), data, data)


@pytest.mark.parametrize("model", [None, "net"])
def test_lightning_records_at_validations(tmp_path, quiet, model):
    path = tmp_path / "curves.csv"
    of_lightning(path, model=model)
    found = read_curves(path)
    assert found.table["step"].tolist() == [4, 8, 12, 16, 20, 24, 32]  # those due of 4, 8, ... 32
    assert found.table["seed"].tolist() == [3] * 7
    assert found.table["P"].tolist() == [32] * 7
    assert found.table["test_error"].iloc[-1] < 0.5


def test_lightning_goes_on_without_a_metric(tmp_path):
    path = tmp_path / "curves.csv"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        of_lightning(path, metric="val_accuracy")
    said = [str(w.message) for w in caught if "learning curve" in str(w.message)]
    assert said == [
        "the learning curve ends here: `metric` must be one that is logged: val_acc; got "
        "'val_accuracy'"
    ]
    assert not path.exists() or path.read_text() == ""


def test_transformers_record_at_evaluations(tmp_path, quiet):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    from deepnorm.recording.transformers import RecordCurve

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))

        def forward(self, x, labels=None):
            logits = self.net(x)
            if labels is None:
                return logits
            return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}

    def accuracy(found):
        return {"accuracy": float((found.predictions.argmax(1) == found.label_ids).mean())}

    path = tmp_path / "curves.csv"
    inputs, labels = examples()
    data = [{"x": x, "labels": y} for x, y in zip(inputs, labels, strict=True)]
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "out"), num_train_epochs=4, per_device_train_batch_size=8,
        eval_strategy="steps", eval_steps=2, report_to=[], save_strategy="no", use_cpu=True,
        disable_tqdm=True, learning_rate=0.05,
    )  # fmt: skip
    trainer = transformers.Trainer(
        Model(), arguments, train_dataset=data, eval_dataset=data,
        compute_metrics=accuracy,
        callbacks=[RecordCurve(path, P=32, seed=0, example=inputs[:1], per_doubling=2)],
    )  # fmt: skip
    trainer.train()
    found = read_curves(path)
    assert found.table["step"].tolist() == [2, 4, 6, 10, 16]
    assert found.table["test_error"].between(0, 1).all()
    assert found.table["log_norm"].is_monotonic_increasing
