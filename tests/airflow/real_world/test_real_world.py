"""Right verdicts on what real clouds, proxies and gateways send: each row of the tables in each mode."""

from __future__ import annotations

from typing import Any

import pytest

from tests.airflow.real_world.rows import Row, cases, check, run
from tests.airflow.real_world.table_coc import ROWS as COC
from tests.airflow.real_world.table_coc_lists import ROWS as COC_LISTS
from tests.airflow.real_world.table_coc_sensor import ROWS as COC_SENSOR
from tests.airflow.real_world.table_dataarts import ROWS as DATAARTS
from tests.airflow.real_world.table_hss import ROWS as HSS
from tests.airflow.real_world.table_mrs import ROWS as MRS
from tests.airflow.real_world.table_wire import ROWS as WIRE

ROWS = [*COC, *COC_LISTS, *COC_SENSOR, *DATAARTS, *HSS, *MRS, *WIRE]


@pytest.mark.parametrize(("row", "mode", "clocks"), cases(ROWS))
def test_verdict(row: Row, mode: str, clocks: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    check(row, run(row, mode, clocks, monkeypatch))
