"""
The DataRecs API as an async client: requests, answers, errors and retrying. Nothing here knows Airflow.

``contract`` holds every fact of the API, ``client`` has its calls, ``transport`` sends them, ``parsing``
reads what comes back, ``runs`` gives runs their meaning, ``errors`` says what went wrong, ``retry`` what is
tried again, and ``start`` starts a run once, whatever is lost.
"""

from __future__ import annotations
