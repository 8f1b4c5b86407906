"""Files that are too large, broken, or named to mislead a terminal."""

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from replica.scaling import curves_from_table, read_curves


def canonical():
    """Two P and two seeds with four records each."""
    index = pd.MultiIndex.from_product(
        [(1000, 2000), (0, 1), range(4)], names=["P", "seed", "step"]
    )
    table = index.to_frame(index=False).assign(norm=lambda t: 1.0 + t["step"])
    return table.assign(test_error=lambda t: 0.9 / (1 + t["norm"]))


# ------------------------------------------------------------------------------- limits


def test_a_file_that_unpacks_to_much_is_refused_at_once(tmp_path):
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"P,norm,test_error\n" + b"1" * 3_000_000))
    sentence = "`max_gigabytes` must be larger for .*bomb.csv.gz, which holds 0.002.* GB or more"
    with pytest.raises(ValueError, match=sentence):
        read_curves(path, max_gigabytes=0.002)
    with pytest.raises(ValueError, match="`P` must be finite and positive"):
        read_curves(path, max_gigabytes=0.004)


def test_many_columns_are_refused_before_they_are_read(tmp_path):
    path = tmp_path / "wide.csv"
    table = canonical().assign(**{f"x{k}": 1 for k in range(60)})
    table.to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"`max_columns` must be at least the 65 columns of .*50"):
        read_curves(path, max_columns=50)
    found = read_curves(path, max_columns=65)
    assert found.table.equals(curves_from_table(canonical()).table)


def test_parquet_is_counted_before_it_is_read(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "curves.parquet"
    pd.DataFrame({"P": np.zeros(1_000_000), "x": 0.0}).to_parquet(path)
    assert path.stat().st_size < 200_000  # runs of equal cells take no room
    with pytest.raises(ValueError, match=r"which holds 0.016 GB or more"):
        read_curves(path, max_gigabytes=0.01)


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\nb", "\u202eabc"])
def test_names_of_others_are_printed_with_escapes(tmp_path, name):
    table = canonical().astype({"seed": object})
    table.loc[table["seed"] == 1, "seed"] = name
    table = pd.concat([table, table.iloc[[-1]]])
    with pytest.raises(ValueError, match="repeat one record") as refused:
        curves_from_table(table.assign(**{name: 1}))
    path = tmp_path / f"{name}.csv"
    table.to_csv(path, index=False)
    with pytest.raises(ValueError, match="repeat one record") as read:
        read_curves(path)
    for message in (str(refused.value), str(read.value)):
        assert message.isprintable()


ODD = {
    "numbers": [1, 2, 3],
    "a number": 5,
    "empty list": [],
    "empty object": {},
    "no log": {"log_history": []},
    "a log of words": {"log_history": ["a", 5, None]},
    "a log of lists": {"log_history": [{"step": [1], "eval_accuracy": {"a": 1}}]},
    "a history of words": {"val_acc": ["a", "b"], "loss": [1, 2]},
    "a history of lists": {"val_acc": [[1], [2]]},
    "unequal lists": {"val_acc": [0.1, 0.2], "loss": [1]},
    "scores of words": {"train_sizes": ["a"], "test_scores": [["b"]]},
    "scores of no shape": {"train_sizes": [1, 2], "test_scores": [[0.1], [0.2, 0.3]]},
    "columns of words": {"P": "a", "norm": "b"},
    "records of lists": [{"P": [1], "norm": {"a": 1}, "test_error": None}] * 2,
    "records of anything": [{"P": 1, "norm": True, "test_error": "x"}, {"_step": 1}, {}],
}


@pytest.mark.parametrize("name", ODD)
def test_odd_json_is_refused_with_the_file(tmp_path, name):
    path = tmp_path / "P10-seed0.json"
    path.write_text(json.dumps(ODD[name]))
    with pytest.raises(ValueError, match=r"P10-seed0\.json: "):
        read_curves(path)


@pytest.mark.parametrize(
    "content", ["[" * 100_000, '{"a": ', '[{"a": 1}, ', "{}\n{]\n", "[1e999999]"]
)
def test_broken_json_is_refused_with_the_file(tmp_path, content):
    path = tmp_path / "P10.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"P10\.json"):
        read_curves(path)


@pytest.mark.parametrize(
    "text", ["a: 1", "a: [1, 2", "- - -\n: :\n", "\x00\x01", "P: {", "P: # none", "{" * 5000, "P"]
)
@pytest.mark.parametrize("name", ["config.json", "hparams.yaml"])
def test_a_broken_configuration_tells_nothing(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    canonical().drop(columns="P").to_csv(tmp_path / "log.csv", index=False)
    with pytest.raises(ValueError, match="the table has no column `P`"):
        read_curves(tmp_path / "log.csv")
