import json

import pytest

from benchmarks import _tables


def test_the_page_has_what_the_files_have():
    page = _tables.PAGE.read_text(encoding="utf-8")
    assert _tables.fill(page) == page, "Run `make docs`, and commit docs/results.md."
    assert {name for _, name, mode, *_ in _tables.MARKED.findall(page) if not mode} == _tables.COLUMNS.keys()


def test_a_row_that_was_not_played_is_left_out_and_a_broken_guardrail_is_counted(tmp_path):
    rate = {"rate": 0.75, "low": 0.6, "high": 0.9, "count": 3, "of": 4}
    played = {"summary": {"safe": rate, "success": rate, "replan_ms": {"p50": 1.234, "p99": 20.0}, "model_steps": 1000.0}}
    (tmp_path / "constraints.json").write_text(json.dumps({"rows": {"a": played, "b": {"episodes": []}}}))
    text = _tables.fill("before\n<!-- table: constraints -->\nold\n<!-- end -->\nafter", tmp_path)
    assert text.splitlines() == [
        "before",
        "<!-- table: constraints -->",
        "|  | guardrail broken | at the goal | ms a replan, half / 99 % | model steps a replan |",
        "| --- | --- | --- | --- | --- |",
        "| a | 1 of 4 (10–40 %) | 3 of 4 (60–90 %) | 1.23 / 20 | 1000 |",
        "<!-- end -->",
        "after",
    ]


def test_concepts_stand_below_each_other_and_who_watched_beside(tmp_path):
    said = {"rate": 0.5, "interval": [0.25, 0.75]}
    seen = [
        ("b", "size", "O", "test"),
        ("a", "size", "O", "test"),
        ("b", "colour", "O", "test"),
        ("b", "size", "V", "test"),
        ("b", "size", "O", "far"),
    ]
    rows = [{"who": who, "concept": concept, "mode": mode, "split": split, "interaction": said} for who, concept, mode, split in seen]
    (tmp_path / "films.json").write_text(json.dumps({"rows": rows}))
    assert _tables.concepts("films", "O", "test", tmp_path).splitlines() == [
        "|  | b | a |",
        "| --- | --- | --- |",
        "| colour | 0.50 (0.25–0.75) | – |",
        "| size | 0.50 (0.25–0.75) | 0.50 (0.25–0.75) |",
    ]
    assert _tables.fill("<!-- table: films V test -->\n<!-- end -->", tmp_path).count("size") == 1


def test_a_table_that_nobody_knows_is_an_error(tmp_path):
    with pytest.raises(KeyError, match="unknown"):
        _tables.fill("<!-- table: unknown -->\n<!-- end -->", tmp_path)
