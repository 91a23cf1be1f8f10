-- What Dagster's runs made, and where they failed.
select
    "at" as happened_at,
    run_id,
    asset,
    crawl,
    case type when 'ASSET_MATERIALIZATION' then 'made' else 'failed' end as event,
    error
from {{ source('dagster_events', 'events.parquet') }}
