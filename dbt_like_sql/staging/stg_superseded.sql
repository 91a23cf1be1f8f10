-- Captures that a newer one of the same page replaces. A page may change in every crawl: the first to replace a capture counts.
select
    crawl,
    doc_id,
    arg_min(by_doc_id, _partition || ' ' || by_doc_id) as superseded_by
from {{ source('deduped_shards', 'superseded.parquet') }}
group by crawl, doc_id
