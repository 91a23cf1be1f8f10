-- What the artefacts that readers see cost to make: machine time, and money at the recipe's prices.
select
    made.asset,
    made.crawl,
    made.identity,
    made.started_at,
    made.device,
    made.seconds,
    made.gpu_hours,
    if(made.gpu_hours > 0, 0, round(made.seconds / 3600, 6)) as cpu_hours,
    round(
        made.gpu_hours * {{ var('gpu_hour_price') }}
        + if(made.gpu_hours > 0, 0, made.seconds / 3600) * {{ var('cpu_hour_price') }},
        6
    ) as cost,
    {{ var('currency') }} as currency,
    made.peak_memory_bytes,
    made.n_bytes,
    made.run_id,
    runs.job,
    runs.status as run_status
from {{ ref('stg_manifests') }} as made
left join {{ ref('stg_runs') }} as runs using (run_id)
