-- What became of every address that any crawl met: one row a crawl and document.
with
-- The last stage that judged it. Images have a line of their own, which pages never take; and a page in the mix is in the mix,
-- whether or not questions were made of it.
last_verdict as (
    select *
    from {{ ref('stg_ledger') }} as ledger
    where
        stage not in ('instruction_dataset', 'preference_dataset')
        and (
            stage <> 'image_dataset'
            or doc_id not in (select doc_id from {{ ref('stg_ledger') }} where stage = 'extracted_pages' and doc_id is not null)
        )
    qualify row_number() over (
        partition by crawl, coalesce(doc_id, url) order by stage_order desc, kept, rule, url
    ) = 1
),

known as (
    select
        verdict.*,
        raw.fetched_at,
        raw.kind,
        raw.revisit_of,
        superseded.superseded_by
    from last_verdict as verdict
    left join {{ ref('stg_raw_index') }} as raw using (crawl, doc_id)
    left join {{ ref('stg_superseded') }} as superseded using (crawl, doc_id)
),

decided as (
    select
        *,
        case
            when rule = 'superseded' then 'superseded'
            when not kept then 'dropped'
            when stage = 'training_mix' then 'in the mix'
            when superseded_by is not null then 'superseded'
            when stage = 'image_dataset' then 'image kept'
            when stage = 'raw_crawl' and revisit_of is not null then 'unchanged'
            when stage = 'raw_crawl' and kind = 'other' then 'not a page'
            else 'waiting'
        end as fate,
        -- a kept page may name the one that it replaces; what replaced it tells more
        coalesce(if(kept, superseded_by, null), related_doc, revisit_of) as related
    from known
),

addresses as (
    select doc_id, min(url) as url
    from {{ ref('stg_ledger') }}
    where doc_id is not null
    group by doc_id
)

select
    decided.url,
    decided.crawl,
    decided.doc_id,
    decided.fetched_at,
    decided.fate,
    decided.stage,
    decided.rule,
    decided.value,
    decided.threshold,
    decided.related as related_doc,
    addresses.url as related_url,
    decided.detail,
    count(*) over (partition by decided.url) as captures,
    row_number() over (
        partition by decided.url order by decided.fetched_at desc nulls last, decided.crawl desc, decided.doc_id
    ) = 1 as is_latest
from decided
left join addresses on decided.related = addresses.doc_id
