"""Plain JSON lines, read all at once, say what they say one by one."""

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from rt_predictor.cli.options import InputFormat
from rt_predictor.cli.scoring import plain_lines, tables
from rt_predictor.cli.scoring.plain_lines import COLUMNS, LEAST_LINES, SCHEMA, plain_table
from rt_predictor.cli.scoring.tables import read_lines, read_table
from rt_predictor.traces import ColumnMap
from rt_predictor.traces.column_map import FileColumn
from rt_predictor.traces.trace import DEFAULT_OPTIONS, ReadOptions

numbers = st.one_of(
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["0", "-0", "1.50", "1e5", "2E+3", "1.7e99", "1e999", "01", ".5", "+1", "NaN", "0x1"]
    ),
)
texts = st.text(max_size=8) | st.sampled_from(
    [
        "",
        " a ",
        "null",
        "4G",
        "1-00:00:00",
        '"',
        "\\",
        "a\nb",
        "\x7f\u2028",
        'user":',
        "time_req",
        "😀",
    ]
)
values = st.one_of(
    numbers.map(str),
    texts.map(json.dumps),
    st.sampled_from(["null", "true", "[1]", '{"a":1}', '"\\ud800"', '"\\u00e9"', "", "1 2"]),
)
names = st.sampled_from([*COLUMNS, "request_id", "walltime", "other", "use\\u0072"])
plain = st.one_of(
    st.tuples(st.sampled_from(plain_lines._NUMBERS), st.just(":"), numbers.map(str)),
    st.tuples(
        st.sampled_from(plain_lines._TEXTS), st.just(": "), st.sampled_from(['"a"', '" ä "'])
    ),
)
pairs = plain | st.tuples(names, st.sampled_from([":", ": ", " : "]), values)
flat = st.builds(
    lambda found, comma: "{" + comma.join(found) + "}",
    st.lists(pairs.map(lambda pair: '"{}"{}{}'.format(*pair)), max_size=4),
    st.sampled_from([",", ", ", " ,"]),
)  # fmt: skip
lines = st.lists(
    st.one_of(flat, flat, flat, flat, st.text(max_size=10), st.just('{"user":"a"}{"user":"b"}'))
    .map(lambda line: line.replace("\n", " ").encode())
    .filter(bytes.strip),
    min_size=1,
    max_size=4,
)
MAPPED = ReadOptions(columns=ColumnMap({"time_req": FileColumn("walltime", "min")}))


def both(found: list[bytes], options: ReadOptions) -> list[tuple[pl.DataFrame, dict[int, str]]]:
    read = []
    for least in (1, 1_000_000):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(plain_lines, "LEAST_LINES", least)
            read.append(read_lines(found, options))
    return read


@settings(deadline=None, max_examples=300)
@given(lines, st.sampled_from([DEFAULT_OPTIONS, MAPPED]))
@example([b'{"time_req":1,"time_req":2}'], DEFAULT_OPTIONS)
@example([b'{"user":"a\xff"}'], DEFAULT_OPTIONS)
@example([b'{"user":"a"}', b'{"job_id":1.0}'], DEFAULT_OPTIONS)
def test_read_at_once_or_one_by_one_a_line_says_the_same(
    found: list[bytes], options: ReadOptions
) -> None:
    (at_once, errors), (one_by_one, same) = both(found, options)
    assert_frame_equal(at_once, one_by_one, check_exact=True)
    assert errors == same


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")], ids=["compact", "as by default"])
def test_what_programs_write_is_plain(separators: tuple[str, str]) -> None:
    job: dict[str, object] = {name: "7" if SCHEMA[name] == pl.String else 5.25 for name in COLUMNS}
    job |= {"user": "ünï", "account": "", "partition": "a b", "qos": None, "job_name": "[x]"}
    line = json.dumps(job, separators=separators, ensure_ascii=False).encode()
    table = plain_table([line] * LEAST_LINES)
    assert table is not None
    assert table.row(-1, named=True)["user"] == "ünï"
    assert plain_table([line] * (LEAST_LINES - 1)) is None, "so few are not worth it"


@pytest.mark.parametrize(
    "line",
    [
        '{"user":"a","user":"b"}', '{"user":"\\n"}', '{"user":7}', '{"time_req":"4"}', "{}", "",
        '{"time_req":01}', '{"time_req":true}', '{"other":1}', '{"user":"a"} ', '[{"user":"a"}]',
        '{"user":"a"}{"user":"b"}', '{"user":"' + "a" * plain_lines.MAX_LINE_BYTES + '"}',
    ],
)  # fmt: skip
def test_what_takes_judgement_is_left_to_who_takes_time(line: str) -> None:
    plain = b'{"user":"a"}'
    assert plain_table([plain] * LEAST_LINES) is not None
    assert plain_table([*[plain] * LEAST_LINES, line.encode()]) is None


def test_one_odd_line_costs_its_own_block_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rt_predictor.traces.source.BLOCK_BYTES", 20_000)
    slowly: list[bytes] = []

    def row(line: bytes, fields, read=tables._json_row):  # type: ignore[no-untyped-def]
        slowly.append(line)
        return read(line, fields)

    monkeypatch.setattr(tables, "_json_row", row)
    many = [f'{{"time_req":{n + 1},"user":"u{n}"}}' for n in range(5000)]
    many[2500] = '{"runtime":"1-00:00:00","job_id":"odd"}'
    path = tmp_path / "jobs.jsonl"
    path.write_text("\n".join(many))
    jobs, errors, _ = read_table(path, InputFormat.JSONL, DEFAULT_OPTIONS)
    assert (jobs.height, errors) == (5000, {})
    assert jobs["user"].to_list()[-1] == "u4999"
    assert jobs.row(2500, named=True)["job_id"] == "odd"
    assert 0 < len(slowly) < 2500
