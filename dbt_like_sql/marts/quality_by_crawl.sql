-- Key figures of each crawl, side by side, and how its checks went the last time.
with
stages as (
    select
        crawl,
        max(documents_in) filter (where stage = 'raw_crawl') as urls_met,
        max(kept) filter (where stage = 'raw_crawl') as fetched,
        max(kept) filter (where stage = 'extracted_pages') as extracted,
        max(kept) filter (where stage = 'cleaned_corpus') as cleaned,
        max(kept) filter (where stage = 'deduped_shards') as deduplicated,
        max(kept) filter (where stage = 'training_mix') as in_the_mix,
        max(share_kept) filter (where stage = 'cleaned_corpus') as share_clean,
        max(share_kept) filter (where stage = 'deduped_shards') as share_new
    from {{ ref('funnel') }}
    group by crawl
),

fetched as (
    select crawl, min(fetched_at) as first_fetched_at, max(fetched_at) as last_fetched_at,
        count(*) filter (where truncated) as truncated, count(*) filter (where record_type = 'revisit') as unchanged
    from {{ ref('stg_raw_index') }}
    group by crawl
),

opted_out as (
    select crawl, sum(documents)::bigint as opted_out
    from {{ ref('dropped_by_rule') }}
    where rule like 'optout%'
    group by crawl
),

texts as (
    select crawl, count(distinct host) as hosts, count(distinct lang) as languages, median(n_words) as median_words,
        round(median(lang_score), 4) as median_language_score, sum(n_pii)::bigint as personal_data_replaced
    from {{ ref('stg_documents') }}
    group by crawl
),

tokens as (
    select crawl, sum(n_tokens)::bigint as tokens, round(sum(n_bytes) / sum(n_tokens), 3) as bytes_per_token
    from {{ ref('stg_tokenized_documents') }}
    group by crawl
),

checks as (
    select crawl, count(*) as checks, count(*) filter (where not passed) as checks_failing
    from (
        select crawl, arg_max(passed, evaluated_at) as passed
        from {{ ref('check_history') }}
        group by asset, crawl, check_name
    )
    group by crawl
)

select
    stages.crawl,
    fetched.first_fetched_at,
    fetched.last_fetched_at,
    stages.urls_met,
    stages.fetched,
    coalesce(opted_out.opted_out, 0) as opted_out,
    fetched.unchanged,
    fetched.truncated,
    stages.extracted,
    stages.cleaned,
    stages.share_clean,
    stages.deduplicated,
    stages.share_new,
    stages.in_the_mix,
    texts.hosts,
    texts.languages,
    texts.median_words,
    texts.median_language_score,
    texts.personal_data_replaced,
    tokens.tokens,
    tokens.bytes_per_token,
    coalesce(checks.checks, 0) as checks,
    coalesce(checks.checks_failing, 0) as checks_failing
from stages
left join fetched using (crawl)
left join opted_out using (crawl)
left join texts using (crawl)
left join tokens using (crawl)
left join checks using (crawl)
