-- How each crawl came about: from where, by which agent, when, with which opt-outs honoured.
with
made as (
    select crawl, config::json as config, credit
    from {{ ref('stg_manifests') }}
    where asset = 'raw_crawl'
),

fetched as (
    select
        crawl,
        min(fetched_at) as first_fetched_at,
        max(fetched_at) as last_fetched_at,
        count(*) filter (where kind = 'page') as pages,
        count(*) filter (where kind = 'image') as images,
        count(distinct regexp_extract(url, '^[a-z]+://([^/:?#]+)', 1)) as hosts
    from {{ ref('stg_raw_index') }}
    group by crawl
),

refused as (
    select
        crawl,
        sum(documents) filter (where rule = 'robots')::bigint as refused_robots,
        sum(documents) filter (where rule = 'optout_robots_ai')::bigint as refused_robots_ai,
        sum(documents) filter (where rule = 'optout_ai_txt')::bigint as refused_ai_txt,
        sum(documents) filter (where rule = 'optout_noai')::bigint as refused_noai,
        sum(documents) filter (where rule = 'optout_tdm')::bigint as refused_tdm
    from {{ ref('dropped_by_rule') }}
    group by crawl
),

texts as (
    select crawl, count(*) as documents, sum(n_bytes)::bigint as bytes, sum(n_pii)::bigint as personal_data_replaced
    from {{ ref('stg_documents') }}
    group by crawl
)

select
    made.crawl,
    case
        when list_contains(json_keys(made.config, '$.snapshots'), made.crawl) then 'local site'
        when list_contains(json_keys(made.config, '$.seeds'), made.crawl) then 'web crawl'
        when list_contains(json_keys(made.config, '$.common_crawl.ids'), made.crawl) or made.crawl like 'CC-MAIN-%' then 'common crawl'
        else 'own files'
    end as origin,
    made.config ->> '$.user_agent' as user_agent,
    made.credit,
    fetched.first_fetched_at,
    fetched.last_fetched_at,
    coalesce(fetched.pages, 0) as pages,
    coalesce(fetched.images, 0) as images,
    coalesce(fetched.hosts, 0) as hosts,
    coalesce(texts.documents, 0) as documents,
    coalesce(texts.bytes, 0) as bytes,
    coalesce(texts.personal_data_replaced, 0) as personal_data_replaced,
    (made.config ->> '$.honour_robots_ai')::boolean as honours_robots_ai,
    (made.config ->> '$.honour_ai_txt')::boolean as honours_ai_txt,
    (made.config ->> '$.honour_noai')::boolean as honours_noai,
    (made.config ->> '$.honour_tdm')::boolean as honours_tdm,
    coalesce(refused.refused_robots, 0) as refused_robots,
    coalesce(refused.refused_robots_ai, 0) as refused_robots_ai,
    coalesce(refused.refused_ai_txt, 0) as refused_ai_txt,
    coalesce(refused.refused_noai, 0) as refused_noai,
    coalesce(refused.refused_tdm, 0) as refused_tdm
from made
left join fetched using (crawl)
left join refused using (crawl)
left join texts using (crawl)
