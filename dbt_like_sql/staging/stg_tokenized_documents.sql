-- Where the tokens of each document lie.
select
    _partition as crawl,
    url,
    doc_id,
    lang,
    source_kind,
    shard,
    start as first_token,
    length as n_tokens,
    n_bytes
from {{ source('tokenized_dataset', 'documents.parquet') }}
