"""
What DataRecs says by itself: it posts an event when a run ends, and somebody looks at that run at once.

An event is a hint and never a verdict. ``events`` checks the signature of one and reads which run it is
about; ``receiver`` lets events in, whichever process they come to: Airflow's API server or webserver by way
of ``plugin`` (``fastapi_front``, ``flask_front``), or one of its own (``__main__``). ``hints`` carries them
to whoever waits.
"""

from __future__ import annotations
