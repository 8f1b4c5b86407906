"""What loggers write, read as learning curves: the right numbers, or the remedy in a message."""

import json

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from replica.scaling import curves_from_table, learning_curve_table, read_curves

STEPS = (0, 10, 20, 30, 40, 50)
RUNS = [(P, seed) for P in (1000, 2000) for seed in (0, 1)]


def error(P, seed, step):
    return 0.9 / (1 + step / 10) ** 0.4 + 10 / P + 0.001 * seed


def canonical(norm=True):
    rows = [
        (P, seed, step, 1.0 + step / 10, error(P, seed, step)) for P, seed in RUNS for step in STEPS
    ]
    table = pd.DataFrame(rows, columns=["P", "seed", "step", "norm", "test_error"])
    return table if norm else table.drop(columns="norm")


def agree(found, norm=True, table=None):
    """The same curves: without a norm those along the step, whose zero has no logarithm."""
    expected = curves_from_table(canonical(norm) if table is None else table)
    columns = ["P", "seed", "step", "log_norm", "test_error"]
    # 1 - (1 - x) is x within a rounding of 1, a decimal string of x is x
    assert_frame_equal(found.table[columns], expected.table[columns], rtol=0, atol=1e-15)
    assert found.abscissa == ("norm" if norm else "step")
    assert found.averaged is False


def said(found, text):
    assert any(text in note for note in found.notes), found.notes


# ---------------------------------------------------------------------------------- wandb


@pytest.fixture
def wide(tmp_path):
    """A chart as wandb exports it: a column for each run and metric, with the extremes of a bin."""
    columns = {"Step": STEPS}
    for P, seed in RUNS:
        accuracy = [1 - error(P, seed, step) for step in STEPS]
        for band in ("", "__MIN", "__MAX"):
            columns[f"P{P}-seed{seed} - val_acc{band}"] = accuracy
    frame = pd.DataFrame(columns)
    path = tmp_path / "chart.csv"

    def write(change=lambda frame: frame):
        change(frame).to_csv(path, index=False)
        return path

    return write


def test_a_chart_of_wandb_is_labelled_by_its_runs(wide):
    found = read_curves(wide())
    agree(found, norm=False)
    said(found, "'P1000-seed0' is P = 1000, seed = 0")
    said(found, "'val_acc' is read as the accuracy")
    said(found, "there is no norm: the error is followed along `step`")
    said(found, "4 of 4 curves begin at step = 0")


def test_a_chart_may_name_its_runs_otherwise(wide):
    def renamed(frame):
        return frame.rename(columns=lambda c: c.replace("P", "n=").replace("-seed", "_s"))

    with pytest.raises(ValueError, match=r"--pattern`\); it finds no P in 'n=1000_s0'"):
        read_curves(wide(renamed))
    agree(read_curves(wide(renamed), pattern="n={P}_s{seed}"), norm=False)


def test_runs_of_a_chart_need_not_have_the_same_steps(wide):
    def cut(frame):
        cells = frame["P2000-seed1 - val_acc"].astype(object)
        return frame.assign(**{"P2000-seed1 - val_acc": cells.where(frame["Step"] < 40, "")})

    found = read_curves(wide(cut))
    assert len(found.of(2000)[1][1]) == len(STEPS) - 3
    assert len(found.of(2000)[0][1]) == len(STEPS) - 1


def test_the_run_and_the_row_of_a_chart_are_named(wide):
    def broken(frame):
        cells = frame["P2000-seed0 - val_acc"].astype(object)
        cells[3] = "many"
        return frame.assign(**{"P2000-seed0 - val_acc": cells})

    with pytest.raises(ValueError, match=r"got 'many' in row 4 of run P2000-seed0$"):
        read_curves(wide(broken))


def history():
    """A history with a row for the norm and one, at half of the steps, for the accuracy."""
    norm = canonical().assign(val_acc="", _step=lambda t: t["step"], _runtime=1.5)
    accuracy = norm[norm["step"] % 20 == 0].assign(
        val_acc=lambda t: 100 * (1 - t["test_error"]), norm=""
    )
    both = pd.concat([norm, accuracy]).sort_values(["P", "seed", "step"], kind="stable")
    return both.drop(columns=["step", "test_error"])


def test_a_history_of_wandb_has_holes(tmp_path):
    path = tmp_path / "history.csv"
    history().to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"the largest is .*: if these are percent.*`--percent`"):
        read_curves(path)
    found = read_curves(path, percent=True)
    table = canonical()
    agree(found, table=table[table["step"] % 20 == 0])
    said(found, "24 rows that hold parts of 12 records, at equal P, seed, step, are joined")
    said(found, "left out: 12 of 24 rows without `test_error` (column 'val_acc')")


@pytest.mark.parametrize(("rows", "warned"), [(499, 0), (500, 1), (501, 0)])
def test_a_sampled_history_is_warned_of(tmp_path, rows, warned):
    step = np.arange(rows)
    table = pd.DataFrame({"_step": step, "P": 10, "seed": 0, "norm": 1.0 + step})
    table["val_error"] = 1 / (2.0 + step)
    path = tmp_path / "history.csv"
    table.to_csv(path, index=False)
    notes = [note for note in read_curves(path).notes if "scan_history" in note]
    assert len(notes) == warned


# ----------------------------------------------------------- files by run, labelled by name


def by_run(folder, write, pattern="P{P}/seed{seed}/{name}"):
    for P, seed in RUNS:
        rows = canonical()
        rows = rows[(rows["P"] == P) & (rows["seed"] == seed)].drop(columns=["P", "seed"])
        path = folder / pattern.format(P=P, seed=seed, name="x")
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path.parent, rows.reset_index(drop=True))
    return folder


def test_tensorboard_has_a_file_for_each_tag(tmp_path):
    def write(folder, rows):
        for tag, column in {"norm": rows["norm"], "val_acc": 1 - rows["test_error"]}.items():
            table = pd.DataFrame({"Wall time": 1.6e9, "Step": rows["step"], "Value": column})
            table.to_csv(folder / f"run-x-tag-{tag}.csv", index=False)

    found = read_curves(by_run(tmp_path, write))
    agree(found)
    said(found, "8 of 8 files are labelled by their names")
    said(found, "48 rows that hold parts of 24 records")
    assert read_curves(tmp_path, pattern="P{P}/seed{seed}/run-x-tag-{tag}.csv").table.equals(
        found.table
    )


def test_tensorboard_names_no_tag_in_the_file(tmp_path):
    path = tmp_path / "P10-seed0.csv"
    path.write_text("Wall time,Step,Value\n1,1,0.5\n2,2,0.25\n")
    with pytest.raises(ValueError, match=r"no column `test_error`; its columns are 'step', 'P10-"):
        read_curves(path)


def test_lightning_logs_each_quantity_on_rows_of_its_own(tmp_path):
    def write(folder, rows):
        first = pd.DataFrame({"step": rows["step"], "epoch": 0, "norm": rows["norm"]})
        second = pd.DataFrame({"step": rows["step"], "epoch": 0, "val_acc": 1 - rows["test_error"]})
        train = pd.DataFrame({"step": rows["step"] + 5, "epoch": 0, "train_loss": 1.0})
        pd.concat([first, train, second]).to_csv(folder / "metrics.csv", index=False)
        (folder / "hparams.yaml").write_text("lr: 0.1\n")

    found = read_curves(by_run(tmp_path, write))
    agree(found)
    said(found, "rows without `test_error` (column 'val_acc')")
    one = read_curves([tmp_path / f"P{P}/seed{seed}/metrics.csv" for P, seed in RUNS])
    assert one.table.equals(found.table)


def test_keras_counts_its_epochs_from_zero(tmp_path):
    def write(folder, rows):
        table = pd.DataFrame({"epoch": rows.index, "accuracy": 0.5, "loss": 1.0})
        table["val_accuracy"] = 1 - rows["test_error"]
        table.assign(val_loss=1.0).to_csv(folder / "log.csv", index=False)

    found = read_curves(by_run(tmp_path, write))
    assert found.table["epoch"].tolist() == [1, 2, 3, 4, 5, 6] * len(RUNS)
    assert found.of(1000)[0][1].tolist() == np.log(np.arange(1, 7)).tolist()
    said(found, "the first is counted as epoch 1")
    said(found, "'val_accuracy' is read as the accuracy")


def test_a_history_of_keras_is_a_dictionary(tmp_path):
    def write(folder, rows):
        values = {"loss": [1.0] * 6, "val_accuracy": (1 - rows["test_error"]).tolist()}
        (folder / "history.json").write_text(json.dumps(values))

    found = read_curves(by_run(tmp_path, write))
    assert found.table["epoch"].tolist() == [1, 2, 3, 4, 5, 6] * len(RUNS)


def test_transformers_keep_copies_of_a_log(tmp_path):
    def write(folder, rows):
        entries = [{"step": 5, "loss": 1.0, "epoch": 0.1, "grad_norm": 3.0}]
        for row in rows.itertuples():
            entries.append(
                {"step": row.step, "eval_loss": 1.0, "eval_accuracy": 1 - row.test_error}
            )
        for last in (3, 6):
            (folder / f"checkpoint-{last}").mkdir()
            state = {"global_step": last, "log_history": entries[: last + 1]}
            path = folder / f"checkpoint-{last}" / "trainer_state.json"
            path.write_text(json.dumps(state))

    found = read_curves(by_run(tmp_path, write))
    agree(found, norm=False)
    said(found, "'eval_accuracy' is read as the accuracy")
    loss = read_curves(
        [tmp_path / f"P{P}/seed0/checkpoint-6/trainer_state.json" for P in (1000, 2000)],
        quantity="loss", columns={"test_error": "eval_accuracy"},
    )  # fmt: skip
    assert loss.quantity == "loss"


def test_P_and_seed_may_stand_in_a_configuration_beside(tmp_path):
    for k, (P, seed) in enumerate(RUNS):
        folder = tmp_path / f"version_{k}"
        folder.mkdir()
        rows = canonical()
        rows = rows[(rows["P"] == P) & (rows["seed"] == seed)].drop(columns=["P", "seed"])
        rows.to_csv(folder / "a.csv", index=False)
        if k % 2:
            (folder / "config.json").write_text(json.dumps({"data": {"n": P}, "seed": seed}))
        else:
            (folder / "config.yaml").write_text(f"data.n:\n  value: {P}\nseed: {seed}\nlr: 0.1\n")
    with pytest.raises(ValueError, match=r"no column `P`; .*pattern='P\{P\}/seed\{seed\}'"):
        read_curves(tmp_path)
    agree(read_curves(tmp_path, columns={"P": "data.n"}))


def test_a_pattern_has_to_match(tmp_path):
    def write(folder, rows):
        rows.to_csv(folder / "a.csv", index=False)

    by_run(tmp_path, write)
    agree(read_curves(tmp_path, pattern="P{P}/*d{seed}/"))
    with pytest.raises(ValueError, match=r"none of its 4 tables matches 'n\{P\}'$"):
        read_curves(tmp_path, pattern="n{P}")
    path = tmp_path / "P1000" / "seed0" / "a.csv"
    with pytest.raises(ValueError, match=r"`pattern` must match .*P1000/seed0/a.csv; got 'n\{P\}'"):
        read_curves(path, pattern="n{P}")
    for wrong in ("P", "{Q}", "{P}{P}", "", 5):
        with pytest.raises(ValueError, match=r"`pattern` must"):
            read_curves(path, pattern=wrong)


def test_rows_of_several_files_are_named_with_their_file(tmp_path):
    def write(folder, rows):
        rows.loc[2, "norm"] = -1.0
        rows.to_csv(folder / "a.csv", index=False)

    by_run(tmp_path, write)
    with pytest.raises(ValueError, match=r"got -1 in row 3 of P1000/seed0/a.csv and 3 more; if it"):
        read_curves(tmp_path)


# ------------------------------------------------------------------- a record for each size


def test_a_table_of_lcdb_is_one_learner_at_a_time(tmp_path):
    rows = [
        (data, learner, size, outer, 0, 1 - 1 / size**0.3)
        for data in (3, 5) for learner in ("SVC", "kNN")
        for size in (16, 32, 64) for outer in (0, 1)
    ]  # fmt: skip
    titles = ["openmlid", "learner", "size_train", "outer_seed", "inner_seed", "score_test"]
    path = tmp_path / "lcdb.csv"
    pd.DataFrame(rows, columns=titles).to_csv(path, index=False)
    with pytest.raises(ValueError, match=r"2 values of openmlid \(3, 5\); choose one, .*--where"):
        read_curves(path)
    found = read_curves(path, where={"openmlid": 3, "learner": "kNN"})
    assert found.abscissa == "none"
    assert found.P.tolist() == [16, 32, 64]
    for P in found.P:
        for (seed, log_norm, values), name in zip(found.of(P), ("0/0", "1/0"), strict=True):
            assert (seed, log_norm.tolist()) == (name, [0])
            assert values == pytest.approx([P**-0.3], abs=1e-15)
    with pytest.raises(ValueError, match=r"`where` must have learner among 'SVC', 'kNN'; got 'x'"):
        read_curves(path, where={"learner": "x"})
    with pytest.raises(ValueError, match=r"`where` must name columns of the table, 'openmlid'"):
        read_curves(path, where={"size": 3})


def test_scikit_learns_learning_curve(tmp_path):
    sizes, scores = [10, 20, 40], [[0.5, 0.6], [0.7, 0.75], [0.8, 0.9]]
    found = curves_from_table(learning_curve_table(sizes, scores))
    assert found.abscissa == "none"
    assert [float(e[0]) for P in found.P for _, _, e in found.of(P)] == pytest.approx(
        [0.5, 0.4, 0.3, 0.25, 0.2, 0.1], abs=1e-15
    )
    path = tmp_path / "learning_curve.json"
    path.write_text(json.dumps({"train_sizes": sizes, "test_scores": scores, "train_scores": 1}))
    assert read_curves(path).table.equals(found.table)
    np.savez(tmp_path / "a.npz", train_sizes=sizes, test_scores=scores)
    assert read_curves(tmp_path / "a.npz").table.equals(found.table)
    with pytest.raises(ValueError, match=r"must be accuracies in \[0, 1\].*from -3 to -1"):
        learning_curve_table([1, 2], [[-3.0], [-1.0]])
    with pytest.raises(ValueError, match="must have a row for each of `train_sizes`"):
        learning_curve_table([1, 2], [0.5, 0.5])


def test_several_records_without_a_norm_or_a_step_are_refused():
    table = canonical().drop(columns=["norm", "step"])
    with pytest.raises(
        ValueError, match=r"but 6 records of P = 1000, seed = 0, as in rows 1 and 2"
    ):
        curves_from_table(table)


# ------------------------------------------------------------------------------- text


@pytest.mark.parametrize(
    ("separator", "decimal", "note"),
    [
        (";", ",", "separated by semicolons, and numbers have decimal commas"),
        (";", ".", "separated by semicolons"),
        ("\t", ".", "separated by tabs"),
        ("\t", ",", "separated by tabs, and numbers have decimal commas"),
    ],
)
def test_separators_are_found_and_said(tmp_path, separator, decimal, note):
    path = tmp_path / "curves.csv"
    table = canonical().assign(comment="a, b; c")
    table.to_csv(path, index=False, sep=separator, decimal=decimal)
    found = read_curves(path)
    agree(found)
    said(found, note)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            'P,norm,test_error\n10,1,"0,5"\n10,2,"0,4"\n',
            r"got '0,5' in row 1 and 1 more; write a decimal",
        ),
        ("P;norm;test_error\n1,000;1.5;0.5\n1,000;2.5;0.4\n", "may be a decimal sign or group"),
        ("P;norm;test_error\n1,000;1;0,5\n1.000;2;0,4\n", "have decimal commas and points"),
    ],
)
def test_commas_are_never_guessed(tmp_path, text, sentence):
    path = tmp_path / "curves.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=sentence):
        read_curves(path)


def test_lines_of_json_are_a_log(tmp_path):
    path = tmp_path / "history.jsonl"
    rows = canonical().rename(columns={"test_error": "val_error"}).to_dict("records")
    lines = [json.dumps(row) for row in rows] + [json.dumps({"P": 1000, "seed": 0, "step": 7})]
    path.write_text("\n".join(lines))
    agree(read_curves(path))
