"""Tables for structure learning that cannot be used: each refused by name, before it computes."""

import numpy as np
import pandas as pd
import pytest

from relax.errors import DataError
from relax.experiments.structure.observations import consensus, read_observations
from relax.experiments.structure.problem import all_known_graphs
from relax.experiments.structure.scores import check_nodes, table_bytes

GOOD = "a,b,c\n1,2,3\n2,1,5\n4,4,1\n3,7,2\n9,5,6\n"
BAD = {
    "missing": ("a,b\n1,2\n2,\n3,\n5,1\n", "'it.csv': column 'b' is missing in row 2 (and 1 more)"),
    "not a number": ("a,b\n1,nan\n2,3\n3,1\n", "column 'b' is missing in row 1"),
    "infinite": ("a,b\n1,3\n2,inf\n3,1\n", "column 'b' is infinite in row 2"),
    "constant": ("a,b\n1,2\n1,3\n1,4\n", "column 'a' is constant; leave it out"),
    "text": ("a,b\n1,2\nhigh,3\n2,4\n", "column 'a' has text ('high' in row 2)"),
    "one row": ("a,b\n1,2\n", "'it.csv' has 1 row of 2 columns"),
    "few rows": (
        "a,b,c\n1,2,3\n2,1,3\n4,4,1\n",
        "has 3 rows of 3 columns",
        "more rows than columns",
    ),
    "no row": ("a,b\n", "'it.csv' has 0 rows of 2 columns"),
    "one column": ("a\n1\n2\n3\n", "has 3 rows of 1 column"),
    "empty": ("", "'it.csv' cannot be read as CSV"),
    "no names": ("1,2\n3,4\n4,1\n5,5\n", "the first line must name the columns; got 1, 2"),
    "long rows": (
        "a,b\n1,2,3\n3,4,1\n4,1,2\n",
        "rows with more cells than its first line has names",
    ),
    "zero": ("a,b\n1,2\n0,3\n2,4\n", "column 'a' has 0 in row 2, which has no logarithm", "none"),
    "copies": ("a,b,c\n1,2,1\n2,1,2\n4,4,4\n3,7,3\n9,5,9\n", "the columns 'a', 'c' determine each"),
}


@pytest.fixture
def table(tmp_path):
    """Writes a CSV file; its path."""

    def write(text):
        path = tmp_path / "it.csv"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_is_refused_by_name(table, case):
    text, *words = BAD[case]
    with pytest.raises(DataError) as error:
        all_known_graphs(["data"], table(text), "log")
    for expected in words:
        assert expected in str(error.value)
    assert "\n" not in str(error.value)


def test_a_good_table_is_read(table):
    """The control: logarithms, standardised."""
    found = read_observations(table(GOOD))
    values = np.log(pd.read_csv(table(GOOD)))
    assert found.names == ["a", "b", "c"]
    np.testing.assert_allclose(found.correlation, values.corr(), atol=1e-12)
    plain = read_observations(table(GOOD), "none").correlation
    np.testing.assert_allclose(plain, pd.read_csv(table(GOOD)).corr(), atol=1e-12)
    assert consensus(found.names) is None


def test_a_missing_file_and_one_that_is_no_text(tmp_path):
    with pytest.raises(DataError, match=r"structure\.file: there is no file 'nowhere\.csv'"):
        read_observations("nowhere.csv")
    path = tmp_path / "it.csv"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(DataError, match=r"'it\.csv'"):
        read_observations(str(path))


def test_too_many_nodes_are_refused_with_the_memory_they_would_take(table):
    """21 nodes: 176 MB, where 20 take 84; and 40 as quickly, before anything is computed."""
    assert table_bytes(11) == 8 * 11 * 2**10
    check_nodes(20, "it")
    with pytest.raises(DataError, match=r"21 nodes.*21 x 2\^20 scores would take 176 MB of memory"):
        check_nodes(21, "it")
    draw = np.random.Generator(np.random.PCG64(0))
    names = ",".join(f"c{column}" for column in range(40))
    rows = "\n".join(",".join(map(str, row)) for row in draw.standard_normal((60, 40)))
    with pytest.raises(DataError, match=r"structure\.file has 40 nodes.*176 TB.*at most 20 nodes"):
        all_known_graphs(["data", "random4"], table(f"{names}\n{rows}\n"), "none")
