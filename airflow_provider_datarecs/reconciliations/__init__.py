"""
The page *Reconciliations* in Airflow: do the data agree, and since when.

``reading`` reads the XComs ``run_result`` that a user may see, in one query; ``lines`` makes of them what the
page shows, a line for each job of a DAG; ``page`` puts the page together, and ``app`` serves both;
``plugin`` hands that to Airflow's API server.
"""

from __future__ import annotations

PATH = "/datarecs/reconciliations"
JOB_KEY = "datarecs_job"  # the XCom with the names of a job that was started by them, and its ids
