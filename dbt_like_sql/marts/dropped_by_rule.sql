-- What each rule dropped, over which values.
select
    ledger.crawl,
    ledger.stage_order,
    ledger.stage,
    ledger.rule,
    count(*) as documents,
    round(count(*) / any_value(funnel.documents_in), 6) as share_of_stage,
    min(ledger.value) as lowest_value,
    median(ledger.value) as median_value,
    max(ledger.value) as highest_value,
    min(ledger.threshold) as lowest_threshold,
    max(ledger.threshold) as highest_threshold,
    min(ledger.url) as example_url
from {{ ref('stg_ledger') }} as ledger
inner join {{ ref('funnel') }} as funnel using (crawl, stage)
where not ledger.kept
group by ledger.crawl, ledger.stage_order, ledger.stage, ledger.rule
