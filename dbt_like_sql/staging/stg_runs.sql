-- Dagster's runs that have ended.
select
    started_at,
    run_id,
    job,
    crawl,
    status,
    ended_at,
    round(epoch(ended_at) - epoch(started_at), 3) as seconds
from {{ source('dagster_events', 'runs.parquet') }}
