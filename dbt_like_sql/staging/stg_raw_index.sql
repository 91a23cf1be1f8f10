-- Every page and image that was fetched, with the opt-out signals that came with it.
select
    _partition as crawl,
    url,
    doc_id,
    canonical_url,
    fetched_at,
    status,
    content_type,
    kind,
    record_type,
    revisit_of,
    payload_digest,
    warc_file,
    "offset" as warc_offset,
    length as warc_length,
    truncated,
    source_kind,
    optout_robots_ai,
    optout_noai,
    optout_tdm,
    optout_ai_txt
from {{ source('raw_crawl', 'index.parquet') }}
