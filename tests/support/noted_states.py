"""Notes in PostgreSQL when tasks change their state, for benchmarks."""

from __future__ import annotations

from sqlalchemy import create_engine, text

# By the clock of the database, which is this machine's.
NOTE_STATES = """
create table noted_states (dag_id text, task_id text, map_index int, state text, at double precision);
create function note_state() returns trigger language plpgsql as $$ begin
    insert into noted_states
    values (new.dag_id, new.task_id, new.map_index, new.state, extract(epoch from clock_timestamp()));
    return new;
end $$;
create trigger note_states after update of state on task_instance for each row
    when (old.state is distinct from new.state) execute function note_state();
"""


def note_states(database: str) -> None:
    """
    Note each change of a task's state from now on, in the table ``noted_states``.

    :param database: the URL of Airflow's database, which is there already
    """
    with create_engine(database).begin() as connection:
        connection.execute(text(NOTE_STATES))
