-- What a host lost from the crawl before that met it to this one: pages that were there and are not fetched any more.
with
crawls as (
    select crawl, min(fetched_at) as began
    from {{ ref('stg_raw_index') }}
    group by crawl
),

met as (
    select ledger.crawl, crawls.began, ledger.url, ledger.kept,
        regexp_extract(ledger.url, '^[a-z]+://([^/:?#]+)', 1) as host
    from {{ ref('stg_crawl_ledger') }} as ledger
    inner join crawls using (crawl)
    where ledger.stage = 'raw_crawl'
),

pages as (
    select distinct crawl, url, regexp_extract(url, '^[a-z]+://([^/:?#]+)', 1) as host
    from {{ ref('stg_raw_index') }}
    where kind = 'page'
),

-- a host that a crawl met and got nothing of counts too; one that it never met is none of its sources
visits as (
    select crawl, host, lag(crawl) over (partition by host order by began, crawl) as crawl_before
    from (select distinct crawl, began, host from met)
),

before as (
    select
        visits.crawl,
        visits.crawl_before,
        visits.host,
        pages.url,
        now.url is not null as still_there,
        refused.url is not null as refused
    from visits
    inner join pages on visits.crawl_before = pages.crawl and visits.host = pages.host
    left join pages as now on visits.crawl = now.crawl and pages.url = now.url
    left join (select distinct crawl, url from met where not kept) as refused
        on visits.crawl = refused.crawl and pages.url = refused.url
)

select
    before.crawl,
    before.crawl_before,
    before.host,
    count(*) as pages_before,
    any_value(coalesce(counted.pages_now, 0)) as pages_now,
    count(*) filter (where before.still_there) as still_there,
    count(*) filter (where not before.still_there) as lost,
    count(*) filter (where not before.still_there and before.refused) as lost_by_refusal,
    round(count(*) filter (where not before.still_there) / count(*), 6) as share_lost
from before
left join (select crawl, host, count(*) as pages_now from pages group by crawl, host) as counted
    on before.crawl = counted.crawl and before.host = counted.host
group by before.crawl, before.crawl_before, before.host
