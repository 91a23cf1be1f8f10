-- What each check said in each run, and where it changed its mind.
select
    results.asset,
    results.crawl,
    results.check_name,
    results.evaluated_at,
    results.run_id,
    runs.job,
    results.passed,
    results.severity,
    results.blocking,
    lag(results.passed) over one_check is distinct from results.passed
        and lag(results.passed) over one_check is not null as changed
from {{ ref('stg_check_results') }} as results
left join {{ ref('stg_runs') }} as runs using (run_id)
window one_check as (
    partition by results.asset, results.crawl, results.check_name order by results.evaluated_at, results.run_id
)
