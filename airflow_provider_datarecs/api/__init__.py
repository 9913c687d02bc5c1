"""
The DataRecs API as an async client: requests, answers, errors and retrying. Nothing here knows Airflow.

``contract`` holds every assumed fact of the API, ``client`` sends the requests, ``answers`` reads what comes
back, ``runs`` gives runs their meaning, ``errors`` says what went wrong and ``retry`` what is tried again.
"""

from __future__ import annotations
