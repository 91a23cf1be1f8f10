-- Cleaned documents without their text: what they are, and whether deduplication kept them.
select
    cleaned._partition as crawl,
    cleaned.url,
    cleaned.doc_id,
    cleaned.canonical_url,
    cleaned.host,
    cleaned.fetched_at,
    cleaned.source_kind,
    cleaned.title,
    cleaned.section,
    cleaned.license,
    cleaned.license_id,
    cleaned.html_lang,
    cleaned.published,
    cleaned.rel_canonical,
    cleaned.lang,
    cleaned.lang_score,
    cleaned.n_words,
    cleaned.n_bytes,
    cleaned.n_pii,
    deduped.doc_id is not null as survived,
    superseded.by_doc_id as superseded_by
from {{ source('cleaned_corpus', 'shards/*.parquet') }} as cleaned
left join {{ source('deduped_shards', 'shards/*.parquet') }} as deduped
    on cleaned.doc_id = deduped.doc_id and cleaned._partition = deduped._partition
left join (
    -- a page may change in every crawl: the first to replace this capture counts
    select doc_id, crawl, arg_min(by_doc_id, _partition || ' ' || by_doc_id) as by_doc_id
    from {{ source('deduped_shards', 'superseded.parquet') }}
    group by doc_id, crawl
) as superseded
    on cleaned.doc_id = superseded.doc_id and cleaned._partition = superseded.crawl
