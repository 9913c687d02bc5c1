"""What the page's app makes of more results than it tells of."""

from __future__ import annotations

from support.results import result

from airflow_provider_datarecs.reconciliations import reading


def test_ten_thousand_results_are_told_of_in_short(get, store):
    for number in range(10_050):
        store.add(
            "mine", result(job_id=f"job_{number % 200}", run_id=str(number)), ago=number, run=f"r{number}"
        )
    store.write()
    told = get("/results", "reader").json()
    assert told["most"] == reading.MOST_RESULTS == 10_000
    assert len(told["lines"]) == 200
    assert {len(line["points"]) for line in told["lines"]} == {30}
    assert {line["total"] for line in told["lines"]} == {50}
    (line,) = (line for line in told["lines"] if line["id"] == "job_7")
    assert len(get("/history", "reader", dag_id="mine", key=line["key"]).json()["line"]["points"]) == 50
