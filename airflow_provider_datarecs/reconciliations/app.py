"""
Serves the page and its figures, mounted in Airflow's API server.

Airflow checks nothing of what is asked of a mounted app, so that all of it is behind the login here, and the
figures behind what the auth manager lets the user read.
"""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.core_api.security import GetUserDep  # noqa: TC002 - FastAPI reads it
from airflow.utils.session import create_session
from fastapi import FastAPI, HTTPException, Response
from fastapi.responses import HTMLResponse, JSONResponse

from airflow_provider_datarecs.reconciliations import lines, reading
from airflow_provider_datarecs.reconciliations.page import read_page

NO_ACCESS = "You may not read the XComs of this DAG, or it has no results"
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def make_app() -> FastAPI:
    """Make the application, with the page at its root."""
    app = FastAPI(openapi_url=None)  # what describes it would be there without a login
    page = read_page()
    headers = {**HEADERS, "Content-Security-Policy": page.policy}

    @app.get("/")
    def show(user: GetUserDep) -> Response:  # noqa: ARG001 - who must be one
        return HTMLResponse(page.html, headers=headers)

    @app.get("/results")
    def results(user: GetUserDep) -> Response:
        with create_session(scoped=False) as session:
            dag_ids = _readable(user, session)
            found, jobs = reading.read_results(dag_ids, session), reading.read_jobs(dag_ids, session)
        return _json(
            lines=lines.lines_of(found, jobs),
            days=reading.MOST_DAYS,
            most=reading.MOST_RESULTS if len(found) == reading.MOST_RESULTS else None,
        )

    @app.get("/history")
    def history(user: GetUserDep, dag_id: str, key: str) -> Response:
        with create_session(scoped=False) as session:
            dag_ids = _readable(user, session)
            if dag_id not in dag_ids:
                raise HTTPException(403, NO_ACCESS)
            found, jobs = reading.read_results([dag_id], session), reading.read_jobs(dag_ids, session)
        for line in lines.lines_of(found, jobs, lines.MOST_POINTS):
            if line["key"] == key:
                return _json(line=line)
        raise HTTPException(404, "There are no results of this any more")

    return app


def _readable(user: Any, session: Any) -> set[str]:
    try:
        return reading.readable_dag_ids(get_auth_manager(), user, session)
    except reading.NotPermitted:
        raise HTTPException(403, "You may not read the XComs of any DAG") from None


def _json(**content: Any) -> Response:
    return JSONResponse(content, headers=HEADERS)
