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
    deduped.doc_id is not null as survived
from {{ source('cleaned_corpus', 'shards/*.parquet') }} as cleaned
left join {{ source('deduped_shards', 'shards/*.parquet') }} as deduped
    on cleaned.doc_id = deduped.doc_id and cleaned._partition = deduped._partition
