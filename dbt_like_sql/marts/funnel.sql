-- How many documents came into each stage and how many went on.
select
    crawl,
    stage_order,
    stage,
    count(*) as documents_in,
    count(*) filter (where kept) as kept,
    count(*) filter (where not kept) as dropped,
    round(count(*) filter (where kept) / count(*), 6) as share_kept
from {{ ref('stg_ledger') }}
group by crawl, stage_order, stage
