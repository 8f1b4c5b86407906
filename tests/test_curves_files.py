"""Files of learning curves: dialects of CSV, gzip, Parquet, and what cannot be read."""

import gzip
import re
import sys

import numpy as np
import pytest
from patience import lines
from sound_tables import GAP, exactly, frame, same

from replica.scaling import curves_from_table, read_curves


@pytest.fixture
def write(tmp_path):
    def write(text, name="curves.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


ROWS = "1000,1.5,0.5\n1000,2.5,0.25\n"


@pytest.mark.parametrize(
    "text",
    [
        f"P,norm,test_error\n{ROWS}",
        f"\ufeffP,norm,test_error\n{ROWS}",  # as spreadsheets write it
        f"P, norm ,test_error\r\n\r\n{ROWS}\n\n".replace(",", ", "),
        f'"P", "norm", "test_error"\n{ROWS}',
        "\nP,norm,test_error\n1e3,15e-1,5e-1\n+1000.,2.5,.25\n",
    ],
)
def test_csv_in_its_dialects(write, text):
    curves = read_curves(write(text))
    [(_, log_norm, error)] = curves.of(1000)
    assert log_norm.tolist() == np.log([1.5, 2.5]).tolist()
    assert error.tolist() == [0.5, 0.25]


def test_suffixes_are_read_in_any_case(write):
    text = f"P,norm,test_error\n{ROWS}".encode()
    same(
        read_curves(str(write(text, "A.CSV"))), read_curves(write(gzip.compress(text), "b.CSV.GZ"))
    )


@pytest.mark.parametrize("digits", ["0.1", "0.30000000000000004", "1e-300", "0.12345678901234567"])
def test_csv_is_read_to_the_last_bit(write, digits):
    curves = read_curves(write(f"P,norm,test_error\n{ROWS}1000,3,{digits}\n"))
    assert curves.table["test_error"].tolist()[-1] == float(digits)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (
            "\n1000,-1.50,0.5\n",
            "`norm` must be finite and positive; got -1.5 in row 3; if it is the natural "
            "logarithm of the norm, name it `log_norm`",
        ),
        (
            "1000,,0.5\n",
            "`norm` is missing in row 3" + GAP,
        ),
        (
            "1000,3\n",
            "`test_error` is missing in row 3" + GAP,
        ),
        (
            "1000,nan,0.5\n",
            "`norm` is missing in row 3" + GAP,
        ),
        ("1000,3,True\n", "`test_error` must be a number; got 'True' in row 3"),
        ("1_000,3,0.1\n", "`P` must be a number; got '1_000' in row 3"),
        ("1000,3.0.1,0.1\n", "`norm` must be a number; got '3.0.1' in row 3"),
        (
            ",,\n",
            "`P` is missing in row 3" + GAP,
        ),
    ],
)
def test_rows_of_a_file_are_named_as_the_file_has_them(write, rows, sentence):
    path = write(f"P,norm,test_error\n{ROWS}{rows}")
    with pytest.raises(ValueError, match=exactly(f"{path}: {sentence}")):
        read_curves(path)


def test_titles_of_a_file_are_text(write):
    path = write("P,norm,test_error,NA,1\n1,1.5,0.5,,\n1,2.5,0.25,,\n")
    assert read_curves(path).notes[0] == "ignored columns: 'NA', '1'"


def test_columns_and_percent_reach_the_table(write):
    path = write("n,norm,test_error\n10,1.5,50\n10,2.5,25\n")
    assert read_curves(path, columns={"P": "n"}, percent=True).of(10)[0][2].tolist() == [0.5, 0.25]


@pytest.mark.parametrize(
    ("text", "name", "sentence"),
    [
        ("", "a.csv", "is empty$"),
        ("\n\n", "a.csv", "is empty$"),
        ("P,norm,test_error\n", "a.csv", ": `table` has no rows: there is nothing to fit$"),
        (f"P,norm,test_error\n{ROWS}1,2,3,4\n", "a.csv", "as CSV in UTF-8: .*line 4, saw 4$"),
        (f'P,norm,test_error\n{ROWS}1,"2,3\n', "a.csv", "as CSV in UTF-8: .*EOF inside string"),
        (b"P,norm,test_error\n\xff\xfe,1,2\n", "a.csv", "as CSV in UTF-8: .*can't decode byte"),
        (b"\x1f\x8b\x08\x00", "a.csv.gz", "as gzip: "),
        (gzip.compress(ROWS.encode(), mtime=0)[:-12], "a.csv.gz", "as gzip: "),
        ("P|norm|test_error\n1|2|3\n", "a.csv", r"its columns are 'P\|norm\|test_error';"),
        (b"PK\x03\x04...", "a.xlsx", "is a workbook or an archive: save the table as CSV$"),
        ("{", "a.json", "cannot be read as JSON: "),
    ],
)
def test_files_that_cannot_be_read_are_named(write, text, name, sentence):
    path = write(text, name)
    with pytest.raises(ValueError, match=sentence) as refused:
        read_curves(path)
    assert str(path) in str(refused.value)


def test_a_file_that_is_not_there(tmp_path):
    sentence = f"`path` must be a file of learning curves; {tmp_path / 'a.csv'} does not exist"
    with pytest.raises(FileNotFoundError, match=exactly(sentence)):
        read_curves(tmp_path / "a.csv")
    with pytest.raises(ValueError, match=f"{tmp_path} is a directory without$"):
        read_curves(tmp_path)


def test_broken_parquet_is_named(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "curves.pq"
    frame().to_parquet(path)
    whole = path.read_bytes()
    damaged = pyarrow.Table.from_pandas(frame()).replace_schema_metadata({"pandas": "{}"})
    pyarrow.parquet.write_table(damaged, path)
    for broken in [b"", b"PAR1", whole[: len(whole) // 2], path.read_bytes()]:
        path.write_bytes(broken)
        sentence = f"{re.escape(str(path))} cannot be read as Parquet: "
        with pytest.raises(ValueError, match=sentence):
            read_curves(path)


def test_parquet_with_the_keys_in_its_index(tmp_path):
    pytest.importorskip("pyarrow")
    path = tmp_path / "curves.parquet"
    frame().set_index(["P", "seed"]).to_parquet(path)
    same(read_curves(path), curves_from_table(frame()))


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "curves.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    sentence = f'reading {path} needs pyarrow: pip install "replica-learning[parquet]"'
    with pytest.raises(ImportError, match=exactly(sentence)):
        read_curves(path)


# ------------------------------------------------------------------------------------- speed


def test_more_records_are_no_more_work_for_python(tmp_path):
    path = tmp_path / "sweep.csv"

    def work(records):
        table = frame(P=1000.0 * 2 ** np.arange(4), seeds=tuple(range(5)), records=records)
        table.to_csv(path, index=False)
        return lines(lambda: read_curves(path))

    work(50)  # what is imported late
    assert work(50) == work(200)
