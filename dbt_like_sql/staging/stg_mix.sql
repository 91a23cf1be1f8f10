-- The documents that a training reads, on which side of the split, how often.
select
    split_part(ref, '/', 2) as crawl,
    split,
    url,
    doc_id,
    lang,
    source_kind,
    epochs,
    length as n_tokens,
    epochs * length as tokens_read,
    ref,
    shard,
    start as first_token
from {{ source('training_mix', 'documents.parquet') }}
