"""The table fault x moment; see faults.py. The short form runs always, the other cells with -m faults."""

import json
import os

import pytest
from faults import CELLS, SHORT, Cell


def record(moment, fault, result):
    file = os.environ.get("FAULTS_RESULTS")
    if file:
        with open(file, "a") as rows:
            rows.write(json.dumps({"moment": moment, "fault": fault, "result": result}) + "\n")


@pytest.mark.parametrize("moment, fault", [
    pytest.param(*cell, marks=() if cell in SHORT else pytest.mark.faults) for cell in CELLS])
def test_cell(server, proxy, idle, old, worker, moment, fault):
    cell = Cell(moment, fault, server, proxy, idle, old, worker)
    try:
        seconds = cell.play()
    except AssertionError as error:
        record(moment, fault, cell.story(error))
        raise
    record(moment, fault, f"ok {seconds:.1f}")


def test_the_short_form_is_in_the_table():
    assert set(SHORT) <= set(CELLS) and len(set(SHORT)) == len(SHORT)
