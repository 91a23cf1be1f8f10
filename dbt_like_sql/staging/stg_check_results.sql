-- Every evaluation of a check, in the order of time.
select
    "at" as evaluated_at,
    run_id,
    asset,
    crawl,
    check_name,
    passed,
    severity,
    blocking
from {{ source('dagster_events', 'checks.parquet') }}
